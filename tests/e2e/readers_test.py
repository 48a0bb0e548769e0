# SPDX-License-Identifier: Apache-2.0
"""Readers never notice: through rotations, edits, restarts, kills and a minute without an agent."""
import json
import pathlib
import signal
import subprocess
import sys
import time
import unittest

import daemon

ROTATIONS = 200
EDITS = 50
MINUTE = 60.0


def config_map(value: int) -> str:
    # Long values, so that a torn write would be likely to show.
    text = f"{value:06d} " * 500
    return f"apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: pair, namespace: shop}}\ndata: {{a: '{text}', b: '{text}'}}\n"


class Reader:
    def __init__(self, how: str, volume: pathlib.Path):
        script = pathlib.Path(__file__).with_name("reader.py")
        self.process = subprocess.Popen([sys.executable, "-B", str(script), how, str(volume)], stdout=subprocess.PIPE)

    def finish(self) -> dict:
        self.process.send_signal(signal.SIGTERM)
        said, _ = self.process.communicate(timeout=daemon.PATIENCE)
        return json.loads(said)


class Readers(unittest.TestCase):
    def test_see_whole_and_valid_files_through_rotations_edits_restarts_kills_and_a_minute_alone(self):
        with daemon.Daemon(max_age="300ms") as agent:
            agent.drop("pair.yaml", config_map(0))
            agent.drop("web.yaml", daemon.pod("web", config="pair"))
            agent.start_and_settle()
            volume = agent.volume("web")
            readers = [Reader("together", volume), Reader("slowly", volume)]
            self.addCleanup(lambda: [reader.process.kill() for reader in readers])

            edits = 0
            tokens = set()

            def rotate_and_edit(rotations: int, upto: int):
                nonlocal edits
                wanted = len(tokens) + rotations
                while len(tokens) < wanted or edits < upto:
                    tokens.add(agent.token("web"))
                    if edits < upto:
                        edits += 1
                        agent.drop("pair.yaml", config_map(edits))
                    time.sleep(0.1)

            third = ROTATIONS // 3 + 2
            rotate_and_edit(third, EDITS // 3 + 1)
            print(f"stopped within {agent.stop():.2f} s", file=sys.stderr)
            agent.start_and_settle()
            rotate_and_edit(third, 2 * EDITS // 3 + 1)
            agent.kill()
            agent.start_and_settle()
            rotate_and_edit(third, EDITS + 5)
            agent.kill()
            time.sleep(MINUTE)
            agent.start_and_settle()
            rotate_and_edit(5, EDITS + 10)

            together, slowly = (reader.finish() for reader in readers)
            print(f"together: {together}\nslowly: {slowly}", file=sys.stderr)
            self.assertEqual([], together["wrong"])
            self.assertEqual([], slowly["wrong"])
            # There were that many; a reader that stands still misses some of them.
            self.assertGreaterEqual(together["tokens"], ROTATIONS // 4)
            self.assertGreaterEqual(together["values"], EDITS // 4)
            self.assertGreaterEqual(slowly["reads"], 20)
