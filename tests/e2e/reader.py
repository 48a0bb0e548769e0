# SPDX-License-Identifier: Apache-2.0
"""Readers in tight loops, as processes of their own: what they ever saw amiss, and how much they saw.

    reader.py together VOLUME   reads the token, and the token and keys a and b of one generation: they must match
    reader.py slowly VOLUME     resolves ..data, waits for it to be swapped, and opens the token where it was then
    reader.py states VOLUME     reads all files of one generation, as a state: of each its mode, and its text without repetition

SIGTERM ends a reader; it prints one JSON object.
"""
import base64
import json
import os
import signal
import stat
import sys
import time

from daemon import GRACE

SLOW_READER_SECONDS = 0.5  # from the swap to the open; well within the grace time of the tests

ending = False


def end(*_):
    global ending
    ending = True


def read_at(directory: int, name: str) -> bytes:
    fd = os.open(name, os.O_RDONLY, dir_fd=directory)
    try:
        return os.read(fd, 65536)
    finally:
        os.close(fd)


class Tally:
    def __init__(self):
        self.reads = 0
        self.tokens = set()
        self.values = set()
        self.states = []
        self.wrong = []

    def check_token(self, token: bytes):
        self.reads += 1
        if token in self.tokens and time.time() < self.expires:
            return
        try:
            header, claims, signature = token.split(b".")
            said = json.loads(base64.urlsafe_b64decode(claims + b"=" * (-len(claims) % 4)))
            json.loads(base64.urlsafe_b64decode(header + b"=" * (-len(header) % 4)))
            assert len(signature) == 86, "an ES256 signature has 64 bytes"
            assert said["exp"] > time.time(), "expired"
            self.expires = said["exp"]
            self.tokens.add(token)
        except (ValueError, KeyError, AssertionError) as error:
            self.amiss(f"invalid token of {len(token)} bytes: {error!r}")

    def missing(self, error: OSError, looked: float):
        """A process that stood still for longer than a generation stays may miss it: it found its way there at `looked`."""
        if time.monotonic() - looked < GRACE:
            self.amiss(f"missing: {error!r}")

    def amiss(self, what: str):
        if len(self.wrong) < 20:
            self.wrong.append(what)

    def tell(self):
        print(json.dumps({"reads": self.reads, "tokens": len(self.tokens), "values": len(self.values), "states": self.states,
                          "wrong": self.wrong}))


def together(volume: str) -> Tally:
    tally = Tally()
    root = os.open(volume, os.O_RDONLY | os.O_DIRECTORY)
    while not ending:
        looked = time.monotonic()
        try:
            tally.check_token(read_at(root, "token"))
            generation = os.open("..data", os.O_RDONLY | os.O_DIRECTORY, dir_fd=root)
            try:
                token, a, b = (read_at(generation, name) for name in ("token", "a", "b"))
            finally:
                os.close(generation)
            tally.check_token(token)
            if a != b or not a:
                tally.amiss(f"mixed: a={a!r} b={b!r}")
            tally.values.add(a)
        except OSError as error:
            tally.missing(error, looked)
    return tally


def slowly(volume: str) -> Tally:
    tally = Tally()
    while not ending:
        looked = now = time.monotonic()
        try:
            resolved = os.readlink(f"{volume}/..data")
            while not ending and os.readlink(f"{volume}/..data") == resolved:
                looked = now
                time.sleep(0.005)
                now = time.monotonic()
            if ending:
                break
            time.sleep(SLOW_READER_SECONDS)
            with open(f"{volume}/{resolved}/token", "rb") as file:
                tally.check_token(file.read())
        except OSError as error:
            tally.missing(error, looked)
    return tally


def state_of(directory: int, prefix: str = "") -> dict:
    state = {}
    for name in os.listdir(directory):
        found = os.stat(name, dir_fd=directory, follow_symlinks=False)
        if stat.S_ISDIR(found.st_mode):
            inner = os.open(name, os.O_RDONLY | os.O_DIRECTORY, dir_fd=directory)
            try:
                state |= state_of(inner, f"{prefix}{name}/")
            finally:
                os.close(inner)
            continue
        text = read_at(directory, name).decode()
        shown = "TOKEN" if text.count(".") == 2 else text[:1] if text == text[:1] * len(text) and len(text) > 1000 else text
        state[prefix + name] = [stat.S_IMODE(found.st_mode), shown]
    return state


def state_now(volume: str) -> dict:
    generation = os.open(f"{volume}/..data", os.O_RDONLY | os.O_DIRECTORY)
    try:
        return state_of(generation)
    finally:
        os.close(generation)


def states(volume: str) -> Tally:
    tally = Tally()
    root = os.open(volume, os.O_RDONLY | os.O_DIRECTORY)
    while not ending:
        looked = time.monotonic()
        try:
            tally.check_token(read_at(root, "token"))
            if (state := state_now(volume)) not in tally.states:
                tally.states.append(state)
        except OSError as error:
            tally.missing(error, looked)
    return tally


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, end)
    {"together": together, "slowly": slowly, "states": states}[sys.argv[1]](sys.argv[2]).tell()
