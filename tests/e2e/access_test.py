# SPDX-License-Identifier: Apache-2.0
"""Who can read a token: the Pod's user, and nobody else, whether the agent may give files away or not."""
import os
import subprocess
import unittest

import daemon

AGENT, READER, STRANGER = 61001, 61002, 61003

POD_FOR_ONE_USER = daemon.pod("web").replace("spec:", f"spec:\n  securityContext: {{runAsUser: {READER}}}")


@unittest.skipUnless(os.geteuid() == 0, "only root can become the users of this test")
class Access(unittest.TestCase):
    def reads(self, path, user: int) -> str:
        """What a user reads, or why it cannot."""
        done = subprocess.run(["cat", str(path)], user=user, group=user, extra_groups=[], capture_output=True, text=True)
        return done.stdout or done.stderr.strip().rsplit(": ", 1)[-1]

    def only_the_pods_user_reads(self, agent: daemon.Daemon):
        path = agent.volume("web") / "token"
        self.assertEqual(agent.token("web"), self.reads(path, READER))
        self.assertEqual("Permission denied", self.reads(path, STRANGER))
        before = agent.token("web")
        self.assertEqual(200, agent.ask("/v1/rotate?pod=shop/web", "POST")[0])
        daemon.wait_until(lambda: agent.token("web") != before, "the rotation")
        self.assertEqual(agent.token("web"), self.reads(path, READER))
        self.assertEqual("Permission denied", self.reads(path, STRANGER))

    def test_is_the_pods_user_alone_when_the_agent_is_root(self):
        with daemon.Daemon() as agent:
            agent.drop("web.yaml", POD_FOR_ONE_USER)
            agent.start_and_settle()
            self.only_the_pods_user_reads(agent)
            status = os.stat(agent.volume("web") / "token")
            self.assertEqual((READER, 0o600), (status.st_uid, status.st_mode & 0o7777))

    def test_is_the_pods_user_alone_when_the_agent_has_no_rights_at_all(self):
        with daemon.Daemon() as agent:
            agent.drop("web.yaml", POD_FOR_ONE_USER)
            for path in (agent.base, agent.manifests, *agent.manifests.iterdir()):
                os.chown(path, AGENT, AGENT)
            # That user may not get to where the binary was built.
            agent.binary = daemon.shutil.copy(daemon.BINARY, agent.base / "tokenlet")
            agent.run_as = AGENT
            agent.start_and_settle()
            self.only_the_pods_user_reads(agent)
            self.assertEqual(AGENT, os.stat(agent.volume("web") / "token").st_uid)

    def test_of_the_socket_is_everybodys_but_changes_are_not(self):
        with daemon.Daemon() as agent:
            agent.start_and_settle()
            curl = ["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "--unix-socket", str(agent.socket)]
            if not daemon.shutil.which("curl"):
                self.skipTest("NOT TESTED: curl is not installed")
            self.assertEqual("200", self.output(curl + ["http://x/v1/status"]))
            self.assertEqual("403", self.output(curl + ["-X", "POST", "http://x/v1/prune"]))

    def test_to_changes_is_roots_and_the_agents(self):
        with daemon.Daemon() as agent:
            agent.drop("web.yaml", daemon.pod("web"))
            # That user may not get to where the binary was built.
            agent.binary = daemon.shutil.copy(daemon.BINARY, agent.base / "tokenlet")
            agent.start_and_settle()
            before = agent.token("web")
            for verb in (["rotate", "shop/web"], ["prune"]):
                command = [agent.binary, *verb, "--socket", str(agent.socket)]
                refused = subprocess.run(command, user=STRANGER, group=STRANGER, extra_groups=[], capture_output=True, text=True)
                self.assertEqual((1, ""), (refused.returncode, refused.stdout))
                self.assertIn("only root and the agent's user and group may do this", refused.stderr)
                self.assertEqual(1, refused.stderr.count("\n"))
            self.assertEqual(before, agent.token("web"))
            done = subprocess.run([agent.binary, "rotate", "web", "--socket", str(agent.socket)], capture_output=True, text=True)
            self.assertEqual((0, "shop/web: new tokens are asked for\n", ""), (done.returncode, done.stdout, done.stderr))
            daemon.wait_until(lambda: agent.token("web") != before, "the rotation")

    def output(self, command: list) -> str:
        return subprocess.run(command, user=STRANGER, group=STRANGER, extra_groups=[], capture_output=True, text=True).stdout
