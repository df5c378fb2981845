"""Kills runs, at random moments and at each of their operations on the disk, and resumes them."""

import argparse
import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import time

from harness import PLAIN, ROOT, TOY, Parent, again, assert_same, check, fresh, printed_by, reference_run, workplace


def random_kills(parent, folder, count, seed=0):
    """Kills runs at random moments, again and again until one survives; returns (kills, runs that ended)."""
    draw = random.Random(seed)
    reference, seconds = reference_run(parent, folder)
    kills = ended = newest = 0
    place = folder / "random"
    fresh(place)
    while kills < count:
        pid = parent.start(place, again(place, PLAIN))
        time.sleep(draw.uniform(0, 1.1 * seconds))
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
            ended, newest = ended + 1, 0
        else:
            kills += 1
    assert parent.run(place, again(place, PLAIN)) == 0, (place / "err").read_text()
    assert_same(place / "r", reference)
    return kills, ended + 1


def kills_at_each_operation(parent, folder, most=10_000, stride=1):
    """Kills a run at its n-th operation on its folder, n = 1, 2, ..., and resumes it; returns how many there were."""
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
        assert parent.run(place, again(place, PLAIN)) == 0, f"operation {n}: {(place / 'err').read_text()}"
        assert_same(place / "r", reference)
        kills += 1
    return kills


def process_kills(folder, count, words=(str(TOY), "toy"), seed=0, longest=None):
    """Kills whole processes, `python` and these words, at random moments; returns (kills, runs that ended).

    The interpreter's start and the imports, in which nothing can be lost, take most of the time of the toy.
    """
    draw = random.Random(seed)
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
    name, rest = words[1], words[2:]

    def start(place, *how):
        with open(place / "out", "w") as out, open(place / "err", "w") as err:
            command = [sys.executable, words[0], *how]
            return subprocess.Popen(command, cwd=place, env=environment, stdout=out, stderr=err)

    plain = (name, *rest, "--seed", "3", "--out", "r")
    fresh(folder / "whole")
    begun = time.monotonic()
    assert start(folder / "whole", *plain).wait() == 0, (folder / "whole" / "err").read_text()
    seconds = longest or time.monotonic() - begun
    place, kills, ended, newest = folder / "killed", 0, 0, 0
    fresh(place)
    while True:
        process = start(place, *again(place, plain))
        try:
            code = process.wait(draw.uniform(0.2 * seconds, 1.1 * seconds) if kills < count else None)
        except subprocess.TimeoutExpired:
            process.kill()
            code = process.wait()
        assert code in (0, -signal.SIGKILL), (place / "err").read_text()
        now = check(place / "r", printed_by(place))
        assert now >= newest
        newest = now
        if code:
            kills += 1
            continue
        assert_same(place / "r", folder / "whole" / "r")
        ended, newest = ended + 1, 0
        if kills >= count:
            return kills, ended
        fresh(place)


def main(words):
    """Runs the counts that are asked for, and prints what survived."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults kill", description=__doc__)
    parser.add_argument("--count", type=int, default=200, help="kills at random moments")
    parser.add_argument("--processes", type=int, default=0, help="kills of whole processes")
    parser.add_argument("--experiment", default="", help="with --processes: words after experiments/run.py")
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args(words)
    folder = workplace()
    try:
        with Parent() as parent:
            if asked.count:
                kills, ended = random_kills(parent, folder, asked.count, asked.seed)
                print(f"{kills} kills at random moments survived, {ended} runs ended with the same bits", flush=True)
                kills = kills_at_each_operation(parent, folder)
                print(f"{kills} kills at the 1st, 2nd, ... operation on the folder survived", flush=True)
        if asked.processes:
            run = str(ROOT / "experiments" / "run.py")
            what = (run, *asked.experiment.split()) if asked.experiment else (str(TOY), "toy")
            kills, ended = process_kills(folder, asked.processes, what, asked.seed)
            print(f"{kills} kills of whole processes survived, {ended} runs ended with the same bits", flush=True)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return 0
