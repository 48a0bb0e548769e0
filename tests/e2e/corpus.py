# SPDX-License-Identifier: Apache-2.0
"""Manifests as people have them, and what becomes of each: manifests/*.txt, read.

An entry is a name, lines that begin with `> `, and the manifest:

    ===== crlf-line-ends
    > written crlf                         how the bytes differ from what stands here
    > loads shop/crlf: kube-api-access     a Pod, and the volumes that the agent makes for it
    > refuses line 5: kind: ...            a problem, whole but for the file's name in front
    > remarks shop/crlf: ...               a warning of `tokenlet validate`, likewise
    > differs ...                          a real API server decides otherwise, and why

    corpus.py fill     writes `loads`, `refuses` and `remarks` as they are now; look at the difference
"""
import dataclasses
import pathlib
import re
import subprocess
import sys

import daemon

HERE = pathlib.Path(__file__).parent / "manifests"
# What the Pods of the entries ask for and no entry has: "objects" is no entry.
OBJECTS = HERE / "objects.yaml"
INJECTED = re.compile(r"^kube-api-access-[bcdfghjklmnpqrstvwxz2456789]{5}$")
ANNOTATIONS = ", ".join(f'example.org/note-{i}: "{i % 10 * 50 * str(i)}"' for i in range(300))


@dataclasses.dataclass
class Entry:
    name: str
    text: str = ""
    said: dict = dataclasses.field(default_factory=dict)  # by the word behind `> `

    def lines(self, word: str) -> list[str]:
        return self.said.get(word, [])

    def pods(self) -> dict[str, list[str]]:
        """The volumes of each Pod that loads."""
        return {pod: volumes.split() for pod, _, volumes in (line.partition(":") for line in self.lines("loads"))}

    def written(self) -> bytes:
        how = " ".join(self.lines("written")).split()
        text = self.text.replace("ANNOTATIONS", ANNOTATIONS) if "annotated" in how else self.text
        text = text[:-1] if "chomped" in how else text
        text = text.replace("\n", "\r\n") if "crlf" in how else text
        text = "\ufeff" + text if "bom" in how else text
        return text.encode("utf-16" if "utf-16" in how else "latin-1" if "latin-1" in how else "utf-8")


def read(file: pathlib.Path) -> list[Entry]:
    entries = []
    for part in re.split(r"^===== ", file.read_text(), flags=re.M)[1:]:
        name, _, rest = part.partition("\n")
        entry = Entry(name)
        while rest.startswith("> "):
            line, _, rest = rest.partition("\n")
            _, word, what = line.split(" ", 2)
            entry.said.setdefault(word, []).append(what)
        entry.text = rest
        entries.append(entry)
    return entries


def entries() -> list[Entry]:
    return [entry for file in sorted(HERE.glob("*.txt")) for entry in read(file)]


def validated(entry: Entry, directory: pathlib.Path) -> tuple[list[str], list[str]]:
    """What `tokenlet validate` refuses, and what it remarks on; without the file's name."""
    file = directory / f"{entry.name}.yaml"
    file.write_bytes(entry.written())
    done = subprocess.run([daemon.BINARY, "validate", str(file), str(OBJECTS)], capture_output=True, text=True, timeout=daemon.PATIENCE)
    said = [line.removeprefix(f"tokenlet: {file}: ") for line in done.stderr.splitlines()]
    refused = [line for line in said if "warning: " not in line]
    assert done.returncode == (3 if refused else 0), (entry.name, done)
    return refused, [line.replace("warning: ", "") for line in said if "warning: " in line]


def volumes_of(shown: dict) -> list[str]:
    """Of a Pod in a status; the injected one without the suffix that comes from the Pod's name."""
    return sorted("kube-api-access" if INJECTED.match(volume["name"]) else volume["name"] for volume in shown["volumes"])


def drop_all(agent: daemon.Daemon):
    (agent.manifests / "objects.yaml").write_bytes(OBJECTS.read_bytes())
    for entry in entries():
        (agent.manifests / f"{entry.name}.yaml").write_bytes(entry.written())


def fill():
    with daemon.Daemon() as agent:
        drop_all(agent)
        agent.start_and_settle()
        shown = {f"{pod['namespace']}/{pod['name']}": pod for pod in agent.status()["pods"] if pod["ready"]}
        for file in sorted(HERE.glob("*.txt")):
            text = ""
            for entry in read(file):
                refused, remarks = validated(entry, agent.base)
                named = re.findall(r"name\"?: *\"?([a-z0-9.-]+)", entry.text)
                mine = [pod for pod in shown if pod.split("/")[1] in named and pod not in text]
                said = {"written": entry.lines("written"), "loads": [f"{pod}: {' '.join(volumes_of(shown[pod]))}".rstrip(" ") for pod in mine],
                        "refuses": refused, "remarks": remarks, "differs": entry.lines("differs")}
                text += f"===== {entry.name}\n" + "".join(f"> {word} {line}\n" for word in said for line in said[word]) + entry.text
            file.write_text(text)


if __name__ == "__main__" and sys.argv[1:] == ["fill"]:
    fill()
