# SPDX-License-Identifier: Apache-2.0
"""The sidecar of configs/cluster in real containers: an agent and an application that share one directory.

Their root file system is this host's /usr, read-only, so that nothing is built or fetched. The configuration and the manifest
are those of the example; only who signs is the embedded authority, because there is no cluster, and tokens rotate often.
"""
import os
import pathlib
import re
import shutil
import subprocess
import textwrap
import time
import unittest

import daemon

EXAMPLE = pathlib.Path(__file__).parents[2] / "configs/cluster/sidecar.yaml"
AGENT, APPLICATION = 65532, 1000
USUAL = "/var/run/secrets/kubernetes.io/serviceaccount"
ROTATIONS = 10

# Says each token it sees, with the other two files, and what it misses.
READ = """
last=
while :; do
    if token=$(cat token) && [ -n "$token" ]; then
        [ "$token" = "$last" ] || echo "$(cat namespace) $(head -c 27 ca.crt | tr ' ' _) $token"
        last=$token
    else
        echo missing
    fi
    sleep 0.1
done
"""


def of_example(key: str) -> str:
    """What the example's ConfigMap has under a key."""
    text = re.search(rf"^  {re.escape(key)}: \|\n((?:    .*\n|\n)+)", EXAMPLE.read_text(), re.M).group(1)
    return textwrap.dedent(text)


def replaced(text: str, line: str, by: str) -> str:
    assert text.count(line) == 1, line
    return text.replace(line, by)


@unittest.skipUnless(os.geteuid() == 0, "NOT TESTED: containers take root here")
class Sidecar(unittest.TestCase):
    def setUp(self):
        if not shutil.which("podman"):
            self.skipTest("NOT TESTED: podman is not installed")
        self.agent = daemon.Daemon()
        self.addCleanup(self.agent.__exit__)
        self.base = self.agent.base
        self.root = self.base / "root"
        for directory in ("usr", "proc", "sys", "dev", "tmp", "run/tokenlet", "serviceaccount", "config", "manifests", USUAL[1:]):
            (self.root / directory).mkdir(parents=True)
        for link in ("bin", "lib", "lib64"):
            (self.root / link).symlink_to(f"usr/{link}")
        # As a kubelet makes an emptyDir.
        self.shared, self.own = self.base / "shared", self.base / "own"
        for directory in (self.shared, self.own):
            directory.mkdir()
            directory.chmod(0o777)
        shutil.copy(daemon.BINARY, self.base / "tokenlet")
        self.names = []
        try:
            probe = self.run_to_end("probe", APPLICATION, [], "/bin/true")
        except (OSError, subprocess.TimeoutExpired) as error:
            self.skipTest(f"NOT TESTED: podman cannot run a container here: {error}")
        if probe.returncode != 0:
            self.skipTest(f"NOT TESTED: podman cannot run a container here: {probe.stderr.strip()[-500:]}")

    def podman(self, *arguments) -> list:
        # Where control groups are hybrid, crun refuses to start: out of a namespace of its own the other half is taken away.
        hide = 'umount /sys/fs/cgroup/unified 2>/dev/null; exec podman --cgroup-manager=cgroupfs "$@"'
        return ["unshare", "-m", "bash", "-c", hide, "podman", *map(str, arguments)]

    def container(self, name: str, user: int, volumes: list, *command) -> list:
        name = f"{self.base.name}-{name}"
        self.names.append(name)
        self.addCleanup(subprocess.run, self.podman("rm", "-f", "-i", "-t", "0", name), capture_output=True, timeout=daemon.PATIENCE)
        mounts = [part for volume in ("/usr:/usr:ro", *volumes) for part in ("-v", volume)]
        return self.podman("run", "--name", name, "--network=none", "--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024",
                           "--user", f"{user}:{user}", "--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges",
                           "--workdir", "/", *mounts, "--rootfs", self.root, *command)

    def run_to_end(self, *arguments) -> subprocess.CompletedProcess:
        return subprocess.run(self.container(*arguments), capture_output=True, text=True, timeout=daemon.PATIENCE)

    def start_agent(self, name: str) -> subprocess.Popen:
        volumes = [f"{self.shared}:/serviceaccount", f"{self.own}:/run/tokenlet", f"{self.base}/config:/config:ro",
                   f"{self.base}/manifests:/manifests:ro", f"{self.base}/tokenlet:/tokenlet:ro"]
        with open(self.agent.log_path, "ab") as log:
            self.agent.process = subprocess.Popen(
                self.container(name, AGENT, volumes, "/tokenlet", "agent", "--config", "/config/agent.yaml"), stdout=log, stderr=log)
        self.agent.socket = self.own / "tokenlet.sock"
        daemon.wait_until(lambda: self.agent.alive_status() and self.agent.is_ready("reports"), "the agent in its container")
        return self.agent.process

    def stop(self, name: str, process: subprocess.Popen) -> int:
        """SIGTERM, and SIGKILL to whoever is still there a minute later: then the exit code is 137."""
        subprocess.run(self.podman("stop", "-t", "60", f"{self.base.name}-{name}"), capture_output=True, timeout=daemon.PATIENCE, check=True)
        return process.wait(timeout=daemon.PATIENCE)

    def test_serves_the_application_beside_it_through_rotations_and_a_restart(self):
        config = replaced(of_example("agent.yaml"), "issuer: {kubernetes: {inCluster: true}}\n",
                          'issuer: {embedded: {issuer: "https://tokens.example.org", dataDir: /run/tokenlet/authority}}\n'
                          "rotation: {maxAge: 500ms, maxJitter: 0s}\n")
        (self.base / "config").mkdir()
        (self.base / "config/agent.yaml").write_text(replaced(config, "boundObject: {mode: secret}\n", ""))
        account = "---\napiVersion: v1\nkind: ServiceAccount\nmetadata: {name: reports, namespace: production}\n"
        (self.agent.manifests / "reports.yaml").write_text(of_example("reports.yaml") + account)
        first = self.start_agent("agent-1")

        said_path = self.base / "said"
        with open(said_path, "wb") as said:
            application = subprocess.Popen(
                self.container("application", APPLICATION, [f"{self.shared}:{USUAL}:ro"], "/bin/sh", "-c", f"cd {USUAL}\n{READ}"),
                stdout=said, stderr=subprocess.STDOUT)
        self.addCleanup(application.wait)
        self.addCleanup(application.kill)

        def lines() -> list:
            text = said_path.read_text()
            return text[:text.rfind("\n") + 1].splitlines()  # the last one may be on its way

        daemon.wait_until(lambda: len(lines()) > ROTATIONS, f"{ROTATIONS} rotations, seen by the application")
        self.assertEqual(0, self.stop("agent-1", first), self.agent.log()[-2000:])
        seen = len(lines())
        self.start_agent("agent-2")
        daemon.wait_until(lambda: len(lines()) > seen + ROTATIONS, "rotations after the restart")

        for line in lines():
            self.assertRegex(line, r"^production -----BEGIN_CERTIFICATE----- \S+$")
            claims = daemon.claims_of(line.split()[2])
            self.assertEqual("system:serviceaccount:production:reports", claims["sub"])
            self.assertGreater(claims["exp"], time.time())
        token = self.shared / "..data" / "token"
        self.assertEqual((AGENT, 0o600 | 0o040), (token.stat().st_uid, token.stat().st_mode & 0o777), "the mask of the access list")
        stranger = self.run_to_end("stranger", APPLICATION + 1, [f"{self.shared}:{USUAL}:ro"], "/bin/cat", f"{USUAL}/token")
        self.assertNotEqual(0, stranger.returncode)
        self.assertIn("Permission denied", stranger.stderr)
        volume = self.agent.pod_status("reports")["volumes"][0]
        self.assertEqual(("/serviceaccount", ""), (volume["path"], volume["error"]))
        self.assertEqual(0, self.stop("agent-2", self.agent.process), self.agent.log()[-2000:])
        self.assertTrue(token.read_text(), "readers go on reading")
