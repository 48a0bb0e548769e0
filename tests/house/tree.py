# SPDX-License-Identifier: Apache-2.0
"""The files of the repository, as the house tests look at them."""
import pathlib
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]

# In the order in which the data goes through them (HACKING.md).
FOLDERS = ("base", "kube", "fsatomic", "projector", "rotation", "http", "authority", "agent", "cli")


def tracked(*patterns: str) -> list[str]:
    """Paths below the root that git tracks, or would: a new file counts before it is added."""
    # A clone made by another user is as good as one's own for listing names.
    command = ["git", "-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--"]
    listing = subprocess.run([*command, *patterns], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return sorted(path for path in set(listing.split("\0")) if path and (ROOT / path).is_file())


def ours(*suffixes: str) -> list[str]:
    """The sources of the product, without its tests."""
    return [path for path in tracked(*FOLDERS) if path.endswith(suffixes)]


def text(path: str) -> str:
    return (ROOT / path).read_text(encoding="utf-8")
