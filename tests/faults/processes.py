"""Kills whole processes of experiments/run.py, and goes on with what they left, until a run ends;
then the next run.

Where a kill falls is drawn: at any moment of the process's life, or of its work, which begins with
the first change of the run's folder; or at one of these changes, or up to 2 ms after it. A process
that is to die at its work is forked from one that has imported everything. With
`--syscalls` strace kills at the entry of the first, second, ... call of each kind that changes the
disk.
"""

import argparse
import contextlib
import ctypes
import os
import random
import select
import shutil
import struct
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

from harness import ROOT, Forked, Parent, again, assert_same, check, fresh, printed_by, workplace

RUN = ROOT / "experiments" / "run.py"
EXPERIMENT = ("point_mass", "--iterations", "40")
CREATED, MODIFIED, MOVED, DELETED, CLOSED, IS_FOLDER = (
    0x100,
    0x2,
    0xC0,
    0x200,
    0x8,
    0x40000000,
)  # of <sys/inotify.h>
CALLS = (
    "fsync",
    "rename",
    "mkdir",
    "unlink",
    "unlinkat",
    "rmdir",
    "write",
    "ftruncate",
    "truncate",
    "pwrite64",
)


class Watch:
    """Sees every change below a folder, through inotify, while it is entered."""

    def __init__(self, folder):
        self.libc, self.folders = ctypes.CDLL(None, use_errno=True), {}
        self.handle = self.libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        self._add(folder)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        os.close(self.handle)

    def changes(self, process):
        """Yields once for each change, until the process has ended."""
        while process.poll() is None:
            if not select.select([self.handle], [], [], 0.05)[0]:
                continue
            content = os.read(self.handle, 1 << 16)
            while content:
                number, what, _, size = struct.unpack("iIII", content[:16])
                name = os.fsdecode(content[16 : 16 + size].rstrip(b"\0"))
                content = content[16 + size :]
                if what & IS_FOLDER and what & (CREATED | MOVED) and number in self.folders:
                    self._add(self.folders[number] / name)
                if name not in ("out", "err"):
                    yield

    def _add(self, folder):
        mask = CREATED | MODIFIED | MOVED | DELETED | CLOSED
        number = self.libc.inotify_add_watch(self.handle, os.fsencode(folder), mask)
        if number < 0:  # it is gone already
            return
        self.folders[number] = Path(folder)
        with contextlib.suppress(OSError):
            for inner in filter(Path.is_dir, list(Path(folder).iterdir())):
                self._add(inner)


def start(place, words, before=()):
    """Starts `python experiments/run.py` and these words; its output goes to the files out and err
    of the place.
    """
    environment = {**os.environ, "PYTHONUNBUFFERED": "1", "MPLBACKEND": "agg"}
    with open(place / "out", "w") as out, open(place / "err", "w") as err:
        return subprocess.Popen(
            [*before, sys.executable, *words], cwd=place, env=environment, stdout=out, stderr=err
        )


def lived(parent, place, words, moment, life, draw):
    """Starts a process, or forks one of the parent, and kills it where it was drawn; returns its
    exit code, and what had happened by then.
    """
    with Watch(place) as watch:
        begun = time.monotonic()
        whole = moment == "any moment"
        process = start(place, words) if whole else Forked(parent, place, words[1:])
        end = begun + draw.uniform(0, life["whole"]) if whole else float("inf")
        changes, left = watch.changes(process), draw.randint(1, life["changes"])
        if moment == "any moment of its work" and next(changes, "ended") is None:
            end = time.monotonic() + draw.uniform(0, life["work"])
        elif moment == "a change of its folder":
            for _ in changes:
                left -= 1
                if left == 0:
                    end = time.monotonic() + draw.choice((0.0, draw.uniform(0, 0.002)))
                    break
        while process.poll() is None and time.monotonic() < end:
            time.sleep(min(max(end - time.monotonic(), 0.0), 0.01))
        process.kill()
        return process.wait()


MOMENTS = ("any moment",) + 4 * ("any moment of its work",) + 5 * ("a change of its folder",)


def whole_run(folder, words, parent=None):
    """Makes the uninterrupted run in folder/whole/r; returns that path, and until when a process
    may be left alive.

    That is its whole life, a third of the seconds of its work, or a third of the changes: a run is
    to be killed often. A parent forks the run whose work is measured; the one that leaves the
    reference is a process of its own, whose life is measured.
    """
    place, lives = folder / "whole", []
    for forked in (True, False):  # the first one may compile
        fresh(place)
        with Watch(place) as watch:
            begun = first = time.monotonic()
            fork = forked and parent is not None
            process = Forked(parent, place, words[1:]) if fork else start(place, words)
            count = 0
            for count, _ in enumerate(watch.changes(process), 1):
                first = time.monotonic() if count == 1 else first
        assert process.wait() == 0, (place / "err").read_text()
        end = time.monotonic()
        lives.append({"whole": end - begun, "work": (end - first) / 3, "changes": count // 3})
    work, whole = lives
    return place / "r", {**whole, "work": min(work["work"], whole["work"])}


def process_kills(parent, folder, count, words=EXPERIMENT, seed=0, say=lambda line: None):
    """Kills processes until `count` died; returns the kills by their kinds, and how many runs
    ended.

    Raises AssertionError where a checkpoint is not whole, an announced one or more than one
    iteration is lost, or a run that ended differs from the uninterrupted one in a bit.
    """
    draw = random.Random(seed)
    plain = (str(RUN), *words, "--seed", "3", "--out", "r")
    reference, life = whole_run(folder, plain, parent)
    place, kills, ended, newest = folder / "killed", Counter(), 0, 0
    fresh(place)
    while True:
        last = sum(kills.values()) >= count
        resumed = again(place, plain)
        words_now = plain if resumed is plain else (str(RUN), words[0], *resumed)
        moment = draw.choice(MOMENTS)
        if last:
            code = Forked(parent, place, words_now[1:]).wait()
        else:
            code = lived(parent, place, words_now, moment, life, draw)
        assert code in (0, -9), (place / "err").read_text()
        now = check(place / "r", printed_by(place))
        assert now >= newest, f"checkpoint {newest} was there before the kill, {now} after it"
        newest = now
        if code:
            kills[moment] += 1
            if sum(kills.values()) % 50 == 0:
                say(f"{sum(kills.values())} kills survived, {ended} runs ended with the same bits")
            continue
        assert_same(place / "r", reference)
        ended, newest = ended + 1, 0
        if last:
            return kills, ended
        fresh(place)


def syscall_kills(folder, words, calls=CALLS, stride=1, say=lambda line: None):
    """Kills a process at the entry of its n-th call of each kind, n = 1, 2, ..., and resumes it;
    returns the kills.

    Needs strace. The calls are those of the main thread.
    """
    plain = (str(RUN), *words, "--seed", "3", "--out", "r")
    reference, _ = whole_run(folder, plain)
    place, kills = folder / "call", Counter()
    for call in calls:
        for n in range(1, 100_000, stride):
            fresh(place)
            inject = ("strace", "-qq", "-f", "-o", "/dev/null", "-e", f"trace={call}")
            inject += ("-e", f"inject={call}:signal=KILL:when={n}")
            code = start(place, plain, inject).wait()
            if code == 0:
                break
            assert code in (-9, 137), f"{call} {n}: {code} {(place / 'err').read_text()}"
            check(place / "r", printed_by(place))
            resumed = again(place, plain)
            resumed = plain if resumed is plain else (str(RUN), words[0], *resumed)
            assert start(place, resumed).wait() == 0, f"{call} {n}: {(place / 'err').read_text()}"
            assert_same(place / "r", reference)
            kills[call] += 1
        say(f"{kills[call]} kills at {call} survived")
    return kills


def main(words):
    """Runs the counts that are asked for, and prints what survived."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults processes", description=__doc__)
    parser.add_argument(
        "--count", type=int, default=200, help="kills at random moments and changes"
    )
    parser.add_argument(
        "--experiment", default=" ".join(EXPERIMENT), help="words after experiments/run.py"
    )
    parser.add_argument(
        "--syscalls", action="store_true", help="kill at calls of the system instead"
    )
    parser.add_argument(
        "--stride", type=int, default=1, help="with --syscalls: every so many calls"
    )
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args(words)
    folder, what = workplace(), tuple(asked.experiment.split())

    def say(line):
        print(line, flush=True)

    try:
        if asked.syscalls:
            kills = syscall_kills(folder, what, CALLS, asked.stride, say)
            say(f"{sum(kills.values())} kills at the 1st, 2nd, ... call survived: {dict(kills)}")
        else:
            with Parent() as parent:
                kills, ended = process_kills(parent, folder, asked.count, what, asked.seed, say)
            say(
                f"{sum(kills.values())} kills survived, at {dict(kills)}; {ended} runs ended with the same bits"
            )
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return 0
