"""Files and folders that are there as a whole or not at all, and reading that trusts nothing.

What is written goes aside, to the disk, and is then renamed: neither a kill nor a power cut leaves
a half of it.
"""

import contextlib
import json
import os
import re
import shutil
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from lqr import CheckpointError, StorageError

OLD = ".old-"  # how the name of a folder begins while another takes its place
ASIDE = (".tmp-", ".trash-", OLD)  # how names of half-written and of discarded folders begin
SPARSE = 1 << 26  # bytes; a larger file of which next to nothing lies on the disk is refused
DEPTH = 64  # levels of a tree that is read or written


def write_file(path: str | Path, content: bytes) -> None:
    """Writes a file as a whole or not at all, flushed to the disk. Raises StorageError."""
    path = Path(path)
    aside = path.parent / f".tmp-{path.name}-{os.getpid()}"
    try:
        aside.unlink(missing_ok=True)
        _write(aside, content)
        os.replace(aside, path)
        flush_folder(path.parent)
    except OSError as error:
        with contextlib.suppress(OSError):
            aside.unlink(missing_ok=True)
        raise _refused(path, error) from None


def make_folder(folder: Path) -> None:
    """Makes a folder and those above it that are missing, known to the disk. Raises
    StorageError.
    """
    try:
        missing = [one for one in (folder, *folder.parents) if not one.exists()]
        for one in reversed(missing):
            one.mkdir(exist_ok=True)
            flush_folder(one.parent)
        if not folder.is_dir():
            raise NotADirectoryError(20, "a file is in the way")
    except OSError as error:
        raise _refused(folder, error) from None


def write_folder(folder: Path, contents: Mapping[str, bytes]) -> None:
    """Writes a folder of files as a whole or not at all, in place of one of that name. Raises
    StorageError.
    """
    aside = folder.parent / f".tmp-{folder.name}-{os.getpid()}"
    make_folder(folder.parent)
    try:
        shutil.rmtree(aside, ignore_errors=True)
        aside.mkdir()
        for name, content in contents.items():
            _write(aside / name, content)
        flush_folder(aside)
        _put_in_place(aside, folder)
    except OSError as error:
        shutil.rmtree(aside, ignore_errors=True)
        raise _refused(folder, error) from None


def within(folder: Path, *names: str) -> Path:
    """Returns the path of what lies in a folder, or in folders in it. Raises CheckpointError where
    a link stands in between: it could lead to anybody's files.
    """
    path = folder
    for name in names:
        path = path / name
        if path.is_symlink():
            raise CheckpointError(
                f"{path}: got a link; expected none, as a run makes none: look where it came from"
            )
    return path


def refuse_links(folder: Path) -> None:
    """Raises CheckpointError where a link lies in a folder, or in one in it."""
    for parent, folders, files in os.walk(folder):
        for name in folders + files:
            within(Path(parent), name)


def read_json(path: str | Path, limit: int = 1 << 24) -> dict[str, Any]:
    """Returns the object in a JSON file of at most `limit` bytes. Raises CheckpointError."""
    return parse_json(Path(path), read_file(Path(path), limit))


def read_file(path: Path, limit: int, exactly: int | None = None) -> bytes:
    """Returns the content of a regular file of bounded size; never follows a link, never waits on a
    pipe.

    Raises CheckpointError, and before anything is read, where the size is above `limit` or is not
    `exactly`, or where a large file is a hole.
    """
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(handle, "rb") as file:
            status = os.fstat(handle)
            if not stat.S_ISREG(status.st_mode):
                raise damaged(path, "is not a regular file")
            if status.st_size > limit:
                raise damaged(path, f"has {status.st_size} bytes, more than the {limit} allowed")
            if exactly is not None and status.st_size != exactly:
                raise damaged(
                    path,
                    f"has {status.st_size} bytes and not the {exactly} that it was written with",
                )
            if status.st_size > SPARSE and status.st_blocks * 512 < status.st_size // 100:
                raise damaged(path, f"has {status.st_size} bytes, nearly all of them a hole")
            return file.read(status.st_size)
    except (OSError, ValueError) as error:
        if isinstance(error, CheckpointError):
            raise
        raise damaged(
            path, f"cannot be read: {getattr(error, 'strerror', None) or error}"
        ) from None


def parse_json(path: Path, content: bytes) -> dict[str, Any]:
    """Returns the object in a file's content; no NaN, no key twice. Raises CheckpointError, naming
    `path`.
    """
    try:
        value = json.loads(
            content.decode(), parse_constant=_refuse_constant, object_pairs_hook=_unique
        )
    except (ValueError, RecursionError) as error:
        raise damaged(path, f"is no valid JSON: {str(error)[:120]}") from None
    if not isinstance(value, dict):
        raise damaged(path, "is not a JSON object")
    if deeper(value, DEPTH):
        raise damaged(path, f"is nested more than {DEPTH} levels deep")
    return value


def deeper(tree: Any, levels: int) -> bool:
    """Returns whether mappings and lists are nested in more levels than these."""
    level = [tree]
    for _ in range(levels):
        level = [
            inner
            for one in level
            if isinstance(one, (Mapping, list))
            for inner in (one.values() if isinstance(one, Mapping) else one)
        ]
    return any(isinstance(one, (Mapping, list)) for one in level)


def damaged(path: Path, reason: str) -> CheckpointError:
    """Returns the error for a file that is not as it was written."""
    return CheckpointError(
        f"{path}: {reason}; expected a file as this library wrote it, so take an earlier or another copy"
    )


def clean_up(folder: str | Path) -> None:
    """Removes what a killed writer left half-written in a folder, and brings back what it had only
    moved away.

    Raises StorageError.
    """
    folder = Path(folder)
    try:
        for entry in sorted(folder.iterdir()):
            name = re.fullmatch(re.escape(OLD) + r"(.+)-\d+", entry.name)
            if name and not (folder / name[1]).exists():
                entry.rename(folder / name[1])
            elif entry.name.startswith(ASIDE):
                discard(entry)
    except OSError as error:
        raise _refused(folder, error) from None


def discard(path: Path) -> None:
    """Removes a file or a folder; a folder is renamed first, so that no half of it is taken for a
    whole.

    Raises StorageError.
    """
    try:
        if path.is_symlink() or not path.is_dir():
            path.unlink(missing_ok=True)
            return
        if not path.name.startswith(ASIDE):
            trash = path.parent / f".trash-{path.name}-{os.getpid()}"
            path = path.rename(trash)
    except OSError as error:
        raise _refused(path, error) from None
    shutil.rmtree(path, ignore_errors=True)


def folders_by_number(parent: Path, prefix: str) -> Iterator[tuple[int, Path]]:
    """Yields (number, folder) of the folders named prefix + number, the highest number first."""
    found = [
        (int(p.name[len(prefix) :]), p)
        for p in parent.iterdir()
        if re.fullmatch(prefix + r"\d{1,9}", p.name)
    ]
    yield from sorted(found, reverse=True)


def _write(path: Path, content: bytes) -> None:
    with open(path, "xb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def flush_folder(folder: Path) -> None:
    """Brings the names in a folder to the disk."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _put_in_place(aside: Path, folder: Path) -> None:
    trash = folder.parent / f"{OLD}{folder.name}-{os.getpid()}"
    replaces = folder.exists()
    if replaces:
        shutil.rmtree(trash, ignore_errors=True)
        os.rename(folder, trash)
    try:
        os.rename(aside, folder)
    except OSError:
        if replaces:
            os.rename(trash, folder)
        raise
    flush_folder(folder.parent)
    if replaces:
        shutil.rmtree(trash, ignore_errors=True)


def _refused(path: Path, error: OSError) -> StorageError:
    return StorageError(
        f"cannot write {path}: {error.strerror or error}; is there room, and may you write?"
    )


def _refuse_constant(word: str) -> None:
    raise ValueError(f"the number {word}")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(dict(pairs)) < len(pairs):
        raise ValueError("a key twice in one object")
    return dict(pairs)
