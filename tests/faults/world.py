# SPDX-License-Identifier: Apache-2.0
"""Two Pods with a token and two keys of a config map each, the agent under a fault, and what must hold afterwards."""
import atexit
import contextlib
import errno
import functools
import hashlib
import json
import os
import pathlib
import re
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.append(str(pathlib.Path(__file__).parents[1] / "e2e"))
import daemon

INJECT = os.environ.get("INJECT", str(pathlib.Path(__file__).parents[2] / "build/dev/tests/faults/tokenlet_inject"))
MEMORY, DISK = "/dev/shm", "/var/tmp"
NOBODY = 65534
LIFETIME = 7 * 24 * 3600  # seconds of a token: none is due before its time is set back, or maxAge says so
PATIENCE = 120.0  # seconds for a start, which takes a tenth of one where nothing else goes on
PODS = ("db", "web")

READ = (errno.EIO,)
OPEN = (errno.EIO, errno.EACCES, errno.EMFILE, errno.EINTR)
MAKE = (errno.ENOSPC, errno.EIO, errno.EACCES, errno.EROFS)
CHANGE = (errno.EIO, errno.EACCES, errno.EROFS)
WRITE = ("short", errno.ENOSPC, errno.EIO, errno.EINTR)
# What each call may plausibly answer on a disk that is full, broken, read-only or another user's.
FATES = {
    **dict.fromkeys(("read", "pread64", "getdents64", "fgetxattr", "lseek", "fstat", "fstatfs", "statfs"), READ),
    **dict.fromkeys(("stat", "lstat", "newfstatat", "statx", "readlink", "readlinkat"), (errno.EIO, errno.EACCES)),
    **dict.fromkeys(("access", "faccessat", "faccessat2"), (errno.EIO, errno.EACCES, errno.EROFS)),
    **dict.fromkeys(("open", "openat", "openat2"), OPEN),
    **dict.fromkeys(("open+", "openat+", "openat2+"), OPEN + (errno.ENOSPC, errno.EROFS)),
    **dict.fromkeys(("mkdir", "mkdirat", "rename", "renameat", "renameat2", "symlinkat"), MAKE),
    **dict.fromkeys(("unlink", "unlinkat", "rmdir"), CHANGE),
    **dict.fromkeys(("chmod", "fchmod", "fchmodat", "chown", "fchown", "fchownat"), CHANGE),
    **dict.fromkeys(("fsetxattr", "fremovexattr"), CHANGE + (errno.ENOSPC,)),
    **dict.fromkeys(("write", "pwrite64"), WRITE),
    **dict.fromkeys(("ftruncate", "fallocate"), (errno.ENOSPC, errno.EIO)),
    **dict.fromkeys(("fsync", "fdatasync"), (errno.EIO, errno.ENOSPC)),
    "flock": (errno.EINTR, errno.ENOLCK),
    "fcntl": (errno.ENOLCK, errno.EMFILE),
    "mmap": (errno.ENOMEM,),
    "inotify_add_watch": (errno.ENOSPC, errno.EACCES),
    "bind": (errno.ENOSPC, errno.EACCES, errno.EROFS),
    **dict.fromkeys(("socket", "inotify_init1", "epoll_create1", "timerfd_create", "eventfd2", "pipe2"), (errno.EMFILE,)),
}


@functools.cache
def program() -> str:
    """The binary, where every user can get at it."""
    where = pathlib.Path(tempfile.mkdtemp(prefix="tokenlet-faults-", dir=DISK))
    atexit.register(shutil.rmtree, where, ignore_errors=True)
    where.chmod(0o755)
    return shutil.copy(daemon.BINARY, where / "tokenlet")


def skip_where_nothing_can_be_tried():
    if os.geteuid() != 0:
        raise unittest.SkipTest("NOT TESTED: what a process that gave up root does with files shows to root alone")
    for user in ("0", str(NOBODY)):
        with tempfile.NamedTemporaryFile() as log:
            command = [INJECT, "--below", "/nowhere", "--log", log.name, "--user", user, "--", program(), "--help"]
            done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
        if done.returncode == 125:
            raise unittest.SkipTest(f"NOT TESTED: no program of user {user} can be traced here: {done.stderr.strip()}")


def config_map(value: str) -> str:
    return f"apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: pair, namespace: shop}}\ndata: {{a: '{value}', b: '{value}'}}\n"


class Call:
    """One line of inject's log."""

    def __init__(self, line: str, base: pathlib.Path):
        number, self.name, path = line.split(" ", 2)
        self.number = int(number)
        self.path = path.removeprefix(str(base)).removeprefix("/")

    def __str__(self):
        return f"call {self.number}, {self.name}({self.path})"

    def kind(self) -> str:
        """The same for every run: without what is drawn at random."""
        return f"{self.name}({plain(self.path)})"


def plain(path: str) -> str:
    path = re.sub(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "UID", path)
    path = re.sub(r"\.\.\d{4}(_\d\d){5}\.\d+", "GENERATION", path)
    return re.sub(r"[\w-]{43}\.pem", "KEY.pem", path)


def is_plausible(fate, call: Call) -> bool:
    """With threads, another run's call of the same number may be another one."""
    return fate == "kill" or fate in FATES[call.name]


class Ended:
    def __init__(self, code: int, said: str, calls: list):
        self.code = code
        self.said = said
        self.calls = calls


class World:
    """A directory with everything of one agent. `user` None: whoever runs the tests."""

    def __init__(self, file_system: str, user=None, base=None):
        self.user = user
        self.pods = PODS
        self.base = pathlib.Path(base or tempfile.mkdtemp(prefix="tokenlet-faults-", dir=file_system))
        self.base.chmod(0o755)
        self.manifests = self.base / "manifests"
        self.config = self.base / "agent.yaml"
        self.manifests.mkdir(mode=0o755, exist_ok=True)
        self.configure()
        self.drop("pair.yaml", config_map("1"))
        for name in PODS:
            self.drop(f"{name}.yaml", daemon.pod(name, seconds=LIFETIME, config="pair"))
        self.give_away()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.remove()

    def remove(self):
        shutil.rmtree(self.base, ignore_errors=True)

    def give_away(self):
        if self.user is not None:
            subprocess.run(["chown", "-R", f"{self.user}:{self.user}", str(self.base)], check=True)

    def configure(self, max_age="24h", grace="0s", removal_delay="100ms"):
        self.config.write_text(f"""apiVersion: tokenlet.dev/v1alpha1
kind: AgentConfiguration
nodeName: edge
stateDir: {self.base}/state
manifests: {{path: {self.manifests}, removalDelay: {removal_delay}}}
volumes: {{root: {self.base}/pods, byName: {self.base}/by-name, grace: {grace}}}
issuer: {{embedded: {{issuer: "https://tokens.example.org", maxTokenExpiration: 0s, dataDir: {self.base}/authority}}}}
rotation: {{maxAge: {max_age}, maxJitter: 0s}}
status: {{socket: {self.base}/tokenlet.sock}}
""")

    def age(self, seconds: int):
        """Tokens as old as if they had been received so much earlier."""
        for file in self.base.glob("pods/*/records/*.json"):
            record = json.loads(file.read_text())
            for token in record["tokens"]:
                for clock in ("receivedWallNs", "receivedBootNs"):
                    token[clock] -= seconds * 10**9
            file.write_text(json.dumps(record))

    def drop(self, file: str, text: str):
        beside = self.base / "incoming"
        beside.write_text(text)
        if self.user is not None:
            os.chown(beside, self.user, self.user)
        beside.rename(self.manifests / file)

    def copy(self) -> "World":
        """A world of its own that stands as this one does."""
        base = tempfile.mkdtemp(prefix="tokenlet-faults-", dir=self.base.parent)
        done = subprocess.run(["cp", "-a", f"{self.base}/.", base], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return self.moved_to(pathlib.Path(base))

    def moved_to(self, base: pathlib.Path) -> "World":
        """The same world, whose files are now to be found elsewhere."""
        other = World.__new__(World)
        other.user, other.pods, other.base = self.user, self.pods, base
        other.manifests, other.config = base / "manifests", base / "agent.yaml"
        other.config.write_text(other.config.read_text().replace(str(self.base), str(base)))
        return other

    def command(self, verb: str, log: str, at=None, fate=None, options=()) -> list:
        command = [INJECT, "--below", str(self.base), "--log", log, *options]
        if self.user is not None:
            command += ["--user", str(self.user)]
        if at is not None:
            command += ["--at", str(at), "--fate", str(fate)]
        return command + ["--", program(), verb, "--config", str(self.config)]

    def once(self, at=None, fate=None) -> Ended:
        with tempfile.NamedTemporaryFile("r") as log:
            done = subprocess.run(self.command("once", log.name, at, fate), capture_output=True, text=True,
                                  timeout=PATIENCE, umask=0o022)
            if done.returncode == 125:
                raise AssertionError(f"inject: {done.stderr}")
            return Ended(done.returncode, done.stderr, self.calls(log.read()))

    def calls(self, log: str) -> list:
        return [Call(line, self.base) for line in log.splitlines()[1:]]

    # What stands.

    def volumes(self) -> dict:
        """(name of the Pod, uid) -> directory, of every volume that the names lead to."""
        found = {}
        for name in self.pods:
            link = self.base / "by-name" / "shop" / name / "data"
            with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                found[name] = (self.base / "pods" / os.path.relpath(link.resolve(strict=True), self.base / "pods"))
        return found

    def published(self) -> dict:
        """Directory of a volume -> (token, a, b), of every volume that has ..data: through it as readers do, and whole."""
        found = {}
        for volume in sorted(self.base.glob("pods/*/volumes/kubernetes.io~projected/data")):
            if os.path.lexists(volume / "..data"):
                found[volume] = tuple((volume / "..data" / name).read_text() for name in ("token", "a", "b"))
        return found

    def tree(self) -> list:
        """Every name below the base, without what is drawn at random."""
        names = []
        for root, directories, files in os.walk(self.base):
            names += [plain(os.path.relpath(os.path.join(root, name), self.base)) for name in directories + files]
        return sorted(names)

    def adoptable(self) -> dict:
        """Volume -> token, where the record knows the token that stands there: a restart must ask for no other."""
        found = {}
        for volume, (token, _, _) in self.published().items():
            record = volume.parents[2] / "records" / "kubernetes.io~projected~data.json"
            with contextlib.suppress(FileNotFoundError):
                if json.loads(record.read_text())["tokens"][0]["sha256"] == hashlib.sha256(token.encode()).hexdigest():
                    found[volume] = token
        return found

    def key_ids(self) -> set:
        """Of the keys that verifiers are told of; none before there is a list of them."""
        try:
            text = (self.base / "authority/discovery/openid/v1/jwks").read_text()
        except FileNotFoundError:
            return set()
        return {key["kid"] for key in json.loads(text)["keys"]}

    def database(self) -> dict:
        """Table -> rows of the authority's database, which must be sound."""
        # Not read-only: that leaves a log and its index behind, which here would be taken for the agent's.
        with contextlib.closing(sqlite3.connect(self.base / "authority/authority.db")) as database:
            assert database.execute("pragma integrity_check").fetchall() == [("ok",)]
            tables = [name for (name,) in database.execute("select name from sqlite_master where type = 'table'")]
            return {table: database.execute(f"select * from {table}").fetchall() for table in tables}


def check_token(token: str, now: float) -> dict:
    assert token.count(".") == 2, f"torn: {len(token)} bytes"
    claims = daemon.claims_of(token)
    assert claims["aud"] == ["test"] and claims["exp"] > now, "not a token to be used"
    return claims


class Before:
    """What stood when the fault came, and what that demands of all times after it."""

    def __init__(self, world: World):
        self.sets = {volume.relative_to(world.base): files for volume, files in world.published().items()}
        self.tables = world.database() if (world.base / "authority/authority.db").exists() else None

    def check_readers(self, world: World):
        """Readers saw the old set or the new one: every state between two calls is one that they may have met."""
        now = time.time()
        found = {volume.relative_to(world.base): files for volume, files in world.published().items()}
        assert not self.sets.keys() - found.keys(), f"volumes are gone: {self.sets.keys() - found.keys()}"
        for volume, (token, a, b) in found.items():
            old = self.sets.get(volume)
            assert a == b, f"a mix: a={a} b={b}"
            if old is None or token != old[0]:
                check_token(token, now)
            if old is not None:
                for name in ("token", "a", "b"):
                    assert (world.base / volume / name).exists(), f"{volume}/{name} leads nowhere"
        for name, volume in world.volumes().items():
            assert volume.is_dir(), f"the name of {name} leads nowhere"


def check_mended(world: World, faulty: dict, adoptable: dict, whole: list, before: Before):
    """After one start without faults: everything stands, nothing more, and who was known is still the same."""
    mended = world.once()
    assert mended.code == 0, f"the next start fails: {mended.said}"
    published = world.published()
    assert len(published) == len(world.pods), f"published: {sorted(map(str, published))}"
    now = time.time()
    claims = {volume: check_token(files[0], now) for volume, files in published.items()}
    uids = {said["kubernetes.io"]["pod"]["uid"] for said in claims.values()}
    assert uids == {path.name for path in world.base.glob("pods/*-*")}, "directories of Pods that are none"
    for volume, files in published.items():
        uid = claims[volume]["kubernetes.io"]["pod"]["uid"]
        assert volume.parents[2].name == uid, f"{volume}: a token of {uid}"
    for volume in faulty:
        assert volume in published, f"another uid than before: {volume}"
    for volume, token in adoptable.items():
        assert published[volume][0] == token, f"not adopted: {volume}"
    key_ids = world.key_ids()
    for volume, (token, _, _) in {**faulty, **published}.items():
        header = json.loads(daemon.base64.urlsafe_b64decode(token.split(".")[0] + "=="))
        assert header["kid"] in key_ids, f"{volume}: signed by a key that is lost"
    # What the next start replaced has its grace time; the one after that takes it away, and nothing else.
    again = world.once()
    assert again.code == 0 and world.published() == published, f"the start after it changes something: {again.said}"
    tree = world.tree()
    left_over, missing = set(tree) - set(whole), set(whole) - set(tree)
    assert not left_over and not missing, f"left over: {sorted(left_over)}, missing: {sorted(missing)}"
    assert len(tree) == len(whole), f"too many: {sorted(name for name in tree if tree.count(name) > whole.count(name))}"
    check_tables(world, before, claims.values())


def check_tables(world: World, before: Before, claims):
    """Who tokens name is on record once, and whoever was on record still is."""
    tables = world.database()
    assert len(tables["keys"]) == 1, f"keys: {tables['keys']}"
    for table, name, kind in (("pods", "pod", 3), ("service_accounts", "serviceaccount", 3), ("nodes", "node", 2)):
        recorded = [row[kind - 1] for row in tables[table]]
        named = {said["kubernetes.io"][name]["uid"] for said in claims if name in said["kubernetes.io"]}
        assert len(recorded) == len(set(recorded)) and named <= set(recorded), f"{table}: {recorded}, tokens: {named}"
        # One that has left stays on record while its tokens may still be in use.
        most = len(PODS) if table == "pods" else 1
        assert len(recorded) <= most, f"{table}: {recorded}"
    for table, rows in (before.tables or {}).items():
        if table in ("nodes", "service_accounts"):
            assert rows == tables[table], f"{table}: {rows} became {tables[table]}"


# How people call what the kernel calls otherwise (fdopendir() makes sure of what it was given); "" where no message need
# say it, because the file and the reason do.
SPOKEN = {"openat": "open", "openat2": "open", "pread64": "read", "pwrite64": "write",
          "newfstatat": "stat|fdopendir", "fstat": "stat|fdopendir", "fsync": "sync", "fdatasync": "sync",
          "fchmod": "chmod", "fchmodat": "chmod", "fchown": "chown", "renameat": "rename", "mkdirat": "mkdir",
          "unlinkat": "unlink", "symlinkat": "symlink", "readlinkat": "readlink", "getdents64": "readdir", "ftruncate": "truncate",
          "faccessat2": "write", "fstatfs": "statfs", "bind": "", "readlink": "realpath", "fcntl": "",
          "eventfd2": "eventfd|uv_loop_init", "epoll_create1": "uv_loop_init", "pipe2": "uv_loop_init"}
# Directories are named as the configuration does.
FIELDS = {"state": "stateDir", "pods": "volumes.root", "by-name": "volumes.byName", "authority": "dataDir",
          "manifests": "manifests.path"}


# What is said of a file whose name is drawn, or gone again. The name of a new directory is synced in the one above it.
TOLD = {"/data": "volume", "records/.new": "record", "/GENERATION": "generation", "/..data_tmp": "..data", "/pods": "UID"}


def is_named(call: Call, said: str, base: pathlib.Path) -> bool:
    """Whether a line says the call, and the file or the field that names it."""
    name = call.name.rstrip("+")
    verbs = (name, *SPOKEN.get(name, name).split("|"))
    file = os.path.basename(call.path) or base.name
    # SQLite's files beside the database go by its name, and what is renamed into place by the name that it gets.
    file = re.sub(r"^(authority\.db)-.*", r"\1", file).removeprefix(".").removesuffix(".tmp").removesuffix(".new")
    names = {file, plain(file), FIELDS.get(call.path, file)}
    names |= {known for told, known in TOLD.items() if plain("/" + call.path).endswith(told)}
    # SQLite looks at each directory on the way, and says in its own words what it makes of an error.
    if any("authority/authority.db" in line for line in said.splitlines()) and \
            (file == "authority.db" or call.path in ("", "authority")):
        return True
    return any(any(verb in line.lower() for verb in verbs) and
               (call.path == "-" or any(known in line or known in plain(line) for known in names))
               for line in said.splitlines())
