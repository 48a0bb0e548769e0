# SPDX-License-Identifier: Apache-2.0
"""As much of an API server as an agent needs for the tokens of one namespace: its lists, its watches, TokenRequest.

The real one is in tests/cluster. This one starts in no time and can be given any certificate, or none.
"""
import base64
import http.server
import json
import socket
import ssl
import threading
import time


def part_of(value: dict) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


def unsigned_token(ns: str, account: str, audiences: list, seconds: int, bound: dict | None) -> str:
    now = int(time.time())
    claims = {"iss": "https://double", "sub": f"system:serviceaccount:{ns}:{account}", "aud": audiences or ["https://double"], "iat": now,
              "exp": now + seconds, "kubernetes.io": {"namespace": ns, "serviceaccount": {"name": account, "uid": "uid-of-" + account}}}
    if bound:
        claims["kubernetes.io"][bound["kind"].lower()] = {"name": bound["name"], "uid": "uid-of-" + bound["name"]}
    return ".".join((part_of({"alg": "ES256", "kid": "one"}), part_of(claims), "c2ln"))


def reserved_port(test) -> int:
    """A port where nobody listens, and that nobody else is given until the test is over. A double may."""
    place = socket.socket()
    test.addCleanup(place.close)
    place.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    place.bind(("127.0.0.1", 0))
    return place.getsockname()[1]


class ApiDouble:
    """Listens from start() to stop(). `accepts` says which bearer tokens are good; empty: any. `seen` holds, for each TokenRequest,
    the account and the bearer token that it came with. Objects are applied for as long as their path has no part of `forbids`;
    `patches` holds what was sent, by path. `objects` are there from the start, by path. `refuses` says which accounts get no
    token: status, reason and message by name."""

    def __init__(self, certificate=None, key=None, accepts=(), port: int = 0, forbids=(), objects=None, refuses=None):
        self.accepts, self.seen, self.tokens, self.forbids = set(accepts), [], set(), set(forbids)
        self.applied = set()  # names
        self.objects, self.patches, self.refuses = objects or {}, {}, refuses or {}
        self.over = threading.Event()
        double = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def answer(self, status: int, body: dict):
                text = json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def refuse(self, status: int, reason: str, message: str):
                self.answer(status, {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": reason, "message": message, "code": status})

            def bearer(self) -> str:
                return self.headers.get("Authorization", "").removeprefix("Bearer ")

            def is_known(self) -> bool:
                if not double.accepts or self.bearer() in double.accepts | double.tokens:
                    return True
                self.refuse(401, "Unauthorized", "Unauthorized")
                return False

            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))))
                if not self.is_known():
                    return
                parts = self.path.split("/")  # /api/v1/namespaces/NS/serviceaccounts/NAME/token
                if len(parts) != 8 or parts[7] != "token":
                    return self.refuse(404, "NotFound", "the server could not find the requested resource")
                if parts[6] in double.refuses:
                    return self.refuse(*double.refuses[parts[6]])
                bound = body["spec"].get("boundObjectRef")
                if bound and bound["name"] not in double.applied:
                    return self.refuse(404, "NotFound", f'{bound["kind"].lower()}s "{bound["name"]}" not found')
                ns, account = parts[4], parts[6]
                seconds = body["spec"].get("expirationSeconds", 3600)
                token = unsigned_token(ns, account, body["spec"].get("audiences", []), seconds, bound)
                double.seen.append((account, self.bearer()))
                double.tokens.add(token)
                end = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + seconds))
                self.answer(201, {"kind": "TokenRequest", "apiVersion": "authentication.k8s.io/v1", "metadata": {},
                                  "spec": {"expirationSeconds": seconds}, "status": {"token": token, "expirationTimestamp": end}})

            def do_PATCH(self):
                sent = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                if not self.is_known():
                    return
                path = self.path.split("?")[0]
                if double.forbids & set(path.split("/")):
                    return self.refuse(403, "Forbidden", f'secrets "{path.split("/")[-1]}" is forbidden: an admission plugin says no')
                double.applied.add(path.split("/")[-1])
                double.patches[path] = sent.decode()
                self.answer(200, {})

            def do_GET(self):
                if not self.is_known():
                    return
                target = self.path
                if target in double.objects:
                    return self.answer(200, double.objects[target])
                if "/serviceaccounts" not in target:
                    return self.refuse(404, "NotFound", "the server could not find the requested resource")
                if "sendInitialEvents" in target:
                    return self.refuse(400, "BadRequest", "lists are not streamed")
                if "watch=true" in target:
                    self.send_response(200)
                    self.send_header("Content-Type", "application/json")
                    self.send_header("Connection", "close")
                    self.end_headers()
                    self.wfile.flush()
                    double.over.wait()
                    return None
                name = target.split("metadata.name%3D")[-1].split("&")[0]
                self.answer(200, {"kind": "ServiceAccountList", "apiVersion": "v1", "metadata": {"resourceVersion": "7"},
                                  "items": [{"metadata": {"name": name, "namespace": target.split("/")[4], "uid": "uid-of-" + name, "resourceVersion": "7"}}]})

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_):
                pass  # a client that does not trust us, or has been killed

        self.server = Server(("127.0.0.1", port), Handler)
        self.port = self.server.server_address[1]
        self.context = None
        if certificate:
            self.present(certificate, key)
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)

    def present(self, certificate, key):
        """From now on, to whoever connects."""
        if self.context:
            return self.context.load_cert_chain(certificate, key)
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(certificate, key)
        # The handshake is the connection's thread's: a client that says nothing holds up nobody.
        self.server.socket = self.context.wrap_socket(self.server.socket, server_side=True, do_handshake_on_connect=False)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()
