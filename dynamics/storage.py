"""Trees of arrays and numbers in verified folders: atomic to write, checked to the last bit before they are believed.

A folder holds arrays.safetensors, meta.json and MANIFEST.json, which lists the size and the SHA-256 of the others.
It is written aside, flushed to the disk and renamed, so it is there as a whole or not at all. Nothing is pickled,
nothing named in a file is imported, and nothing is parsed before its digest has been compared.
"""

import hashlib
import json
import math
import os
import re
import shutil
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from lqr import CheckpointError, InputError, NumericalError, StorageError

FORMAT = 1  # of the folder; a reader refuses any other
MAX_BYTES = {"MANIFEST.json": 1 << 16, "meta.json": 1 << 24, "arrays.safetensors": 1 << 32}
DTYPES = {"float64", "float32", "int64", "int32", "int16", "int8", "uint64", "uint32", "uint16", "uint8", "bool"}
ASIDE = (".tmp-", ".trash-")  # how names of half-written and of discarded folders begin

Tree = Mapping[str, Any]


def save_tree(folder: str | Path, tree: Tree, meta: Tree | None = None, finite: bool = True) -> None:
    """Writes a tree and a JSON-able `meta` as a verified folder, in place of a folder of that name.

    tree: nested dicts with string keys; leaves are arrays, integers, floats, strings, booleans and None.
    Raises InputError for another leaf, NumericalError for NaN or infinity (unless `finite` is False) and
    StorageError where the disk refuses; a folder of that name is then as it was.
    """
    folder = Path(folder)
    arrays: dict[str, np.ndarray] = {}
    shape = _split(tree, "", arrays, finite)
    contents = {"format": FORMAT, "finite": finite, "tree": shape, "meta": dict(meta or {})}
    aside = folder.parent / f".tmp-{folder.name}-{os.getpid()}"
    try:
        shutil.rmtree(aside, ignore_errors=True)
        aside.mkdir(parents=True)
        files = {"arrays.safetensors": _to_safetensors(arrays), "meta.json": _to_json(contents)}
        digests = {name: {"bytes": len(b), "sha256": hashlib.sha256(b).hexdigest()} for name, b in files.items()}
        for name, content in {**files, "MANIFEST.json": _to_json(digests)}.items():
            _write(aside / name, content)
        _flush_folder(aside)
        _put_in_place(aside, folder)
    except OSError as error:
        shutil.rmtree(aside, ignore_errors=True)
        raise StorageError(
            f"cannot write {folder}: {error.strerror or error}; is there room, and may you write?"
        ) from None


def load_tree(folder: str | Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Returns the tree and the meta of a folder that `save_tree` wrote.

    Raises CheckpointError, naming the file and the reason, for everything that is not exactly as it was written.
    """
    folder = Path(folder)
    manifest = _parse(folder / "MANIFEST.json", _read(folder / "MANIFEST.json"))
    if set(manifest) != {"arrays.safetensors", "meta.json"}:
        raise _damaged(folder / "MANIFEST.json", f"lists {sorted(manifest)}")
    contents: dict[str, bytes] = {}
    for name, entry in manifest.items():
        contents[name] = _read(folder / name)
        if entry != {"bytes": len(contents[name]), "sha256": hashlib.sha256(contents[name]).hexdigest()}:
            raise _damaged(folder / name, "its size or digest is not the manifest's")
    meta = _parse(folder / "meta.json", contents["meta.json"])
    if meta.get("format") != FORMAT:
        raise CheckpointError(
            f"{folder}: got format {meta.get('format')!r}, expected {FORMAT}; it is of another version"
        )
    if set(meta) != {"format", "finite", "tree", "meta"} or not isinstance(meta["tree"], dict):
        raise _damaged(folder / "meta.json", f"has the keys {sorted(meta)}")
    arrays = _from_safetensors(
        folder / "arrays.safetensors", contents["arrays.safetensors"], meta["finite"] is not False
    )
    tree = _join(meta["tree"], arrays, folder / "meta.json")
    if arrays:
        raise _damaged(folder / "arrays.safetensors", f"holds arrays that the tree does not name: {sorted(arrays)[:3]}")
    return tree, meta["meta"]


def write_file(path: str | Path, content: bytes) -> None:
    """Writes a file as a whole or not at all, flushed to the disk. Raises StorageError."""
    path = Path(path)
    aside = path.parent / f".tmp-{path.name}-{os.getpid()}"
    try:
        aside.unlink(missing_ok=True)
        _write(aside, content)
        os.replace(aside, path)
        _flush_folder(path.parent)
    except OSError as error:
        aside.unlink(missing_ok=True)
        raise StorageError(
            f"cannot write {path}: {error.strerror or error}; is there room, and may you write?"
        ) from None


def read_json(path: str | Path) -> dict[str, Any]:
    """Returns the object in a JSON file of at most 16 MiB. Raises CheckpointError."""
    return _parse(Path(path), _read(Path(path), 1 << 24))


def clean_up(folder: str | Path) -> None:
    """Removes what a killed writer left half-written in a folder."""
    for entry in Path(folder).iterdir():
        if entry.name.startswith(ASIDE):
            discard(entry)


def discard(path: Path) -> None:
    """Removes a file or a folder; a folder is renamed first, so that no half of it is taken for a whole."""
    if path.is_symlink() or not path.is_dir():
        path.unlink(missing_ok=True)
        return
    if not path.name.startswith(ASIDE):
        trash = path.parent / f".trash-{path.name}-{os.getpid()}"
        path = path.rename(trash)
    shutil.rmtree(path, ignore_errors=True)


def _split(tree: Any, path: str, arrays: dict[str, np.ndarray], finite: bool) -> Any:
    """Returns the tree as JSON; its arrays go to `arrays`, and {"$array": path} stands in their place."""
    if isinstance(tree, Mapping):
        for key in tree:
            if not isinstance(key, str) or not re.fullmatch(r"[^$/][^/]*", key):
                raise InputError(f"{path or 'tree'}: got the key {key!r}; expected a string without $ or / in it")
        return {key: _split(value, f"{path}/{key}" if path else key, arrays, finite) for key, value in tree.items()}
    if isinstance(tree, np.generic):
        tree = tree.item()
    if isinstance(tree, np.ndarray):
        if tree.dtype.name not in DTYPES:
            raise InputError(f"{path}: got an array of {tree.dtype}; expected one of {', '.join(sorted(DTYPES))}")
        if finite and not np.isfinite(tree).all():
            raise NumericalError(f"{path}: the array to be saved holds NaN or infinity; the step before it went wrong")
        arrays[path] = np.array(tree, dtype=tree.dtype.newbyteorder("="), order="C")
        return {"$array": path}
    if isinstance(tree, float) and not math.isfinite(tree):
        raise NumericalError(f"{path}: got {tree} to save; expected a finite number, or None")
    if tree is None or isinstance(tree, (bool, int, float, str)):
        return tree
    raise InputError(f"{path}: got a {type(tree).__name__} to save; expected an array, number, string, boolean or None")


def _join(tree: Any, arrays: dict[str, np.ndarray], path: Path) -> Any:
    """Returns the tree with its arrays back in their places; takes them out of `arrays`."""
    if not isinstance(tree, dict):
        if isinstance(tree, list):
            raise _damaged(path, "holds a list")
        return tree
    if "$array" not in tree:
        return {key: _join(value, arrays, path) for key, value in tree.items()}
    name = tree["$array"]
    if len(tree) > 1 or not isinstance(name, str) or name not in arrays:
        raise _damaged(path, f"names an array that is not there: {str(name)[:80]!r}")
    return arrays.pop(name)


def _to_safetensors(arrays: dict[str, np.ndarray]) -> bytes:
    from safetensors.numpy import save

    return save(arrays)


def _from_safetensors(path: Path, content: bytes, finite: bool) -> dict[str, np.ndarray]:
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        arrays = {name: np.array(value) for name, value in load(content).items()}
    except (SafetensorError, ValueError, TypeError, KeyError, AttributeError, OverflowError, MemoryError) as error:
        raise _damaged(path, f"is no safetensors file: {error}") from None
    for name, value in arrays.items():
        if value.dtype.name not in DTYPES:
            raise _damaged(path, f"{name} is of {value.dtype}")
        if finite and not np.isfinite(value).all():
            raise _damaged(path, f"{name} holds NaN or infinity")
    return arrays


def _to_json(value: Any) -> bytes:
    try:
        return json.dumps(value, allow_nan=False, indent=1).encode()
    except (TypeError, ValueError) as error:
        raise InputError(
            f"cannot save as JSON: {error}; expected strings, finite numbers, booleans, None and dicts"
        ) from None


def _parse(path: Path, content: bytes) -> dict[str, Any]:
    try:
        value = json.loads(content.decode(), parse_constant=_refuse_constant, object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:
        raise _damaged(path, f"is no valid JSON: {str(error)[:120]}") from None
    if not isinstance(value, dict):
        raise _damaged(path, "is not a JSON object")
    return value


def _refuse_constant(word: str) -> None:
    raise ValueError(f"the number {word}")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(dict(pairs)) < len(pairs):
        raise ValueError("a key twice in one object")
    return dict(pairs)


def _read(path: Path, limit: int = 0) -> bytes:
    """Returns the content of a regular file of bounded size; never follows a link, never waits on a pipe."""
    limit = limit or MAX_BYTES[path.name]
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(handle, "rb") as file:
            status = os.fstat(handle)
            if not stat.S_ISREG(status.st_mode):
                raise _damaged(path, "is not a regular file")
            if status.st_size > limit:
                raise _damaged(path, f"has {status.st_size} bytes, more than the {limit} allowed")
            return file.read(status.st_size)
    except (OSError, ValueError) as error:
        if isinstance(error, CheckpointError):
            raise
        raise _damaged(path, f"cannot be read: {getattr(error, 'strerror', None) or error}") from None


def _damaged(path: Path, reason: str) -> CheckpointError:
    return CheckpointError(
        f"{path}: {reason}; expected a file as this library wrote it, so take an earlier or another copy"
    )


def _write(path: Path, content: bytes) -> None:
    with open(path, "xb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _flush_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _put_in_place(aside: Path, folder: Path) -> None:
    trash = folder.parent / f".trash-{folder.name}-{os.getpid()}"
    replaces = folder.exists()
    if replaces:
        os.rename(folder, trash)
    try:
        os.rename(aside, folder)
    except OSError:
        if replaces:
            os.rename(trash, folder)
        raise
    _flush_folder(folder.parent)
    if replaces:
        shutil.rmtree(trash, ignore_errors=True)


def folders_by_number(parent: Path, prefix: str) -> Iterator[tuple[int, Path]]:
    """Yields (number, folder) of the folders named prefix + number, the highest number first."""
    found = [(int(p.name[len(prefix) :]), p) for p in parent.iterdir() if re.fullmatch(prefix + r"\d{1,9}", p.name)]
    yield from sorted(found, reverse=True)
