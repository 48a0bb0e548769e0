# SPDX-License-Identifier: Apache-2.0
"""Power lost at any moment of a start, on ext4: a copy of the disk as it is then, mounted again.

Two disks are tried. On the one that keeps its promises only, what was written after the last sync is not there. On the
other the journal was committed just before, as any other process that syncs a file brings about: names are there, and the
bytes of files that nobody has synced are not.
"""
import collections
import contextlib
import os
import pathlib
import random
import shutil
import subprocess
import sys
import tempfile
import unittest

import start_test
import world as faults

SAMPLE = int(os.environ.get("FAULTS_SAMPLE", "12"))  # moments of each test; all of them with FAULTS=all
MEGABYTES = 16

Loss = collections.namedtuple("Loss", "call image seen key_ids")  # of power: the disk, and what readers had seen by then


def mount(image: pathlib.Path, where: pathlib.Path):
    where.mkdir()
    subprocess.run(["mount", "-o", "loop", image, where], check=True, capture_output=True, text=True)


class Disk:
    """An ext4 file system in a file, with a world on it."""

    def __init__(self, workshop: pathlib.Path):
        self.workshop = workshop
        self.image = workshop / "disk"
        with open(self.image, "wb") as file:
            file.truncate(MEGABYTES << 20)
        subprocess.run(["mkfs.ext4", "-q", self.image], check=True)
        mount(self.image, workshop / "live")
        self.world = faults.World("", base=self.mkdir(workshop / "live/world"))

    @staticmethod
    def mkdir(path: pathlib.Path) -> pathlib.Path:
        path.mkdir()
        return path

    def commit(self):
        """Commits the journal, by a sync of a file that is nobody's."""
        with open(self.workshop / "live/stranger", "wb") as file:
            file.write(b"x")
            os.fsync(file.fileno())

    def copy(self, name: str) -> pathlib.Path:
        subprocess.run(["cp", "--sparse=always", self.image, self.workshop / name], check=True)
        return self.workshop / name

    @contextlib.contextmanager
    def after_power_is_back(self, image: pathlib.Path):
        where = self.workshop / "again"
        mount(image, where)
        try:
            yield self.world.moved_to(where / "world")
        finally:
            subprocess.run(["umount", where], check=True)
            where.rmdir()
            image.unlink()

    def close(self):
        subprocess.run(["umount", self.workshop / "live"], check=False, capture_output=True)
        shutil.rmtree(self.workshop, ignore_errors=True)


class Power(unittest.TestCase):
    def setUp(self):
        faults.skip_where_nothing_can_be_tried()
        workshop = pathlib.Path(tempfile.mkdtemp(prefix="tokenlet-power-", dir=faults.DISK))
        workshop.chmod(0o755)
        try:
            self.disk = Disk(workshop)
        except (FileNotFoundError, subprocess.CalledProcessError) as error:
            shutil.rmtree(workshop, ignore_errors=True)
            said = getattr(error, "stderr", None) or error
            self.skipTest(f"NOT TESTED: no disk can be made and mounted here: {said}")
        self.addCleanup(self.disk.close)
        self.lies = []

    def test_lost_in_the_first_start_leaves_nothing_or_everything_without_what_was_not_synced(self):
        self.lose_power(start_test.first, commit=False)

    def test_lost_in_the_first_start_leaves_nothing_or_everything_when_the_journal_was_committed(self):
        self.lose_power(start_test.first, commit=True)

    def test_lost_in_a_rotation_leaves_the_old_or_the_new_set_without_what_was_not_synced(self):
        self.lose_power(start_test.rotating, commit=False)

    def test_lost_in_a_rotation_leaves_the_old_or_the_new_set_when_the_journal_was_committed(self):
        self.lose_power(start_test.rotating, commit=True)

    def test_of_a_disk_that_only_says_that_it_syncs_shows_here(self):
        """That the tests above can fail."""
        self.lies = ["--lie"]
        with self.assertRaisesRegex(AssertionError, "failed: "):
            self.lose_power(start_test.rotating, commit=True)

    def lose_power(self, prepare, commit: bool):
        world = self.disk.world
        prepare(world)
        os.sync()
        before = faults.Before(world)
        moments = self.moments(world.copy(), commit)
        lost = []
        with tempfile.NamedTemporaryFile("r") as log, self.stepping(log.name) as running:
            for line in running.stdout:
                call = faults.Call(line.rstrip("\n"), world.base)
                if call.number in moments:
                    lost.append(self.lose_power_at(call, commit))
                with contextlib.suppress(BrokenPipeError):
                    running.stdin.write("\n")
                    running.stdin.flush()
            said = running.stderr.read()
            self.assertEqual(0, running.wait(timeout=faults.PATIENCE), said)
        # Only now: an agent that is held for long takes its disk for one that hangs.
        outcomes = collections.Counter()
        failures = []
        for loss in lost:
            outcome = self.after(loss, before)
            outcomes[outcome.split(":")[0]] += 1
            failures += [f"before {loss.call}: {outcome}"] if ":" in outcome else []
        print(f"{prepare.__name__}, {'committed' if commit else 'dropped'}: {dict(outcomes)}", file=sys.stderr)
        self.assertEqual([], failures, "\n" + "\n".join(failures))

    def moments(self, tried: faults.World, commit: bool) -> set:
        """Without commits the disk changes at syncs only: it is looked at just before each."""
        with tried:
            done = tried.once()
            tried.configure()
            assert tried.once().code == 0 and tried.once().code == 0
            self.whole = tried.tree()
        numbers = [call.number for call in done.calls if commit or call.name in ("fsync", "fdatasync")]
        if not start_test.ALL:
            numbers = random.Random(start_test.SEED).sample(numbers, min(SAMPLE, len(numbers)))
        return set(numbers)

    def stepping(self, log: str) -> subprocess.Popen:
        command = self.disk.world.command("once", log, options=["--step", *self.lies])
        return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def lose_power_at(self, call: faults.Call, commit: bool) -> Loss:
        if commit:
            self.disk.commit()
        world = self.disk.world
        return Loss(call, self.disk.copy(f"lost-{call.number}"), world.published(), world.key_ids())

    def after(self, loss: Loss, before: faults.Before) -> str:
        world = self.disk.world
        with self.disk.after_power_is_back(loss.image) as found:
            try:
                before.check_readers(found)
                # What readers had seen lives on in other places, so that its uids and keys must have been on disk.
                elsewhere = {found.base / volume.relative_to(world.base): files for volume, files in loss.seen.items()}
                adoptable = found.adoptable()
                found.configure()
                faults.check_mended(found, elsewhere, adoptable, self.whole, before)
                assert loss.key_ids <= found.key_ids(), f"published keys are lost: {loss.key_ids - found.key_ids()}"
            except (AssertionError, OSError, ValueError, subprocess.TimeoutExpired) as error:
                return f"failed: {error}"
        return "mended"
