"""Refuses each operation on the disk in turn, and fills small disks; then makes room and
resumes.
"""

import argparse
import shutil
import subprocess
from pathlib import Path

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

ERRORS = ("ENOSPC", "EIO", "EDQUOT", "EROFS")


def refused_operations(parent, folder, errors=ERRORS, stride=1, most=10_000):
    """Lets the n-th operation fail, n = 1, 2, ..., once or from then on; returns (refusals, how
    many ended with 5).
    """
    reference, _ = reference_run(parent, folder)
    place = folder / "refused"
    refusals = failed = 0
    for error in errors:
        for forever in (False, True):
            for n in range(1, most, stride):
                fresh(place)
                code = parent.run(
                    place,
                    PLAIN,
                    {"under": str(place / "r"), "at": n, "error": error} | forever_or(forever),
                )
                err = (place / "err").read_text()
                what = f"{error} at operation {n}, {'from then on' if forever else 'once'}: "
                if not (place / "hit").exists():
                    assert code == 0, what + err
                    break
                what += (place / "hit").read_text().splitlines()[0] + "\n" + err
                assert code in (0, 5), f"exit code {code}, {what}"
                check(place / "r", printed_by(place))
                if code == 5:
                    lines = [line for line in err.splitlines() if not line.startswith("warning: ")]
                    assert len(lines) == 1, what
                    assert lines[0].startswith("error: cannot "), what
                    assert str(Path("r")) in lines[0], what
                    assert parent.run(place, again(place, PLAIN)) == 0, (
                        what + (place / "err").read_text()
                    )
                    failed += 1
                assert_same(
                    place / "r", reference, tidy=code == 5
                )  # a removal that fails may leave something
                refusals += 1
    return refusals, failed


def forever_or(forever):
    return {"kind": "error", "forever": forever}


def full_disks(parent, folder, sizes):
    """Runs on file systems of so many KiB, then makes room and resumes; returns how many were too
    small.

    Raises PermissionError where nothing may be mounted.
    """
    reference, _ = reference_run(parent, folder)
    place, small = folder / "disk", 0
    for size in sizes:
        fresh(place)
        mount(place, f"size={size}k")
        try:
            code = parent.run(place, PLAIN)
            err = (place / "err").read_text()
            assert code in (0, 5), f"{size} KiB: {code} {err}"
            check(place / "r")
            if code == 5:
                small += 1
                mount(place, "remount,size=64m")
                assert parent.run(place, again(place, PLAIN)) == 0, (place / "err").read_text()
            assert_same(place / "r", reference)
        finally:
            subprocess.run(["umount", str(place)], check=True)
    return small


def mount(place, options):
    """Mounts a file system in memory. Raises PermissionError."""
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(place)], capture_output=True, text=True
    )
    if done.returncode:
        raise PermissionError(done.stderr)


def main(words):
    """Runs all of it and prints the counts."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults disk", description=__doc__)
    parser.add_argument("--stride", type=int, default=1, help="every so many operations")
    asked = parser.parse_args(words)
    folder = workplace()
    try:
        with Parent() as parent:
            refusals, failed = refused_operations(parent, folder, stride=asked.stride)
            print(
                f"{refusals} refused operations: {failed} runs ended with 5 and went on, the others did without"
            )
            try:
                sizes = [
                    1,
                    4,
                    8,
                    12,
                    16,
                    20,
                    24,
                    32,
                    40,
                    48,
                    56,
                    64,
                    80,
                    96,
                    112,
                    128,
                    160,
                    192,
                    256,
                ]
                print(
                    f"{len(sizes)} small disks, {full_disks(parent, folder, sizes)} of them too small: all went on"
                )
            except PermissionError:
                print("no small disks: mounting is not permitted")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return 0
