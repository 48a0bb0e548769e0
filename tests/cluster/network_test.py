# SPDX-License-Identifier: Apache-2.0
"""The agent behind a network that does what networks do, and a server that comes back with other keys and certificates.

Meanwhile files stay as they are for whoever reads them, the server is asked no more often than the rules of retrying allow,
and all goes on by itself afterwards. NETWORK_ROUNDS (1) repeats the faults on the same agents.
"""
import gzip
import json
import os
import pathlib
import shutil
import sys
import threading
import time
import unittest
import urllib.parse

import control_plane
import proxy
from agents import Agent, AgentInPod
from control_plane import daemon
from proxy import Slowly

ROUNDS = int(os.environ.get("NETWORK_ROUNDS", "1"))
LONGEST_PAUSE = 60  # between two tries, without Retry-After
RECOVERY = 600.0
RETRY_AFTER = 8
ROUNDING = 0.05  # seconds: timers have milliseconds
POD = """apiVersion: v1
kind: Pod
metadata: {name: all, namespace: shop}
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
      - configMap: {name: pair}
      - configMap: {name: kube-root-ca.crt}
      - secret: {name: tls}
"""
FILES = ("token", "vault-token", "a", "b", "ca.crt", "key")
PAIR = "/api/v1/namespaces/shop/configmaps/pair"
FAILS, WORKS_AGAIN = "token refresh failed, serving the old token", "token refresh works again"


def http(status: str, body: bytes | str, *headers: str, length: int | None = None) -> bytes:
    body = body.encode() if isinstance(body, str) else body
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body) if length is None else length}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


def page(status: str, *headers: str) -> bytes:
    return http(status, "<html><body><h1>It works!</h1></body></html>\n", "Content-Type: text/html", *headers)


JSON = "Content-Type: application/json"
HALF_AN_ANSWER = '{"kind":"TokenRequest","apiVersion":"authentication.k8s.io/v1","status":{"token":"eyJhbGciOiJSUzI1NiIsImtpZCI6'
STATUS_429 = json.dumps({"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "TooManyRequests", "code": 429,
                         "message": "too many requests, please try again later", "details": {"retryAfterSeconds": 1}})

# What a gateway says in place of the server.
ANSWERS = {
    "429 and Retry-After": http("429 Too Many Requests", STATUS_429, JSON, f"Retry-After: {RETRY_AFTER}"),
    "503 and Retry-After from a proxy": page("503 Service Unavailable", f"Retry-After: {RETRY_AFTER}"),
    "502 and a page": page("502 Bad Gateway"),
    "200 and a page": page("200 OK"),
    "401 and a page": page("401 Unauthorized"),
    "403 and a page": page("403 Forbidden"),
    "404 and a page": page("404 Not Found"),
    "410 and a page": page("410 Gone"),
    "a redirect": page("302 Found", "Location: https://127.0.0.1:1/login"),
    "204": b"HTTP/1.1 204 No Content\r\n\r\n",
    "another protocol": b"SSH-2.0-OpenSSH_9.2p1\r\n",
    "a switch of protocols": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n",
    "half an answer that says it is whole": http("200 OK", HALF_AN_ANSWER, JSON),
    "less than was promised": http("200 OK", HALF_AN_ANSWER, JSON, length=4000),
    "more than was promised": http("200 OK", HALF_AN_ANSWER, JSON, length=20),
    "an object of another kind": http("200 OK", '{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Success"}', JSON),
    "JSON that is no object": http("200 OK", "[" * 50_000, JSON),
    "headers without end": b"HTTP/1.1 200 OK\r\n" + b"X-Padding: " + b"x" * 200_000,
    "17 MB in one line": http("200 OK", b'{"kind":"' + b"x" * 17_000_000 + b'"}', JSON),
    "200 MB of zeros, packed": http("200 OK", gzip.compress(bytes(200_000_000)), JSON, "Content-Encoding: gzip"),
    "what is not packed as it says": http("200 OK", "{}", JSON, "Content-Encoding: gzip"),
    "one byte at a time": Slowly(http("200 OK", HALF_AN_ANSWER, JSON)),
}
FINAL = ("403 and a page", "404 and a page", "a redirect", "17 MB in one line", "200 MB of zeros, packed")


class Case:
    """One agent behind one proxy. begin() and end() are the fault's."""

    fails = True  # no token gets through
    make_agent = staticmethod(lambda **settings: Agent("", **settings))

    def __init__(self, test: "Network", name: str, **settings):
        self.test, self.name = test, name
        self.proxy = self.make_proxy(test.network)
        settings = {"max_age": "5s", "bound": "none", **settings}
        self.agent = test.enterContext(self.make_agent(**settings))
        self.prepare()
        self.agent.configure(**settings)
        self.agent.drop("all.yaml", POD)
        self.agent.start()

    def prepare(self):
        self.agent.kubeconfig = self.test.kubeconfig(self.agent.base / "kubeconfig", self.proxy.port)

    def said(self, event: str) -> int:
        return self.agent.log().count(event)

    def files(self) -> dict:
        volume = self.agent.volume("all")
        return {name: (volume / name).read_bytes() for name in FILES}

    def begin_at(self, now: float):
        self.began = now
        self.connections = self.proxy.connections
        self.failures, self.recoveries = self.said(FAILS), self.said(WORKS_AGAIN)
        self.begin()

    def has_shown(self, value: str) -> bool:
        return not self.fails or self.said(FAILS) >= self.failures + 2

    def check_pace(self):
        """No more often than the rules allow. Each try that fails takes a connection: what is told apart nowhere else."""
        seconds = time.monotonic() - self.began
        most = 2 * (seconds + 1) + 5 * most_watches(seconds) + 2 * (seconds + 1)
        connections = self.proxy.connections - self.connections
        self.calls = f"{connections} connections in {seconds:.0f} s"
        self.test.assertLessEqual(connections, most, self.calls)


def most_watches(seconds: float) -> float:
    """Tries of one watch at the fastest that its pauses allow: twice at once, then after half of 2, 4, 8 ... 30 s."""
    count, longest = 3, 2.0
    while seconds > 0:
        seconds -= longest / 2
        longest = min(2 * longest, 30.0)
        count += 1
    return count


class WireCase(Case):
    def make_proxy(self, network):
        return network.wire()

    def __init__(self, test, name, fault, *, fails=True, **settings):
        super().__init__(test, name, **settings)
        self.fault, self.fails = fault, fails

    def begin(self):
        self.proxy.begin(self.fault)

    def end(self):
        self.proxy.fault = proxy.untouched
        self.proxy.cut()


class RefusedCase(Case):
    def make_proxy(self, network):
        return network.wire()

    def begin(self):
        self.proxy.refuse()

    def end(self):
        self.proxy.refuses = False


class StrandedCase(Case):
    """Nothing is mended at the end: the connections that were there stay as they are."""
    fails = False

    def has_shown(self, value: str) -> bool:
        if self.agent.file("all", "a") != value:
            return False
        print(f"{self.name}: noticed after {time.monotonic() - self.began:.0f} s", file=sys.stderr)
        return True

    def make_proxy(self, network):
        return network.wire()

    def begin(self):
        self.proxy.strand()

    def end(self):
        pass


class HalfClosedCase(StrandedCase):
    def begin(self):
        self.proxy.half_close()


class GatewayCase(Case):
    def __init__(self, test, name, answer):
        super().__init__(test, name)
        self.answer = answer

    def make_proxy(self, network):
        return network.gateway()

    def begin(self):
        self.proxy.answer = lambda asked: self.answer
        self.proxy.cut()  # watches, which have their answer

    def end(self):
        self.proxy.answer = lambda asked: None
        self.proxy.cut()  # answers that have not come to their end

    def check_pace(self):
        chains = {}
        for asked in self.proxy.asked:
            if asked.at > self.began:
                chains.setdefault(chain_of(asked), []).append(asked)
        self.calls = f"{sum(map(len, chains.values()))} requests in {time.monotonic() - self.began:.0f} s"
        for chain, requests in chains.items():
            if chain[0] == "life":
                continue
            pauses = [later.at - earlier.answered for earlier, later in zip(requests, requests[1:]) if earlier.by_gateway]
            at_least = RETRY_AFTER if "Retry-After" in self.name else 1.0
            if chain[0] == "watch" and "Retry-After" not in self.name:
                pauses = sorted(pauses)[2:]  # a lost connection, and a place that the server has forgotten, are tried again at once
                at_least = 0.5
            for pause in pauses:
                self.test.assertGreater(pause, at_least - ROUNDING, (chain, pauses))
        tokens = [requests for chain, requests in chains.items() if chain[0] == "token"]
        self.test.assertEqual(2, len(tokens), chains.keys())


class StrangeTokenCase(GatewayCase):
    """Another's token in answer to each request for one; all else works."""

    def begin(self):
        self.proxy.answer = lambda asked: self.answer if asked.method == "POST" else None


def chain_of(asked: proxy.Asked) -> tuple:
    """What is tried again by itself."""
    url = urllib.parse.urlsplit(asked.target)
    if asked.method == "POST":
        return "token", url.path, json.loads(asked.body)["spec"].get("audiences", [None])[0]
    selector = urllib.parse.parse_qs(url.query).get("fieldSelector")
    if url.path == "/livez":
        return "life", url.path
    return ("watch", url.path, selector[0]) if selector else ("keys", url.path)


class FramesCase(Case):
    def __init__(self, test, name, *, slip=None, send=b"", fails=False):
        super().__init__(test, name)
        self.slip, self.frames, self.fails = slip, send, fails

    def make_proxy(self, network):
        return network.frames()

    def begin(self):
        if self.slip is not None:
            self.proxy.slip = self.slip
        self.proxy.send(self.frames)

    def end(self):
        self.proxy.slip = lambda link, kind, stream: b""


class DirectCase(Case):
    """Without a proxy. give() replaces what the agent has of the cluster: its authority and its credential."""

    def make_proxy(self, network):
        return network.cluster

    def give(self):
        for name, text in (("token", self.test.token), ("ca.crt", self.test.cluster.ca.read_text())):
            (self.agent.base / "new").write_text(text)
            (self.agent.base / "new").rename(self.agent.base / name)


class InPodCase(DirectCase):
    """An agent that finds these where a kubelet puts them."""
    make_agent = staticmethod(lambda **settings: AgentInPod("", **settings))

    def prepare(self):
        self.agent.environment = {"KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": str(self.proxy.port)}
        self.give()

    def give(self):
        self.agent.publish(token=self.test.token, authorities=self.test.cluster.ca.read_text())


class Reader(threading.Thread):
    """Reads all volumes in turns. `wrong` holds what was amiss."""

    def __init__(self, cases: list[Case]):
        super().__init__(daemon=True)
        self.cases, self.wrong, self.reads, self.over = cases, [], 0, threading.Event()

    def run(self):
        while not self.over.is_set():
            for case in self.cases:
                try:
                    self.read(case)
                except (OSError, AssertionError) as error:
                    self.wrong.append((case.name, repr(error)))
                self.reads += 1

    def read(self, case: Case):
        volume = case.agent.volume("all")
        for name in ("token", "vault-token"):
            assert (volume / name).read_text().count(".") == 2, name
        opened = time.monotonic()
        generation = os.open(volume / "..data", os.O_RDONLY | os.O_DIRECTORY)
        try:
            a, b, ca, key = (self.file(generation, name) for name in ("a", "b", "ca.crt", "key"))
        except FileNotFoundError:
            if time.monotonic() - opened < daemon.GRACE:
                raise
            return  # this process stood still for longer than a generation stays
        finally:
            os.close(generation)
        assert a and a == b, (a, b)
        assert ca.endswith(b"-----END CERTIFICATE-----\n") and key == b"hunter2", (ca, key)

    @staticmethod
    def file(directory: int, name: str) -> bytes:
        fd = os.open(name, os.O_RDONLY, dir_fd=directory)
        try:
            return os.read(fd, 65536)
        finally:
            os.close(fd)

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.join()


class Network(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.cluster = cls.enterClassContext(control_plane.ControlPlane())
        cls.cluster.namespace("shop")
        cls.cluster.apply("apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: web, namespace: shop}\n---\n"
                          "apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: agent, namespace: shop}\n---\n"
                          "apiVersion: v1\nkind: Secret\nmetadata: {name: tls, namespace: shop}\nstringData: {key: hunter2}\n")
        cls.cluster.kubectl("create", "clusterrolebinding", "agent", "--clusterrole=cluster-admin", "--serviceaccount=shop:agent")
        cls.number = 0
        cls.change("POST", PAIR.removesuffix("/pair"))

    def setUp(self):
        self.network = self.enterContext(proxy.Network(self.cluster))
        self.token = self.agent_token()

    def agent_token(self) -> str:
        """The agents' own: gateways pass on what headers say."""
        return self.cluster.kubectl("create", "token", "agent", "-n", "shop", "--duration=6h")

    @classmethod
    def change(cls, method: str = "PUT", path: str = PAIR) -> str:
        """Both keys of the config map, to a value that they never had."""
        cls.number += 1
        value = f"{cls.number:06d} " * 500
        cls.cluster.api(method, path, {"metadata": {"name": "pair"}, "data": {"a": value, "b": value}})
        return value

    def kubeconfig(self, path: pathlib.Path, port: int) -> pathlib.Path:
        """With copies of its own of what may change."""
        shutil.copy(self.cluster.ca, path.with_name("ca.crt"))
        path.with_name("token").write_text(self.token)
        path.write_text(f"""apiVersion: v1
kind: Config
clusters: [{{name: test, cluster: {{server: "https://127.0.0.1:{port}", certificate-authority: ca.crt}}}}]
users: [{{name: agent, user: {{tokenFile: token}}}}]
contexts: [{{name: test, context: {{cluster: test, user: agent}}}}]
current-context: test
""")
        return path

    def cases(self) -> list[Case]:
        stranger = self.cluster.api("POST", "/api/v1/namespaces/shop/serviceaccounts/agent/token", {"spec": {"audiences": ["vault"]}})
        return [
            WireCase(self, "delays", proxy.late(0.3), fails=False),
            WireCase(self, "cuts", proxy.cut(after=12_000), fails=False),
            WireCase(self, "garbles", proxy.garble(within=6_000), fails=False),
            WireCase(self, "swallows", proxy.swallow),
            RefusedCase(self, "refuses"),
            StrandedCase(self, "strands"),
            StrandedCase(self, "strands while no token is due", max_age="24h"),
            HalfClosedCase(self, "closes one direction"),
            HalfClosedCase(self, "closes one direction while no token is due", max_age="24h"),
            FramesCase(self, "a GOAWAY", send=proxy.goaway()),
            FramesCase(self, "a GOAWAY that takes nothing over", send=proxy.goaway(last_stream=0, error=11)),
            FramesCase(self, "a GOAWAY before each answer",
                       slip=lambda link, kind, stream: proxy.goaway() if kind == 1 else b""),
            FramesCase(self, "an end to each stream", fails=True,
                       slip=lambda link, kind, stream: proxy.reset(stream) if kind == 1 else b""),
            FramesCase(self, "a frame that is none", send=b"\xff" * 64),
            *(GatewayCase(self, name, answer) for name, answer in ANSWERS.items()),
            StrangeTokenCase(self, "the token of another", http("201 Created", json.dumps(stranger), JSON)),
        ]

    def wait_for_all(self, cases: list[Case], holds, what: str, patience: float):
        left = list(cases)
        def nobody_is_left():
            left[:] = [case for case in left if not holds(case)]
            return not left
        try:
            daemon.wait_until(nobody_is_left, what, patience)
        except AssertionError as error:
            logs = "\n".join(f"--- {case.name}\n{case.agent.log()[-1500:]}" for case in left)
            raise AssertionError(f"{error}\nleft: {[case.name for case in left]}\n{logs}") from None

    def test_readers_never_notice_the_server_is_not_run_over_and_all_goes_on_afterwards(self):
        cases = self.cases()
        self.wait_for_all(cases, lambda case: case.agent.alive_status() and case.agent.is_ready("all"), "ready", RECOVERY)
        with Reader(cases) as reader:
            for _ in range(ROUNDS):
                self.one_round(cases)
        self.assertEqual([], reader.wrong)
        self.assertGreater(reader.reads, 100)

    def one_round(self, cases: list[Case]):
        for case in cases:
            case.begin_at(time.monotonic())
        value = self.change()
        self.wait_for_all(cases, lambda case: case.has_shown(value), "the faults to show", RECOVERY)
        before = {case.name: case.files() for case in cases if case.fails}
        time.sleep(2 * RETRY_AFTER)  # in which the server would be asked too often
        for case in cases:
            with self.subTest(case.name):
                if case.fails:
                    self.assertEqual(before[case.name], case.files())
                case.check_pace()
                self.assertTrue(case.agent.running())
        for case in cases:
            case.end()
        begun = time.monotonic()
        self.wait_for_all(cases, lambda case: self.has_recovered(case, value, begun), "recovery", RECOVERY)

    def has_recovered(self, case: Case, value: str, begun: float) -> bool:
        if case.agent.file("all", "a") != value or (case.fails and case.said(WORKS_AGAIN) < case.recoveries + 2):
            return False
        print(f"{case.name}: well {time.monotonic() - begun:.0f} s after the fault; {case.calls}", file=sys.stderr)
        return True

    def test_a_new_certificate_authority_and_key_are_followed_without_a_restart(self):
        cases = [DirectCase(self, "a kubeconfig", max_age="24h")]
        if AgentInPod.is_possible():
            cases.append(InPodCase(self, "in a Pod", max_age="24h"))
        else:
            print("NOT TESTED: an agent in a Pod, because this machine lets nobody mount a /run of their own", file=sys.stderr)
        self.wait_for_all(cases, lambda case: case.agent.alive_status() and case.agent.is_ready("all"), "ready", RECOVERY)
        with Reader(cases) as reader:
            before = {case.name: case.files() for case in cases}
            self.cluster.renew_ca(keep_old=True)
            for case in cases:
                case.give()
            self.cluster.restart()
            authorities, value = self.cluster.ca.read_text(), self.change()
            self.wait_for_all(cases, lambda case: case.agent.file("all", "a") == value and case.agent.file("all", "ca.crt") == authorities,
                              "what has changed since, through the new certificate", RECOVERY)
            for case in cases:
                self.assertEqual(before[case.name]["token"], case.files()["token"])

            # Nobody told the agents beforehand.
            before = {case.name: case.files() for case in cases}
            self.cluster.renew_ca(keep_old=False)
            self.cluster.renew_signing_key(keep_old=False)
            self.cluster.restart()
            self.wait_for_all(cases, lambda case: "certificate" in case.agent.log(), "distrust", RECOVERY)
            for case in cases:
                self.assertEqual(before[case.name], case.files())
            self.token = self.agent_token()
            for case in cases:
                case.give()
            authorities, value = self.cluster.ca.read_text(), self.change()
            self.wait_for_all(cases, lambda case: case.agent.file("all", "a") == value and case.agent.file("all", "ca.crt") == authorities
                              and self.cluster.review(case.agent.token("all")).get("authenticated"), "tokens of the new key", RECOVERY)
        self.assertEqual([], reader.wrong)


if __name__ == "__main__":
    unittest.main()
