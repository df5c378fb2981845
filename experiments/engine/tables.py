"""Tables that grow by a row at a time, on disk: CSV that can be cut back to a checkpoint, and
TensorBoard events.
"""

import contextlib
import csv
import hashlib
import io
import os
import stat
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dynamics.storage.files import flush_folder, read_file
from lqr import CheckpointError, InputError, StorageError

CHANGED = "it was changed since the checkpoint: take the whole folder from one place"
MOST_BYTES = 1 << 30  # of a table that is read
ACTORS = {  # what a method's ACTOR may be -> whose the columns are, in words
    "controllers": "controllers'",
    "policy": "policy's",
    "planner": "planner's",
    "episodes": "episodes'",
}


def actor(declared: Any) -> str:
    """Returns whose the column cost is: what a method's module declares by ACTOR, one of ACTORS,
    and else "policy".
    """
    return declared if isinstance(declared, str) and declared in ACTORS else "policy"


class Table:
    """A CSV file. Rows are mappings; the first row decides the columns. Numbers are written to
    their last bit.

    What a checkpoint keeps of it is a mark, its length and its digest: what stands before the mark
    must not change.
    """

    def __init__(self, path: Path):
        self.path = path
        self.columns: list[str] = []
        self._size, self._digest = 0, hashlib.sha256()

    def append(self, *rows: Mapping[str, Any]) -> None:
        """Writes rows. Raises InputError for a row with other columns, StorageError where the disk
        refuses.
        """
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        for row in rows:
            if not self.columns:
                self.columns = list(row)
                writer.writerow(self.columns)
            if set(row) != set(self.columns):
                odd = sorted(set(row) ^ set(self.columns))
                raise InputError(
                    f"{self.path.name}: got a row that differs in {', '.join(odd)}; expected the same keys always"
                )
            writer.writerow([_shown(row[column]) for column in self.columns])
        content = text.getvalue().encode()
        try:
            with os.fdopen(self._open(os.O_WRONLY | os.O_APPEND | os.O_CREAT), "ab") as file:
                file.write(content)
        except OSError as error:
            raise self._refused(error) from None
        self._size += len(content)
        self._digest.update(content)

    def flush(self) -> dict[str, Any]:
        """Brings the rows to the disk, and returns the mark after them: {"bytes": ..., "sha256":
        ...}.
        """
        try:
            handle = self._open(os.O_WRONLY | os.O_APPEND | os.O_CREAT)
            try:
                os.fsync(handle)
                actual = os.fstat(handle).st_size
            finally:
                os.close(handle)
            flush_folder(self.path.parent)
        except OSError as error:
            raise self._refused(error) from None
        if actual != self._size:
            raise StorageError(
                f"{self.path} has {actual} bytes, expected {self._size}; does another program write there?"
            )
        return {"bytes": self._size, "sha256": self._digest.hexdigest()}

    def cut(self, mark: Mapping[str, Any] | None) -> None:
        """Cuts the file back to a mark, or to nothing. Raises CheckpointError where what stands
        before it changed.
        """
        size = mark["bytes"] if mark else 0
        self.columns, self._size, self._digest = [], size, hashlib.sha256()
        try:
            if not mark and not os.path.lexists(self.path):
                return
            with os.fdopen(self._open(os.O_RDWR | os.O_CREAT), "r+b") as file:
                actual = os.fstat(file.fileno()).st_size
                if actual < size:
                    raise CheckpointError(
                        f"{self.path}: got {actual} bytes, expected {size} or more; {CHANGED}"
                    )
                left = size
                while left and (part := file.read(min(left, 1 << 20))):
                    self._digest.update(part)
                    left -= len(part)
                if mark and self._digest.hexdigest() != mark["sha256"]:
                    raise CheckpointError(f"{self.path}: got other rows than expected; {CHANGED}")
                file.truncate(size)
        except OSError as error:
            raise self._refused(error) from None
        if size:
            with open(self.path, newline="", encoding="utf-8") as rows:
                self.columns = next(csv.reader(rows))

    def _open(self, flags: int) -> int:
        handle = os.open(self.path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o666)
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            os.close(handle)
            raise CheckpointError(
                f"{self.path}: got something else than a file; expected the table of a run; {CHANGED}"
            )
        return handle

    def _refused(self, error: OSError) -> StorageError:
        return StorageError(
            f"cannot write {self.path}: {error.strerror}; is there room, and is the folder still there?"
        )


def read(path: Path) -> list[dict[str, float]]:
    """Returns the rows of a table; an empty cell is NaN, and a file that is not there has no
    rows.
    """
    if not os.path.lexists(path):
        return []
    content = read_file(path, MOST_BYTES)
    try:
        return [
            {key: float(value or "nan") for key, value in row.items()}
            for row in csv.DictReader(io.StringIO(content.decode(), newline=""))
        ]
    except (ValueError, TypeError, csv.Error) as error:
        raise CheckpointError(
            f"{path}: got no table of numbers ({error}); expected one; {CHANGED}"
        ) from None


def by_iteration(rows: Sequence[Mapping[str, float]]) -> dict[str, np.ndarray]:
    """Returns the columns of conditions.csv as (iterations, conditions), those that are NaN
    throughout left out.
    """
    numbers = {number: n for n, number in enumerate(sorted({row["iteration"] for row in rows}))}
    shape = len(numbers), 1 + int(max((row["condition"] for row in rows), default=0))
    cube = {
        key: np.full(shape, np.nan)
        for key in (rows[0] if rows else {})
        if key not in ("iteration", "condition")
    }
    for row in rows:
        for key, values in cube.items():
            values[numbers[row["iteration"]], int(row["condition"])] = row[key]
    return {key: values for key, values in cube.items() if np.isfinite(values).any()}


class Events:
    """The metrics again, as TensorBoard reads them: one event file, in which each step stands
    once.
    """

    def __init__(self, folder: Path, rows: Sequence[Mapping[str, float]], start: float = 0.0):
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.summary.writer.record_writer import RecordWriter

        try:
            for old in folder.glob("events.out.tfevents.*"):
                old.unlink()
            self.path = folder / f"events.out.tfevents.{int(time.time())}.run"
            self._file = open(self.path, "xb")  # noqa: SIM115  open as long as the run
        except OSError as error:
            raise StorageError(
                f"cannot write in {folder}: {error.strerror}; is there room?"
            ) from None
        self._event, self._writer = Event, RecordWriter(self._file)
        self._write(Event(wall_time=time.time(), file_version="brain.Event:2"))
        for row in rows:
            self.append(row)

    def append(self, row: Mapping[str, float]) -> None:
        """Writes one row; TensorBoard's step is the environment steps so far, so that methods can be
        laid over each other, or the iteration where a method counts none.
        """
        x = "env_steps" if "env_steps" in row else "iteration"
        event = self._event(wall_time=time.time(), step=int(row[x]))
        for key, value in row.items():
            if key != x:
                event.summary.value.add(tag=key, simple_value=value)
        self._write(event)

    def close(self) -> None:
        """Closes the file; where the disk is full this costs the last of it, and no error of its
        own.
        """
        with contextlib.suppress(OSError):
            self._file.close()

    def _write(self, event: Any) -> None:
        try:
            self._writer.write(event.SerializeToString())
            self._file.flush()
        except OSError as error:
            raise StorageError(
                f"cannot write {self.path}: {error.strerror}; is there room?"
            ) from None


def _shown(value: Any) -> str:
    return str(value) if isinstance(value, int) else repr(float(value))
