# SPDX-License-Identifier: Apache-2.0
"""Containers of a rootless podman, whose ids are not the host's: tokenlet.dev/uid-map.

The user, and what /etc/subuid and /etc/subgid give to it, exist in mount namespaces of the test alone.
"""
import os
import pathlib
import shutil
import signal
import subprocess
import unittest

import daemon

AGENT, OWNER = 61001, 62000 + os.getpid() % 2000  # tests that run side by side must not share podman's lock
NAME = "tokenlet-test"
USER, GROUP, OTHER = 1000, 2000, 1001  # in containers
SUBUID = f"{NAME}:500000:1000\n{NAME}:300000:65536\n"  # podman takes the lower range first
SUBGID = f"{NAME}:700000:65536\n"
IN_SECOND_RANGE = 65537 + 5


@unittest.skipUnless(os.geteuid() == 0, "NOT TESTED: only root can make up a user")
class Rootless(unittest.TestCase):
    def setUp(self):
        if not shutil.which("podman") or not shutil.which("newuidmap"):
            self.skipTest("NOT TESTED: podman or uidmap is not installed")
        self.agent = daemon.Daemon()
        self.addCleanup(self.agent.__exit__)
        self.base = self.agent.base
        self.etc = self.base / "etc"
        self.etc.mkdir()
        for file, line in (("passwd", f"{NAME}:x:{OWNER}:{OWNER}::{self.base}/home:/bin/sh\n"), ("group", f"{NAME}:x:{OWNER}:\n")):
            (self.etc / file).write_text(pathlib.Path("/etc", file).read_text() + line)
        (self.etc / "subuid").write_text(SUBUID)
        (self.etc / "subgid").write_text(SUBGID)
        for directory in ("home", "run", "root", *(f"root/{below}" for below in ("usr", "proc", "sys", "dev", "tmp", "etc", "data"))):
            (self.base / directory).mkdir(mode=0o700 if directory == "run" else 0o755)
            os.chown(self.base / directory, OWNER, OWNER)
        for link in ("bin", "lib", "lib64"):
            (self.base / "root" / link).symlink_to(f"usr/{link}")
        self.addCleanup(self.end_podmans_process)
        try:
            probe = self.container("/usr", USER, USER, "/bin/true")
        except (OSError, subprocess.TimeoutExpired) as error:
            self.skipTest(f"NOT TESTED: rootless podman cannot run a container here: {error}")
        if probe.returncode != 0:
            self.skipTest(f"NOT TESTED: rootless podman cannot run a container here: {probe.stderr.strip()[-500:]}")

    def end_podmans_process(self):
        """It keeps the user namespace for the next command."""
        try:
            os.kill(int((self.base / "run/libpod/tmp/pause.pid").read_text()), signal.SIGKILL)
        except (FileNotFoundError, ProcessLookupError):
            pass
        pathlib.Path(daemon.MEMORY, f"libpod_rootless_lock_{OWNER}").unlink(missing_ok=True)

    def with_user(self, then: str) -> list:
        binds = "".join(f"mount --bind {self.etc}/{file} /etc/{file} && " for file in ("passwd", "group", "subuid", "subgid"))
        # As in container_test: crun refuses to start where control groups are hybrid.
        return ["unshare", "-m", "sh", "-c", f'umount /sys/fs/cgroup/unified 2>/dev/null; {binds}{then} "$@"', "sh"]

    def container(self, volume, user: int, group: int, *command, more=()) -> subprocess.CompletedProcess:
        podman = ["podman", "--cgroup-manager=cgroupfs", "run", "--rm", "--network=none", "--cgroups=disabled", "--ulimit", "nofile=1024:1024",
                  "--ulimit", "nproc=1024:1024", "--user", f"{user}:{group}", "--cap-drop=ALL", "-v", "/usr:/usr:ro", "-v", f"{volume}:/data:ro",
                  *more, "--rootfs", self.base / "root", *command]
        become = (f"exec setpriv --reuid={OWNER} --regid={OWNER} --clear-groups env HOME={self.base}/home "
                  f"XDG_RUNTIME_DIR={self.base}/run")
        return subprocess.run(self.with_user(become) + podman, capture_output=True, text=True, timeout=daemon.PATIENCE, cwd="/")

    def pod(self, name: str, user: int, *, owner: str = NAME, group: int | None = GROUP) -> str:
        fs_group = "" if group is None else f", fsGroup: {group}"
        text = daemon.pod(name, config="names").replace("spec:", f"spec:\n  securityContext: {{runAsUser: {user}{fs_group}}}")
        return text.replace("  namespace: shop", f'  namespace: shop\n  annotations: {{tokenlet.dev/uid-map: "podman:{owner}"}}', 1)

    def config_map(self) -> str:
        return "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: names, namespace: shop}\ndata: {name: web}\n"

    def start(self, agent_uid: int):
        self.agent.drop("names.yaml", self.config_map())
        for path in (self.agent.manifests, *self.agent.manifests.iterdir()):
            os.chown(path, agent_uid, agent_uid)
        os.chown(self.base, agent_uid, agent_uid)
        # That user may not get to where the binary was built.
        self.agent.binary = shutil.copy(daemon.BINARY, self.base / "tokenlet")
        self.agent.before = self.with_user(f"exec setpriv --reuid={agent_uid} --regid={agent_uid} --clear-groups")
        self.agent.start_and_settle()

    def reads(self, name: str, user: int, group: int, *, file="token", more=()) -> str:
        """What a container user reads, or why it cannot."""
        done = self.container(self.agent.volume(name).resolve(), user, group, "/bin/cat", f"/data/{file}", more=more)
        return done.stdout or done.stderr.strip().rsplit(": ", 1)[-1]

    def containers_read(self, agent_uid: int):
        self.agent.drop("web.yaml", self.pod("web", USER))
        self.agent.drop("far.yaml", self.pod("far", IN_SECOND_RANGE, group=None).replace("projected:\n", "projected:\n      defaultMode: 0400\n"))
        self.start(agent_uid)
        for name in "web", "far":
            self.assertTrue(self.agent.is_ready(name), self.agent.log()[-2000:])
        token = self.agent.token("web")
        self.assertEqual(token, self.reads("web", USER, USER))
        self.assertEqual("Permission denied", self.reads("web", OTHER, OTHER))
        self.assertEqual(token, self.reads("web", OTHER, GROUP), "fsGroup")
        self.assertEqual(token, self.reads("web", OTHER, OTHER, more=("--group-add", str(GROUP))), "fsGroup among the others")
        self.assertEqual(self.agent.token("far"), self.reads("far", IN_SECOND_RANGE, OTHER))
        self.assertEqual("Permission denied", self.reads("far", USER, USER))
        self.assertEqual("web", self.reads("far", 0, 0, file="name"), "root's file is the container's root's")
        self.assertEqual("Permission denied", self.reads("far", USER, USER, file="name"))
        for host in USER, IN_SECOND_RANGE:
            done = subprocess.run(["cat", self.agent.volume("web") / "token"], user=host, group=GROUP, extra_groups=[], capture_output=True, check=False)
            self.assertEqual((1, b""), (done.returncode, done.stdout), "who has those ids on the host is somebody else")

    def test_containers_read_what_is_theirs_when_the_agent_is_root(self):
        self.containers_read(0)
        status = os.stat(self.agent.volume("web") / "token")
        self.assertEqual((300000 + USER - 1, 700000 + GROUP - 1, 0o640), (status.st_uid, status.st_gid, status.st_mode & 0o7777))

    def test_containers_read_what_is_theirs_when_the_agent_has_no_rights_at_all(self):
        self.containers_read(AGENT)
        self.assertEqual(AGENT, os.stat(self.agent.volume("web") / "token").st_uid)

    def test_ids_that_the_host_does_not_give_are_an_error_until_it_does(self):
        self.agent.drop("web.yaml", self.pod("web", USER, owner="nobody-of-that-name"))
        self.agent.drop("far.yaml", self.pod("far", 70000))
        (self.etc / "subgid").write_text("somebody-else:1:1\n")
        self.agent.drop("db.yaml", self.pod("db", USER))
        self.start(0)
        message = lambda name: self.agent.pod_status(name)["message"]
        annotation = "metadata.annotations['tokenlet.dev/uid-map']: "
        self.assertIn(annotation + "this host has no user 'nobody-of-that-name'", message("web"))
        self.assertIn(annotation + f"/etc/subgid: no line gives ids to '{NAME}'", message("db"))
        self.assertEqual([], list(self.base.glob("pods/*/volumes")), "nothing is published on a guess")
        with open(self.etc / "subgid", "w") as file:  # the file that the agent's namespace has
            file.write(SUBGID)
        self.agent.process.send_signal(signal.SIGHUP)
        daemon.wait_until(lambda: self.agent.is_ready("db"), "the Pod whose ids are there now")
        self.assertIn("runAsUser: 70000 is none of the container's ids, which end at 66536", message("far"))


if __name__ == "__main__":
    unittest.main()
