# SPDX-License-Identifier: Apache-2.0
"""What a manifest says to Kubernetes it says to tokenlet: our YAML reader against sigs.k8s.io/yaml, text by text."""
import decimal
import itertools
import json
import os
import pathlib
import subprocess
import unittest

import control_plane

OURS = os.environ.get("YAML_TO_JSON", str(pathlib.Path(__file__).parents[2] / "build/dev/tests/cluster/tokenlet_yaml_to_json"))
DATA = pathlib.Path(__file__).parent / "data"

# Every text of up to four of these as a scalar, where the rules of numbers lie.
NUMERIC = "0189.-+_exob"
SPELLINGS = ("true", "false", "yes", "no", "on", "off", "y", "n", "null", "nan", "inf")


# Where the readings are not the same, and why; docs/compatibility.md says it to users.
TWICE = "a key that stands there twice is refused: Kubernetes takes the last"
LENIENT = "yaml-cpp lets through what is no YAML 1.1 by the letter; it cannot be misread"
EXACT = "an integer beyond 64 signed bits stays one: Kubernetes makes a float of it, and no field takes either"
STRICT = "refused, because the bytes would not be what was meant"
BEHIND = "what stands behind a complete value is refused: Kubernetes drops it without a word"
KNOWN = {
    " a: 1\nb: 2": BEHIND,
    '"a":1': BEHIND,
    "v: 9223372036854775808": EXACT,
    "v: 18446744073709551615": EXACT,
    "v: 0x8000000000000000": EXACT,
    f"v: 0b{64 * '1'}": EXACT,
    "v: 0o1777777777777777777777": EXACT,
    "v: 01777777777777777777777": EXACT,
    '{"a":123456789012345678901234567890}': EXACT,
    "99999999999999999999: a": EXACT,
    'v: "\\N"': STRICT,
    'v: "\\_"': STRICT,
    '{"a": "\\ud83d"}': STRICT,
    '{"a": "\x7f"}': STRICT,
    "a: 1\rb: 2\n": STRICT,
    'v: "\\/"': LENIENT,
    "v: \u2028": LENIENT,
    "v: [,]": LENIENT,
    'a: "\\u0041\\x42\\t\\\\\\"\\/"': LENIENT,
    "{a: 1, b: [x, y,], }": LENIENT,
    "{'a':1}": LENIENT,
    "%YAML 1.2\n---\na: 1": LENIENT,
    "-\ta": LENIENT,
    "a: !e!x 1": LENIENT,
    "a: x\x85y\n": LENIENT,
    "a: x\u2028y\n": LENIENT,
    'v: {"a":1,"a":2}': TWICE,
    "a: 1\na: 2": TWICE,
    "a: {b: 1, b: 2}": TWICE,
    '- {a: 1, "a": 2}': TWICE,
    '{"a": 1, "a": 2}': TWICE,
    "yes: a\nno: b\non: c": TWICE,
    '"1": a\n1: b': TWICE,
    '"true": a\nyes: b': TWICE,
    "more:\n  b: 3\n  <<: {a: 1, b: 2}": "a key of the mapping itself wins over a merged one, also before the <<",
    "a: >+\n\n  one\n\n\nb: 1": "yaml-cpp loses one of the kept line feeds of a folded block",
    **dict.fromkeys(("v: 0b-0", "v: 0b-1", "v: 0b+0", "v: 0b+1"), "a sign behind 0b makes no number"),
}


def is_plain(text: str) -> bool:
    """Whether YAML reads it as one plain scalar behind `v: `, and not as the beginning of something else."""
    return not text.startswith(("- ", "? ")) and text not in ("-", "?", "---")


def cases_of(word: str) -> set[str]:
    return {"".join(letters) for letters in itertools.product(*({letter, letter.upper()} for letter in word))}


def generated_scalars() -> list[str]:
    numbers = ("".join(letters) for length in range(1, 5) for letters in itertools.product(NUMERIC, repeat=length))
    words = {prefix + case for word in SPELLINGS for case in cases_of(word) for prefix in ("", ".", "-.", "+.", "-")}
    return [text for text in (*numbers, *sorted(words)) if is_plain(text)]


def listed(name: str, separator: str) -> list[str]:
    with open(DATA / name, encoding="utf-8", newline="") as file:
        return file.read().split(separator)


def number(text: str) -> tuple:
    """Told apart from true and false, and exact."""
    return "number", str(decimal.Decimal(text).normalize())


def readings(*command: str, texts: list[str]) -> list[dict]:
    done = subprocess.run(command, input=json.dumps(texts), capture_output=True, text=True, encoding="utf-8", check=True)
    return json.loads(done.stdout, parse_int=number, parse_float=number)


def differences(texts: list[str]) -> dict[str, tuple]:
    """By text: what Kubernetes reads, and what we read, where it is not the same. How an error is put does not matter."""
    theirs = readings(control_plane.PROGRAM, "yaml-to-json", texts=texts)
    ours = readings(OURS, texts=texts)
    found = {}
    for text, their, our in zip(texts, theirs, ours, strict=True):
        same = "error" in their and "error" in our or "json" in their and "json" in our and their["json"] == our["json"]
        if not same:
            found[text] = (their, our)
    return found


class Yaml(unittest.TestCase):
    maxDiff = None

    def check(self, texts: list[str]):
        """Neither an unknown difference, nor a known one that is none any more."""
        found = differences(texts)
        self.assertEqual({}, {text: pair for text, pair in found.items() if text not in KNOWN})
        self.assertEqual([], [text for text in texts if text in KNOWN and text not in found])

    def test_scalars_mean_what_they_mean_to_kubernetes(self):
        scalars = listed("scalars.txt", "\n")
        self.assertGreater(len(scalars), 150)
        self.check([f"v: {scalar}" for scalar in scalars])

    def test_scalars_of_every_spelling_mean_what_they_mean_to_kubernetes(self):
        self.check([f"v: {scalar}" for scalar in generated_scalars()])

    def test_documents_mean_what_they_mean_to_kubernetes(self):
        self.check(listed("documents.txt", "\n=====\n"))
