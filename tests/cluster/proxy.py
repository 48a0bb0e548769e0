# SPDX-License-Identifier: Apache-2.0
"""Proxies between an agent and the API server that do to the traffic what a test says.

    with Network(cluster) as network:
        wire = network.wire()              # passes bytes on, which TLS protects
        wire.begin(cut(after=3000))
        gateway = network.gateway()        # ends TLS, speaks HTTP/1.1, may answer by itself
        gateway.answer = lambda asked: b"HTTP/1.1 503 Away\\r\\n\\r\\n"
        frames = network.frames()          # ends TLS, passes HTTP/2 frames on, and slips in some of its own
        frames.send(goaway())

`port` is where to connect to; `connections` how often somebody did. Whoever calls a gateway or frames is known to the server
by what its headers say: a client certificate does not get through. All run on one thread.
"""
import asyncio
import contextlib
import dataclasses
import logging
import random
import socket
import ssl
import threading
import time

PIECE = 65536
PATIENCE = 300
FRAME_HEAD = 9  # RFC 9113 section 4.1
PREFACE = len(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")


class Network:
    """The thread, and every proxy made."""

    def __init__(self, cluster):
        self.cluster = cluster
        logging.getLogger("asyncio").setLevel(logging.ERROR)  # connections that end are what this is about
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.proxies = []

    def __enter__(self):
        self.pair = self.cluster.serving_ca.issue_server("proxy", "IP:127.0.0.1")
        self.thread.start()
        return self

    def __exit__(self, *_):
        async def end():
            for proxy in self.proxies:
                proxy.server.close()
                proxy.abort_all()
            await asyncio.gather(*asyncio.all_tasks() - {asyncio.current_task()}, return_exceptions=True)
        self.run(end())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()

    def run(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(PATIENCE)

    def wire(self) -> "Wire":
        return self.opened(Wire(self))

    def gateway(self) -> "Gateway":
        return self.opened(Gateway(self), self.server_context("http/1.1"))

    def frames(self) -> "Frames":
        return self.opened(Frames(self), self.server_context("h2"))

    def opened(self, proxy, context: ssl.SSLContext | None = None):
        self.proxies.append(proxy)
        self.run(proxy.open(context))
        return proxy

    def server_context(self, protocol: str) -> ssl.SSLContext:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(*self.pair)
        context.set_alpn_protocols([protocol])
        return context

    def client_context(self, protocol: str) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=str(self.cluster.ca))
        context.set_alpn_protocols([protocol])
        return context


class Link:
    """One connection of a client's, and the one to the server that it is passed on to."""

    def __init__(self, client: asyncio.StreamWriter):
        self.client = client
        self.server: asyncio.StreamWriter | None = None
        self.task = asyncio.current_task()
        self.bytes_down = 0
        self.stranded = False

    def abort(self):
        for writer in (self.client, self.server):
            # A TLS transport that was closed twice has let go of its protocol, and some Pythons ask it all the same.
            if writer is not None:
                with contextlib.suppress(AttributeError):
                    writer.transport.abort()
        if self.task is not asyncio.current_task():
            self.task.cancel()


class Proxy:
    def __init__(self, network: Network):
        self.network = network
        self.links: set[Link] = set()
        self.connections = 0
        self.refuses = False

    async def open(self, context: ssl.SSLContext | None):
        self.server = await asyncio.start_server(self.accept, "127.0.0.1", 0, ssl=context, family=socket.AF_INET)
        self.port = self.server.sockets[0].getsockname()[1]

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter):
        self.connections += 1
        link = Link(writer)
        self.links.add(link)
        try:
            if not self.refuses:
                await self.serve(reader, link)
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, asyncio.CancelledError):
            pass  # one of the two has gone, or is made to
        finally:
            link.abort()
            self.links.discard(link)

    async def serve(self, reader: asyncio.StreamReader, link: Link):
        raise NotImplementedError

    def abort_all(self):
        for link in list(self.links):
            link.abort()

    def cut(self):
        """Every connection there is, with a reset."""
        self.network.loop.call_soon_threadsafe(self.abort_all)

    def refuse(self):
        """Every connection, and each that comes."""
        self.refuses = True
        self.cut()

    def strand(self):
        """Connections that are there stay so, and nothing gets through them any more. New ones work."""
        for link in list(self.links):
            link.stranded = True

    def half_close(self):
        """Clients are told that nothing more will come, and are listened to."""
        def close():
            for link in list(self.links):
                link.stranded = True
                link.client.write_eof()
        self.network.loop.call_soon_threadsafe(close)


async def untouched(link: Link, data: bytes) -> bytes:
    return data


def late(seconds: float):
    async def fault(link: Link, data: bytes) -> bytes:
        await asyncio.sleep(seconds)
        return data
    return fault


def cut(after: int):
    """Every connection, at a byte of the server's up to that one."""
    async def fault(link: Link, data: bytes) -> bytes:
        limit = link.__dict__.setdefault("limit", random.randrange(after))
        if link.bytes_down + len(data) < limit:
            return data
        if link.bytes_down < limit:
            link.client.write(data[:limit - link.bytes_down])
        raise ConnectionResetError
    return fault


def garble(within: int):
    """A byte of the server's in each connection."""
    async def fault(link: Link, data: bytes) -> bytes:
        at = link.__dict__.setdefault("wrong", random.randrange(within)) - link.bytes_down
        return data[:at] + bytes([data[at] ^ 0x10]) + data[at + 1:] if 0 <= at < len(data) else data
    return fault


async def swallow(link: Link, data: bytes) -> bytes:
    """Nothing comes any more, and the connection stays."""
    await asyncio.Event().wait()


class Wire(Proxy):
    """A fault is what becomes of the server's bytes."""

    def __init__(self, network: Network):
        super().__init__(network)
        self.fault = untouched

    def begin(self, fault):
        """Bytes count from now on."""
        for link in list(self.links):
            link.bytes_down = 0
        self.fault = fault

    async def serve(self, reader: asyncio.StreamReader, link: Link):
        server, link.server = await asyncio.open_connection("127.0.0.1", self.network.cluster.port)
        ups = asyncio.create_task(self.up(reader, link))
        try:
            while data := await server.read(PIECE):
                passed = await self.fault(link, data)
                link.bytes_down += len(data)
                if not link.stranded:
                    link.client.write(passed)
                    await link.client.drain()
            if link.stranded:
                await asyncio.Event().wait()
        finally:
            ups.cancel()

    async def up(self, reader: asyncio.StreamReader, link: Link):
        with contextlib.suppress(OSError):
            while data := await reader.read(PIECE):
                if not link.stranded:
                    link.server.write(data)
                    await link.server.drain()
            link.abort()


@dataclasses.dataclass
class Asked:
    """One request as a gateway saw it."""
    at: float  # time.monotonic()
    method: str
    target: str
    body: bytes
    by_gateway: bool = False  # answered by the gateway, at `answered`
    answered: float = 0.0


@dataclasses.dataclass
class Slowly:
    """An answer that comes byte by byte, and then no more."""
    text: bytes
    pause: float = 0.1


class Gateway(Proxy):
    """`answer` gives raw bytes for a request that it answers by itself, after which the connection is closed."""

    def __init__(self, network: Network):
        super().__init__(network)
        self.answer = lambda asked: None
        self.asked: list[Asked] = []

    async def serve(self, reader: asyncio.StreamReader, link: Link):
        head = await reader.readuntil(b"\r\n\r\n")
        first, *lines = head.decode().split("\r\n")[:-2]
        length = next((int(line.split(":")[1]) for line in lines if line.lower().startswith("content-length:")), 0)
        body = await reader.readexactly(length)
        asked = Asked(time.monotonic(), *first.split(" ")[:2], body)
        self.asked.append(asked)
        answer = self.answer(asked)
        if answer is not None:
            asked.by_gateway, asked.answered = True, time.monotonic()
            await self.send(link, answer)
            return
        server, link.server = await asyncio.open_connection("127.0.0.1", self.network.cluster.port,
                                                            ssl=self.network.client_context("http/1.1"))
        link.server.write("\r\n".join([first, *lines, "Connection: close", "", ""]).encode() + body)
        gone = asyncio.create_task(self.wait_for_end(reader, link))
        try:
            while data := await server.read(PIECE):
                link.client.write(data)
                await link.client.drain()
        finally:
            gone.cancel()
        link.client.close()
        await link.client.wait_closed()

    async def send(self, link: Link, answer: bytes | Slowly):
        if isinstance(answer, Slowly):
            for byte in answer.text:
                link.client.write(bytes([byte]))
                await asyncio.sleep(answer.pause)
            await asyncio.Event().wait()
        link.client.write(answer)
        await link.client.drain()
        link.client.close()
        await link.client.wait_closed()

    async def wait_for_end(self, reader: asyncio.StreamReader, link: Link):
        with contextlib.suppress(OSError):
            await reader.read(1)
        link.abort()


def frame(kind: int, payload: bytes, stream: int = 0) -> bytes:
    return len(payload).to_bytes(3, "big") + bytes([kind, 0]) + stream.to_bytes(4, "big") + payload


def goaway(last_stream: int = 2**31 - 1, error: int = 0) -> bytes:
    return frame(7, last_stream.to_bytes(4, "big") + error.to_bytes(4, "big"))


def reset(stream: int, error: int = 2) -> bytes:
    return frame(3, error.to_bytes(4, "big"), stream)


class Frames(Proxy):
    """`slip` gives the bytes that are slipped in before a frame of the server's (its type, its stream), or none."""

    def __init__(self, network: Network):
        super().__init__(network)
        self.slip = lambda link, kind, stream: b""

    def send(self, text: bytes):
        """To every client."""
        def send():
            for link in list(self.links):
                link.client.write(text)
        self.network.loop.call_soon_threadsafe(send)

    async def serve(self, reader: asyncio.StreamReader, link: Link):
        server, link.server = await asyncio.open_connection("127.0.0.1", self.network.cluster.port,
                                                            ssl=self.network.client_context("h2"))
        ups = asyncio.create_task(self.up(reader, link))
        try:
            while True:
                head = await server.readexactly(FRAME_HEAD)
                payload = await server.readexactly(int.from_bytes(head[:3], "big"))
                link.client.write(self.slip(link, head[3], int.from_bytes(head[5:9], "big")) + head + payload)
                await link.client.drain()
        finally:
            ups.cancel()

    async def up(self, reader: asyncio.StreamReader, link: Link):
        with contextlib.suppress(OSError):
            while data := await reader.read(PIECE):
                link.server.write(data)
                await link.server.drain()
        link.abort()
