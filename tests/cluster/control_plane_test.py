# SPDX-License-Identifier: Apache-2.0
"""The control plane that the other tests stand on."""
import os
import pathlib
import signal
import subprocess
import sys
import unittest

import control_plane
from control_plane import daemon

POD = """apiVersion: v1
kind: Pod
metadata: {name: web, namespace: default}
spec:
  nodeName: node-1
  containers: [{name: main, image: none}]
"""
DEFAULT_ACCOUNT = "system:serviceaccount:default:default"
SERVICE_ACCOUNT_GROUPS = ["system:serviceaccounts", "system:serviceaccounts:default", "system:authenticated"]


class ControlPlane(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.cluster = cls.enterClassContext(control_plane.ControlPlane())

    def test_is_of_the_version_that_go_mod_names(self):
        go_mod = (pathlib.Path(__file__).parent / "program/go.mod").read_text()
        versions = control_plane.json.loads(self.cluster.kubectl("version", "-o", "json"))
        for side in ("clientVersion", "serverVersion"):
            self.assertIn(f"k8s.io/kubernetes {versions[side]['gitVersion']}\n", go_mod)

    def test_reviews_a_token_that_kubectl_asked_for(self):
        token = self.cluster.kubectl("create", "token", "default", "--audience=vault", "--duration=10m").strip()
        self.assertEqual((["vault"], 600), (daemon.claims_of(token)["aud"], self.lifetime(token)))
        status = self.cluster.review(token, "vault")
        self.assertEqual((True, DEFAULT_ACCOUNT, SERVICE_ACCOUNT_GROUPS),
                         (status.get("authenticated"), status["user"]["username"], status["user"]["groups"]))
        self.assertFalse(self.cluster.review(token, "other").get("authenticated"))

    def lifetime(self, token: str) -> int:
        claims = daemon.claims_of(token)
        return claims["exp"] - claims["iat"]

    def test_gives_an_account_no_right_that_no_role_gives(self):
        token = self.cluster.kubectl("create", "token", "default").strip()
        with self.assertRaises(control_plane.ApiError) as refused:
            self.cluster.api("GET", "/api/v1/secrets", token=token)
        self.assertEqual(403, refused.exception.status)

    def test_has_a_kubelet_that_makes_volumes(self):
        kubelet = self.cluster.hollow_kubelet("node-1")
        self.cluster.apply(POD)
        pod = self.cluster.api("GET", "/api/v1/namespaces/default/pods/web")
        volume = kubelet.wait_for_volume(pod["metadata"]["uid"], pod["spec"]["volumes"][0]["name"])
        self.assertEqual({"ca.crt", "namespace", "token"}, {name for name in os.listdir(volume) if not name.startswith("..")})
        self.assertEqual(self.cluster.ca.read_text(), (volume / "ca.crt").read_text())
        extra = self.cluster.review((volume / "token").read_text())["user"]["extra"]
        self.assertEqual((["web"], ["node-1"]), (extra["authentication.kubernetes.io/pod-name"], extra["authentication.kubernetes.io/node-name"]))

    def test_serves_cluster_trust_bundles(self):
        self.assertEqual([], self.cluster.api("GET", "/apis/certificates.k8s.io/v1beta1/clustertrustbundles")["items"])


class Renewal(unittest.TestCase):
    """Restarts of the API server with what an operator may change."""

    def setUp(self):
        self.cluster = self.enterContext(control_plane.ControlPlane())

    def published_ca(self) -> str:
        return self.cluster.api("GET", "/api/v1/namespaces/default/configmaps/kube-root-ca.crt")["data"]["ca.crt"]

    def test_keeps_the_objects_and_replaces_certificates_and_keys(self):
        cluster = self.cluster
        token = cluster.kubectl("create", "token", "default").strip()
        with self.subTest("stopped"):
            cluster.stop_api_server()
            self.assertRaises(OSError, cluster.raw, "GET", "/readyz")
        with self.subTest("the same again"):
            cluster.start_api_server()
            self.assertTrue(cluster.review(token)["authenticated"])
        with self.subTest("a new certificate of the same authority, a new signing key beside the old"):
            cluster.renew_serving_certificate()
            cluster.renew_signing_key(keep_old=True)
            cluster.restart()
            self.assertTrue(cluster.review(token)["authenticated"])
        with self.subTest("a new authority, and the old keys gone"):
            old = cluster.ca.read_text()
            cluster.renew_ca(keep_old=False)
            cluster.renew_signing_key(keep_old=False)
            cluster.restart()
            self.assertNotIn(old, cluster.ca.read_text())
            self.assertFalse(cluster.review(token).get("authenticated"))
            daemon.wait_until(lambda: self.published_ca() == cluster.ca.read_text(), "the new authority is published")


class LeftBehind(unittest.TestCase):
    def test_is_nothing_when_a_test_is_killed(self):
        script = ("import os, sys; from processes import Scratch, Server; scratch = Scratch('tokenlet-killed-')\n"
                  "server = Server('sleep', scratch.path / 'log'); server.start('sleep', '600')\n"
                  "print(scratch.path, server.process.pid, flush=True); sys.stdin.read()")
        with subprocess.Popen([sys.executable, "-B", "-c", script], cwd=pathlib.Path(__file__).parent, text=True,
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE) as test:
            path, pid = test.stdout.readline().split()
            self.assertTrue(os.path.exists(path) and os.path.exists(f"/proc/{pid}"))
            test.send_signal(signal.SIGKILL)
        daemon.wait_until(lambda: not os.path.exists(path), "the directory is gone")
        daemon.wait_until(lambda: not os.path.exists(f"/proc/{pid}"), "the server is gone")
