# SPDX-License-Identifier: Apache-2.0
"""watcher.py directory VOLUME: says when it has read which token, woken by watchdog."""
import hashlib
import os
import sys
import time

from watchdog.events import FileSystemEventHandler
from watchdog.observers import Observer

VOLUME = os.path.realpath(sys.argv[2])  # watchdog sees nothing through a link


class Handler(FileSystemEventHandler):
    def on_moved(self, event):
        if event.dest_path == VOLUME + "/..data":
            look()

    def on_created(self, event):  # what was moved there, where the two halves of the move were not seen together
        if event.src_path == VOLUME + "/..data":
            look()


def look():
    with open(VOLUME + "/token", "rb") as token:
        print(f"{time.time():.6f}", hashlib.sha256(token.read()).hexdigest(), flush=True)


observer = Observer()
observer.schedule(Handler(), VOLUME)
observer.start()
look()
observer.join()
