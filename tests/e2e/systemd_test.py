# SPDX-License-Identifier: Apache-2.0
"""What a service manager hears, without one: a socket in its place."""
import os
import socket
import unittest

import daemon


class Notifications(unittest.TestCase):
    def setUp(self):
        self.agent = daemon.Daemon()
        self.addCleanup(self.agent.__exit__)
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(self.socket.close)
        self.socket.bind(str(self.agent.base / "notify"))
        self.socket.settimeout(daemon.PATIENCE)
        self.agent.environment = {"NOTIFY_SOCKET": str(self.agent.base / "notify")}

    def hear(self, wanted: str) -> str:
        while True:
            message = self.socket.recv(4096).decode()
            if wanted in message.split("\n"):
                return message

    def test_tell_of_readiness_once_everything_is_projected_and_of_the_end(self):
        self.agent.drop("web.yaml", daemon.pod("web"))
        self.agent.start()
        self.assertIn("STATUS=1 pods", self.hear("READY=1"))
        self.assertTrue(self.agent.token("web"), "ready means that it can be read")
        self.agent.stop()
        self.hear("STOPPING=1")

    def test_feed_the_watchdog(self):
        self.agent.environment["WATCHDOG_USEC"] = "200000"
        self.agent.start()
        for _ in range(3):
            self.hear("WATCHDOG=1")

    def test_are_left_out_where_nobody_listens(self):
        self.agent.environment = {"NOTIFY_SOCKET": "/nonexistent", "WATCHDOG_PID": str(os.getpid())}
        self.agent.start_and_settle()
        self.agent.stop()
