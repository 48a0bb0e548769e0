# SPDX-License-Identifier: Apache-2.0
"""Manifests and objects are edited under a reader: it sees each volume as it was or as it will be, and never a mixture.

Where an edit cannot be carried out the old content stays, and the error says so.
"""
import json
import pathlib
import signal
import subprocess
import sys
import unittest

import daemon
import reader
from daemon import wait_until

TOKEN = "{serviceAccountToken: {path: token, audience: test}}"
LONG = 3000  # characters, so that a torn write would be likely to show


def pod(*sources: str, mode: str = "0444") -> str:
    return f"""apiVersion: v1
kind: Pod
metadata: {{name: web, namespace: shop, labels: {{app: web}}}}
spec:
  automountServiceAccountToken: false
  containers: [{{name: main, image: none, volumeMounts: [{{name: data, mountPath: /data}}]}}]
  volumes: [{{name: data, projected: {{defaultMode: {mode}, sources: [{', '.join((TOKEN, *sources))}]}}}}]
"""


def data(kind: str, name: str, more: str = "", **values: str) -> str:
    text = json.dumps({key: value * LONG for key, value in values.items()})
    return f"apiVersion: v1\nkind: {kind}\nmetadata: {{name: {name}, namespace: shop}}\n{'stringData' if kind == 'Secret' else 'data'}: {text}\n{more}"


def tree(mode: int = 0o444, token: int | None = None, **files: str) -> dict:
    """What a reader sees: of each file its mode, and its text without repetition."""
    return {"token": [token if token is not None else mode, "TOKEN"], **{name.replace("__", "/"): [mode, text] for name, text in files.items()}}


class Reader:
    def __init__(self, volume: pathlib.Path):
        self.process = subprocess.Popen([sys.executable, "-B", str(pathlib.Path(__file__).with_name("reader.py")), "states", str(volume)],
                                        stdout=subprocess.PIPE)

    def finish(self) -> dict:
        self.process.send_signal(signal.SIGTERM)
        return json.loads(self.process.communicate(timeout=daemon.PATIENCE)[0])


class Changes(unittest.TestCase):
    maxDiff = None

    def setUp(self):
        self.agent = daemon.Daemon()
        self.addCleanup(self.agent.__exit__)
        self.expected = []

    def begin(self, **documents: str):
        for name, text in documents.items():
            self.agent.drop(f"{name}.yaml", text)
        self.agent.start_and_settle()
        wait_until(lambda: self.agent.is_ready("web"), "the Pod to be ready")
        self.reader = Reader(self.agent.volume("web"))
        self.addCleanup(self.reader.process.kill)

    def see(self, **wanted):
        """Waits for a state, which is one that the reader may see from now on."""
        state = tree(**wanted)
        self.expected.append(state)
        wait_until(lambda: self.state() == state, f"{state}, not {self.state()}")

    def stays(self, *parts: str):
        """The last state stays, and the Pod or its volume says why."""
        def says() -> str:
            shown = self.agent.pod_status("web")
            return " ".join([shown["message"], *(volume["error"] for volume in shown["volumes"]), *self.agent.status()["problems"]])
        wait_until(lambda: all(part in says() for part in parts), f"{parts}, not {says()}")
        self.assertEqual(self.expected[-1], self.state())

    def recovers(self):
        wait_until(lambda: self.agent.is_ready("web") and not self.agent.status()["problems"], "all to be well again")

    def state(self) -> dict:
        return reader.state_now(str(self.agent.volume("web")))

    def end(self):
        seen = self.reader.finish()
        print(f"{seen['reads']} readings, {len(seen['states'])} states", file=sys.stderr)
        self.assertEqual([], seen["wrong"])
        self.assertEqual([], [state for state in seen["states"] if state not in self.expected])

    def test_of_the_manifest_are_seen_whole(self):
        both = "{configMap: {name: settings}}"
        self.begin(settings=data("ConfigMap", "settings", a="1", b="1"), web=pod(both))
        self.see(a="1", b="1")
        for edited, wanted in 5 * (
                (pod(both, "{secret: {name: passwords}}"), {"a": "1", "b": "1", "c": "x", "d": "x"}),       # a source is added
                (pod("{secret: {name: passwords}}"), {"c": "x", "d": "x"}),                                  # another one removed
                (pod("{secret: {name: passwords}}", mode="0440"), {"mode": 0o440, "c": "x", "d": "x"}),      # modes changed
                (pod("{secret: {name: passwords, items: [{key: c, path: e}, {key: d, path: sub/f, mode: 0400}]}}", mode="0440"), None),
                (pod("{configMap: {name: settings, items: [{key: a, path: sub}]}}"), {"sub": "1"}),          # a directory becomes a file
                (pod("{configMap: {name: settings, items: [{key: a, path: sub/deep/a}]}}"), {"sub__deep__a": "1"}),
                (pod("{downwardAPI: {items: [{path: app, fieldRef: {fieldPath: \"metadata.labels['app']\"}}]}}"), {"app": "web"}),
                (pod(both), {"a": "1", "b": "1"})):
            self.agent.drop("passwords.yaml", data("Secret", "passwords", c="x", d="x"))
            self.agent.drop("web.yaml", edited)
            if wanted is None:
                self.expected.append({"token": [0o440, "TOKEN"], "e": [0o440, "x"], "sub/f": [0o400, "x"]})
                wait_until(lambda: self.state() == self.expected[-1], "files of other names")
            else:
                self.see(**wanted)
        self.end()

    def test_of_objects_are_seen_whole_and_what_disappears_stays(self):
        items = "items: [{key: a, path: a}, {key: b, path: b}]"
        self.begin(settings=data("ConfigMap", "settings", a="1", b="1"), passwords=data("Secret", "passwords", c="x", d="x"),
                   web=pod("{configMap: {name: settings, %s}}" % items, "{secret: {name: passwords}}", "{configMap: {name: maybe, optional: true}}"))
        self.see(a="1", b="1", c="x", d="x")
        for value in "23456789":
            self.agent.drop("settings.yaml", data("ConfigMap", "settings", a=value, b=value))
            self.see(a=value, b=value, c="x", d="x")
            self.agent.drop("passwords.yaml", data("Secret", "passwords", c=value, d=value))
            self.see(a=value, b=value, c=value, d=value)
            self.agent.drop("passwords.yaml", data("Secret", "passwords", c="x", d="x"))
            self.see(a=value, b=value, c="x", d="x")
        # What is optional comes, changes and goes.
        self.agent.drop("maybe.yaml", data("ConfigMap", "maybe", o="1", p="1"))
        self.see(a="9", b="9", c="x", d="x", o="1", p="1")
        self.agent.drop("maybe.yaml", data("ConfigMap", "maybe", p="2"))
        self.see(a="9", b="9", c="x", d="x", p="2")
        (self.agent.manifests / "maybe.yaml").unlink()
        self.see(a="9", b="9", c="x", d="x")
        # A key that is asked for disappears: the others do not change either until it is back.
        self.agent.drop("settings.yaml", data("ConfigMap", "settings", a="n"))
        self.stays("settings", "\"b\"")
        self.agent.drop("settings.yaml", data("ConfigMap", "settings", a="n", b="n"))
        self.see(a="n", b="n", c="x", d="x")
        self.recovers()
        # A whole object does.
        (self.agent.manifests / "settings.yaml").unlink()
        self.stays("settings", "not found")
        self.agent.drop("settings.yaml", data("ConfigMap", "settings", a="o", b="o"))
        self.see(a="o", b="o", c="x", d="x")
        self.recovers()
        # A manifest turns bad, and good again.
        text = (self.agent.manifests / "passwords.yaml").read_text()
        self.agent.drop("passwords.yaml", text.replace("stringData", "strngData"))
        self.stays("passwords.yaml", "strngData", "the last good version stays in use")
        self.agent.drop("passwords.yaml", text)
        self.recovers()
        self.end()

    def test_of_what_is_immutable_wait_until_it_has_left(self):
        self.begin(settings=data("ConfigMap", "settings", a="1", more="immutable: true\n"), web=pod("{configMap: {name: settings}}"))
        self.see(a="1")
        for version in (data("ConfigMap", "settings", a="2", more="immutable: true\n"), data("ConfigMap", "settings", a="2")):
            self.agent.drop("settings.yaml", version)
            self.stays("settings.yaml", "shop/settings is immutable", "another name")
        (self.agent.manifests / "settings.yaml").unlink()
        self.stays("configMap \"settings\": not found")
        self.agent.drop("settings.yaml", version)
        self.see(a="2")
        self.recovers()
        self.end()
