# SPDX-License-Identifier: Apache-2.0
"""tokenlet's agent against a real API server: what it projects, how it follows changes, what it does when the server is away.

How long things take is measured and told, and claimed nowhere: the machine may do anything beside.
"""
import statistics
import threading
import time
import unittest

import agents
import control_plane
from agents import EVERYTHING, OBJECTS, say
from control_plane import daemon

CHANGES = 20
PODS = 1000
PER_SECOND, BURST = 50, 100  # a kubelet's
ACCOUNT = "/api/v1/namespaces/shop/serviceaccounts/web"
SETTINGS = "/api/v1/namespaces/shop/configmaps/settings"


class ClusterAgent(agents.TestCase):
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
        say(f"three changes of the issuer, {reads} reads, {len(bad)} of them of a missing or empty file")
        self.assertEqual([], bad)
        self.assertGreater(reads, 1000)


if __name__ == "__main__":
    unittest.main()
