# SPDX-License-Identifier: Apache-2.0
"""A Kubernetes control plane as a test's own: etcd, API server, controller manager, and hollow kubelets where wanted.

    with ControlPlane() as cluster:
        cluster.namespace("shop")
        cluster.apply(manifests)
        cluster.kubectl("create", "token", "default", "-n", "shop")
        cluster.api("GET", "/api/v1/pods")                     # faster than kubectl: no process
        kubelet = cluster.hollow_kubelet("node-1")
        cluster.stop_api_server(); cluster.start_api_server()  # the same port, the same data

Everything listens on free ports of the loopback interface and lies in one directory in memory. A class of tests shares one:
it costs three to ten seconds and 700 MB. Where the program was not built, importing this ends the test as skipped.
"""
import functools
import http.client
import json
import os
import pathlib
import shutil
import signal
import ssl
import subprocess
import sys

import pki
from processes import Scratch, Server, daemon, free_port

PROGRAM = os.environ.get("CONTROL_PLANE", str(pathlib.Path(__file__).parents[2] / "build/cluster/control_plane"))
SKIPPED = 77  # SKIP_RETURN_CODE in CMakeLists.txt
ISSUER = "https://kubernetes.default.svc.cluster.local"
# Off by default although beta, and both needed for a ClusterTrustBundle in a volume.
GATES = "ClusterTrustBundle=true,ClusterTrustBundleProjection=true"
CONTROLLERS = (
    "serviceaccount-token-controller", "serviceaccount-controller", "root-ca-certificate-publisher-controller",
    "legacy-serviceaccount-token-cleaner-controller", "namespace-controller", "garbage-collector-controller",
    "pod-garbage-collector-controller",
)

if not os.access(PROGRAM, os.X_OK):
    print(f"SKIPPED: there is no control plane at {PROGRAM}; tests/cluster/build.sh says why", file=sys.stderr)
    sys.exit(SKIPPED)


class ApiError(AssertionError):
    """An answer that was not 2xx. `status` is its number."""

    def __init__(self, request: str, status: int, text: str):
        super().__init__(f"{request}: {status} {text}")
        self.status, self.text = status, text


class ControlPlane:
    """Starts in the `with` statement, or by start() and close()."""

    def __init__(self, *api_server_flags: str):
        self.scratch = Scratch("tokenlet-cluster-")
        self.base = self.scratch.path
        self.base.chmod(0o755)
        self.extra_flags = api_server_flags
        self.port, self.etcd_port, self.etcd_peer_port = free_port(), free_port(), free_port()
        self.url = f"https://127.0.0.1:{self.port}"
        self.etcd, self.api_server, self.controllers = (
            Server(name, self.base / f"{name}.log") for name in ("etcd", "kube-apiserver", "kube-controller-manager"))
        self.kubelets = []

    def __enter__(self):
        try:
            return self.start()
        except BaseException:
            self.close()
            raise

    def __exit__(self, *_):
        self.close()

    def start(self):
        self.serving_ca = pki.CertificateAuthority(self.base, "serving-ca")
        self.client_ca = pki.CertificateAuthority(self.base, "client-ca")
        self.ca = self.base / "ca.crt"  # what clients trust
        shutil.copy(self.serving_ca.certificate, self.ca)
        self.signing_key, self.accepted_keys = self.base / "sa-1.key", [self.base / "sa-1.pub"]
        pki.signing_key(self.signing_key, self.accepted_keys[0])
        self.renew_serving_certificate()
        self.kubeconfig = self.kubeconfig_of("admin", "system:masters")
        self.start_etcd()
        self.start_api_server()
        self.start_controllers()
        self.wait_for_namespace("default")
        return self

    def close(self):
        for server in (*self.kubelets, self.controllers, self.api_server, self.etcd):
            server.kill()
        self.scratch.remove()

    # The servers.

    def start_etcd(self):
        client, peer = (f"http://127.0.0.1:{port}" for port in (self.etcd_port, self.etcd_peer_port))
        self.etcd.start(PROGRAM, "etcd", f"--data-dir={self.base}/etcd", f"--listen-client-urls={client}",
                        f"--advertise-client-urls={client}", f"--listen-peer-urls={peer}",
                        f"--initial-advertise-peer-urls={peer}", f"--initial-cluster=default={peer}", "--log-level=error")

    def start_api_server(self):
        """Returns when it says that it is ready."""
        self.api_server.start(
            PROGRAM, "kube-apiserver", f"--etcd-servers=http://127.0.0.1:{self.etcd_port}", "--bind-address=127.0.0.1",
            f"--secure-port={self.port}", f"--cert-dir={self.base}/cert-dir", f"--tls-cert-file={self.serving[0]}",
            f"--tls-private-key-file={self.serving[1]}", f"--client-ca-file={self.client_ca.certificate}",
            f"--service-account-issuer={ISSUER}", f"--service-account-signing-key-file={self.signing_key}",
            *(f"--service-account-key-file={key}" for key in self.accepted_keys), "--authorization-mode=Node,RBAC",
            "--enable-admission-plugins=NodeRestriction", "--service-cluster-ip-range=10.0.0.0/24",
            # Without it a stop waits a minute for watches to end.
            "--shutdown-send-retry-after",
            # Nobody asks for the kubernetes service, which may not be on the loopback interface.
            "--advertise-address=127.0.0.1", "--endpoint-reconciler-type=none",
            f"--feature-gates={GATES}", "--runtime-config=certificates.k8s.io/v1beta1=true", *self.extra_flags)
        self.api_server.wait_until(self.is_ready, "the API server to be ready")

    def stop_api_server(self, how: int = signal.SIGTERM):
        self.api_server.stop(how)

    def start_controllers(self):
        config = f"={self.kubeconfig}"
        self.controllers.start(
            PROGRAM, "kube-controller-manager", "--kubeconfig" + config, "--authentication-kubeconfig" + config,
            "--authorization-kubeconfig" + config, "--authentication-skip-lookup", "--secure-port=0",
            f"--service-account-private-key-file={self.signing_key}", f"--root-ca-file={self.ca}", "--leader-elect=false",
            "--controllers=" + ",".join(CONTROLLERS))

    def hollow_kubelet(self, node: str) -> "HollowKubelet":
        """The kubelet's volume code, on a node of its own. Pods come to it by spec.nodeName: there is no scheduler."""
        kubelet = HollowKubelet(node, self.base / "kubelets" / node, self.base / f"{node}.log")
        self.kubelets.append(kubelet)
        kubelet.start_on(self.kubeconfig_of(f"system:node:{node}", "system:nodes"))
        kubelet.wait_until(lambda: self.exists(f"/api/v1/nodes/{node}"), f"node {node} is registered")
        return kubelet

    # What may change. The server is told by a restart, as a real one: stop_api_server() before, start_api_server() after.

    def renew_serving_certificate(self):
        self.serving = self.serving_ca.issue_server("serving", "IP:127.0.0.1", "DNS:localhost", "DNS:kubernetes.default.svc")

    def renew_ca(self, *, keep_old: bool):
        """Another certificate authority for the serving certificate. With keep_old clients are told to trust both."""
        old = self.ca.read_text() if keep_old else ""
        self.serving_ca.renew()
        self.renew_serving_certificate()
        fresh = self.base / "ca.crt.new"
        fresh.write_text(self.serving_ca.certificate.read_text() + old)
        fresh.rename(self.ca)

    def renew_signing_key(self, *, keep_old: bool):
        """Without keep_old every token that was issued so far is refused."""
        number = len(list(self.base.glob("sa-*.key"))) + 1
        self.signing_key, public = self.base / f"sa-{number}.key", self.base / f"sa-{number}.pub"
        pki.signing_key(self.signing_key, public)
        self.accepted_keys = [public, *(self.accepted_keys if keep_old else [])]

    def restart(self):
        """API server and controllers, which read certificates and keys when they start only."""
        self.stop_api_server()
        self.controllers.kill()
        self.start_api_server()
        self.start_controllers()

    # Asking it.

    def kubeconfig_of(self, user: str, *groups: str) -> pathlib.Path:
        """For whoever is named, by client certificate. Refers to files beside it."""
        name = user.replace(":", "-")
        certificate, key = self.client_ca.issue_client(name, user, *groups)
        path = self.base / f"{name}.kubeconfig"
        path.write_text(f"""apiVersion: v1
kind: Config
clusters: [{{name: test, cluster: {{server: "{self.url}", certificate-authority: {self.ca.name}}}}}]
users: [{{name: "{user}", user: {{client-certificate: {certificate.name}, client-key: {key.name}}}}}]
contexts: [{{name: test, context: {{cluster: test, user: "{user}"}}}}]
current-context: test
""")
        return path

    def kubectl(self, *arguments: str, given: str = "", kubeconfig: pathlib.Path | None = None) -> str:
        """Its standard output; an error when it fails."""
        done = self.try_kubectl(*arguments, given=given, kubeconfig=kubeconfig)
        if done.returncode:
            raise AssertionError(f"kubectl {' '.join(arguments)}: {done.stderr}")
        return done.stdout

    def try_kubectl(self, *arguments: str, given: str = "", kubeconfig: pathlib.Path | None = None):
        # At home it keeps what it has learned of the server.
        return subprocess.run([PROGRAM, "kubectl", f"--kubeconfig={kubeconfig or self.kubeconfig}", *arguments], input=given,
                              capture_output=True, text=True, timeout=daemon.PATIENCE, env={**os.environ, "HOME": str(self.base)})

    def apply(self, manifests: str):
        """Leaves no annotation in them."""
        self.kubectl("apply", "--server-side", "-f", "-", given=manifests)

    def api(self, method: str, path: str, body: dict | None = None, *, token: str = "") -> dict:
        """One request as the administrator, or with the token given. ApiError for what is not 2xx."""
        answer = self.raw(method, path, None if body is None else json.dumps(body), token=token)
        return json.loads(answer)

    def raw(self, method: str, path: str, body: str | None = None, *, token: str = "") -> str:
        context = ssl.create_default_context(cafile=str(self.ca))
        if not token:
            context.load_cert_chain(self.base / "admin.crt", self.base / "admin.key")
        connection = http.client.HTTPSConnection("127.0.0.1", self.port, timeout=daemon.PATIENCE, context=context)
        try:
            headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            text = answer.read().decode()
            if answer.status // 100 != 2:
                raise ApiError(f"{method} {path}", answer.status, text)
            return text
        finally:
            connection.close()

    def exists(self, path: str) -> bool:
        try:
            self.raw("GET", path)
            return True
        except ApiError as error:
            if error.status != 404:
                raise
            return False

    def is_ready(self) -> bool:
        try:
            return self.raw("GET", "/readyz") == "ok"
        except (ApiError, OSError):
            return False

    def namespace(self, name: str):
        """With its default account and its kube-root-ca.crt."""
        self.api("POST", "/api/v1/namespaces", {"metadata": {"name": name}})
        self.wait_for_namespace(name)

    def wait_for_namespace(self, name: str):
        for path in ("serviceaccounts/default", "configmaps/kube-root-ca.crt"):
            self.controllers.wait_until(functools.partial(self.exists, f"/api/v1/namespaces/{name}/{path}"), f"{name} has its {path}")

    def review(self, token: str, *audiences: str) -> dict:
        """The status of a TokenReview."""
        spec = {"token": token} | ({"audiences": list(audiences)} if audiences else {})
        review = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": spec}
        return self.api("POST", "/apis/authentication.k8s.io/v1/tokenreviews", review)["status"]


class HollowKubelet(Server):
    def __init__(self, node: str, root: pathlib.Path, log: pathlib.Path):
        super().__init__(node, log)
        self.root = root
        root.mkdir(parents=True)

    def start_on(self, kubeconfig: pathlib.Path):
        self.start(PROGRAM, "hollow-kubelet", f"--name={self.name}", f"--kubeconfig={kubeconfig}", f"--root={self.root}",
                   f"--feature-gates={GATES}")

    def volume(self, uid: str, name: str, plugin: str = "projected") -> pathlib.Path:
        return self.root / "pods" / uid / "volumes" / f"kubernetes.io~{plugin}" / name

    def wait_for_volume(self, uid: str, name: str, plugin: str = "projected") -> pathlib.Path:
        path = self.volume(uid, name, plugin)
        self.wait_until((path / "..data").exists, f"volume {name} is there")
        return path
