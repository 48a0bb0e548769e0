# SPDX-License-Identifier: Apache-2.0
"""Manifests as people have them (tests/e2e/corpus.py), to the real API server and to tokenlet: what one takes the other takes,
but for the entries that say why not."""
import json
import re
import subprocess
import unittest
import urllib.parse

import control_plane
import corpus

PLURALS = {"Pod": "pods", "ServiceAccount": "serviceaccounts", "ConfigMap": "configmaps", "Secret": "secrets",
           "ClusterTrustBundle": "clustertrustbundles"}
NOT_READ = re.compile(r"\bis not read\b")
# What the API server sets, and refuses in an object that is to be created.
SERVERS_OWN = ("resourceVersion", "managedFields")


def documents(texts: list[str]) -> list:
    """Each text's document as Kubernetes reads it; None where it cannot."""
    done = subprocess.run([control_plane.PROGRAM, "yaml-to-json"], input=json.dumps(texts), capture_output=True, text=True, check=True)
    return [read.get("json") for read in json.loads(done.stdout)]


def objects_of(text: bytes) -> list:
    """The objects of a file: kubectl divides it at lines of `---`, and takes lists apart. None for what is no object."""
    decoded = text.decode("utf-8", "surrogateescape")
    parts = re.split(r"^---\s*$", decoded.removeprefix("\ufeff"), flags=re.M)
    blank = re.compile(r"\s*(#.*\s*|\.\.\.\s*|%YAML.*\s*)*$")
    found = []
    for document in documents([part.encode("utf-8", "replace").decode() for part in parts if not blank.fullmatch(part)]):
        if isinstance(document, dict) and str(document.get("kind", "")).endswith("List"):
            kind = document["kind"].removesuffix("List")
            found += [{"kind": kind, "apiVersion": "v1", **item} for item in document.get("items") or []]
        else:
            found.append(document)
    return found


class Manifests(unittest.TestCase):
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        cls.cluster = cls.enterClassContext(control_plane.ControlPlane("--allow-privileged=true"))

    def create(self, thing: dict, dry_run: str) -> str:
        """Why the API server refuses it; "" where it does not."""
        kind, version = thing.get("kind"), thing.get("apiVersion")
        meta = thing.get("metadata")
        if not isinstance(meta, dict) or kind not in PLURALS:
            return "no object of a kind that is read"
        thing = {**thing, "metadata": {key: value for key, value in meta.items() if key not in SERVERS_OWN}}
        group = f"/api/{version}" if "/" not in str(version) else f"/apis/{version}"
        namespace = "" if kind == "ClusterTrustBundle" else f"/namespaces/{urllib.parse.quote(str(meta.get('namespace') or 'default'), '')}"
        try:
            self.cluster.api("POST", f"{group}{namespace}/{PLURALS[kind]}?fieldValidation=Strict{dry_run}", thing)
        except control_plane.ApiError as error:
            if error.status == 409:  # it is there already: it was taken before
                return ""
            return re.sub(r'^\{.*?"message":"(.*?)[,}]".*', r"\1", error.text.strip())
        return ""

    def test_that_load_are_those_that_the_api_server_takes(self):
        entries = corpus.entries()
        by_entry = {entry.name: objects_of(entry.written()) for entry in entries}
        everything = [thing for things in by_entry.values() for thing in things if isinstance(thing, dict)]
        everything += objects_of(corpus.OBJECTS.read_bytes())
        for name in sorted({pod.split("/")[0] for entry in entries for pod in entry.pods()} - {"default", "kube-system"}):
            self.cluster.namespace(name)
        self.cluster.api("POST", "/apis/node.k8s.io/v1/runtimeclasses",
                         {"metadata": {"name": "gvisor"}, "handler": "runsc", "overhead": {"podFixed": {"cpu": "100m"}}})
        for thing in everything:
            if thing.get("kind") == "ServiceAccount":
                self.create(thing, "")
        wrong, explained = {}, set()
        for entry in entries:
            things = [thing for thing in by_entry[entry.name] if not isinstance(thing, dict) or thing.get("kind") in (*PLURALS, None)]
            if not things:
                continue
            theirs = [why for why in (self.create(thing, "&dryRun=All") if isinstance(thing, dict) else "unreadable" for thing in things) if why]
            ours = [line for line in entry.lines("refuses") if not NOT_READ.search(line)]
            if bool(theirs) == bool(ours):
                continue
            explained.add(entry.name)
            if not entry.lines("differs"):
                wrong[entry.name] = {"there": theirs, "here": ours}
        self.assertEqual({}, wrong)
        self.assertEqual(explained, {entry.name for entry in entries if entry.lines("differs")}, "a difference that is none any more")
