# SPDX-License-Identifier: Apache-2.0
"""What a restart finds on disk it takes over: no request, no write, no new deadline."""
import os
import signal
import unittest

import daemon

PODS = 200


def everything(agent: daemon.Daemon) -> dict:
    """Of each token: its bytes, and the inodes of its file, generation and volume."""
    found = {}
    for name in sorted(os.listdir(agent.base / "by-name" / "shop")):
        volume = agent.volume(name)
        inodes = tuple(os.stat(part).st_ino for part in (volume / "token", volume / "..data", volume))
        found[name] = ((volume / "token").read_bytes(), os.readlink(volume / "..data"), inodes)
    return found


def deadlines(status: dict) -> dict:
    return {shown["name"]: shown["volumes"][0]["files"][0]["rotatesAt"] for shown in status["pods"]}


def seconds_of(time: str) -> int:
    return sum(int(part) * unit for part, unit in zip(time[11:19].split(":"), (3600, 60, 1)))


class Restart(unittest.TestCase):
    def test_with_200_valid_tokens_asks_for_none_writes_nothing_and_keeps_the_deadlines(self):
        with daemon.Daemon(jitter="5m") as agent:
            agent.drop("all.yaml", "---\n".join(daemon.pod(f"pod-{i}") for i in range(PODS)))
            agent.start_and_settle()
            before, due = everything(agent), deadlines(agent.status())
            self.assertEqual(PODS, len(before))
            self.assertEqual(PODS, len({entry[0] for entry in before.values()}))
            self.assertEqual(PODS, agent.status()["counters"]["tokenRequests"])
            self.assertGreater(len(set(due.values())), PODS // 10, "jitter spreads the deadlines")
            records = {path: path.stat().st_ino for path in agent.base.glob("pods/*/records/*")}
            self.assertEqual(PODS, len(records))

            for how in (signal.SIGKILL, signal.SIGTERM, signal.SIGKILL):
                with self.subTest(how=how.name):
                    agent.end(how)
                    self.assertEqual(before, everything(agent), "files stay when the agent goes")
                    agent.start_and_settle()
                    status = agent.status()
                    self.assertEqual(before, everything(agent))
                    self.assertEqual(records, {path: path.stat().st_ino for path in agent.base.glob("pods/*/records/*")})
                    self.assertEqual(0, status["counters"]["tokenRequests"])
                    self.assertTrue(all(shown["ready"] for shown in status["pods"]))
                    for name, time in deadlines(status).items():
                        # Whole seconds of two clocks: the last digit may differ.
                        self.assertLessEqual(abs(seconds_of(time) - seconds_of(due[name])), 1, name)

    def test_of_a_second_agent_on_the_same_directories_is_refused_and_names_the_first(self):
        with daemon.Daemon() as agent:
            agent.start_and_settle()
            first = agent.process
            agent.start()
            self.assertEqual(1, agent.process.wait(timeout=daemon.PATIENCE))
            self.assertIn(f"is in use by another tokenlet, process {first.pid}", agent.log())
            agent.process = first
            self.assertTrue(agent.alive_status())

    def test_removes_the_socket_and_nothing_else(self):
        with daemon.Daemon() as agent:
            agent.drop("web.yaml", daemon.pod("web"))
            agent.start_and_settle()
            token = agent.token("web")
            agent.stop()
            self.assertEqual(0, agent.process.returncode)
            self.assertFalse(agent.socket.exists())
            self.assertEqual(token, agent.token("web"))


class Once(unittest.TestCase):
    def run_once(self, agent: daemon.Daemon):
        return daemon.subprocess.run([daemon.BINARY, "once", "--config", str(agent.config)], capture_output=True,
                                     text=True, timeout=daemon.PATIENCE)

    def test_projects_everything_and_ends_with_success(self):
        with daemon.Daemon() as agent:
            agent.drop("web.yaml", daemon.pod("web"))
            done = self.run_once(agent)
            self.assertEqual(0, done.returncode, done.stderr)
            self.assertEqual("system:serviceaccount:shop:default", daemon.claims_of(agent.token("web"))["sub"])

    def test_names_what_is_not_ready_and_what_is_refused(self):
        with daemon.Daemon() as agent:
            agent.drop("good.yaml", daemon.pod("good"))
            agent.drop("waits.yaml", daemon.pod("waits", config="absent"))
            agent.drop("bad.yaml", daemon.pod("bad", seconds=300))
            done = self.run_once(agent)
            self.assertEqual(1, done.returncode)
            self.assertIn("shop/waits", done.stderr)
            self.assertIn('configMap "absent"', done.stderr)
            self.assertIn("bad.yaml", done.stderr)
            self.assertTrue(agent.token("good"))

    def test_fails_at_once_where_there_is_no_manifest_directory(self):
        with daemon.Daemon() as agent:
            agent.manifests.rmdir()
            done = self.run_once(agent)
            self.assertEqual(1, done.returncode)
            self.assertIn(str(agent.manifests), done.stderr)
