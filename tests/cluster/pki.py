# SPDX-License-Identifier: Apache-2.0
"""Keys and certificates, made by openssl."""
import pathlib
import subprocess

DAYS = 30
# What would come from the machine's own openssl.cnf if there were none given.
CONFIG = "[req]\ndistinguished_name = name\n[name]\n"


def openssl(*arguments: str) -> str:
    done = subprocess.run(["openssl", *arguments], capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if done.returncode:
        raise AssertionError(f"openssl {' '.join(arguments)}: {done.stderr}")
    return done.stdout


def signing_key(key: pathlib.Path, public: pathlib.Path):
    openssl("genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", str(key))
    openssl("pkey", "-in", str(key), "-pubout", "-out", str(public))


class CertificateAuthority:
    """Its certificate is at `certificate`. Made anew by renew()."""

    def __init__(self, directory: pathlib.Path, name: str):
        self.directory, self.name = directory, name
        self.certificate, self.key = directory / f"{name}.crt", directory / f"{name}.key"
        self.config = directory / f"{name}.cnf"
        self.config.write_text(CONFIG)
        self.renew()

    def renew(self):
        """Another key under the same name, as in a real rotation."""
        self.request(self.certificate, self.key, f"/CN={self.name}", "basicConstraints=critical,CA:TRUE",
                     "keyUsage=critical,keyCertSign,cRLSign", "subjectKeyIdentifier=hash")

    def issue(self, name: str, subject: str, *extensions: str, days: int = DAYS) -> tuple[pathlib.Path, pathlib.Path]:
        """A certificate and its key, at NAME.crt and NAME.key."""
        certificate, key = self.directory / f"{name}.crt", self.directory / f"{name}.key"
        self.request(certificate, key, subject, "basicConstraints=critical,CA:FALSE", "authorityKeyIdentifier=keyid", *extensions,
                     signed=("-CA", str(self.certificate), "-CAkey", str(self.key)), days=days)
        return certificate, key

    def issue_server(self, name: str, *alternative_names: str) -> tuple[pathlib.Path, pathlib.Path]:
        return self.issue(name, f"/CN={name}", "extendedKeyUsage=serverAuth", "subjectAltName=" + ",".join(alternative_names))

    def issue_client(self, name: str, user: str, *groups: str, days: int = DAYS) -> tuple[pathlib.Path, pathlib.Path]:
        """For Kubernetes the common name is the user and the organizations are its groups."""
        subject = "".join(f"/O={group}" for group in groups) + f"/CN={user}"
        return self.issue(name, subject, "extendedKeyUsage=clientAuth", days=days)

    def issue_expired(self, name: str, subject: str, extension: str) -> tuple[pathlib.Path, pathlib.Path]:
        """One that ended yesterday. `openssl req` makes none such."""
        certificate, key = self.directory / f"{name}.crt", self.directory / f"{name}.key"
        wish = self.directory / f"{name}.csr"
        openssl("req", "-config", str(self.config), "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-noenc", "-subj", subject,
                "-addext", extension, "-keyout", str(key), "-out", str(wish))
        openssl("x509", "-req", "-in", str(wish), "-CA", str(self.certificate), "-CAkey", str(self.key), "-CAcreateserial", "-days", "-1",
                "-copy_extensions", "copy", "-out", str(certificate))
        return certificate, key

    def request(self, certificate, key, subject: str, *extensions: str, signed=(), days: int = DAYS):
        added = [word for extension in extensions for word in ("-addext", extension)]
        openssl("req", "-x509", "-config", str(self.config), "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-noenc",
                "-days", str(days), "-subj", subject, *added, *signed, "-out", str(certificate), "-keyout", str(key))
