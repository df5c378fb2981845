"""The folder of a run: who may write in it, what it holds, and from where it goes on."""

import contextlib
import fcntl
import json
import os
import socket
import stat
import warnings
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from dynamics.storage.files import (
    ASIDE,
    clean_up,
    discard,
    folders_by_number,
    make_folder,
    read_json,
    refuse_links,
    write_file,
)
from dynamics.storage.tree import load_tree, save_tree
from lqr import CheckpointError, GPSError, StorageError

from .saved_files import CONFIG, RESULT, TABLES, Checkpoint, checked
from .tables import Table

LOCK, CHECKPOINTS = "run.lock", "checkpoints"
MODEL = "model.xml"  # the text of a robot model of the user's own
KEEP = 2  # checkpoints


class Busy(GPSError):
    """Another process works in the folder."""


class RunFolder:
    """A run's folder, locked for this process while it is entered."""

    def __init__(self, path: Path):
        self.path = path
        self.metrics = Table(path / TABLES[0])  # a row per iteration
        self.conditions = Table(path / TABLES[1])  # a row per iteration and condition
        self.timing = Table(
            path / TABLES[2]
        )  # a row per iteration; the only table that differs from run to run
        self._lock = -1
        self._begun = False
        self._made: list[Path] = []  # folders that were not there before

    def __enter__(self) -> "RunFolder":
        return self

    def __exit__(self, *_: object) -> None:
        if self._lock >= 0:
            os.close(self._lock)

    def begin(self, config: Mapping[str, Any], model_text: str | None = None) -> None:
        """Makes the folder of a new run, with the text of the user's own model, if any. Raises
        CheckpointError where something is in it, Busy, StorageError.
        """
        self._refuse_what_is_there()
        self._made = [folder for folder in (self.path, *self.path.parents) if not folder.exists()]
        make_folder(self.path)
        self._take_lock()
        self._refuse_what_is_there()  # once more: another process may have come and gone before the lock
        clean_up(self.path)
        make_folder(self.path / CHECKPOINTS)
        write_file(self.path / CONFIG, json.dumps(config, indent=1, allow_nan=False).encode())
        if model_text is not None:
            write_file(self.path / MODEL, model_text.encode())
        self._begun = True

    def withdraw(self) -> None:
        """Removes what this process made of a new run, and the folders for it; a run that has a
        checkpoint, or anything else in its folder, stays as it is.
        """
        events = {file.name for file in self.path.glob("events.out.tfevents.*")}
        ours = {LOCK, CONFIG, MODEL, CHECKPOINTS, *TABLES, *events}
        if (
            not self._begun
            or any((self.path / CHECKPOINTS).iterdir())
            or {file.name for file in self.path.iterdir()} - ours
        ):
            return
        for name in ours - {CHECKPOINTS}:
            (self.path / name).unlink(missing_ok=True)
        for folder in (self.path / CHECKPOINTS, *self._made):
            with contextlib.suppress(OSError):  # something else is in it
                folder.rmdir()

    def reopen(self) -> None:
        """Takes the folder of a run again. Raises CheckpointError for a folder with links in it,
        Busy, StorageError.
        """
        if not self.path.is_dir():
            raise CheckpointError(
                f"{self.path}: got no folder of that name; expected the folder of a run"
            )
        refuse_links(self.path)
        self._take_lock()
        make_folder(self.path / CHECKPOINTS)
        self.tidy()

    def lengthen(self, iterations: int) -> None:
        """Notes that the run is to make more iterations than it was begun with, and that it is not
        finished. Its config.json is written first: whatever happens then, the run goes on to there.
        """
        about = read_json(self.path / CONFIG)
        before = about["config"]["iterations"]
        about["config"]["iterations"] = iterations
        about["lengthened_from"] = [*about.get("lengthened_from", []), before]
        write_file(self.path / CONFIG, json.dumps(about, indent=1, allow_nan=False).encode())
        (self.path / RESULT).unlink(missing_ok=True)
        discard(self.path / "policy")  # that of the newest checkpoint counts meanwhile

    def tidy(self) -> None:
        """Removes what a killed writer left half-written."""
        clean_up(self.path)
        for folder in filter(Path.is_dir, list(self.path.iterdir())):
            clean_up(folder)

    def save(self, number: int, tree: Mapping[str, Any], meta: Mapping[str, Any]) -> None:
        """Writes the checkpoint of an iteration, after all that it counts on, and removes those
        before the last two.

        Raises StorageError where the disk refuses, or the folder is no longer the one that was
        locked.
        """
        self._check_place()
        marks = {table.path.name: table.flush() for table in self._tables()}
        steps = self.path / CHECKPOINTS
        save_tree(steps / f"step_{number}", tree, {**meta, "iteration": number, "tables": marks})
        for _, old in list(folders_by_number(steps, "step_"))[KEEP:]:
            discard(old)

    def newest(self) -> Checkpoint | None:
        """Returns the newest whole checkpoint; None where the run never saved one.

        A damaged newest one is passed over with a warning. Raises CheckpointError where all are
        damaged.
        """
        steps = self.path / CHECKPOINTS
        found = list(folders_by_number(steps, "step_")) if steps.is_dir() else []
        for number, folder in found:
            try:
                tree, meta = load_tree(folder)
                return Checkpoint(tree, checked(meta, number, folder))
            except CheckpointError as error:
                if folder == found[-1][1]:
                    raise
                warnings.warn(f"{error}; going on from the checkpoint before", stacklevel=2)
        return None

    def cut_back(self, checkpoint: Checkpoint | None) -> None:
        """Cuts the tables back to where they were at a checkpoint; to nothing where there is
        none.
        """
        for table in self._tables():
            table.cut(checkpoint.meta["tables"][table.path.name] if checkpoint else None)

    def _tables(self) -> tuple[Table, ...]:
        return self.metrics, self.conditions, self.timing

    def _refuse_what_is_there(self) -> None:
        """Raises CheckpointError for a folder that is not empty, and Busy where somebody works in
        it.
        """
        if not self.path.is_dir():
            return
        try:
            found = sorted(p.name for p in self.path.iterdir())
        except OSError as error:
            raise StorageError(
                f"cannot read {self.path}: {error.strerror}; take another --out"
            ) from None
        if CONFIG in found:
            if self._lock < 0 and LOCK in found:
                self._take_lock()
            remedy = f"go on with it by --resume {self.path}, or take another --out"
            raise CheckpointError(f"{self.path}: got a folder that holds a run already; {remedy}")
        ours = (LOCK, CHECKPOINTS)  # of a run that was killed before it wrote its config
        foreign = [name for name in found if name not in ours and not name.startswith(ASIDE)]
        if CHECKPOINTS in found and os.listdir(self.path / CHECKPOINTS):
            foreign.append(CHECKPOINTS)
        if foreign:
            raise CheckpointError(
                f"{self.path}: got a folder with {foreign[0]} in it; expected a new or an empty one"
            )

    def _take_lock(self) -> None:
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
        try:
            self._lock = os.open(self.path / LOCK, flags, 0o644)
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if not stat.S_ISREG(os.fstat(self._lock).st_mode):
                raise CheckpointError(
                    f"{self.path}: got a {LOCK} that is no file; expected one of a run, or none"
                )
            os.truncate(self._lock, 0)
            os.pwrite(self._lock, f"process {os.getpid()} on {socket.gethostname()}\n".encode(), 0)
        except BlockingIOError:
            owner = os.read(self._lock, 200).decode(errors="replace").strip() or "another process"
            raise Busy(
                f"{self.path}: in use by {owner}; wait for it, or take another folder"
            ) from None
        except OSError as error:
            raise StorageError(
                f"cannot write in {self.path}: {error.strerror}; take another --out"
            ) from None

    def _check_place(self) -> None:
        """Raises StorageError where the locked folder was removed or replaced under us."""
        try:
            there, mine = os.stat(self.path / LOCK), os.fstat(self._lock)
            if (there.st_dev, there.st_ino) == (mine.st_dev, mine.st_ino):
                return
        except OSError:
            pass
        raise StorageError(
            f"cannot write {self.path}: the run's folder was removed or replaced; start the run again"
        )


def new_folder(parent: Path, ending: str) -> Path:
    """Makes a new folder, PARENT/DATE-TIME-ENDING, and returns it; of two commands that ask for it
    in one second each gets its own. Raises StorageError.
    """
    return _new(parent, "", f"-{ending}", Path.mkdir)


def new_file(parent: Path, beginning: str, ending: str) -> Path:
    """Makes a new, empty file likewise, PARENT/BEGINNING DATE-TIME ENDING."""
    return _new(parent, beginning, ending, lambda path: path.touch(exist_ok=False))


def _new(parent: Path, beginning: str, ending: str, make: Callable[[Path], None]) -> Path:
    make_folder(parent)
    name = f"{beginning}{datetime.now():%Y-%m-%d-%H%M%S}"
    for count in range(1, 10_000):
        path = parent / (name + ("" if count == 1 else f"-{count}") + ending)
        try:
            make(path)
        except FileExistsError:
            continue
        except OSError as error:
            raise StorageError(f"cannot make {path}: {error.strerror}; take --out") from None
        return path
    raise StorageError(f"cannot make {path}: it is there already; take --out")


def remove_empty(folder: Path) -> None:
    """Removes a folder, and then those above it up to the present one, as far as they are empty."""
    here = Path.cwd()
    for one in (folder, *folder.parents):
        if one != folder and here not in one.parents:
            return
        try:
            one.rmdir()
        except OSError:
            return
