"""Kills runs, at random moments and at each of their operations on the disk, and resumes them."""

import argparse
import contextlib
import os
import random
import shutil
import signal
import time

from harness import (
    PLAIN,
    Parent,
    again,
    assert_same,
    check,
    fresh,
    printed_by,
    reference_run,
    workplace,
)


def random_kills(parent, folder, count, seed=0):
    """Kills runs at random moments, again and again until one survives; returns (kills, runs that
    ended).

    The longer none has ended, the longer they are left alive: the machine may be busier than when
    it was measured.
    """
    draw = random.Random(seed)
    reference, seconds = reference_run(parent, folder)
    kills = ended = newest = in_a_row = 0
    place = folder / "random"
    fresh(place)
    while kills < count:
        pid = parent.start(place, again(place, PLAIN))
        time.sleep(draw.uniform(0, 1.1 * seconds * 1.1**in_a_row))
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        code = parent.wait()
        assert code in (0, -signal.SIGKILL), (place / "err").read_text()
        now = check(place / "r", printed_by(place))
        assert now >= newest, f"checkpoint {newest} was there before the kill, {now} after it"
        newest = now
        if code == 0:
            assert_same(place / "r", reference)
            fresh(place)
            ended, newest, in_a_row = ended + 1, 0, 0
        else:
            kills, in_a_row = kills + 1, in_a_row + 1
    assert parent.run(place, again(place, PLAIN)) == 0, (place / "err").read_text()
    assert_same(place / "r", reference)
    return kills, ended + 1


def kills_at_each_operation(parent, folder, most=10_000, stride=1):
    """Kills a run at its n-th operation on its folder, n = 1, 2, ..., and resumes it; returns how
    many there were.
    """
    reference, _ = reference_run(parent, folder)
    place = folder / "each"
    kills = 0
    for n in range(1, most, stride):
        fresh(place)
        code = parent.run(place, PLAIN, {"under": str(place / "r"), "at": n})
        if code == 0:
            break
        assert code == -signal.SIGKILL, (place / "err").read_text()
        check(place / "r", printed_by(place))
        assert parent.run(place, again(place, PLAIN)) == 0, (
            f"operation {n}: {(place / 'err').read_text()}"
        )
        assert_same(place / "r", reference)
        kills += 1
    return kills


def main(words):
    """Runs the counts that are asked for, and prints what survived."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults kill", description=__doc__)
    parser.add_argument("--count", type=int, default=200, help="kills at random moments")
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args(words)
    folder = workplace()
    try:
        with Parent() as parent:
            kills, ended = random_kills(parent, folder, asked.count, asked.seed)
            print(
                f"{kills} kills at random moments survived, {ended} runs ended with the same bits",
                flush=True,
            )
            kills = kills_at_each_operation(parent, folder)
            print(
                f"{kills} kills at the 1st, 2nd, ... operation on the folder survived", flush=True
            )
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return 0
