# SPDX-License-Identifier: Apache-2.0
"""The official client libraries, configured as in a Pod, on files that tokenlet rotates every second.

Each client is a process with a Pod's volume at the place that the libraries have for it. What they did is read from the API
server's audit log: which token each call came with, when the next one was issued, and who was refused.
"""
import collections
import dataclasses
import datetime
import json
import os
import pathlib
import statistics
import subprocess
import sys
import unittest

HERE = pathlib.Path(__file__).parent
sys.path.append(str(HERE.parent / "cluster"))
import control_plane
from agents import Agent
from processes import Server, daemon

BUILT = pathlib.Path(os.environ.get("CLIENTS", HERE.parents[1] / "build/clients"))
COMMANDS = {
    "go": (f"{BUILT}/go/client",),
    "java": ("java", "-cp", f"{BUILT}/java:{BUILT}/java/jars/*", "Client"),
    "js": ("node", f"{BUILT}/js/client.mjs"),
    "py": (f"{BUILT}/py/bin/python", "-B", f"{HERE}/py/client.py"),
}
ROTATIONS, CALLS = 100, 1000
PATIENCE = 600.0
CALLS_AT_MOST = 20000  # a client ends by itself after that many, of twenty a second at most

# In a mount namespace of its own: $0 is the volume, $1 where it is wanted, the rest the command.
AS_IN_A_POD = 'mount -t tmpfs tmpfs /var/run && mkdir -p "$1" && mount --bind "$0" "$1" && shift && exec "$@"'
PRIVATE_MOUNTS = ("unshare", "--mount", *(() if os.geteuid() == 0 else ("--map-root-user",)))
MOUNT_PATH = "/var/run/secrets/kubernetes.io/serviceaccount"

POD = """apiVersion: v1
kind: Pod
metadata: {{name: {name}, namespace: shop}}
spec:
  serviceAccountName: {name}
  automountServiceAccountToken: false
  containers: [{{name: main, image: none, volumeMounts: [{{name: data, mountPath: {path}}}]}}]
  volumes:
  - name: data
    projected:
      sources:
      - serviceAccountToken: {{path: token, expirationSeconds: 600}}
      - configMap: {{name: kube-root-ca.crt, items: [{{key: ca.crt, path: ca.crt}}]}}
      - downwardAPI: {{items: [{{path: namespace, fieldRef: {{fieldPath: metadata.namespace}}}}]}}
"""
AUDIT_POLICY = """apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: Metadata
  resources:
  - {group: authentication.k8s.io, resources: [selfsubjectreviews]}
  - {group: "", resources: [serviceaccounts/token]}
- level: None
"""
REVIEWS = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
ACCOUNTS = "/api/v1/namespaces/shop/serviceaccounts"


def say(text: str):
    print(text, file=sys.stderr, flush=True)


def skip_all(reason: str):
    say(f"SKIPPED: tests/clients: {reason}")
    sys.exit(control_plane.SKIPPED)


if subprocess.run([*PRIVATE_MOUNTS, "mount", "-t", "tmpfs", "tmpfs", "/var/run"], capture_output=True).returncode:
    skip_all("no mount namespace may be made here, and the libraries look for their files in one fixed place")
CLIENTS = [client for client in COMMANDS if (BUILT / client / "sources").exists()]
if not CLIENTS:
    skip_all(f"there is no client in {BUILT}; tests/clients/build.sh says why")
for absent in COMMANDS.keys() - CLIENTS:
    say(f"SKIPPED: tests/clients/{absent}: it is not in {BUILT}; tests/clients/build.sh says why")


@dataclasses.dataclass
class Call:
    at: float
    token: str    # the token's own id
    account: str  # the account's uid


def seconds(timestamp: str) -> float:
    return datetime.datetime.fromisoformat(timestamp).timestamp()


class AuditLog:
    """What the API server says it has answered."""

    def __init__(self, path: pathlib.Path):
        self.path, self.position = path, 0
        self.calls = collections.defaultdict(list)   # client -> [Call]
        self.issued = collections.defaultdict(dict)  # client -> {token id: when}, in order
        self.refused = []                            # reviews that were answered with 401

    def read(self):
        with open(self.path, "rb") as log:
            log.seek(self.position)
            for line in log:
                if not line.endswith(b"\n"):
                    break
                self.position += len(line)
                self.take(json.loads(line))

    def take(self, event: dict):
        code = event["responseStatus"]["code"]
        if event["objectRef"]["resource"] == "serviceaccounts":
            if code == 201:
                token = event["annotations"]["authentication.kubernetes.io/issued-credential-id"]
                self.issued[event["objectRef"]["name"]][token] = seconds(event["stageTimestamp"])
        elif code == 401:
            self.refused.append(event)
        elif code == 201:
            user = event["user"]
            self.calls[user["username"].rsplit(":", 1)[1]].append(
                Call(seconds(event["requestReceivedTimestamp"]), *user["extra"]["authentication.kubernetes.io/credential-id"],
                     user["uid"]))

    def tokens_used(self, client: str) -> list[str]:
        return list(dict.fromkeys(call.token for call in self.calls[client]))

    def lateness(self, client: str) -> float:
        """The longest time for which calls came with a token that had a successor."""
        ids = list(self.issued[client])
        successor = {old: self.issued[client][new] for old, new in zip(ids, ids[1:])}
        return max((call.at - successor[call.token] for call in self.calls[client] if call.token in successor), default=0.0)

    def pause(self, client: str) -> float:
        """The median time between the first calls with one token and with the next one."""
        first = {}
        for call in self.calls[client]:
            first.setdefault(call.token, call.at)
        times = list(first.values())
        return statistics.median(late - early for early, late in zip(times, times[1:]))


class Clients(unittest.TestCase):
    def setUp(self):
        self.cluster = control_plane.ControlPlane()
        policy = self.cluster.base / "audit-policy.yaml"
        policy.write_text(AUDIT_POLICY)
        self.audit = AuditLog(self.cluster.base / "audit.log")
        self.cluster.extra_flags = (f"--audit-policy-file={policy}", f"--audit-log-path={self.audit.path}")
        self.enterContext(self.cluster)
        self.cluster.namespace("shop")
        for client in CLIENTS:
            self.cluster.api("POST", ACCOUNTS, {"metadata": {"name": client}})
        self.agent = self.enterContext(Agent(self.cluster.kubeconfig, bound="none", max_age="1s"))
        self.agent.drop("pods.yaml", "---\n".join(POD.format(name=client, path=MOUNT_PATH) for client in CLIENTS))
        self.agent.start()
        self.agent.wait_for(lambda: self.agent.alive_status() and all(map(self.agent.is_ready, CLIENTS)), "the volumes")
        self.servers = {client: self.start(client) for client in CLIENTS}

    def start(self, client: str) -> Server:
        # Of the environment only what a container would have, too.
        environment = {"PATH": os.environ["PATH"], "HOME": str(self.cluster.base), "KUBERNETES_SERVICE_HOST": "127.0.0.1",
                       "KUBERNETES_SERVICE_PORT": str(self.cluster.port)}
        server = Server(client, self.cluster.base / f"{client}.log")
        server.start(*PRIVATE_MOUNTS, "sh", "-c", AS_IN_A_POD, str(self.agent.volume(client).resolve()), MOUNT_PATH,
                     *COMMANDS[client], str(CALLS_AT_MOST), environment=environment)
        self.addCleanup(server.kill)
        return server

    def failures(self, client: str) -> list[str]:
        return [line for line in self.servers[client].log().splitlines() if line.startswith("failed:")]

    def wait_for_each(self, holds, what: str):
        def holds_for_all():
            self.audit.read()
            for client, server in self.servers.items():
                self.assertTrue(server.running(), f"{client} ended:\n{server.log()[-3000:]}")
            return all(map(holds, CLIENTS))
        try:
            daemon.wait_until(holds_for_all, what, PATIENCE)
        except AssertionError as error:
            raise AssertionError("\n".join([str(error), *map(self.account_of, CLIENTS), self.agent.log()[-2000:]])) from None

    def account_of(self, client: str) -> str:
        return (f"{client}: {len(self.audit.issued[client])} tokens issued, {len(self.audit.calls[client])} calls with "
                f"{len(self.audit.tokens_used(client))} of them; it says {self.servers[client].log()[-1000:]!r}")

    def test_no_call_is_refused_while_tokens_rotate_and_every_library_reads_them_again(self):
        def has_shown_it(client: str) -> bool:
            return (len(self.audit.issued[client]) > ROTATIONS and len(self.audit.calls[client]) >= CALLS
                    and len(self.audit.tokens_used(client)) > 1)
        self.wait_for_each(has_shown_it, f"{ROTATIONS} rotations, {CALLS} calls and a token read again")
        for client in CLIENTS:
            say(f"{client}: {len(self.audit.issued[client]) - 1} rotations, {len(self.audit.calls[client])} calls with "
                f"{len(self.audit.tokens_used(client))} tokens, another one every {self.audit.pause(client):.1f} s, at most "
                f"{self.audit.lateness(client):.1f} s behind")
            self.assertEqual([], self.failures(client))
        self.assertEqual([], self.audit.refused)
        # And would have been seen.
        self.assertRaises(control_plane.ApiError, self.cluster.api, "POST", REVIEWS, {}, token="not one")
        self.wait_for_each(lambda _: self.audit.refused, "the refusal of a token that is none")

    def test_every_library_finds_the_token_of_an_account_that_was_made_anew(self):
        self.wait_for_each(lambda client: self.audit.calls[client], "a call")
        accounts, began = {}, datetime.datetime.now().timestamp()
        for client in CLIENTS:
            self.cluster.api("DELETE", f"{ACCOUNTS}/{client}")
            accounts[client] = self.cluster.api("POST", ACCOUNTS, {"metadata": {"name": client}})["metadata"]["uid"]
        self.wait_for_each(lambda client: self.audit.calls[client][-1].account == accounts[client], "a call for the new account")
        for client in CLIENTS:
            back = next(call for call in self.audit.calls[client] if call.account == accounts[client])
            say(f"{client}: with a token of the new account after {back.at - began:.1f} s, {len(self.failures(client))} calls "
                "refused until then")


if __name__ == "__main__":
    unittest.main()
