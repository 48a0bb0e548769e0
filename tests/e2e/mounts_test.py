# SPDX-License-Identifier: Apache-2.0
"""What `tokenlet mounts` prints, pasted: into a podman command line, a compose file and a systemd unit."""
import os
import shutil
import subprocess
import unittest

import daemon

try:
    import yaml
except ImportError:
    yaml = None

MANIFEST = """apiVersion: v1
kind: Pod
metadata: {name: web, namespace: shop}
spec:
  containers:
  - name: app
    image: none
    volumeMounts:
    - {name: data, mountPath: /run/vault}
    - {name: settings, mountPath: "/etc/my settings, 100%/$HOME"}
  - {name: helper, image: none, volumeMounts: [{name: data, mountPath: /data}]}
  volumes:
  - {name: data, projected: {sources: [{serviceAccountToken: {path: token, audience: vault}}]}}
  - {name: settings, configMap: {name: settings}}
---
{apiVersion: v1, kind: ConfigMap, metadata: {name: settings, namespace: shop}, data: {a: b}}
"""
ODD = "/etc/my settings, 100%/$HOME"
USUAL = "/var/run/secrets/kubernetes.io/serviceaccount"
# By container: where, and a file that is there then.
WANTED = {"app": {"/run/vault": "data/token", ODD: "settings/a", USUAL: "kube-api-access/token"},
          "helper": {"/data": "data/token", USUAL: "kube-api-access/token"}}


class Mounts(unittest.TestCase):
    def setUp(self):
        self.agent = daemon.Daemon()
        self.addCleanup(self.agent.__exit__)
        self.agent.drop("web.yaml", MANIFEST)
        self.names = self.agent.base / "by-name/shop/web"
        # Before any agent has seen the Pod.
        self.pasted = {style: self.mounts(style) for style in ("podman", "docker", "compose", "systemd")}
        self.agent.start_and_settle()
        daemon.wait_until(lambda: self.agent.is_ready("web"), "the Pod to be ready")

    def mounts(self, style: str) -> str:
        done = subprocess.run([daemon.BINARY, "mounts", "--config", str(self.agent.config), "-o", style, "shop/web"],
                              capture_output=True, text=True)
        self.assertEqual((0, ""), (done.returncode, done.stderr))
        return done.stdout

    def of_container(self, style: str) -> dict:
        """The lines of each container."""
        parts = self.pasted[style].split("# container ")[1:]
        return {name: lines for name, _, lines in (part.partition("\n") for part in parts)}

    def test_for_podman_are_arguments_of_a_shell_that_each_mount_the_stable_name(self):
        self.assertEqual(self.pasted["podman"], self.pasted["docker"])
        for container, lines in self.of_container("podman").items():
            said = subprocess.run(["sh", "-c", f'printf "%s\\n" \\\n{lines}  last'], capture_output=True, text=True, check=True).stdout
            self.assertEqual(["--mount"] * len(WANTED[container]), said.splitlines()[:-1:2])
            self.assertEqual("last", said.splitlines()[-1])

    def run_in(self, lines: str, *command: str) -> subprocess.CompletedProcess:
        """A command in a container of a real `podman run`, with these lines pasted."""
        root = self.agent.base / "root"
        for directory in ("usr", "proc", "sys", "dev", "tmp", "run", "etc", "var"):
            (root / directory).mkdir(parents=True, exist_ok=True)
        for link in ("bin", "lib", "lib64"):
            if not (root / link).is_symlink():
                (root / link).symlink_to(f"usr/{link}")
        # The first two as in container_test.py.
        script = f"""umount /sys/fs/cgroup/unified 2>/dev/null
exec podman --cgroup-manager=cgroupfs run --rm --network=none \
  --ulimit nofile=1024:1024 --ulimit nproc=1024:1024 -v /usr:/usr:ro \
{lines}  --rootfs '{root}' "$@"
"""
        return subprocess.run(["unshare", "-m", "sh", "-c", script, "sh", *command], capture_output=True, text=True, timeout=daemon.PATIENCE)

    @unittest.skipUnless(os.geteuid() == 0, "NOT TESTED: containers take root here")
    def test_for_podman_give_a_container_its_files_and_let_it_change_none(self):
        if not shutil.which("podman"):
            self.skipTest("NOT TESTED: podman is not installed")
        probe = self.run_in("", "/bin/true")
        if probe.returncode != 0:
            self.skipTest(f"NOT TESTED: podman cannot run a container here: {probe.stderr[-500:]}")
        pasted = self.of_container("podman")
        for container, mounts in WANTED.items():
            files = {f"{at}/{file.split('/')[1]}": self.names / file for at, file in mounts.items()}
            done = self.run_in(pasted[container], "/bin/cat", *files)
            self.assertEqual((0, ""), (done.returncode, done.stderr))
            self.assertEqual("".join(file.read_text() for file in files.values()), done.stdout)
            for at in mounts:
                self.assertIn("Read-only file system", self.run_in(pasted[container], "/bin/touch", f"{at}/mine").stderr)

    def test_for_compose_are_the_services_of_a_compose_file(self):
        if yaml is None:
            self.skipTest("NOT TESTED: there is no YAML parser for Python")
        services = yaml.safe_load(self.pasted["compose"])["services"]
        self.assertEqual(WANTED.keys(), services.keys())
        for container, service in services.items():
            self.assertEqual(["volumes"], list(service))
            # $$ is how compose writes a dollar sign.
            found = {volume["target"].replace("$$", "$"): volume["source"].replace("$$", "$") for volume in service["volumes"]}
            self.assertEqual({at: str(self.names / file.split("/")[0]) for at, file in WANTED[container].items()}, found)
            for volume in service["volumes"]:
                self.assertEqual(("bind", True, {"create_host_path": False}), (volume["type"], volume["read_only"], volume["bind"]))

    def test_for_systemd_are_settings_that_it_takes_as_they_are_meant(self):
        if not shutil.which("systemd-analyze"):
            self.skipTest("NOT TESTED: systemd is not installed")
        for container, lines in self.of_container("systemd").items():
            unit = self.agent.base / f"{container}.service"
            unit.write_text(f"[Service]\nExecStart=/bin/true\n{lines}")
            done = subprocess.run(["systemd-analyze", "verify", "--man=no", str(unit)], capture_output=True, text=True, timeout=daemon.PATIENCE)
            # What other units of this machine are like, it says, too.
            self.assertEqual([], [line for line in done.stderr.splitlines() if unit.name in line])
            self.assertEqual(len(WANTED[container]), lines.count("BindReadOnlyPaths="))
            # It complains of what it does not take.
            unit.write_text(f"[Service]\nExecStart=/bin/true\n{lines}".replace('/run/vault', 'run/vault').replace('/data\n', 'data\n'))
            done = subprocess.run(["systemd-analyze", "verify", "--man=no", str(unit)], capture_output=True, text=True, timeout=daemon.PATIENCE)
            self.assertIn("not absolute", done.stderr)
