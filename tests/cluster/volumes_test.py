# SPDX-License-Identifier: Apache-2.0
"""The same Pods to a kubelet and to tokenlet as root: the same trees, entry by entry, but for what as_ours() lists; the reasons
are in docs/compatibility.md."""
import os
import pathlib
import re
import shutil
import stat
import unittest

import control_plane
from control_plane import daemon

NODE = "node-1"
GENERATION = re.compile(r"^\.\.\d{4}_\d\d_\d\d_\d\d_\d\d_\d\d\.\d+$")
CERTIFICATE = "-----BEGIN CERTIFICATE-----"
KUBELETS_ANNOTATION = re.compile(r'\n?kubernetes\.io/config\.(seen|source)="[^"\n]*"')
OBJECTS = (pathlib.Path(__file__).parent / "data/volume_objects.yaml").read_text()


def pod(name: str, volume: str, *, security: str = "", container: str = "", meta: str = "") -> str:
    """A Pod whose volume v is the one in question."""
    return f"""apiVersion: v1
kind: Pod
metadata: {{name: {name}, namespace: shop, labels: {{tier: "1", app: web}}, annotations: {{b: "two\\nlines", a: 'say "hi"'}}{meta}}}
spec:
  nodeName: {NODE}
  automountServiceAccountToken: false
  securityContext: {{{security}}}
  containers:
  - name: main
    image: none
    resources: {{limits: {{cpu: 250m, memory: 64Mi}}, requests: {{cpu: 10m, memory: 1Mi}}}}
    volumeMounts: [{{name: v, mountPath: /v}}]
{container}  volumes:
  - name: v
    {volume}
"""


def projected(*sources: str, mode: str = "") -> str:
    return f"projected: {{{'defaultMode: ' + mode + ', ' if mode else ''}sources: [{', '.join(sources)}]}}"


TOKEN = "{serviceAccountToken: {path: token}}"
SETTINGS = "{configMap: {name: settings}}"
PASSWORDS = "{secret: {name: passwords}}"
EVERYTHING = (TOKEN, "{serviceAccountToken: {path: vault/token, audience: vault, expirationSeconds: 600}}", SETTINGS, PASSWORDS,
              "{downwardAPI: {items: [{path: labels, fieldRef: {fieldPath: metadata.labels}}]}}",
              "{clusterTrustBundle: {name: roots, path: roots.pem}}")
SECOND_USER = "  - {name: second, image: none, securityContext: {runAsUser: 2000}}\n"

# The name of each says why it is there.
SHAPES = {
    "token": pod("token", projected(TOKEN)),
    "token-0400": pod("token-0400", projected(TOKEN, mode="0400")),
    "token-user": pod("token-user", projected(TOKEN), security="runAsUser: 1000"),
    "token-root-user": pod("token-root-user", projected(TOKEN), security="runAsUser: 0"),
    "token-group": pod("token-group", projected(TOKEN), security="fsGroup: 3000"),
    "token-user-group": pod("token-user-group", projected(TOKEN), security="runAsUser: 1000, fsGroup: 3000"),
    "token-two-users": pod("token-two-users", projected(TOKEN), security="runAsUser: 1000", container=SECOND_USER),
    "all-keys-0400": pod("all-keys-0400", projected(SETTINGS, mode="0400")),
    "all-keys-0777-group": pod("all-keys-0777-group", projected(SETTINGS, PASSWORDS, mode="0777"), security="fsGroup: 3000"),
    "all-keys-0000-group": pod("all-keys-0000-group", projected(SETTINGS, mode="0"), security="fsGroup: 3000"),
    "items-modes": pod("items-modes", projected(
        "{configMap: {name: settings, items: [{key: one, path: a, mode: 0600}, {key: two, path: sub/deep/b, mode: 0755}, "
        "{key: one, path: sub/c}]}}", mode="0440")),
    "binary": pod("binary", projected("{configMap: {name: binary}}")),
    "optional": pod("optional", projected(
        "{configMap: {name: absent, optional: true}}", "{secret: {name: absent, optional: true}}",
        "{secret: {name: passwords, optional: true, items: [{key: absent, path: x}, {key: user, path: user}]}}",
        "{clusterTrustBundle: {name: absent, optional: true, path: absent.pem}}")),
    "overlap": pod("overlap", projected(
        SETTINGS, "{configMap: {name: more-settings}}", "{secret: {name: passwords, items: [{key: user, path: dir/user}]}}")),
    "no-keys": pod("no-keys", projected("{configMap: {name: empty}}")),
    "spellings": pod("spellings", projected(
        "{configMap: {name: settings, items: [{key: one, path: a//b}, {key: two, path: ./c}, {key: one, path: d/./e}]}}")),
    "odd-names": pod("odd-names", projected(
        "{configMap: {name: settings, items: [{key: one, path: .hidden}, {key: two, path: with space/x}, {key: one, path: a..b}]}}")),
    "downward": pod("downward", projected("""{downwardAPI: {items: [
      {path: name, fieldRef: {fieldPath: metadata.name}}, {path: namespace, fieldRef: {fieldPath: metadata.namespace}},
      {path: uid, fieldRef: {fieldPath: metadata.uid}}, {path: labels, mode: 0600, fieldRef: {fieldPath: metadata.labels}},
      {path: annotations, fieldRef: {fieldPath: metadata.annotations}},
      {path: annotation, fieldRef: {fieldPath: "metadata.annotations['a']"}},
      {path: cpu, resourceFieldRef: {containerName: main, resource: limits.cpu, divisor: 1m}},
      {path: whole, resourceFieldRef: {containerName: main, resource: limits.cpu}},
      {path: memory, resourceFieldRef: {containerName: main, resource: limits.memory, divisor: 1Mi}},
      {path: asked, resourceFieldRef: {containerName: main, resource: requests.cpu, divisor: 1m}}]}}""")),
    "everything": pod("everything", projected(*EVERYTHING)),
    "everything-user-group": pod("everything-user-group", projected(*EVERYTHING, mode="0440"), security="runAsUser: 1000, fsGroup: 3000"),
    "bundle-signer": pod("bundle-signer", projected(
        "{clusterTrustBundle: {signerName: example.com/ours, labelSelector: {matchLabels: {live: 'yes'}}, path: roots.pem}}")),
    "plain-config-map": pod("plain-config-map", "configMap: {name: settings, defaultMode: 0440}", security="fsGroup: 3000"),
    "plain-secret": pod("plain-secret", "secret: {secretName: passwords, items: [{key: user, path: a/user, mode: 0400}]}"),
    "plain-downward": pod("plain-downward", "downwardAPI: {items: [{path: a, fieldRef: {fieldPath: metadata.name}}]}"),
    "plain-config-map-binary": pod("plain-config-map-binary", "configMap: {name: binary}", security="runAsUser: 1000"),
    "plain-config-map-absent": pod("plain-config-map-absent", "configMap: {name: absent, optional: true}"),
    "plain-config-map-no-keys": pod("plain-config-map-no-keys", "configMap: {name: empty}", security="fsGroup: 3000"),
    "plain-secret-user-group": pod("plain-secret-user-group", "secret: {secretName: passwords, defaultMode: 0400}",
                                   security="runAsUser: 1000, fsGroup: 3000"),
    "plain-secret-absent-key": pod(
        "plain-secret-absent-key",
        "secret: {secretName: passwords, optional: true, items: [{key: absent, path: x}, {key: user, path: b//c/user}]}"),
    "plain-downward-modes": pod("plain-downward-modes", """downwardAPI: {defaultMode: 0400, items: [
      {path: sub/labels, mode: 0444, fieldRef: {fieldPath: metadata.labels}},
      {path: cpu, resourceFieldRef: {containerName: main, resource: limits.cpu, divisor: 1m}}]}""", security="fsGroup: 3000"),
}


def plugin_of(name: str) -> str:
    plain = {"plain-config-map": "configmap", "plain-secret": "secret", "plain-downward": "downward-api"}
    return next((plugin for start, plugin in plain.items() if name.startswith(start)), "projected")


def trust_bundle(name: str, rest: str, *certificates: pathlib.Path) -> str:
    lines = "".join(path.read_text() for path in certificates).splitlines()
    return f"""---
apiVersion: certificates.k8s.io/v1beta1
kind: ClusterTrustBundle
metadata: {{name: "{name}", labels: {{live: "yes"}}}}
spec:
  {rest}
  trustBundle: |
""" + "".join(f"    {line}\n" for line in lines)


def trust_bundles(cluster: control_plane.ControlPlane) -> str:
    first, second = cluster.serving_ca.certificate, cluster.client_ca.certificate
    signer = "signerName: example.com/ours"
    # The second has the first's certificate too: it comes out once.
    return (trust_bundle("roots", "", first, second) + trust_bundle("example.com:ours:one", signer, first)
            + trust_bundle("example.com:ours:two", signer, second, first))


def plain_name(name: str) -> str:
    return "..GENERATION" if GENERATION.match(name) else name


def content(path: pathlib.Path) -> str:
    text = path.read_bytes().decode("latin-1")
    if text.startswith(CERTIFICATE):
        return CERTIFICATE + CERTIFICATE.join(sorted(text.split(CERTIFICATE)[1:]))  # the kubelet shuffles them
    if text.count(".") != 2 or not text.startswith("ey"):
        return text
    claims = daemon.claims_of(text)
    pod_claim = claims["kubernetes.io"]["pod"]
    return f"token of {claims['sub']} for {pod_claim['name']} {pod_claim['uid']}, {claims['exp'] - claims['iat']} s"


def tree(volume: pathlib.Path) -> dict[str, tuple]:
    """By path: the kind, mode and owners of each entry, and what a file or link holds. The volume itself is `.`."""
    found = {}

    def look(path: pathlib.Path, name: str):
        status = path.lstat()
        kind = stat.S_IFMT(status.st_mode)
        owned = (f"{status.st_mode & 0o7777:04o}", status.st_uid, status.st_gid)
        if kind == stat.S_IFLNK:
            found[name] = ("link", plain_name(os.readlink(path)), *owned[1:])
        elif kind == stat.S_IFDIR:
            found[name] = ("directory", *owned)
            for child in path.iterdir():
                look(child, plain_name(child.name) if name == "." else f"{name}/{plain_name(child.name)}")
        else:
            found[name] = ("file", *owned, content(path))

    look(volume, ".")
    return found


# The order of certificates is one, too, but it is drawn: see content().
KNOWN = {"the volume's directory", "a bit of directories", "owners of links", "the kubelet's annotations"}


def as_ours(theirs: dict[str, tuple], met: set[str]) -> dict[str, tuple]:
    """What tokenlet makes of a volume where the kubelet makes this one. Adds to `met` the known differences that it has."""
    expected = {}
    for name, (kind, *rest) in theirs.items():
        if name == ".":
            known, here = "the volume's directory", ["0755", 0, 0]
        elif kind == "directory":
            known, here = "a bit of directories", ["0" + rest[0][1:], *rest[1:]]
        elif kind == "link":
            known, here = "owners of links", [rest[0], 0, 0]
        else:
            known, here = "the kubelet's annotations", [*rest[:-1], KUBELETS_ANNOTATION.sub("", rest[-1])]
        if here != rest:
            met.add(known)
        expected[name] = (kind, *here)
    return expected


def differences(theirs: dict, ours: dict, met: set[str]) -> list[str]:
    expected = as_ours(theirs, met)
    return [f"{name}: {expected.get(name)} there, {ours.get(name)} here"
            for name in sorted(expected.keys() | ours.keys()) if expected.get(name) != ours.get(name)]


@unittest.skipUnless(os.geteuid() == 0, "owners are root's to give")
class Volumes(unittest.TestCase):
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        cls.cluster = cls.enterClassContext(control_plane.ControlPlane())
        cls.kubelet = cls.cluster.hollow_kubelet(NODE)
        cls.cluster.namespace("shop")
        objects = OBJECTS + trust_bundles(cls.cluster)
        cls.cluster.apply(objects)
        cls.cluster.apply("---\n".join(SHAPES.values()))
        cls.agent = cls.enterClassContext(daemon.Daemon())
        cls.agent.drop("objects.yaml", objects)
        cls.uids = {}
        for name, manifest in SHAPES.items():
            shown = cls.cluster.api("GET", f"/api/v1/namespaces/shop/pods/{name}")
            cls.uids[name] = shown["metadata"]["uid"]
            cls.agent.drop(f"{name}.yaml", manifest.replace("namespace: shop", f"namespace: shop, uid: {cls.uids[name]}", 1))
        cls.agent.start_and_settle()

    def test_are_the_kubelets_entry_by_entry(self):
        met = set()
        for name, uid in self.uids.items():
            with self.subTest(name):
                theirs = tree(self.kubelet.wait_for_volume(uid, "v", plugin_of(name)))
                daemon.wait_until(lambda: self.agent.is_ready(name), f"{name} is ready")
                ours = tree(self.agent.base / "pods" / uid / "volumes" / f"kubernetes.io~{plugin_of(name)}" / "v")
                self.assertEqual([], differences(theirs, ours, met))
        self.assertEqual(KNOWN, met, "a difference that docs/compatibility.md names is none any more")
