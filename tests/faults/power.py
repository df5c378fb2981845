"""Cuts the power at every operation of a run that saves: what was not flushed may be there, in
part, or not at all.

The model is the weakest that POSIX allows: of a file what its last fsync saw is certain, of a
folder the names that the last fsync of the folder saw; anything since may be lost or kept, each
file and folder for itself. The states that may be found afterwards are laid out on the disk and
opened as a resumed run opens them.
"""

import argparse
import os
import random
import shutil
import sys
import warnings
from pathlib import Path

import numpy as np
from harness import fresh, workplace

EVENTS = ("open", "os.rename", "os.mkdir", "os.remove", "os.rmdir", "os.truncate")
SAVES = 4


class Disk:
    """What lies under a folder now, and what of it has certainly reached the disk."""

    def __init__(self, root):
        self.root, self.files, self.folders = root, {}, {}  # by inode: content, and {name: inode}

    def look(self):
        """Returns the files and the folders as they are, by inode; each with what is certain beside
        it.
        """
        files, folders = {}, {}
        for place, _, names in os.walk(self.root):
            inode = os.stat(place).st_ino
            folders[inode] = {
                name: os.lstat(os.path.join(place, name)).st_ino for name in os.listdir(place)
            }
            for name in names:
                path = os.path.join(place, name)
                files[os.lstat(path).st_ino] = Path(path).read_bytes()
        return files, folders, dict(self.files), dict(self.folders)

    def flushed(self, handle):
        """Notes that a file or a folder has reached the disk."""
        inode, path = os.fstat(handle).st_ino, os.readlink(f"/proc/self/fd/{handle}")
        if os.path.isdir(path):
            self.folders[inode] = {
                name: os.lstat(os.path.join(path, name)).st_ino for name in os.listdir(path)
            }
        else:
            self.files[inode] = Path(path).read_bytes()


def recorded(folder):
    """Saves SAVES checkpoints as a run does; returns (saves that had returned, state of the disk)
    at each operation.
    """
    from experiments.engine.run_folder import RunFolder

    root = folder / "run"
    disk, states, saved, busy = Disk(str(folder)), [], [0], [False]
    fsync = os.fsync

    def note(event="", arguments=()):
        if not busy[0] and (not event or event in EVENTS) and recording[0]:
            busy[0] = True
            states.append((saved[0], disk.look()))
            busy[0] = False

    def fsync_and_note(handle):
        note()
        fsync(handle)
        busy[0] = True
        disk.flushed(handle)
        busy[0] = False
        note()

    recording = [True]
    sys.addaudithook(note)
    os.fsync = fsync_and_note
    try:
        with RunFolder(root) as run:
            run.begin({"experiment": "none"})
            for number in range(1, SAVES + 1):
                run.metrics.append({"iteration": number, "cost": 1.0 / number})
                run.conditions.append({"iteration": number, "condition": 0})
                run.timing.append({"iteration": number, "elapsed": 0.1})
                meta = {
                    "seconds": 0.0,
                    "saving": 0.0,
                    "exact": True,
                    "rng": {},
                    "config": {},
                    "experiment": "",
                    "seed": 0,
                }
                run.save(number, {"state": {"w": np.full(9, float(number))}, "policy": {}}, meta)
                saved[0] = number
                note()
    finally:
        os.fsync = fsync
        recording[0] = False
    return os.stat(folder).st_ino, states


def lay_out(place, root, state, draw, kind):
    """Lays out one of the states that may be found after the power was cut."""
    files, folders, sure_files, sure_folders = state

    def choose(now, sure):
        keep = {"nothing more": False, "names only": None, "all": True}.get(
            kind, draw.random() < 0.5
        )
        return now if keep else sure

    def put(target, inode):
        if inode in folders:
            target.mkdir(exist_ok=True)
            names = (
                folders[inode]
                if kind == "names only"
                else choose(folders[inode], sure_folders.get(inode, {}))
            )
            for name, inner in names.items():
                put(target / name, inner)
        elif inode in files:
            content = choose(files[inode], sure_files.get(inode, b""))
            if kind == "mixed" and content is files[inode] and draw.random() < 0.3:
                content = (
                    content[: draw.randrange(len(content) + 1)]
                    if inode not in sure_files
                    else content
                )
            target.write_bytes(content or b"")
        else:  # removed since, and the removal may not have reached the disk: its content is certain only if flushed
            if inode in sure_folders:
                target.mkdir(exist_ok=True)
                for name, inner in sure_folders[inode].items():
                    put(target / name, inner)
            else:
                target.write_bytes(sure_files.get(inode, b""))

    put(place, root)


def cuts(folder, per_state=4, seed=0):
    """Tries states after a cut at each operation; returns how many. Raises AssertionError where a
    promise is broken.
    """
    from experiments.engine.run_folder import RunFolder
    from lqr import CheckpointError

    draw, tried = random.Random(seed), 0
    fresh(folder / "live")
    root, states = recorded(folder / "live")
    for saved, state in states:
        for kind in ("nothing more", "names only", "all", *["mixed"] * per_state):
            place = folder / "after"
            shutil.rmtree(place, ignore_errors=True)
            lay_out(place, root, state, draw, kind)
            tried += 1
            if not (place / "run").is_dir():
                assert not saved, f"{kind}: the run's folder is lost after save {saved}"
                continue
            with RunFolder(place / "run") as run, warnings.catch_warnings():
                warnings.simplefilter("ignore")
                run.reopen()
                try:
                    newest = run.newest()
                except CheckpointError:
                    assert not saved, f"{kind}: no checkpoint is whole after save {saved}"
                    continue
                found = newest.meta["iteration"] if newest else 0
                assert found >= saved, f"{kind}: save {saved} had returned, {found} is found"
                if newest:
                    assert (newest.tree["state"]["w"] == found).all()
                run.cut_back(newest)
                rows = (
                    (place / "run" / "metrics.csv").read_text().splitlines()[1:] if newest else []
                )
                assert [int(row.split(",")[0]) for row in rows] == list(range(1, found + 1)), (
                    f"{kind}: {rows}"
                )
    return tried


def main(words):
    """Runs the cuts and prints how many."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults power", description=__doc__)
    parser.add_argument("--per-state", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args(words)
    folder = workplace()
    try:
        print(
            f"{cuts(folder, asked.per_state, asked.seed)} states after a power cut: no announced checkpoint was lost"
        )
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return 0
