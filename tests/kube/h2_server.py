# SPDX-License-Identifier: Apache-2.0
"""A server that speaks HTTP/2 only: h2_server.py CERTIFICATE KEY. Prints its port, ends when its stdin does.

/slow is answered when another request of the same connection has been; /goaway is answered and followed by GOAWAY;
/watch sends two pieces; /ticks sends one with each later request of its connection; /silence is never answered, and neither
is anything on its connection after /freeze. Every other answer's body is "<number of the connection> <stream>".
"""
import socket
import ssl
import sys
import threading

import h2.config
import h2.connection
import h2.events


class Connection:
    def __init__(self, raw: ssl.SSLSocket, number: int):
        self.raw = raw
        self.number = number
        self.slow: list[int] = []
        self.ticks: list[int] = []
        self.is_over = False
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))

    def answer(self, stream: int, *pieces: str):
        self.h2.send_headers(stream, [(":status", "200"), ("content-type", "application/json")])
        for piece in pieces or (f"{self.number} {stream}",):
            self.h2.send_data(stream, piece.encode())
        self.h2.end_stream(stream)

    def take(self, event):
        if not isinstance(event, h2.events.RequestReceived):
            return
        path = dict(event.headers)[b":path"].decode()
        for stream in self.ticks:
            self.h2.send_data(stream, b"tick\n")
        if path == "/silence":
            return
        if path == "/freeze":
            self.is_over = True
            return
        if path == "/ticks":
            self.ticks.append(event.stream_id)
            return self.h2.send_headers(event.stream_id, [(":status", "200")])
        if path == "/slow":
            return self.slow.append(event.stream_id)
        if path == "/watch":
            return self.answer(event.stream_id, "one\n", "two\n")
        self.answer(event.stream_id)
        while self.slow:
            self.answer(self.slow.pop())
        if path == "/goaway":
            self.h2.close_connection()
            self.is_over = True

    def run(self):
        self.h2.initiate_connection()
        self.raw.sendall(self.h2.data_to_send())
        while data := self.raw.recv(65536):
            if self.is_over:
                continue
            for event in self.h2.receive_data(data):
                self.take(event)
            self.raw.sendall(self.h2.data_to_send())


def serve(raw: socket.socket, context: ssl.SSLContext, number: int):
    raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    try:
        Connection(context.wrap_socket(raw, server_side=True), number).run()
    except OSError:
        pass  # the client has gone


def accept(listener: socket.socket, context: ssl.SSLContext):
    number = 0
    while True:
        raw, _ = listener.accept()
        number += 1
        threading.Thread(target=serve, args=(raw, context, number), daemon=True).start()


def main():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(sys.argv[1], sys.argv[2])
    context.set_alpn_protocols(["h2"])
    listener = socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=accept, args=(listener, context), daemon=True).start()
    print(listener.getsockname()[1], flush=True)
    sys.stdin.read()


main()
