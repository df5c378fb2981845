"""Tables that grow by a row at a time, on disk: CSV that can be cut back to a checkpoint, and TensorBoard events."""

import csv
import io
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lqr import CheckpointError, InputError, StorageError


class Table:
    """A CSV file. Rows are mappings; the first row decides the columns. Numbers are written to their last bit."""

    def __init__(self, path: Path):
        self.path = path
        self.columns: list[str] = []

    def append(self, *rows: Mapping[str, Any]) -> None:
        """Writes rows. Raises InputError for a row with other columns, StorageError where the disk refuses."""
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
        try:
            with open(self.path, "ab") as file:
                file.write(text.getvalue().encode())
        except OSError as error:
            raise StorageError(f"cannot write {self.path}: {error.strerror}; is there room?") from None

    def flush(self) -> int:
        """Brings the rows to the disk, and returns the size of the file in bytes."""
        try:
            with open(self.path, "ab") as file:
                os.fsync(file.fileno())
                return file.tell()
        except OSError as error:
            raise StorageError(f"cannot write {self.path}: {error.strerror}; is there room?") from None

    def cut(self, size: int) -> None:
        """Cuts the file back to its first `size` bytes. Raises CheckpointError where it is shorter."""
        actual = self.path.stat().st_size if self.path.exists() else 0
        if actual < size:
            raise CheckpointError(
                f"{self.path}: got {actual} bytes, expected {size} or more; it was changed since the checkpoint"
            )
        try:
            if actual:
                os.truncate(self.path, size)
        except OSError as error:
            raise StorageError(f"cannot cut {self.path}: {error.strerror}; may you write there?") from None
        self.columns = list(read(self.path)[0]) if size else []


def read(path: Path) -> list[dict[str, float]]:
    """Returns the rows of a table; an empty cell is NaN, and a file that is not there has no rows."""
    if not path.exists():
        return []
    with open(path, newline="") as file:
        return [{key: float(value or "nan") for key, value in row.items()} for row in csv.DictReader(file)]


class Events:
    """The metrics again, as TensorBoard reads them: one event file, in which each step stands once."""

    def __init__(self, folder: Path, rows: Sequence[Mapping[str, float]], start: float = 0.0):
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.summary.writer.record_writer import RecordWriter

        try:
            for old in folder.glob("events.out.tfevents.*"):
                old.unlink()
            self.path = folder / f"events.out.tfevents.{int(time.time())}.run"
            self._file = open(self.path, "wb")  # noqa: SIM115  open as long as the run
        except OSError as error:
            raise StorageError(f"cannot write in {folder}: {error.strerror}; is there room?") from None
        self._event, self._writer = Event, RecordWriter(self._file)
        self._write(Event(wall_time=time.time(), file_version="brain.Event:2"))
        for row in rows:
            self.append(row)

    def append(self, row: Mapping[str, float]) -> None:
        """Writes one row; its "iteration" is TensorBoard's step."""
        event = self._event(wall_time=time.time(), step=int(row["iteration"]))
        for key, value in row.items():
            if key != "iteration":
                event.summary.value.add(tag=key, simple_value=value)
        self._write(event)

    def close(self) -> None:
        """Closes the file."""
        self._file.close()

    def _write(self, event: Any) -> None:
        try:
            self._writer.write(event.SerializeToString())
            self._file.flush()
        except OSError as error:
            raise StorageError(f"cannot write {self.path}: {error.strerror}; is there room?") from None


def _shown(value: Any) -> str:
    return str(value) if isinstance(value, int) else repr(float(value))
