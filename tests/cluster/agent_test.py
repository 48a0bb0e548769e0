# SPDX-License-Identifier: Apache-2.0
"""tokenlet's agent against a real API server: what it projects, how it follows changes, what it does when the server is away.

How long things take is measured and told, and claimed nowhere: the machine may do anything beside.
"""
import datetime
import os
import pathlib
import statistics
import subprocess
import sys
import threading
import time
import unittest

import control_plane
from control_plane import daemon

EVERYTHING = """apiVersion: v1
kind: Pod
metadata: {name: all, namespace: shop, labels: {app: web}}
spec:
  serviceAccountName: web
  automountServiceAccountToken: false
  containers: [{name: main, image: none, volumeMounts: [{name: data, mountPath: /data}]}]
  volumes:
  - name: data
    projected:
      sources:
      - serviceAccountToken: {path: token}
      - serviceAccountToken: {path: vault-token, audience: vault, expirationSeconds: 600}
      - configMap: {name: settings}
      - configMap: {name: kube-root-ca.crt}
      - secret: {name: tls}
      - clusterTrustBundle: {name: roots, path: roots.pem}
      - downwardAPI: {items: [{path: labels, fieldRef: {fieldPath: metadata.labels}}]}
"""
OBJECTS = """apiVersion: v1
kind: ServiceAccount
metadata: {name: web, namespace: shop}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: settings, namespace: shop}
data: {setting: one}
---
apiVersion: v1
kind: Secret
metadata: {name: tls, namespace: shop}
stringData: {key: hunter2}
"""
CONFIGS = pathlib.Path(__file__).parents[2] / "configs"
CHANGES = 20
PODS = 1000
PER_SECOND, BURST = 50, 100  # a kubelet's
ACCOUNT = "/api/v1/namespaces/shop/serviceaccounts/web"
SETTINGS = "/api/v1/namespaces/shop/configmaps/settings"


def say(text: str):
    print(text, file=sys.stderr, flush=True)


class Agent(daemon.Daemon):
    """An agent that asks a cluster."""

    def __init__(self, kubeconfig, **settings):
        self.kubeconfig = kubeconfig
        super().__init__(**settings)

    def configure(self, *, issuer: str = "", bound: str = "auto", max_age="24h"):
        issuer = issuer or f"kubernetes: {{kubeconfig: {self.kubeconfig}}}"
        self.config.write_text(f"""apiVersion: tokenlet.dev/v1alpha1
kind: AgentConfiguration
nodeName: edge
stateDir: {self.base}/state
manifests: {{path: {self.manifests}, removalDelay: 1s}}
volumes: {{root: {self.base}/pods, byName: {self.base}/by-name, grace: {daemon.GRACE}s}}
issuer: {{{issuer}}}
boundObject: {{mode: {bound}}}
rotation: {{maxAge: {max_age}, maxJitter: 0s}}
status: {{socket: {self.socket}}}
log: {{level: info}}
""")

    def embedded(self) -> str:
        return f'embedded: {{issuer: "https://tokens.example.org", dataDir: {self.base}/authority}}'

    def file(self, pod: str, path: str) -> str | None:
        try:
            return (self.volume(pod) / path).read_text()
        except FileNotFoundError:
            return None

    def wait_for(self, holds, what: str, patience: float = daemon.PATIENCE):
        try:
            return daemon.wait_until(holds, what, patience)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.log()[-4000:]}") from None

    def rotations(self) -> int:
        return self.log().count("token rotated")

    def requests(self) -> int:
        """For tokens, since its start, as it counts them."""
        return self.status()["counters"]["tokenRequests"]

    def all_are_ready(self, count: int) -> bool:
        return sum(pod["ready"] for pod in self.status()["pods"]) == count


class ClusterAgent(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.cluster = cls.enterClassContext(control_plane.ControlPlane())
        cls.cluster.namespace("shop")
        bundle = "".join(f"    {line}\n" for line in cls.cluster.ca.read_text().splitlines())
        cls.cluster.apply("apiVersion: certificates.k8s.io/v1beta1\nkind: ClusterTrustBundle\nmetadata: {name: roots}\n"
                          "spec:\n  trustBundle: |\n" + bundle)

    def setUp(self):
        self.put_objects()

    def put_objects(self):
        """Over whatever an earlier test has made of them."""
        self.cluster.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", given=OBJECTS)

    def agent(self, **settings) -> Agent:
        kubeconfig = settings.pop("kubeconfig", self.cluster.kubeconfig)
        return self.enterContext(Agent(kubeconfig, **settings))

    def started(self, manifest: str = EVERYTHING, **settings) -> Agent:
        agent = self.agent(**settings)
        agent.drop("all.yaml", manifest)
        agent.start()
        agent.wait_for(lambda: agent.alive_status() and agent.is_ready("all"), "the Pod's volume")
        return agent

    def reviewed(self, token: str, *audiences: str) -> dict:
        status = self.cluster.review(token, *audiences)
        self.assertTrue(status.get("authenticated"), status)
        return status["user"]

    def test_projects_what_a_kubelet_does_in_one_volume(self):
        agent = self.started()
        user = self.reviewed(agent.token("all"))
        self.assertEqual("system:serviceaccount:shop:web", user["username"])
        self.assertEqual(["system:serviceaccounts", "system:serviceaccounts:shop", "system:authenticated"], user["groups"])
        self.reviewed(agent.file("all", "vault-token"), "vault")
        self.assertFalse(self.cluster.review(agent.file("all", "vault-token")).get("authenticated"))
        self.assertEqual("one", agent.file("all", "setting"))
        self.assertEqual("hunter2", agent.file("all", "key"))
        self.assertEqual('app="web"', agent.file("all", "labels"))
        self.assertIn("BEGIN CERTIFICATE", agent.file("all", "ca.crt"))
        self.assertIn("BEGIN CERTIFICATE", agent.file("all", "roots.pem"))

    def test_binds_tokens_as_the_mode_says(self):
        self.cluster.kubectl("create", "secret", "generic", "tokenlet-edge", "-n", "shop")
        self.addCleanup(self.cluster.try_kubectl, "delete", "secret", "tokenlet-edge", "-n", "shop")
        self.cluster.api("POST", "/api/v1/nodes", {"metadata": {"name": "edge"}})
        self.addCleanup(self.cluster.try_kubectl, "delete", "node", "edge")
        for mode, bound in {"secret": "secret", "node": "node", "none": None, "auto": "secret"}.items():
            with self.subTest(mode):
                agent = self.started(bound=mode)
                claims = daemon.claims_of(agent.token("all"))["kubernetes.io"]
                self.assertEqual({bound} - {None}, set(claims) & {"pod", "secret", "node"})
                self.reviewed(agent.token("all"))
                agent.stop()

    def test_a_token_bound_to_the_pod_of_that_uid_says_so(self):
        made = self.cluster.api("POST", "/api/v1/namespaces/shop/pods", {
            "metadata": {"name": "all"},
            "spec": {"serviceAccountName": "web", "nodeName": "elsewhere", "containers": [{"name": "main", "image": "none"}]}})
        self.addCleanup(self.cluster.try_kubectl, "delete", "pod", "all", "-n", "shop", "--force")
        uid = made["metadata"]["uid"]
        # The lifetime that the server extends, where the token is bound to a Pod.
        agent = self.started(EVERYTHING.replace("name: all,", f"name: all, uid: {uid},").replace(
            "{path: token}", "{path: token, expirationSeconds: 3607}"))
        user = self.reviewed(agent.token("all"))
        self.assertEqual([uid], user["extra"]["authentication.kubernetes.io/pod-uid"])
        shown = agent.status()["pods"][0]["volumes"][0]["files"][0]
        granted, good_until = (datetime.datetime.fromisoformat(shown[name]) for name in ("expiresAt", "validUntil"))
        self.assertGreater(good_until - granted, datetime.timedelta(days=300))
        self.assertEqual(daemon.claims_of(agent.token("all"))["exp"], good_until.timestamp())

    def test_deleting_the_bound_secret_ends_the_tokens(self):
        self.cluster.kubectl("create", "secret", "generic", "tokenlet-edge", "-n", "shop")
        agent = self.started()
        token = agent.token("all")
        self.reviewed(token)
        self.cluster.api("DELETE", "/api/v1/namespaces/shop/secrets/tokenlet-edge")
        deleted = time.monotonic()
        # While the server still takes it, a renewal must not get away with less.
        self.assertEqual(200, agent.ask("/v1/rotate?pod=shop/all", "POST")[0])
        agent.wait_for(lambda: "whoever deleted that has ended it" in agent.log(), "the refusal to be told")
        agent.wait_for(lambda: not self.cluster.review(token).get("authenticated"), "the server to refuse the token")
        say(f"a token is refused {time.monotonic() - deleted:.1f} s after its Secret was deleted")
        self.assertEqual(token, agent.token("all"))
        self.cluster.kubectl("create", "secret", "generic", "tokenlet-edge", "-n", "shop")
        self.addCleanup(self.cluster.try_kubectl, "delete", "secret", "tokenlet-edge", "-n", "shop")
        agent.wait_for(lambda: agent.token("all") != token, "another token, once the host is let in again")
        self.reviewed(agent.token("all"))

    def own_objects(self, resource: str) -> set:
        items = self.cluster.api("GET", f"/api/v1/{resource}?labelSelector=app.kubernetes.io/managed-by=tokenlet")["items"]
        return {item["metadata"]["name"] for item in items if item["metadata"].get("annotations", {}).get("tokenlet.dev/pod-uid")}

    def test_objects_made_for_pods_go_with_them_also_after_a_crash_and_nothing_else_does(self):
        stranger = {"metadata": {"name": "stranger", "labels": {"app.kubernetes.io/managed-by": "tokenlet", "tokenlet.dev/node": "edge"},
                                 "annotations": {"tokenlet.dev/node": "another", "tokenlet.dev/pod-uid": "x"}}}
        self.cluster.api("POST", "/api/v1/namespaces/shop/secrets", stranger)
        pod = stranger | {"spec": {"containers": [{"name": "c", "image": "none"}]}}
        self.cluster.api("POST", "/api/v1/namespaces/shop/pods", pod)
        self.addCleanup(self.cluster.try_kubectl, "delete", "pod,secret", "stranger", "-n", "shop", "--force")
        for mode, resource, kind in (("pod-secret", "secrets", "secret"), ("gated-pod", "pods", "pod")):
            with self.subTest(mode):
                agent = self.started(bound=mode)
                self.reviewed(agent.token("all"))
                bound = daemon.claims_of(agent.token("all"))["kubernetes.io"][kind]
                self.assertEqual({bound["name"], "stranger"}, self.own_objects(resource))

                # Another host of the same name, which knows nothing of the first one's Pods.
                other = self.agent(bound=mode)
                other.drop("third.yaml", EVERYTHING.replace("name: all", "name: third"))
                other.start()
                other.wait_for(lambda: other.alive_status() and other.is_ready("third"), "the other host's Pod")
                (other.manifests / "third.yaml").unlink()
                other.wait_for(lambda: self.own_objects(resource) == {bound["name"], "stranger"}, "the other host's object to go, and no more")
                other.stop()

                agent.drop("second.yaml", EVERYTHING.replace("name: all", "name: second"))
                agent.wait_for(lambda: agent.is_ready("second"), "the second Pod")
                self.assertEqual(3, len(self.own_objects(resource)))
                old = agent.token("second")

                # A crash, and a manifest that leaves while nobody looks.
                agent.kill()
                (agent.manifests / "second.yaml").unlink()
                agent.start()
                agent.wait_for(lambda: agent.alive_status() and self.own_objects(resource) == {bound["name"], "stranger"},
                               "the second Pod's object to go")
                gone = time.monotonic()
                agent.wait_for(lambda: not self.cluster.review(old).get("authenticated"), "its tokens to be refused")
                say(f"{mode}: a Pod's tokens are refused {time.monotonic() - gone:.1f} s after its object is gone")
                self.reviewed(agent.token("all"))
                (agent.manifests / "all.yaml").unlink()
                agent.wait_for(lambda: self.own_objects(resource) == {"stranger"}, "the first one's to go")
                agent.stop()

    def test_a_change_reaches_the_files_and_a_deletion_leaves_them(self):
        agent, took = self.started(), []
        for value in map(str, range(CHANGES)):
            self.cluster.api("PUT", SETTINGS, {"metadata": {"name": "settings"}, "data": {"setting": value}})
            changed = time.monotonic()
            agent.wait_for(lambda: agent.file("all", "setting") == value, "the change")
            took.append((time.monotonic() - changed) * 1000)
        say(f"{CHANGES} changes of a ConfigMap reached the file after {statistics.median(took):.0f} ms, at most {max(took):.0f} ms")
        self.cluster.api("DELETE", SETTINGS)
        agent.wait_for(lambda: "not found" in agent.log(), "the deletion to be told")
        self.assertEqual(value, agent.file("all", "setting"))
        self.put_objects()
        agent.wait_for(lambda: agent.file("all", "setting") == "one", "the object to be back")

    def test_an_account_made_anew_gets_new_tokens_at_once(self):
        agent = self.started()
        old = agent.token("all")
        self.cluster.api("DELETE", ACCOUNT)
        uid = self.cluster.api("POST", "/api/v1/namespaces/shop/serviceaccounts", {"metadata": {"name": "web"}})["metadata"]["uid"]
        agent.wait_for(lambda: daemon.claims_of(agent.token("all"))["kubernetes.io"]["serviceaccount"]["uid"] == uid,
                       "a token of the new account")
        self.assertNotEqual(old, agent.token("all"))
        self.reviewed(agent.token("all"))

    def test_a_server_that_is_away_changes_nothing_and_is_found_again(self):
        agent = self.started()
        token, inode = agent.token("all"), (agent.volume("all") / "token").stat().st_ino
        self.cluster.stop_api_server()
        try:
            agent.stop()
            rotations = agent.rotations()
            agent.start_and_settle()
            self.assertTrue(agent.is_ready("all"), agent.pod_status("all"))
            self.assertEqual((token, inode), (agent.token("all"), (agent.volume("all") / "token").stat().st_ino))
            agent.drop("new.yaml", EVERYTHING.replace("name: all", "name: new"))
        finally:
            self.cluster.start_api_server()
        agent.wait_for(lambda: agent.is_ready("new"), "the new Pod, now that the server is back")
        self.assertEqual((token, inode), (agent.token("all"), (agent.volume("all") / "token").stat().st_ino))
        self.assertEqual(rotations, agent.rotations())
        self.cluster.api("PUT", SETTINGS, {"metadata": {"name": "settings"}, "data": {"setting": "later"}})
        agent.wait_for(lambda: agent.file("all", "setting") == "later", "a change after the restart")

    def test_a_missing_right_comes_with_a_manifest_that_grants_it(self):
        agent = self.agent(kubeconfig=self.cluster.kubeconfig_of("host-7"), bound="none")
        agent.drop("all.yaml", EVERYTHING)
        agent.start()
        advice = agent.base / "state/missing-rights.yaml"
        def is_ready_with_what_was_advised():
            if advice.exists() and advice.read_text() != given[-1]:
                given.append(advice.read_text())
                self.cluster.kubectl("apply", "-f", "-", given=given[-1])
            return agent.alive_status() and agent.is_ready("all")
        given = [""]
        agent.wait_for(is_ready_with_what_was_advised, "the Pod, once the rights are there", 2 * daemon.PATIENCE)
        self.assertIn("serviceaccounts/token", given[-1])
        self.assertIn("resourceNames", given[-1])
        self.reviewed(agent.token("all"))

    def enroll(self, agent: Agent, *arguments: str) -> str:
        done = subprocess.run([agent.binary, "enroll", "--config", agent.config, "--serve", "shop/web", *arguments],
                              capture_output=True, text=True, timeout=daemon.PATIENCE, env={**os.environ, "KUBECONFIG": str(self.cluster.kubeconfig)})
        self.assertEqual((0, ""), (done.returncode, done.stderr))
        return done.stdout

    def test_enrolling_gives_an_agent_its_own_credential_and_no_right_too_many(self):
        agent = self.agent()
        own = f"kubernetes: {{kubeconfig: {agent.base}/state/kubeconfig, self: {{serviceAccount: edge/agent}}}}"
        agent.configure(issuer=own, bound="secret")
        manifests = self.enroll(agent, "--dry-run", "-o", "yaml")
        self.assertFalse(self.cluster.exists("/api/v1/namespaces/edge"))
        self.cluster.kubectl("create", "namespace", "edge")
        self.cluster.kubectl("apply", "--dry-run=server", "-f", "-", given=manifests)

        said = self.enroll(agent)
        self.assertIn("Role shop/tokenlet-edge applied\n", said)
        self.assertIn("agent.yaml needs: boundObject: {mode: secret}", said)
        role = "/apis/rbac.authorization.k8s.io/v1/namespaces/edge/roles/tokenlet-edge"
        self.enroll(agent, "--serve", "edge/other")
        rules = self.cluster.api("GET", role)["rules"]
        self.assertIn("other", str(rules))
        self.assertEqual(said, self.enroll(agent), "it can be repeated")
        self.assertEqual(rules, self.cluster.api("GET", role)["rules"], "and takes no right away")
        self.assertEqual(0o600, (agent.base / "state/self-token").stat().st_mode & 0o777)
        token = (agent.base / "state/self-token").read_text()
        self.assertEqual("system:serviceaccount:edge:agent", self.reviewed(token)["username"])
        for path in ("/api/v1/secrets", "/api/v1/namespaces/shop/secrets", "/api/v1/namespaces/shop/pods"):
            with self.assertRaises(control_plane.ApiError):
                self.cluster.api("GET", path, token=token)

        agent.drop("all.yaml", EVERYTHING.replace("      - configMap: {name: settings}\n", "")
                   .replace("      - secret: {name: tls}\n", "").replace("      - clusterTrustBundle: {name: roots, path: roots.pem}\n", ""))
        agent.start()
        agent.wait_for(lambda: agent.alive_status() and agent.is_ready("all"), "the Pod's volume")
        self.assertEqual({"namespace", "secret", "serviceaccount"}, set(daemon.claims_of(agent.token("all"))["kubernetes.io"]))
        self.assertFalse((agent.base / "state/missing-rights.yaml").exists())

    def test_what_ships_is_taken_by_the_server_and_by_the_agent(self):
        self.cluster.kubectl("create", "namespace", "production")
        self.cluster.kubectl("create", "namespace", "tokenlet")
        for manifests in ("rbac/agent.yaml", "rbac/objects.yaml", "rbac/own-objects.yaml", "cluster/sidecar.yaml"):
            self.cluster.kubectl("apply", "-f", str(CONFIGS / manifests))
        agent = self.agent()
        inner = self.cluster.api("GET", "/api/v1/namespaces/production/configmaps/reports-agent")["data"]
        (agent.base / "agent-of-sidecar.yaml").write_text(inner["agent.yaml"])
        (agent.base / "reports.yaml").write_text(inner["reports.yaml"])
        for path in (CONFIGS / "cluster/agent.yaml", agent.base / "agent-of-sidecar.yaml", agent.base / "reports.yaml"):
            done = subprocess.run([agent.binary, "validate", path], capture_output=True, text=True, timeout=daemon.PATIENCE)
            self.assertEqual(0, done.returncode, done.stderr)

    def test_the_first_credential_may_come_from_the_kubeconfig(self):
        self.cluster.kubectl("apply", "-f", "-", given="apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: agent, namespace: shop}\n")
        self.cluster.kubectl("create", "clusterrolebinding", "agent", "--clusterrole=cluster-admin", "--serviceaccount=shop:agent")
        self.addCleanup(self.cluster.try_kubectl, "delete", "clusterrolebinding", "agent")
        agent = self.agent()
        agent.configure(issuer=f"kubernetes: {{kubeconfig: {agent.kubeconfig}, self: {{serviceAccount: shop/agent}}}}")
        agent.drop("all.yaml", EVERYTHING)
        agent.start()
        agent.wait_for(lambda: agent.alive_status() and agent.is_ready("all"), "the Pod's volume")
        self.assertEqual("system:serviceaccount:shop:agent", self.reviewed((agent.base / "state/self-token").read_text())["username"])

    def token_requests(self) -> int:
        """As the server counts them."""
        return sum(int(float(line.rsplit(" ", 1)[1])) for line in self.cluster.raw("GET", "/metrics").splitlines()
                   if line.startswith("apiserver_request_total{") and 'subresource="token"' in line and 'verb="POST"' in line)

    def test_a_thousand_pods_are_asked_for_at_a_kubelets_pace_and_not_again_after_a_restart(self):
        agent = self.agent(bound="none")
        pods = "\n---\n".join(daemon.pod(f"p{number}", seconds=3600) for number in range(PODS))
        agent.drop("pods.yaml", pods)
        before, begun = self.token_requests(), time.monotonic()
        agent.start()
        # Its status, which is long, only when it may be the last time.
        agent.wait_for(lambda: agent.log().count("volume published") >= PODS and agent.alive_status() and agent.all_are_ready(PODS),
                       "all Pods", 2 * daemon.PATIENCE)
        took = time.monotonic() - begun
        failed = agent.status()["counters"]["tokenFailures"]
        self.assertEqual(PODS + failed, agent.requests(), "one for each, and one for each that was not answered in its time")
        self.assertLessEqual(self.token_requests() - before, PODS + failed)
        self.assertGreater(took, (PODS - BURST) / PER_SECOND, "faster than the pace")
        say(f"{PODS} Pods ready in {took:.1f} s, {failed} requests failed")
        agent.stop()
        agent.start_and_settle()
        agent.wait_for(lambda: agent.all_are_ready(PODS), "all Pods after the restart")
        time.sleep(2)  # in which what was asked for would have arrived
        self.assertEqual(0, agent.requests())
        self.assertLessEqual(self.token_requests() - before, PODS + failed)

    def test_a_new_signing_key_brings_new_tokens(self):
        agent = self.started()
        old = agent.token("all")
        self.cluster.renew_signing_key(keep_old=False)
        self.cluster.restart()
        agent.wait_for(lambda: agent.token("all") != old, "a token of the new key")
        self.reviewed(agent.token("all"))

    def test_moving_to_the_cluster_and_back_leaves_readers_no_gap(self):
        agent = self.agent(issuer="embedded: {}")
        agent.configure(issuer=agent.embedded())
        agent.drop("all.yaml", EVERYTHING)
        agent.drop("objects.yaml", OBJECTS)
        agent.drop("roots.yaml", "apiVersion: certificates.k8s.io/v1beta1\nkind: ClusterTrustBundle\nmetadata: {name: roots}\n"
                   "spec:\n  trustBundle: |\n" + "".join(f"    {line}\n" for line in self.cluster.ca.read_text().splitlines()))
        agent.start()
        agent.wait_for(lambda: agent.alive_status() and agent.is_ready("all"), "the Pod's volume")
        bad, reads, over = [], 0, threading.Event()

        def read():
            nonlocal reads
            while not over.is_set():
                for path in ("token", "setting", "ca.crt"):
                    if not agent.file("all", path):
                        bad.append((path, time.monotonic()))
                    reads += 1
        reader = threading.Thread(target=read)
        reader.start()
        try:
            for issuer, name in (("", control_plane.ISSUER), (agent.embedded(), "https://tokens.example.org"),
                                 ("", control_plane.ISSUER)):
                agent.stop()
                agent.configure(issuer=issuer)
                agent.start()
                agent.wait_for(lambda: daemon.claims_of(agent.token("all"))["iss"] == name, f"a token of {name}")
                if name == control_plane.ISSUER:
                    self.reviewed(agent.token("all"))
        finally:
            over.set()
            reader.join()
        self.assertEqual([], bad)
        self.assertGreater(reads, 1000)


if __name__ == "__main__":
    unittest.main()
