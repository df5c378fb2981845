"""Trees of arrays and numbers in verified folders: atomic to write, checked to the last bit before
they are believed.

A folder holds arrays.safetensors, meta.json and MANIFEST.json, which lists the size and the SHA-256
of the others. It is written aside, flushed to the disk and renamed, so it is there as a whole or
not at all. Nothing is pickled, nothing named in a file is imported, and nothing is parsed before
its digest has been compared.
"""

import hashlib
import json
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from lqr import CheckpointError, InputError, NumericalError

from .files import DEPTH, damaged, deeper, parse_json, read_file, read_json, write_folder

FORMAT = 1  # of the folder; a reader refuses any other
MAX_BYTES = {"MANIFEST.json": 1 << 16, "meta.json": 1 << 22, "arrays.safetensors": 1 << 32}
DTYPES = {
    "float64",
    "float32",
    "int64",
    "int32",
    "int16",
    "int8",
    "uint64",
    "uint32",
    "uint16",
    "uint8",
    "bool",
}

Tree = Mapping[str, Any]


class Bytes(NamedTuple):
    """The form of an array of uint8, for `check_tree`."""

    shape: tuple[int | str, ...]


def save_tree(
    folder: str | Path, tree: Tree, meta: Tree | None = None, finite: bool = True
) -> None:
    """Writes a tree and a JSON-able `meta` as a verified folder, in place of a folder of that name.

    tree: nested dicts with string keys; leaves are arrays, integers, floats, strings, booleans and
    None. Raises InputError for another leaf, NumericalError for NaN or infinity (unless `finite` is
    False) and StorageError where the disk refuses; a folder of that name is then as it was.
    """
    folder = Path(folder)
    if deeper({"tree": tree, "meta": meta or {}}, DEPTH - 1):
        raise InputError(
            f"got a tree of more than {DEPTH - 2} levels to save; expected fewer: flatten it"
        )
    arrays: dict[str, np.ndarray] = {}
    shape = _split(tree, "", arrays, finite)
    contents = {"format": FORMAT, "finite": finite, "tree": shape, "meta": dict(meta or {})}
    files = {"arrays.safetensors": _to_safetensors(arrays), "meta.json": _to_json(contents)}
    digests = {
        name: {"bytes": len(b), "sha256": hashlib.sha256(b).hexdigest()}
        for name, b in files.items()
    }
    write_folder(folder, {**files, "MANIFEST.json": _to_json(digests)})


def load_tree(folder: str | Path, finite: bool = True) -> tuple[dict[str, Any], dict[str, Any]]:
    """Returns the tree and the meta of a folder that `save_tree` wrote, with the same `finite`.

    Raises CheckpointError, naming the file and the reason, for everything that is not exactly as it
    was written.
    """
    folder = Path(folder)
    manifest = read_json(folder / "MANIFEST.json", MAX_BYTES["MANIFEST.json"])
    if set(manifest) != {"arrays.safetensors", "meta.json"}:
        raise damaged(folder / "MANIFEST.json", f"lists {sorted(manifest)}")
    contents: dict[str, bytes] = {}
    for name, entry in manifest.items():
        if (
            not isinstance(entry, dict)
            or set(entry) != {"bytes", "sha256"}
            or type(entry["bytes"]) is not int
        ):
            raise damaged(
                folder / "MANIFEST.json", f"says of {name} something else than its bytes and sha256"
            )
        contents[name] = read_file(folder / name, MAX_BYTES[name], entry["bytes"])
        if entry["sha256"] != hashlib.sha256(contents[name]).hexdigest():
            raise damaged(folder / name, "its digest is not the manifest's")
    meta = parse_json(folder / "meta.json", contents["meta.json"])
    if meta.get("format") != FORMAT:
        raise CheckpointError(
            f"{folder}: got format {meta.get('format')!r}, expected {FORMAT}; it is of another version"
        )
    if set(meta) != {"format", "finite", "tree", "meta"} or not all(
        type(meta[k]) is dict for k in ("tree", "meta")
    ):
        raise damaged(folder / "meta.json", f"has the keys {sorted(meta)}")
    if meta["finite"] is not finite:
        raise damaged(
            folder / "meta.json",
            f"says finite = {meta['finite']!r:.40}, where {finite} was expected",
        )
    arrays = _from_safetensors(
        folder / "arrays.safetensors", contents["arrays.safetensors"], finite
    )
    tree = _join(meta["tree"], arrays, folder / "meta.json")
    if arrays:
        raise damaged(
            folder / "arrays.safetensors",
            f"holds arrays that the tree does not name: {sorted(arrays)[:3]}",
        )
    return tree, meta["meta"]


def check_tree(tree: Any, expected: Mapping[str, Any], where: str) -> None:
    """Raises CheckpointError where a tree has other keys, shapes or kinds than expected; `where` is
    what it names.

    expected: for each key a type, a shape of finite floats, `Bytes` of a shape, or a mapping again.
    A letter in a shape stands for one and the same size wherever it is.
    """
    _check_tree(tree, expected, where, {})


def _check_tree(tree: Any, expected: Mapping[str, Any], where: str, sizes: dict[str, int]) -> None:
    advice = "it is of another task, method or version"
    if not isinstance(tree, dict) or set(tree) != set(expected):
        found = sorted(tree) if isinstance(tree, dict) else type(tree).__name__
        raise CheckpointError(
            f"{where}: got {str(found)[:200]}, expected {sorted(expected)}; {advice}"
        )
    for key, form in expected.items():
        value = tree[key]
        if isinstance(form, Mapping):
            _check_tree(value, form, f"{where}/{key}", sizes)
        elif isinstance(form, type):
            if type(value) is not form:
                raise CheckpointError(
                    f"{where}/{key}: got {value!r:.80}, expected a {form.__name__}; {advice}"
                )
        else:
            kind = np.dtype(np.uint8 if isinstance(form, Bytes) else float)
            form = tuple[Any, ...](form.shape if isinstance(form, Bytes) else form)
            shape = getattr(value, "shape", ())
            if len(shape) == len(form):
                for letter, size in zip(form, shape, strict=True):
                    if isinstance(letter, str):
                        sizes.setdefault(letter, size)
            asked = tuple(sizes.get(size, size) for size in form)
            if not isinstance(value, np.ndarray) or shape != asked or value.dtype != kind:
                found = (
                    f"shape {shape} of {value.dtype}"
                    if isinstance(value, np.ndarray)
                    else repr(value)[:80]
                )
                raise CheckpointError(
                    f"{where}/{key}: got {found}, expected {asked} of {kind}; {advice}"
                )


def _split(tree: Any, path: str, arrays: dict[str, np.ndarray], finite: bool) -> Any:
    """Returns the tree as JSON; its arrays go to `arrays`, and {"$array": path} stands in their
    place.
    """
    if isinstance(tree, Mapping):
        for key in tree:
            if not isinstance(key, str) or not re.fullmatch(r"[^$/][^/]*", key):
                raise InputError(
                    f"{path or 'tree'}: got the key {key!r}; expected a string without $ or / in it"
                )
        return {
            key: _split(value, f"{path}/{key}" if path else key, arrays, finite)
            for key, value in tree.items()
        }
    if isinstance(tree, np.generic):
        tree = tree.item()
    if isinstance(tree, np.ndarray):
        if tree.dtype.name not in DTYPES:
            raise InputError(
                f"{path}: got an array of {tree.dtype}; expected one of {', '.join(sorted(DTYPES))}"
            )
        if finite and not np.isfinite(tree).all():
            raise NumericalError(
                f"{path}: the array to be saved holds NaN or infinity; the step before it went wrong"
            )
        arrays[path] = np.array(tree, dtype=tree.dtype.newbyteorder("="), order="C")
        return {"$array": path}
    if isinstance(tree, float) and not math.isfinite(tree):
        raise NumericalError(f"{path}: got {tree} to save; expected a finite number, or None")
    if tree is None or isinstance(tree, (bool, int, float, str)):
        return tree
    raise InputError(
        f"{path}: got a {type(tree).__name__} to save; expected an array, number, string, boolean or None"
    )


def _join(tree: Any, arrays: dict[str, np.ndarray], path: Path) -> Any:
    """Returns the tree with its arrays back in their places; takes them out of `arrays`."""
    if not isinstance(tree, dict):
        if isinstance(tree, list):
            raise damaged(path, "holds a list")
        return tree
    if "$array" not in tree:
        return {key: _join(value, arrays, path) for key, value in tree.items()}
    name = tree["$array"]
    if len(tree) > 1 or not isinstance(name, str) or name not in arrays:
        raise damaged(path, f"names an array that is not there: {str(name)[:80]!r}")
    return arrays.pop(name)


def _to_safetensors(arrays: dict[str, np.ndarray]) -> bytes:
    from safetensors.numpy import save

    return save(arrays)


def _from_safetensors(path: Path, content: bytes, finite: bool) -> dict[str, np.ndarray]:
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        arrays = {name: np.array(value) for name, value in load(content).items()}
    except (
        SafetensorError,
        ValueError,
        TypeError,
        KeyError,
        AttributeError,
        OverflowError,
        MemoryError,
    ) as error:
        raise damaged(path, f"is no safetensors file: {error}") from None
    for name, value in arrays.items():
        if value.dtype.name not in DTYPES:
            raise damaged(path, f"{name} is of {value.dtype}")
        if finite and not np.isfinite(value).all():
            raise damaged(path, f"{name} holds NaN or infinity")
    return arrays


def _to_json(value: Any) -> bytes:
    try:
        return json.dumps(value, allow_nan=False, indent=1).encode()
    except (TypeError, ValueError) as error:
        raise InputError(
            f"cannot save as JSON: {error}; expected strings, finite numbers, booleans, None and dicts"
        ) from None
