# SPDX-License-Identifier: Apache-2.0
"""Kubeconfigs that are wrong: what a person reads, and what becomes of the agent.

What only another kubeconfig can mend ends the agent with exit code 3 and one line that names file and field. What may heal (a plugin
that fails, a certificate that has expired, a server that is away) does not: the agent says what is wrong and goes on trying.
"""
import dataclasses
import pathlib
import subprocess
import sys
import tempfile
import unittest

sys.path.append(str(pathlib.Path(__file__).parents[1] / "cluster"))
import api_double
import daemon
import pki

SECRET = "c2VjcmV0LXRva2VuLW9mLXRoZS1hZ2VudA"
PATIENCE = 240.0  # what is final for the moment is tried again every minute


class Agent(daemon.Daemon):
    """An agent of the API server that `kubeconfig`, below its own directory, names."""

    def configure(self, *, context: str = "", own: str = "", **_):
        self.kubeconfig = self.base / "kubeconfig"
        context = f", context: {context}" if context else ""
        own = f", self: {{serviceAccount: {own}}}" if own else ""
        self.config.write_text(f"""apiVersion: tokenlet.dev/v1alpha1
kind: AgentConfiguration
nodeName: edge
stateDir: {self.base}/state
manifests: {{path: {self.manifests}, removalDelay: 1s}}
volumes: {{root: {self.base}/pods, byName: {self.base}/by-name, memory: ignore}}
issuer: {{kubernetes: {{kubeconfig: {self.kubeconfig}{context}{own}}}}}
boundObject: {{mode: none}}
status: {{socket: {self.socket}}}
log: {{level: info}}
""")

    def wait_for(self, holds, what: str):
        try:
            return daemon.wait_until(lambda: self.alive_status() and holds(), what, PATIENCE)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.log()[-4000:]}") from None


class Material:
    """Certificates and keys for all tests, made once."""

    def __init__(self, directory: pathlib.Path):
        self.directory = directory
        self.authority = pki.CertificateAuthority(directory, "ca")
        self.stranger = pki.CertificateAuthority(directory, "stranger")
        self.server = self.authority.issue_server("server", "DNS:localhost", "IP:127.0.0.1")
        self.misnamed = self.authority.issue_server("misnamed", "DNS:elsewhere.example")
        self.client = self.authority.issue_client("client", "agent")
        self.other = self.authority.issue_client("other", "agent")
        self.expired = self.authority.issue_expired("expired", "/CN=agent", "extendedKeyUsage=clientAuth")
        self.expired_server = self.authority.issue_expired("expired-server", "/CN=server", "subjectAltName=DNS:localhost")

    @staticmethod
    def data(path: pathlib.Path) -> str:
        return api_double.base64.b64encode(path.read_bytes()).decode()


@dataclasses.dataclass
class Wrong:
    """A kubeconfig, or one part of a good one in other words, and what the one line about it holds."""
    name: str
    says: str
    cluster: str = ""  # instead of the good ones
    user: str = ""
    text: str | None = None
    line: int = 0  # 0: the message names none
    context: str = ""


GOOD_CLUSTER = "server: https://localhost:1, certificate-authority: CA"
GOOD_USER = f"token: {SECRET}"
EXEC = "exec: {apiVersion: client.authentication.k8s.io/v1, interactiveMode: Never, command: COMMAND}"
CLUSTER_LINE, USER_LINE = 8, 11


def kubeconfig(cluster: str = GOOD_CLUSTER, user: str = GOOD_USER) -> str:
    return f"""apiVersion: v1
kind: Config
current-context: edge
contexts:
- name: edge
  context: {{cluster: shop, user: agent}}
clusters:
- {{name: shop, cluster: {{{cluster}}}}}
users:
# whose it is
- {{name: agent, user: {{{user}}}}}
"""


# CA, CERT, KEY ... stand for files of Material, CADATA, CERTDATA ... for their base64.
WRONG = (
    Wrong("no file", "No such file or directory", text=None),
    Wrong("an empty file", "is empty; a kubeconfig names clusters, users and contexts", text=""),
    Wrong("no YAML", "", text="contexts: [\n", line=2),
    Wrong("a key twice", "current-context", text=kubeconfig() + "current-context: edge\n", line=12),
    Wrong("two documents", "a kubeconfig is one document", text=kubeconfig() + "---\na: b\n", line=13),
    Wrong("a manifest", "kind: must be Config", text="kind: Pod\n", line=1),
    Wrong("a list", "", text="- a\n", line=1),
    Wrong("more than any kubeconfig has", "", text="#" + " " * (5 << 20)),
    Wrong("no current context", "current-context: is not set", text=kubeconfig().replace("current-context: edge\n", ""), line=1),
    Wrong("an unknown current context", "current-context: no context 'edg' in contexts, did you mean 'edge'?",
          text=kubeconfig().replace("current-context: edge", "current-context: edg"), line=3),
    Wrong("an unknown context in the agent's configuration", "contexts: no context 'edg' in contexts, did you mean 'edge'?",
          text=kubeconfig(), context="edg"),
    Wrong("an unknown cluster", "contexts[0].context.cluster: no cluster 'shp' in clusters, did you mean 'shop'?",
          text=kubeconfig().replace("cluster: shop,", "cluster: shp,"), line=6),
    Wrong("an unknown user", "contexts[0].context.user: no user 'agnt' in users, did you mean 'agent'?",
          text=kubeconfig().replace("user: agent}", "user: agnt}"), line=6),
    Wrong("one name twice", "clusters[1].name: stands for another entry already",
          text=kubeconfig().replace("users:\n", "- {name: shop, cluster: {server: 'https://b'}}\nusers:\n"), line=9),
    Wrong("no server", "clusters[0].cluster.server: ", cluster="tls-server-name: a"),
    Wrong("a server of another protocol", "clusters[0].cluster.server: ", cluster="server: 'ftp://localhost'"),
    Wrong("a server without TLS elsewhere", "clusters[0].cluster.server: ", cluster="server: 'http://192.0.2.1'"),
    Wrong("a port that is none", "clusters[0].cluster.server: ", cluster="server: 'https://localhost:99999'"),
    Wrong("a misspelt field", "clusters[0].cluster", cluster="server: 'https://localhost', certificate-autority: CA"),
    Wrong("broken base64 of an authority", "clusters[0].cluster.certificate-authority-data: ",
          cluster="server: 'https://localhost', certificate-authority-data: 'LS0t?'"),
    Wrong("base64 of something else", "clusters[0].cluster.certificate-authority-data: ",
          cluster="server: 'https://localhost', certificate-authority-data: aGVsbG8="),
    Wrong("no file of an authority", "clusters[0].cluster.certificate-authority: ", cluster="server: 'https://localhost', certificate-authority: nowhere"),
    Wrong("a key for an authority", "clusters[0].cluster.certificate-authority: ", cluster="server: 'https://localhost', certificate-authority: KEY"),
    Wrong("an authority twice", "clusters[0].cluster.certificate-authority-data: stands beside",
          cluster=f"{GOOD_CLUSTER}, certificate-authority-data: CADATA"),
    Wrong("an authority that would not be looked at", "clusters[0].cluster.insecure-skip-tls-verify: stands beside",
          cluster=f"{GOOD_CLUSTER}, insecure-skip-tls-verify: true"),
    Wrong("a proxy that is none", "clusters[0].cluster.proxy-url: ", cluster=f"{GOOD_CLUSTER}, proxy-url: 'ftp://user:{SECRET}@localhost'"),
    Wrong("a server name that is none", "clusters[0].cluster.tls-server-name: must be a host name", cluster=f"{GOOD_CLUSTER}, tls-server-name: a/b"),
    Wrong("a certificate without a key", "users[0].user: has a client certificate but no client-key", user="client-certificate: CERT"),
    Wrong("a key without a certificate", "users[0].user: has a client key but no client-certificate", user="client-key: KEY"),
    Wrong("no file of a certificate", "users[0].user.client-certificate: ", user="client-certificate: nowhere, client-key: KEY"),
    Wrong("no file of a key", "users[0].user.client-key: ", user="client-certificate: CERT, client-key: nowhere"),
    Wrong("broken base64 of a key", "users[0].user.client-key-data: ", user="client-certificate: CERT, client-key-data: '?'"),
    Wrong("a key of another certificate", "users[0].user.client-key", user="client-certificate: CERT, client-key: OTHERKEY"),
    Wrong("a certificate for a key", "users[0].user.client-key", user="client-certificate: CERT, client-key: CERT"),
    Wrong("an expired certificate that stands in the kubeconfig", "users[0].user.client-certificate-data: ",
          user="client-certificate-data: EXPIREDDATA, client-key-data: EXPIREDKEYDATA"),
    Wrong("a token of two lines", "users[0].user.token: holds a blank, a line break", user=f'token: "{SECRET}\\n{SECRET}"'),
    Wrong("no file of a token", "users[0].user.tokenFile: ", user="tokenFile: nowhere"),
    Wrong("an empty file of a token", "users[0].user.tokenFile: ", user="tokenFile: EMPTY"),
    Wrong("a password", "users[0].user.password: Kubernetes has no passwords since 1.19", user=f"username: a, password: {SECRET}"),
    Wrong("an auth provider", "users[0].user.auth-provider: Kubernetes clients have no auth providers since 1.26", user="auth-provider: {name: gcp}"),
    Wrong("groups of nobody", "users[0].user: as-uid, as-groups and as-user-extra need 'as'", user=f"{GOOD_USER}, as-groups: [a]"),
    Wrong("a plugin without a command", "users[0].user.exec.command: ", user=EXEC.replace(", command: COMMAND", "")),
    Wrong("a plugin of another version", "users[0].user.exec.apiVersion: must be client.authentication.k8s.io/v1", user=EXEC.replace("io/v1", "io/v9")),
    Wrong("a plugin that needs a terminal", "users[0].user.exec.interactiveMode: Always needs a terminal", user=EXEC.replace("Never", "Always")),
    Wrong("a plugin beside a token", "users[0].user.exec: stands beside another credential", user=f"{GOOD_USER}, {EXEC}"),
)


class KubeconfigTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.directory = tempfile.TemporaryDirectory(prefix="tokenlet-kubeconfig-", dir=daemon.MEMORY)
        cls.addClassCleanup(cls.directory.cleanup)
        cls.material = Material(pathlib.Path(cls.directory.name))

    def agent(self, **settings) -> Agent:
        agent = Agent(**settings)
        self.addCleanup(agent.__exit__)
        return agent

    def filled_in(self, text: str, agent: Agent) -> str:
        made = self.material
        empty = agent.base / "empty"
        empty.write_text("")
        words = {"EXPIREDKEYDATA": made.data(made.expired[1]), "EXPIREDDATA": made.data(made.expired[0]), "CADATA": made.data(made.authority.certificate),
                 "OTHERKEY": made.other[1], "CERT": made.client[0], "KEY": made.client[1], "EMPTY": empty, "CA": made.authority.certificate}
        for word, value in words.items():
            text = text.replace(f": {word}", f": {value}")
        return text

    def test_what_only_another_kubeconfig_mends_is_one_line_and_exit_code_3(self):
        self.assertGreaterEqual(len(WRONG), 40)
        for wrong in WRONG:
            with self.subTest(wrong.name), Agent(context=wrong.context) as agent:
                text = wrong.text
                line = wrong.line
                if wrong.cluster or wrong.user:
                    text = self.filled_in(kubeconfig(wrong.cluster or self.filled_in(GOOD_CLUSTER, agent), wrong.user or GOOD_USER), agent)
                    line = CLUSTER_LINE if wrong.cluster else USER_LINE
                if text is not None:
                    agent.kubeconfig.write_text(text)
                done = subprocess.run([agent.binary, "agent", "--config", str(agent.config)], capture_output=True, text=True, timeout=PATIENCE)
                self.assertEqual(3, done.returncode, done.stderr)
                self.assertEqual(1, done.stderr.count("\n"), done.stderr)
                self.assertTrue(done.stderr.startswith(f"tokenlet: {agent.config}: issuer.kubernetes: "), done.stderr)
                self.assertIn(str(agent.kubeconfig), done.stderr)
                self.assertIn(wrong.says, done.stderr)
                if line:
                    self.assertIn(f"{agent.kubeconfig}: line {line}: ", done.stderr)
                self.assertNotIn(SECRET, done.stderr)
                self.assertNotIn("PRIVATE KEY", done.stderr)

    def test_a_directory_is_no_kubeconfig(self):
        agent = self.agent()
        agent.kubeconfig.mkdir()
        done = subprocess.run([agent.binary, "agent", "--config", str(agent.config)], capture_output=True, text=True, timeout=PATIENCE)
        self.assertEqual(3, done.returncode, done.stderr)
        self.assertIn("Is a directory", done.stderr)
        self.assertEqual(1, done.stderr.count("\n"), done.stderr)

    def serving(self, certificate=None, **settings) -> api_double.ApiDouble:
        double = api_double.ApiDouble(*(certificate or (None, None)), **settings)
        self.addCleanup(double.__exit__)
        return double.__enter__()

    def start(self, agent: Agent, cluster: str, user: str = GOOD_USER):
        agent.kubeconfig.write_text(self.filled_in(kubeconfig(self.filled_in(cluster, agent), user), agent))
        agent.drop("web.yaml", daemon.pod("web"))
        agent.start()

    def plugin(self, agent: Agent, script: str) -> str:
        """A user entry with a plugin that does this. Written anew under the same name, so that it is never seen half."""
        command = agent.base / "plugin"
        beside = agent.base / "plugin.new"
        beside.write_text("#!/bin/sh\n" + script)
        beside.chmod(0o755)
        beside.rename(command)
        return EXEC.replace("COMMAND", str(command))

    def heals(self, cases: dict, slow: str = ""):
        """Each case: how it begins (the cluster and user entries), what heals it, and what the Pod's message says meanwhile. The slow
        one is started first and looked at last."""
        agents = {name: self.agent() for name in cases}
        if slow:
            self.start(agents[slow], *cases[slow][0](agents[slow]))
        for name, (begin, heal, *says) in cases.items():
            agent = agents[name]
            with self.subTest(name):
                if name != slow:
                    self.start(agent, *begin(agent))

                def message():
                    shown = agent.pod_status("web")
                    return shown["message"] if shown and not shown["ready"] else ""
                agent.wait_for(lambda: all(part in message() for part in says), f"the Pod's message to say {says}")
                self.assertNotIn("\n", message())
                heal(agent)
                agent.wait_for(lambda: agent.is_ready("web"), "the Pod, once it has healed")
                self.assertNotIn(SECRET, agent.log())
                agent.stop()

    def cluster_of(self, double: api_double.ApiDouble) -> str:
        return f"server: 'https://localhost:{double.port}', certificate-authority: CA"

    def test_a_plugin_that_fails_is_run_again_until_it_does_not(self):
        credential = '{"kind": "ExecCredential", "apiVersion": "client.authentication.k8s.io/v1", "status": {"token": "%s"%s}}'
        cluster = self.cluster_of(self.serving(self.material.server, accepts={SECRET}))
        where = "users[0].user.exec"

        def plugin(script: str):
            return (lambda agent: (cluster, self.plugin(agent, script)),
                    lambda agent: self.plugin(agent, f"echo '{credential % (SECRET, '')}'\n"), where)
        expired = credential % (SECRET, ', "expirationTimestamp": "2020-01-01T00:00:00Z"')
        absent = (lambda agent: (cluster, EXEC.replace("COMMAND", f"{agent.base}/plugin")), *plugin("")[1:])
        self.heals({
            "fails": (*plugin("echo log in first >&2; exit 3\n"), "ended with status 3; it said: log in first"),
            "prints junk": (*plugin("echo hello\n"), "printed something that is no JSON"),
            "prints nothing": (*plugin("true\n"), "printed nothing"),
            "is not there": (*absent, "cannot be run: No such file or directory"),
            "prints an expired credential": (*plugin(f"echo '{expired}'\n"), "printed a credential that expired at 2020-01-01T00:00:00Z"),
            "hangs": (*plugin("exec sleep 1000\n"), "was not done within 60", "and was killed"),  # kPluginTime
        }, slow="hangs")

    def test_a_file_that_does_not_do_is_read_again_until_it_does(self):
        good = self.serving(self.material.server, accepts={SECRET})
        anybody = self.serving(self.material.server)

        def replace(path: pathlib.Path, data: bytes):
            beside = path.with_suffix(".new")
            beside.write_bytes(data)
            beside.rename(path)

        def token(agent: Agent):
            (agent.base / "token").write_text("wrong")
            return self.cluster_of(good), f"tokenFile: {agent.base}/token"

        def authority(agent: Agent):
            (agent.base / "ca").write_bytes(self.material.stranger.certificate.read_bytes())
            return f"server: 'https://localhost:{good.port}', certificate-authority: {agent.base}/ca", GOOD_USER

        def pair(agent: Agent, certificate_and_key):
            for name, path in zip(("client.crt", "client.key"), certificate_and_key):
                replace(agent.base / name, path.read_bytes())

        def certificate(agent: Agent):
            pair(agent, self.material.expired)
            return self.cluster_of(anybody), f"client-certificate: {agent.base}/client.crt, client-key: {agent.base}/client.key"
        self.heals({
            "a token that the server does not know": (token, lambda agent: replace(agent.base / "token", SECRET.encode()), "Unauthorized"),
            "another authority": (
                authority, lambda agent: replace(agent.base / "ca", self.material.authority.certificate.read_bytes()), "certificate"),
            "an expired certificate": (
                certificate, lambda agent: pair(agent, self.material.client), "users[0].user.client-certificate", "expired"),
        })

    def test_a_server_that_is_not_the_one_is_asked_again_until_it_is(self):
        def served_with(certificate, *says: str):
            double = self.serving(certificate, accepts={SECRET})
            return lambda _: (self.cluster_of(double), GOOD_USER), lambda _: double.present(*self.material.server), *says
        port = api_double.reserved_port(self)
        self.heals({
            "has another name": served_with(self.material.misnamed, "localhost"),
            "has an expired certificate": served_with(self.material.expired_server, "expired"),
            "speaks no TLS": served_with(None, "https://localhost"),
            "is away": (lambda _: (f"server: 'https://localhost:{port}', certificate-authority: CA", GOOD_USER),
                        lambda _: self.serving(self.material.server, accepts={SECRET}, port=port), f"https://localhost:{port}"),
        })

    def test_the_own_credential_is_used_as_soon_as_it_is_there(self):
        port = api_double.reserved_port(self)
        agent = self.agent(own="edge/agent")
        self.start(agent, f"server: 'http://127.0.0.1:{port}'")
        agent.wait_for(lambda: "no own credential yet" in agent.log(), "the start without a server")
        double = self.serving(accepts={SECRET}, port=port)
        agent.wait_for(lambda: agent.is_ready("web"), "the Pod")
        agent.wait_for(lambda: "own credential is there, and used from now on" in agent.log(), "the own credential")
        agent.drop("second.yaml", daemon.pod("second"))
        agent.wait_for(lambda: agent.is_ready("second"), "another Pod")
        own = (agent.base / "state/self-token").read_text()
        self.assertIn(("agent", SECRET), double.seen)
        self.assertEqual(("default", own), double.seen[-1])

    def test_no_start_ends_because_the_own_credential_is_refused(self):
        started = []
        for refusal in ((401, "Unauthorized", "Unauthorized"), (403, "Forbidden", 'serviceaccounts "agent" is forbidden: not yet'),
                        (404, "NotFound", 'serviceaccounts "agent" not found')):
            double = self.serving(accepts={SECRET}, refuses={"agent": refusal})
            agent = self.agent(own="edge/agent")
            self.start(agent, f"server: 'http://127.0.0.1:{double.port}'")
            started.append((refusal, double, agent))
        for refusal, double, agent in started:
            with self.subTest(refusal[1]):
                agent.wait_for(lambda: "no own credential yet" in agent.log(), "the start without an own credential")
                self.assertIn(refusal[2].replace('"', '\\"'), agent.log())
                self.assertIn("`tokenlet enroll` makes one", agent.log())
                double.refuses.clear()
        for refusal, _, agent in started:
            with self.subTest(refusal[1]):
                agent.wait_for(lambda: "own credential is there, and used from now on" in agent.log(), "the own credential")
                agent.wait_for(lambda: agent.is_ready("web"), "the Pod")

    def test_an_own_credential_that_expires_is_replaced_as_the_kubeconfig_says(self):
        double = self.serving(accepts={SECRET})
        agent = self.agent(own="edge/agent")
        state = agent.base / "state"
        state.mkdir(mode=0o711)
        # Valid for a while by what it says, though the server takes it no more: as after a week without a server.
        token = state / "self-token"
        token.write_text(api_double.unsigned_token("edge", "agent", [], 20, None))
        token.chmod(0o600)
        self.start(agent, f"server: 'http://127.0.0.1:{double.port}'")
        agent.wait_for(lambda: "own credential is there, and used from now on" in agent.log(), "another own credential")
        agent.wait_for(lambda: agent.is_ready("web"), "the Pod")
        self.assertIn(("agent", SECRET), double.seen)


if __name__ == "__main__":
    unittest.main()
