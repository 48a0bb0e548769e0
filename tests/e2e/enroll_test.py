# SPDX-License-Identifier: Apache-2.0
"""tokenlet enroll, at a server that takes what it is given. What a real one makes of it: tests/cluster."""
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

sys.path.append(str(pathlib.Path(__file__).parents[1] / "cluster"))
import api_double
import daemon
import pki

ADMIN = "token-of-an-administrator"


class Enroll(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory(prefix="tokenlet-enroll-", dir=daemon.MEMORY)
        self.addCleanup(directory.cleanup)
        self.base = pathlib.Path(directory.name)
        self.base.chmod(0o755)
        self.config = self.base / "agent.yaml"
        self.config.write_text(f"""apiVersion: tokenlet.dev/v1alpha1
kind: AgentConfiguration
nodeName: edge
stateDir: {self.base}/state
issuer: {{kubernetes: {{kubeconfig: {self.base}/state/kubeconfig, self: {{serviceAccount: edge/agent}}}}}}
""")

    def serving(self, **settings) -> api_double.ApiDouble:
        double = api_double.ApiDouble(accepts={ADMIN}, **settings)
        self.addCleanup(double.__exit__)
        return double.__enter__()

    def enroll(self, kubeconfigs: str) -> subprocess.CompletedProcess:
        return subprocess.run([daemon.BINARY, "enroll", "--config", str(self.config), "--serve", "shop/web"], capture_output=True, text=True,
                              timeout=daemon.PATIENCE, env={**os.environ, "KUBECONFIG": kubeconfigs})

    def kubeconfigs(self, double: api_double.ApiDouble) -> str:
        """Two files, as people keep them, and one that is not there."""
        (self.base / "contexts").write_text(f"""current-context: edge
contexts: [{{name: edge, context: {{cluster: shop, user: admin}}}}]
clusters: [{{name: shop, cluster: {{server: 'http://127.0.0.1:{double.port}'}}}}]
users: [{{name: other, user: {{token: other}}}}]
""")
        (self.base / "users").write_text(f"current-context: other\nusers: [{{name: admin, user: {{token: {ADMIN}}}}}]\n")
        return f"{self.base}/contexts:{self.base}/nowhere:{self.base}/users"

    def test_the_kubeconfigs_of_the_environment_are_read_as_one(self):
        done = self.enroll(self.kubeconfigs(self.serving()))
        self.assertEqual((0, ""), (done.returncode, done.stderr))
        self.assertIn("ServiceAccount edge/agent applied\n", done.stdout)
        self.assertNotIn(ADMIN, done.stdout + (self.base / "state/kubeconfig").read_text())

    def test_what_was_applied_before_it_failed_is_told(self):
        done = self.enroll(self.kubeconfigs(self.serving(forbids={"secrets"})))
        self.assertEqual(1, done.returncode, done.stderr)
        self.assertEqual("Namespace edge applied\nServiceAccount edge/agent applied\nRole edge/tokenlet-edge applied\n"
                         "RoleBinding edge/tokenlet-edge applied\n", done.stdout)
        self.assertIn("an admission plugin says no", done.stderr)
        self.assertEqual(1, done.stderr.count("\n"), done.stderr)

    def test_no_right_that_is_there_is_taken_away(self):
        role = "/apis/rbac.authorization.k8s.io/v1/namespaces/shop/roles/tokenlet-edge"
        earlier = {"apiGroups": [""], "resources": ["serviceaccounts/token"], "resourceNames": ["db"], "verbs": ["create"]}
        by_hand = {"apiGroups": [""], "resources": ["configmaps"], "resourceNames": ["settings"], "verbs": ["get"]}
        double = self.serving(objects={role: {"kind": "Role", "metadata": {"name": "tokenlet-edge", "uid": "u"}, "rules": [earlier, by_hand]}})
        done = self.enroll(self.kubeconfigs(double))
        self.assertEqual((0, ""), (done.returncode, done.stderr))
        sent = json.loads(double.patches[role])
        self.assertEqual([earlier | {"resourceNames": ["db", "web"]}, by_hand], sent["rules"][:2])
        self.assertEqual({"name", "namespace", "labels"}, set(sent["metadata"]), "of the one that is there, its rules alone")

    def test_a_server_that_is_not_verified_is_warned_of(self):
        certificate = pki.CertificateAuthority(self.base, "ca").issue_server("server", "DNS:localhost")
        double = self.serving(certificate=certificate[0], key=certificate[1])
        kubeconfigs = self.kubeconfigs(double)
        contexts = self.base / "contexts"
        contexts.write_text(contexts.read_text().replace(f"server: 'http://127.0.0.1:{double.port}'",
                                                         f"server: 'https://localhost:{double.port}', insecure-skip-tls-verify: true"))
        done = self.enroll(kubeconfigs)
        self.assertEqual(0, done.returncode, done.stderr)
        self.assertIn("insecure-skip-tls-verify is true, so whoever answers", done.stderr)
        self.assertEqual(1, done.stderr.count("\n"), done.stderr)
        self.assertNotIn("insecure", (self.base / "state/kubeconfig").read_text(), "the agent's own")


if __name__ == "__main__":
    unittest.main()
