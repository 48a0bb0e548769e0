# SPDX-License-Identifier: Apache-2.0
"""Rows of docs/benchmarks.md, printed as figures.h prints them: | what | ours | against what | ratio | target | met |"""
import statistics


def percentile(values: list[float], part: float) -> float:
    """The smallest value that `part` of all values do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, -int(-part * len(ordered) // 1) - 1)]


def spread(values: list[float], unit: str, digits: int = 1) -> str:
    middle, least, most = (round(value, digits) for value in (statistics.median(values), min(values), max(values)))
    return f"{middle} {unit}" if len(values) == 1 else f"{middle} {unit} ({least} to {most})"


def row(what: str, ours: str, against: str = "", ratio: str = "", target: str = "", met: bool | None = None) -> None:
    verdict = "" if met is None else "met" if met else "missed"
    print(f"| {what:44} | {ours:28} | {against:38} | {ratio:22} | {target} | {verdict} |", flush=True)


def compare(what: str, ours: list[float], against: str, theirs: list[float], unit: str, bound: float | None) -> None:
    """One pair a run: the ratio's median, least and most over the runs."""
    ratios = [mine / other for mine, other in zip(ours, theirs)]
    middle = statistics.median(ratios)
    row(what, spread(ours, unit), f"{against} {spread(theirs, unit)}", spread(ratios, "", 2).replace("  ", " "),
        "" if bound is None else f"<= {bound}", None if bound is None else middle <= bound)
