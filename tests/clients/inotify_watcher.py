# SPDX-License-Identifier: Apache-2.0
"""inotify_watcher.py directory|file|data|link VOLUME: says when it has read which token, woken by inotify itself.

    directory  watches the volume: ..data is renamed into it
    file       watches the token, through its links: it is deleted with its generation
    data       watches ..data, through the link: the generation, which is deleted
    link       watches the link ..data itself: it is replaced
"""
import ctypes
import hashlib
import os
import struct
import sys
import time

IN_MOVED_TO, IN_DELETE_SELF, IN_IGNORED = 0x80, 0x400, 0x8000
IN_DONT_FOLLOW = 0x2000000
EVENT = struct.Struct("iIII")
HABITS = {"directory": ("", IN_MOVED_TO), "file": ("token", IN_DELETE_SELF), "data": ("..data", IN_DELETE_SELF),
          "link": ("..data", IN_DELETE_SELF | IN_DONT_FOLLOW)}

habit, volume = sys.argv[1:]
name, events = HABITS[habit]
libc = ctypes.CDLL(None, use_errno=True)
inotify = libc.inotify_init1(os.O_CLOEXEC)


def look():
    with open(os.path.join(volume, "token"), "rb") as token:
        print(f"{time.time():.6f}", hashlib.sha256(token.read()).hexdigest(), flush=True)


def watch():
    """Then look: what changes in between wakes us again."""
    if libc.inotify_add_watch(inotify, os.path.join(volume, name).encode(), events) < 0:
        raise OSError(ctypes.get_errno(), "inotify_add_watch", name)
    look()


watch()
while True:
    buffer = os.read(inotify, 65536)
    while buffer:
        _, mask, _, length = EVENT.unpack_from(buffer)
        subject = buffer[EVENT.size:EVENT.size + length].rstrip(b"\0")
        buffer = buffer[EVENT.size + length:]
        if mask & IN_IGNORED:
            watch()  # it went with what it watched
        elif subject == b"..data":
            look()
