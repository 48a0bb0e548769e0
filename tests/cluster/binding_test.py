# SPDX-License-Identifier: Apache-2.0
"""What tokens are bound to, and their end with it."""
import datetime
import time
import typing
import unittest

import agents
from agents import EVERYTHING, say
from control_plane import daemon

POD = """apiVersion: v1
kind: Pod
metadata: {{name: {name}, namespace: shop{uid}}}
spec:
  serviceAccountName: web
  automountServiceAccountToken: false
  containers: [{{name: main, image: none, volumeMounts: [{{name: data, mountPath: /data}}]}}]
  volumes:
  - name: data
    projected: {{sources: [{{serviceAccountToken: {{path: token}}}}]}}
"""
GROUPS = ["system:serviceaccounts", "system:serviceaccounts:shop", "system:authenticated"]
SHOP = "/api/v1/namespaces/shop"


class Case(typing.NamedTuple):
    mode: str
    there: tuple = ()         # what an operator has made for this host
    bound: str | None = None  # the claim's name for the kind
    ends_with: str = ""       # the kind whose deletion ends the token, where that is another


CASES = {
    "none": Case("none"),
    "secret": Case("secret", ("Secret",), "secret"),
    "node": Case("node", ("Node",), "node"),
    "pod": Case("pod", ("Pod",), "pod"),
    "pod-of-node": Case("pod", ("Node", "Pod"), "pod"),
    "node-of-pod": Case("pod", ("Node", "Pod"), "pod", ends_with="node"),
    "pod-secret": Case("pod-secret", (), "secret"),
    "gated-pod": Case("gated-pod", (), "pod"),
    "auto-pod": Case("auto", ("Node", "Secret", "Pod"), "pod"),
    "auto-secret": Case("auto", ("Node", "Secret"), "secret"),
    "auto-node": Case("auto", ("Node",), "node"),
    "auto-none": Case("auto"),
}


class Binding(agents.TestCase):
    def begin(self, name: str, case: Case) -> agents.Agent:
        """The agent of a host of that name, with one Pod of that name."""
        uid = ""
        if "Secret" in case.there:
            self.cluster.api("POST", f"{SHOP}/secrets", {"metadata": {"name": f"tokenlet-{name}"}})
        if "Node" in case.there:
            self.cluster.api("POST", "/api/v1/nodes", {"metadata": {"name": name}})
        if "Pod" in case.there:
            node = {"nodeName": name} if "Node" in case.there else {}
            made = self.cluster.api("POST", f"{SHOP}/pods", {"metadata": {"name": name}, "spec": node | {
                "serviceAccountName": "web", "containers": [{"name": "main", "image": "none"}]}})
            uid = f", uid: {made['metadata']['uid']}"
        agent = self.agent(bound=case.mode, node=name)
        agent.drop("pod.yaml", POD.format(name=name, uid=uid))
        agent.start()
        return agent

    def object_of(self, kind: str, reference: dict) -> str:
        return f"/api/v1/nodes/{reference['name']}" if kind == "node" else f"{SHOP}/{kind}s/{reference['name']}"

    def expected_extra(self, claims: dict, bound: str | None) -> dict:
        """As the server must derive it from the very object that is there."""
        extra = {"credential-id": ["JTI=" + claims["jti"]]}
        named = {}
        if bound in ("pod", "node"):
            named[bound] = self.cluster.api("GET", self.object_of(bound, claims["kubernetes.io"][bound]))
        if node := named.get("pod", {}).get("spec", {}).get("nodeName"):
            named["node"] = self.cluster.api("GET", f"/api/v1/nodes/{node}")
        for kind, found in named.items():
            extra |= {f"{kind}-name": [found["metadata"]["name"]], f"{kind}-uid": [found["metadata"]["uid"]]}
        return {f"authentication.kubernetes.io/{key}": value for key, value in extra.items()}

    def test_every_mode_gives_the_servers_user_groups_and_extras_and_ends_with_its_object(self):
        running = {name: self.begin(name, case) for name, case in CASES.items()}
        tokens = {}
        for name, case in CASES.items():
            agent = running[name]
            agent.wait_for(lambda: agent.alive_status() and agent.is_ready(name), f"the Pod of {name}")
            tokens[name] = token = agent.token(name)
            agent.stop()
            with self.subTest(name):
                claims = daemon.claims_of(token)
                self.assertEqual(case.bound, next((kind for kind in ("pod", "secret", "node") if kind in claims["kubernetes.io"]), None))
                uid = self.cluster.api("GET", f"{SHOP}/serviceaccounts/web")["metadata"]["uid"]
                self.assertEqual({"username": "system:serviceaccount:shop:web", "uid": uid, "groups": GROUPS,
                                  "extra": self.expected_extra(claims, case.bound)}, self.reviewed(token))
        self.check_ends({name: token for name, token in tokens.items() if CASES[name].bound})
        for name, case in CASES.items():
            if not case.bound:
                self.reviewed(tokens[name])

    def check_ends(self, tokens: dict):
        deleted = {}
        for name, token in tokens.items():
            kind = CASES[name].ends_with or CASES[name].bound
            self.reviewed(token)
            self.cluster.api("DELETE", self.object_of(kind, daemon.claims_of(token)["kubernetes.io"][kind]), {"gracePeriodSeconds": 0})
            deleted[name] = time.monotonic()

        def all_are_refused():
            for name in list(deleted):
                if not self.cluster.review(tokens[name]).get("authenticated"):
                    say(f"{name}: a token is refused {time.monotonic() - deleted.pop(name):.1f} s after its object was deleted")
            return not deleted
        daemon.wait_until(all_are_refused, "the server to refuse the tokens")

    def test_the_real_end_of_a_token_that_the_server_extends_is_shown(self):
        made = self.cluster.api("POST", "/api/v1/namespaces/shop/pods", {
            "metadata": {"name": "all"},
            "spec": {"serviceAccountName": "web", "containers": [{"name": "main", "image": "none"}]}})
        self.addCleanup(self.cluster.try_kubectl, "delete", "pod", "all", "-n", "shop", "--force")
        uid = made["metadata"]["uid"]
        # The lifetime that it extends, where the token is bound to a Pod.
        agent = self.started(EVERYTHING.replace("name: all,", f"name: all, uid: {uid},").replace(
            "{path: token}", "{path: token, expirationSeconds: 3607}"))
        self.reviewed(agent.token("all"))
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



if __name__ == "__main__":
    unittest.main()
