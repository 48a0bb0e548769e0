# SPDX-License-Identifier: Apache-2.0
"""Who can open the files of a volume, tried by opening them: every kind of agent, user, group, mode and further readers.

What is expected comes from the rule as Kubernetes states it (owner, group and mode of each file, below), never from what tokenlet
made: access lists must let in the same people as those three would, and no one else but the agent, who owns the files then.
"""
import ctypes
import dataclasses
import itertools
import json
import os
import shutil
import stat
import subprocess
import sys
import traceback
import unittest

import daemon

AGENT, USER, GROUP = 61001, 61002, 61003
READER, READERS, SUPPLEMENT, STRANGER = 61004, 61005, 61006, 61007
MODES, ITEM_MODE = (0o400, 0o440, 0o600, 0o644), 0o440


@dataclasses.dataclass(frozen=True)
class Person:
    """Without capabilities, root too: as in a container that has dropped them."""
    uid: int
    gid: int = STRANGER
    groups: tuple = ()

    def is_in(self, group: int) -> bool:
        return group in (self.gid, *self.groups)


PEOPLE = {
    "the Pod's user": Person(USER),
    "root without capabilities": Person(0),
    "one of root's group": Person(STRANGER, gid=0),
    "one whose group is fsGroup": Person(STRANGER, gid=GROUP),
    "one with fsGroup among the others": Person(STRANGER, groups=(STRANGER, GROUP)),
    "a named reader": Person(READER),
    "one of a named group": Person(STRANGER, groups=(READERS,)),
    "the agent's user": Person(AGENT),
    "one of the agent's group": Person(STRANGER, gid=AGENT),
    "one of the group with the Pod's user's number": Person(STRANGER, gid=USER),
    "one whose number is a group that may read": Person(GROUP),
    "one of supplementalGroups, to which a kubelet gives no file": Person(STRANGER, gid=SUPPLEMENT),
    "a stranger": Person(STRANGER),
}


@dataclasses.dataclass(frozen=True)
class Case:
    user: int | None
    group: int | None
    mode: int
    readers: bool

    @property
    def name(self) -> str:
        return f"user-{self.user}-group-{self.group}-mode-{self.mode:03o}{'-readers' if self.readers else ''}".lower()

    def manifest(self, item_mode: int = ITEM_MODE) -> str:
        context = {"runAsUser": self.user, "fsGroup": self.group, "supplementalGroups": [SUPPLEMENT]}
        return json.dumps({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": self.name, "namespace": "shop",
                         "annotations": {"tokenlet.dev/readers": f"uid:{READER},gid:{READERS}"} if self.readers else {}},
            "spec": {
                "automountServiceAccountToken": False,
                "securityContext": {key: value for key, value in context.items() if value is not None},
                "containers": [{"name": "main", "image": "none", "volumeMounts": [{"name": "data", "mountPath": "/data"}]}],
                "volumes": [{"name": "data", "projected": {"defaultMode": self.mode, "sources": [
                    {"serviceAccountToken": {"audience": "test", "path": "token"}},
                    {"downwardAPI": {"items": [
                        {"path": "below/name", "fieldRef": {"fieldPath": "metadata.name"}},
                        {"path": "below/item", "mode": item_mode, "fieldRef": {"fieldPath": "metadata.name"}}]}}]}}]}})

    def kubelets(self, file: str) -> tuple:
        """Owner, group and mode. Naming readers is tokenlet's own: it takes the token from everybody else, as runAsUser does."""
        group = 0 if self.group is None else self.group
        if file != "token":
            mode = ITEM_MODE if file == "below/item" else self.mode
            return 0, group, mode if self.group is None else mode | 0o440
        mode = self.mode if self.user is None and self.group is None and not self.readers else 0o600
        return self.user or 0, group, mode if self.group is None else mode | 0o040

    def may(self, person: Person, what: int, file: str) -> bool:
        """what: 4 to read, 2 to write."""
        owner, group, mode = self.kubelets(file)
        if person.uid == owner:
            return bool(mode >> 6 & what)
        if what == 4 and self.readers and (person.uid == READER or person.is_in(READERS)):
            return True
        return bool((mode >> 3 if person.is_in(group) else mode) & what)


FILES = "token", "below/name", "below/item"
WAYS = {4: os.O_RDONLY, 2: os.O_WRONLY}


def drop_capabilities():
    version_3_of_myself = (ctypes.c_uint32 * 2)(0x20080522, 0)
    if ctypes.CDLL(None, use_errno=True).capset(version_3_of_myself, (ctypes.c_uint32 * 6)()) != 0:
        raise OSError(ctypes.get_errno(), "capset")


def opened_by(person: Person, paths: list) -> dict:
    """(path, what) -> whether that person could, from the root directory on."""
    source, sink = os.pipe()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            os.close(source)
            os.setgroups(person.groups)
            os.setresgid(person.gid, person.gid, person.gid)
            os.setresuid(person.uid, person.uid, person.uid)
            drop_capabilities()
            could = []
            for path in paths:
                for flags in WAYS.values():
                    try:
                        os.close(os.open(path, flags))
                        could.append(True)
                    except PermissionError:
                        could.append(False)
            with os.fdopen(sink, "w") as out:
                json.dump(could, out)
            code = 0
        except BaseException:
            traceback.print_exc(file=sys.stderr)
        finally:
            os._exit(code)
    os.close(sink)
    with os.fdopen(source) as answers:
        text = answers.read()
    assert os.waitpid(child, 0)[1] == 0, "the child says why"
    return dict(zip(itertools.product(paths, WAYS), json.loads(text), strict=True))


@unittest.skipUnless(os.geteuid() == 0, "NOT TESTED: only root can become the users of this test")
class Files(unittest.TestCase):
    def matrix(self, agent_uid: int, *, before=(), owns_what_it_writes: bool):
        cases = [Case(user, group, mode, readers) for user, group, mode, readers in
                 itertools.product((None, agent_uid, USER), (None, GROUP), MODES, (False, True))]
        with daemon.Daemon() as agent:
            agent.before = list(before)
            for case in cases:
                agent.drop(case.name + ".yaml", case.manifest())
            for path in (agent.base, agent.manifests, *agent.manifests.iterdir()):
                os.chown(path, agent_uid, agent_uid)
            # Users may not get to where the binary was built.
            agent.binary = shutil.copy(daemon.BINARY, agent.base / "tokenlet")
            agent.run_as = None if before or agent_uid == 0 else agent_uid
            agent.start_and_settle()
            self.assertEqual([], [pod["message"] for pod in agent.status()["pods"] if not pod["ready"]])
            where = {(case, file): str(agent.volume(case.name) / file) for case, file in itertools.product(cases, FILES)}

            wrong, opened = [], 0
            for name, person in PEOPLE.items():
                could = opened_by(person, list(where.values()))
                for (case, file), (what, verb) in itertools.product(where, ((4, "read"), (2, "write"))):
                    expected = case.may(person, what, file)
                    if owns_what_it_writes:
                        expected = person.uid == agent_uid or (expected and what == 4)
                        if person.uid == agent_uid and what == 2:
                            continue  # who owns a file can change its mode: its write bit says nothing
                    opened += 1
                    if could[where[case, file], what] != expected:
                        wrong.append(f"{case.name}: {name} {'may not' if not expected else 'cannot'} {verb} {file}")
            self.assertEqual([], wrong, f"{len(wrong)} of {opened}")
            self.nobody_else_can_change_directories(agent, agent_uid)
            print(f"{opened} openings, of {len(cases)} Pods, as the kubelet's rule has them", file=sys.stderr)

    def nobody_else_can_change_directories(self, agent: daemon.Daemon, agent_uid: int):
        for top in ("pods", "by-name"):
            for path, *_ in os.walk(agent.base / top):
                status = os.stat(path)
                self.assertEqual((agent_uid, 0), (status.st_uid, stat.S_IMODE(status.st_mode) & 0o022), path)

    def test_are_opened_by_those_whom_a_kubelet_would_let_in_when_the_agent_is_root(self):
        self.matrix(0, owns_what_it_writes=False)

    def test_are_opened_by_those_whom_a_kubelet_would_let_in_when_the_agent_may_give_files_away(self):
        rights = "+chown,+fowner,+dac_read_search"
        self.matrix(AGENT, owns_what_it_writes=False,
                    before=["setpriv", f"--reuid={AGENT}", f"--regid={AGENT}", "--clear-groups",
                            f"--inh-caps={rights}", f"--ambient-caps={rights}", "--"])

    def test_are_opened_by_the_same_people_when_the_agent_has_no_rights_at_all(self):
        self.matrix(AGENT, owns_what_it_writes=True)


@unittest.skipUnless(os.geteuid() == 0, "NOT TESTED: only root can mount")
class WithoutAccessLists(unittest.TestCase):
    """ramfs keeps none."""

    def on_ramfs(self, agent: daemon.Daemon, agent_uid: int):
        (agent.base / "pods").mkdir()
        mount = f"mount -t ramfs ramfs {agent.base}/pods && chown {agent_uid}:{agent_uid} {agent.base}/pods && chmod 711 {agent.base}/pods"
        if subprocess.run(["unshare", "-m", "sh", "-c", mount], capture_output=True, check=False).returncode != 0:
            self.skipTest("NOT TESTED: ramfs cannot be mounted here")
        agent.before = ["unshare", "-m", "sh", "-c", f'{mount} && exec setpriv --reuid={agent_uid} --regid={agent_uid} --clear-groups "$@"',
                        "sh"]

    def pods(self, agent: daemon.Daemon, agent_uid: int) -> dict:
        """Starts the agent, and gives each Pod's readiness, message, and the modes of its token: in the agent's namespace."""
        self.on_ramfs(agent, agent_uid)
        cases = [Case(None, None, 0o644, False), Case(None, None, 0o400, False), Case(USER, None, 0o644, False), Case(None, GROUP, 0o644, False),
                 Case(None, None, 0o644, True)]
        for case in cases:
            agent.drop(case.name + ".yaml", case.manifest(item_mode=0o644))
        for path in (agent.base, agent.manifests, *agent.manifests.iterdir()):
            os.chown(path, agent_uid, agent_uid)
        agent.binary = shutil.copy(daemon.BINARY, agent.base / "tokenlet")
        agent.start_and_settle()
        found = {}
        for case in cases:
            shown = agent.pod_status(case.name)
            path = f"/proc/{agent.process.pid}/root{agent.base}/pods/{shown['uid']}/volumes/kubernetes.io~projected/data"
            modes = {stat.S_IMODE(os.stat(os.path.join(directory, file)).st_mode) for directory, _, files in os.walk(path) for file in files
                     if file == "token" and not os.path.islink(os.path.join(directory, file))}
            found[case.name] = shown["ready"], shown["message"], modes
        return found

    def test_what_needs_one_is_an_error_that_says_so_and_no_file_is_there_for_anybody(self):
        with daemon.Daemon() as agent:
            for name, (ready, message, modes) in self.pods(agent, AGENT).items():
                with self.subTest(name):
                    if name == "user-none-group-none-mode-644":
                        self.assertEqual((True, "", {0o644}), (ready, message, modes), "everybody may read: no list is needed")
                    else:
                        self.assertEqual((False, set()), (ready, modes))
                        self.assertIn("the file system keeps no access lists", message)

    def test_what_needs_none_is_granted_when_the_agent_is_root(self):
        with daemon.Daemon() as agent:
            for name, (ready, message, modes) in self.pods(agent, 0).items():
                with self.subTest(name):
                    if name.endswith("-readers"):
                        self.assertEqual((False, set()), (ready, modes))
                        self.assertIn("the file system keeps no access lists", message)
                    else:
                        self.assertEqual((True, "", 1), (ready, message, len(modes)))


if __name__ == "__main__":
    unittest.main()
