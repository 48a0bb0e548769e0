# SPDX-License-Identifier: Apache-2.0
"""Tells when something was renamed into one of some directories."""
import ctypes
import os
import select
import struct
import sys

IN_MOVED_TO = 0x80
EVENT = struct.Struct("iIII")


class Arrivals:
    def __init__(self, directories):
        libc = ctypes.CDLL(None, use_errno=True)
        self.fd = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        self.directories = {}
        for directory in directories:
            watch = libc.inotify_add_watch(self.fd, str(directory).encode(), IN_MOVED_TO)
            if watch < 0:
                sys.exit(f"inotify: {os.strerror(ctypes.get_errno())}; see fs.inotify.max_user_watches")
            self.directories[watch] = directory

    def next(self, patience_seconds: float | None) -> list[tuple]:
        """(directory, name) of each, as soon as there is one."""
        if not select.select([self.fd], [], [], patience_seconds)[0]:
            return []
        data, arrived, at = os.read(self.fd, 1 << 16), [], 0
        while at < len(data):
            watch, _, _, length = EVENT.unpack_from(data, at)
            at += EVENT.size
            arrived.append((self.directories[watch], data[at:at + length].rstrip(b"\0").decode()))
            at += length
        return arrived
