# SPDX-License-Identifier: Apache-2.0
"""Mounts of a single file, as `-v .../token:/token` and subPath make them: they keep the token that they were made with."""
import os
import shutil
import subprocess
import unittest

import daemon

AGENT = 61001
WARNING = "a mount shows one generation of a volume"


@unittest.skipUnless(os.geteuid() == 0, "NOT TESTED: only root can mount")
class FileMount(unittest.TestCase):
    def setUp(self):
        if subprocess.run(["unshare", "-m", "mount", "--bind", "/", "/"], capture_output=True, check=False).returncode != 0:
            self.skipTest("NOT TESTED: nothing can be mounted here")
        self.agent = daemon.Daemon()
        self.addCleanup(self.agent.__exit__)

    def mount(self, source, point, *, namespace=("unshare", "-m")):
        """Binds it where a process of its own, or the agent, sees it, until the end of the test."""
        point.touch() if source.is_file() else point.mkdir()
        command = [*namespace, "sh", "-c", f"mount --bind {source} {point} && echo mounted && exec sleep {2 * daemon.PATIENCE:.0f}"]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        self.assertEqual("mounted\n", process.stdout.readline())

    def warnings(self, point) -> list:
        return [line for line in self.agent.log().splitlines() if WARNING in line and line.endswith(f"mounted_at={point}")]

    def tells_of_them_once(self):
        token, base = self.agent.volume("web") / "token", self.agent.base
        self.mount(self.agent.volume("web"), base / "directory")
        self.mount(token, base / "single")
        daemon.wait_until(lambda: self.warnings(base / "single"), "the warning")
        self.assertIn("pod=shop/web volume=data file=token", self.warnings(base / "single")[0])
        self.assertIn("tokenlet mounts", self.warnings(base / "single")[0])
        self.mount(token.resolve().parent, base / "generation")
        daemon.wait_until(lambda: self.warnings(base / "generation"), "the warning of the second, which is a later look's")
        self.mount(token, base / "agents", namespace=("nsenter", "-t", str(self.agent.process.pid), "-m"))
        daemon.wait_until(lambda: self.warnings(base / "agents"), "the warning of the one in the agent's own namespace")
        self.assertEqual([1, 1, 1, 0], [len(self.warnings(base / name)) for name in ("single", "generation", "agents", "directory")])
        shown = self.agent.pod_status("web")["volumes"][0]["fileMounts"]
        self.assertEqual({("token", f"{base}/agents"), ("", f"{base}/generation"), ("token", f"{base}/single")},
                         {(mount["file"], mount["mountedAt"]) for mount in shown})
        explained = subprocess.run([self.agent.binary, "explain", "web", "--socket", str(self.agent.socket)], capture_output=True, text=True, check=True)
        self.assertIn(f"token is mounted at {base}/single and will never change there", explained.stdout)

    def test_is_warned_of_once_and_shown(self):
        self.agent.configure(max_age="500ms")
        self.agent.drop("web.yaml", daemon.pod("web"))
        self.agent.before = ["unshare", "-m"]
        self.agent.start_and_settle()
        self.tells_of_them_once()

    def test_is_warned_of_by_an_agent_without_rights(self):
        self.agent.configure(max_age="500ms")
        self.agent.drop("web.yaml", daemon.pod("web"))
        for path in (self.agent.base, self.agent.manifests, *self.agent.manifests.iterdir()):
            os.chown(path, AGENT, AGENT)
        # That user may not get to where the binary was built.
        self.agent.binary = shutil.copy(daemon.BINARY, self.agent.base / "tokenlet")
        self.agent.before = ["unshare", "-m", "setpriv", f"--reuid={AGENT}", f"--regid={AGENT}", "--clear-groups"]
        self.agent.start_and_settle()
        self.tells_of_them_once()


if __name__ == "__main__":
    unittest.main()
