# SPDX-License-Identifier: Apache-2.0
"""Accounts of the agent with no right too many: what ships, what enroll makes, and what to do where the server refuses."""
import contextlib
import copy
import http.server
import json
import os
import pathlib
import ssl
import subprocess
import threading
import unittest

import agents
import control_plane
import pki
from agents import EVERYTHING, Agent, AgentInPod
from control_plane import daemon

CONFIGS = pathlib.Path(__file__).parents[2] / "configs"
PRODUCTION = "/api/v1/namespaces/production"
WEB = EVERYTHING.replace("namespace: shop", "namespace: production").replace("name: settings", "name: web-config").replace("name: tls", "name: web-tls")
OBJECTS = """apiVersion: v1
kind: ServiceAccount
metadata: {name: web, namespace: production}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: reports, namespace: production}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: web-config, namespace: production}
data: {setting: one}
---
apiVersion: v1
kind: Secret
metadata: {name: web-tls, namespace: production}
stringData: {key: hunter2}
"""


class Webhook(contextlib.AbstractContextManager):
    """An admission webhook that denies everything, until it is told to `allow`."""
    REASON = "web gets no tokens on Tuesdays"

    def __init__(self, directory: pathlib.Path):
        self.authority = pki.CertificateAuthority(directory, "webhook-ca")
        self.allow = False
        webhook = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                answer = {"uid": asked["request"]["uid"], "allowed": webhook.allow, "status": {"message": webhook.REASON}}
                body = json.dumps({"apiVersion": asked["apiVersion"], "kind": "AdmissionReview", "response": answer}).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(*self.authority.issue_server("webhook", "IP:127.0.0.1"))
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True, do_handshake_on_connect=False)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()

    def configuration(self) -> dict:
        bundle = daemon.base64.b64encode(self.authority.certificate.read_bytes()).decode()
        return {"metadata": {"name": "tokens.example.org"}, "webhooks": [{
            "name": "tokens.example.org", "failurePolicy": "Fail", "sideEffects": "None", "admissionReviewVersions": ["v1"],
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "shop"}},
            "clientConfig": {"url": f"https://127.0.0.1:{self.server.server_port}/", "caBundle": bundle},
            "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "resources": ["serviceaccounts/token"], "operations": ["CREATE"]}]}]}


class Rights(agents.TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.cluster.namespace("production")
        cls.cluster.apply(OBJECTS)

    # What ships.

    def shipped(self, *files: str) -> list[dict]:
        """Applies them. What they are at the server."""
        named = [argument for file in files for argument in ("-f", str(CONFIGS / file))]
        return json.loads(self.cluster.kubectl("apply", "-o", "json", *named))["items"]

    def path_of(self, role: dict) -> str:
        meta = role["metadata"]
        place = f"/namespaces/{meta['namespace']}" if "namespace" in meta else ""
        return f"/apis/rbac.authorization.k8s.io/v1{place}/{role['kind'].lower()}s/{meta['name']}"

    def may(self, user: str, rule: dict, namespace: str) -> bool:
        """Whether the first thing that a rule is about is granted: the server takes a moment to see a changed Role."""
        resource, _, subresource = rule["resources"][0].partition("/")
        asked = {"verb": rule["verbs"][0], "group": rule["apiGroups"][0], "resource": resource, "subresource": subresource,
                 "namespace": namespace, "name": rule.get("resourceNames", [""])[0]}
        review = self.cluster.api("POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", {"spec": {
            "user": user, "groups": ["system:serviceaccounts"], "resourceAttributes": asked}})
        return review["status"]["allowed"]

    @contextlib.contextmanager
    def without(self, role: dict, rule: dict, user: str):
        reduced = copy.deepcopy(role)
        reduced["rules"].remove(rule)
        reduced["metadata"].pop("resourceVersion")
        for now, allowed in ((reduced, False), (role | {"metadata": reduced["metadata"]}, True)):
            self.cluster.api("PUT", self.path_of(role), now)
            daemon.wait_until(lambda: self.may(user, rule, role["metadata"].get("namespace", "")) == allowed, "the Role's change")
            if not allowed:
                yield

    def advised(self, agent: Agent) -> set[tuple]:
        """The rights that it says are missing: resource, name."""
        advice = agent.base / "state/missing-rights.yaml"
        if not advice.exists():
            return set()
        read = self.cluster.try_kubectl("apply", "--dry-run=client", "-o", "json", "-f", str(advice))
        if read.returncode:
            return set()  # it was being written
        return {(resource, name) for item in json.loads(read.stdout)["items"] for rule in item.get("rules") or []
                for resource in rule["resources"] for name in rule.get("resourceNames", [""])}

    def check_each_rule(self, roles: list[dict], user: str, begin):
        """Without any one of them the agent that `begin` gives misses that very right."""
        for role in roles:
            for rule in role["rules"]:
                expected = {(resource, name) for resource in rule["resources"] for name in rule.get("resourceNames", [""])}
                with self.subTest(f"{role['metadata']['name']}: {expected}"), self.without(role, rule, user), begin() as agent:
                    agent.wait_for(lambda: agent.alive_status() and self.advised(agent), "something to fail")
                    self.assertEqual(expected, self.advised(agent))

    def is_ready_in(self, agent: Agent, pod: str) -> bool:
        return agent.alive_status() and agent.is_ready(pod)

    def host(self, mode: str = "secret") -> Agent:
        """As configs/cluster/agent.yaml has it, but for its paths."""
        agent = Agent("")
        state = agent.base / "state"
        state.mkdir(mode=0o711)
        (state / "ca.crt").write_text(self.cluster.ca.read_text())
        (state / "token").write_text(self.cluster.kubectl("create", "token", "edge-7", "-n", "tokenlet"))
        (state / "kubeconfig").write_text(f"""apiVersion: v1
kind: Config
clusters: [{{name: test, cluster: {{server: "{self.cluster.url}", certificate-authority: ca.crt}}}}]
users: [{{name: agent, user: {{tokenFile: token}}}}]
contexts: [{{name: test, context: {{cluster: test, user: agent}}}}]
current-context: test
""")
        text = (CONFIGS / "cluster/agent.yaml").read_text().replace("mode: secret", f"mode: {mode}")
        for shipped, here in (("/var/lib/tokenlet", state), ("/etc/tokenlet/manifests", agent.manifests), ("/run/tokenlet", agent.base)):
            text = text.replace(shipped, str(here))
        agent.config.write_text(text)
        agent.drop("all.yaml", WEB)
        return agent.start()

    def test_the_shipped_roles_of_a_host_are_enough_and_no_rule_is_too_many(self):
        objects = self.shipped("rbac/agent.yaml", "rbac/objects.yaml")
        volume = "by-name/production/all/data"
        with self.host() as agent:
            agent.wait_for(lambda: self.is_ready_in(agent, "all"), "the Pod's volume")
            self.assertEqual("system:serviceaccount:production:web", self.reviewed((agent.base / volume / "token").read_text())["username"])
            self.cluster.api("PUT", f"{PRODUCTION}/configmaps/web-config", {"metadata": {"name": "web-config"}, "data": {"setting": "two"}})
            agent.wait_for(lambda: (agent.base / volume / "setting").read_text() == "two", "a change")
            self.assertEqual("system:serviceaccount:tokenlet:edge-7", self.reviewed((agent.base / "state/self-token").read_text())["username"])
            self.assertEqual(set(), self.advised(agent))
        roles = [found for found in objects if found["kind"] in ("Role", "ClusterRole")]
        self.assertEqual(6, sum(len(role["rules"]) for role in roles))
        self.check_each_rule(roles, "system:serviceaccount:tokenlet:edge-7", self.host)

    def test_the_shipped_role_for_own_objects_is_enough_and_no_verb_is_too_many(self):
        self.shipped("rbac/agent.yaml", "rbac/objects.yaml")
        own = next(found for found in self.shipped("rbac/own-objects.yaml") if found["kind"] == "Role")
        self.addCleanup(self.cluster.kubectl, "delete", "-f", str(CONFIGS / "rbac/own-objects.yaml"))
        for mode, resource in (("gated-pod", "pods"), ("pod-secret", "secrets")):
            granted = copy.deepcopy(own)
            granted["metadata"].pop("resourceVersion")
            granted["rules"][0]["resources"] = [resource]
            self.cluster.api("PUT", self.path_of(own), granted)
            with self.subTest(mode), self.host(mode) as agent:
                made = f"{PRODUCTION}/{resource}?labelSelector=tokenlet.dev/host"
                agent.wait_for(lambda: self.is_ready_in(agent, "all"), "the Pod's volume")
                self.assertEqual(1, len(self.cluster.api("GET", made)["items"]))
                self.reviewed((agent.base / "by-name/production/all/data/token").read_text())
                (agent.manifests / "all.yaml").unlink()
                agent.wait_for(lambda: not self.cluster.api("GET", made)["items"], "its object to go")
                self.assertEqual(set(), self.advised(agent))
        user = "system:serviceaccount:tokenlet:edge-7"
        for verb in granted["rules"][0]["verbs"]:
            with self.subTest(verb), self.host("pod-secret") as agent:
                agent.wait_for(lambda: self.is_ready_in(agent, "all") or self.advised(agent), "the Pod's volume")
                self.assertEqual(set(), self.advised(agent))
                less = copy.deepcopy(granted)
                less["rules"][0]["verbs"].remove(verb)
                self.cluster.api("PUT", self.path_of(own), less)
                lost = granted["rules"][0] | {"verbs": [verb]}
                daemon.wait_until(lambda: not self.may(user, lost, "production"), "the Role's change")
                # One more is made, one goes, and a start looks for what is left.
                agent.drop("more.yaml", WEB.replace("name: all", "name: more"))
                (agent.manifests / "all.yaml").unlink()
                if verb == "list":
                    agent.stop()
                    agent.start()
                agent.wait_for(lambda: self.advised(agent), "something to fail")
                self.assertEqual({"secrets"}, {resource for resource, _ in self.advised(agent)})
                self.assertIn(f"ServiceAccount tokenlet/edge-7 to {verb} secrets", (agent.base / "state/missing-rights.yaml").read_text())
                self.cluster.api("PUT", self.path_of(own), granted)
                daemon.wait_until(lambda: self.may(user, lost, "production"), "the Role's change")

    def sidecar(self) -> Agent:
        """As configs/cluster/sidecar.yaml has it, but for its paths: in a /run of its own, with what a kubelet would mount there."""
        agent = AgentInPod("")
        agent.environment = {"KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": str(self.cluster.port)}
        agent.publish(token=self.cluster.kubectl("create", "token", "reports-agent", "-n", "production"),
                      authorities=self.cluster.ca.read_text())
        (agent.base / "serviceaccount").mkdir()
        data = self.cluster.api("GET", f"{PRODUCTION}/configmaps/reports-agent")["data"]
        for key, path in (("agent.yaml", agent.config), ("reports.yaml", agent.manifests / "reports.yaml")):
            text = data[key]
            for shipped, here in (("/serviceaccount", agent.base / "serviceaccount"), ("/manifests", agent.manifests), ("/run/tokenlet", agent.base)):
                text = text.replace(shipped, str(here))
            path.write_text(text)
        agent.start()
        return agent

    def test_the_shipped_role_of_a_sidecar_is_enough_and_no_rule_is_too_many(self):
        objects = self.shipped("cluster/sidecar.yaml")
        if not AgentInPod.is_possible():
            self.skipTest("this machine lets nobody mount a /run of their own")
        with self.sidecar() as agent:
            agent.wait_for(lambda: self.is_ready_in(agent, "reports"), "the application's volume")
            user = self.reviewed((agent.base / "serviceaccount/token").read_text())
            self.assertEqual("system:serviceaccount:production:reports", user["username"])
            self.assertEqual(self.cluster.ca.read_text(), (agent.base / "serviceaccount/ca.crt").read_text())
            self.assertEqual(set(), self.advised(agent))
        self.check_each_rule([found for found in objects if found["kind"] == "Role"], "system:serviceaccount:production:reports-agent", self.sidecar)

    # What the server refuses.

    def test_an_admission_webhook_that_denies_is_named(self):
        webhook = self.enterContext(Webhook(self.cluster.base))
        path = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations"
        self.cluster.api("POST", path, webhook.configuration())
        self.addCleanup(self.cluster.api, "DELETE", f"{path}/tokens.example.org")

        def is_denied():
            try:
                self.cluster.api("POST", "/api/v1/namespaces/shop/serviceaccounts/web/token", {"spec": {}})
            except control_plane.ApiError:
                return True
        daemon.wait_until(is_denied, "the server to call the webhook")
        agent = self.agent(bound="none")
        agent.drop("all.yaml", EVERYTHING)
        agent.start()
        says = f'the admission webhook "tokens.example.org" denied it: {webhook.REASON}'
        agent.wait_for(lambda: agent.alive_status() and says in json.dumps(agent.pod_status("all")).replace('\\"', '"'), "the webhook to be named")
        self.assertFalse((agent.base / "state/missing-rights.yaml").exists(), "no right would help")
        webhook.allow = True
        agent.wait_for(lambda: agent.is_ready("all"), "the Pod, once it is allowed")

    def apply_what_is_advised_until_ready(self, agent: Agent) -> str:
        """The last advice."""
        given = [""]
        advice = agent.base / "state/missing-rights.yaml"

        def is_ready_with_what_was_advised():
            if advice.exists() and advice.read_text() != given[-1]:
                given.append(advice.read_text())
                self.cluster.kubectl("apply", "-f", "-", given=given[-1])
            return agent.alive_status() and agent.is_ready("all")
        agent.wait_for(is_ready_with_what_was_advised, "the Pod, once the rights are there", 2 * daemon.PATIENCE)
        return given[-1]

    def test_a_node_credential_is_told_of_the_audience_that_its_pod_does_not_name(self):
        self.cluster.api("POST", "/api/v1/nodes", {"metadata": {"name": "edge"}})
        self.addCleanup(self.cluster.try_kubectl, "delete", "node", "edge")
        made = self.cluster.api("POST", "/api/v1/namespaces/shop/pods", {"metadata": {"name": "all"}, "spec": {
            "serviceAccountName": "web", "nodeName": "edge", "containers": [{"name": "main", "image": "none"}]}})
        self.addCleanup(self.cluster.try_kubectl, "delete", "pod", "all", "-n", "shop", "--force")
        agent = self.agent(kubeconfig=self.cluster.kubeconfig_of("system:node:edge", "system:nodes"), bound="pod")
        tokens = "\n".join(line for line in EVERYTHING.splitlines() if not line.lstrip().startswith(("- configMap", "- secret", "- clusterTrust")))
        agent.drop("all.yaml", tokens.replace("name: all,", f"name: all, uid: {made['metadata']['uid']},"))
        agent.start()
        advice = self.apply_what_is_advised_until_ready(agent)
        self.assertIn("request-serviceaccounts-token-audience", advice)
        self.assertIn('audience "vault" not found in pod spec volume', agent.log().replace('\\"', '"'))
        self.assertNotIn("serviceaccounts/token", advice, "a node has that right for its Pods")
        user = self.reviewed(agent.file("all", "vault-token"), "vault")
        self.assertEqual(["edge"], user["extra"]["authentication.kubernetes.io/node-name"])

    def test_a_missing_right_comes_with_a_manifest_that_grants_it(self):
        agent = self.agent(kubeconfig=self.cluster.kubeconfig_of("host-7"), bound="none")
        agent.drop("all.yaml", EVERYTHING)
        agent.start()
        advice = self.apply_what_is_advised_until_ready(agent)
        self.assertIn("serviceaccounts/token", advice)
        self.assertIn("resourceNames", advice)
        self.reviewed(agent.token("all"))

    # Enrolling.

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

        # Somebody has made the Secret by hand, of another type than enroll does.
        self.cluster.kubectl("create", "secret", "generic", "tokenlet-edge", "-n", "shop")
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
        self.shipped("cluster/sidecar.yaml")
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


if __name__ == "__main__":
    unittest.main()
