import contextlib
import json
import os
import random

import numpy as np
import pytest

from dynamics.storage.files import clean_up, discard, read_json, write_file
from dynamics.storage.tree import load_tree, save_tree
from lqr import CheckpointError, InputError, NumericalError, StorageError

TREE = {
    "K": np.arange(6.0).reshape(2, 3),
    "net": {
        "w": np.ones((2, 2), np.float32),
        "empty": {},
        "n": 3,
        "name": "gmm",
        "none": None,
        "yes": True,
    },
    "count": np.array(7),
    "mask": np.array([True, False]),
    "none": np.zeros((0, 4)),
    "big": 2**130,
    "half": 0.1,
}


def equal(a, b):
    if isinstance(a, dict):
        return isinstance(b, dict) and a.keys() == b.keys() and all(equal(a[k], b[k]) for k in a)
    if isinstance(a, np.ndarray):
        return a.dtype == b.dtype and a.shape == b.shape and np.array_equal(a, b)
    return type(a) is type(b) and a == b


def test_a_tree_comes_back_as_it_was(tmp_path):
    save_tree(tmp_path / "t", TREE, {"seed": 3})
    tree, meta = load_tree(tmp_path / "t")
    assert equal(tree, TREE)
    assert meta == {"seed": 3}


def test_loaded_arrays_can_be_written_to_and_do_not_share_memory(tmp_path):
    save_tree(tmp_path / "t", {"a": TREE["K"], "b": TREE["K"]})
    tree, _ = load_tree(tmp_path / "t")
    tree["a"][0, 0] = 5
    assert tree["b"][0, 0] == 0


def test_columns_first_and_strided_arrays_keep_their_values(tmp_path):
    save_tree(
        tmp_path / "t",
        {
            "f": np.asfortranarray(TREE["K"]),
            "s": np.arange(10.0)[::-3],
            "e": np.arange(3, dtype=">f8"),
        },
    )
    tree, _ = load_tree(tmp_path / "t")
    assert np.array_equal(tree["f"], TREE["K"])
    assert np.array_equal(tree["s"], [9, 6, 3, 0])
    assert np.array_equal(tree["e"], [0, 1, 2])


def test_saving_again_replaces_the_folder_and_leaves_nothing_beside_it(tmp_path):
    save_tree(tmp_path / "t", TREE)
    save_tree(tmp_path / "t", {"a": 1})
    assert load_tree(tmp_path / "t")[0] == {"a": 1}
    assert os.listdir(tmp_path) == ["t"]


@pytest.mark.parametrize("bad", [np.array([1.0, np.nan]), np.inf, float("nan")])
def test_what_is_not_finite_is_refused_and_harms_nothing(tmp_path, bad):
    save_tree(tmp_path / "t", {"a": 1})
    with pytest.raises(NumericalError, match="net/w"):
        save_tree(tmp_path / "t", {"net": {"w": bad}})
    assert load_tree(tmp_path / "t")[0] == {"a": 1}


def test_nan_is_kept_where_it_is_allowed(tmp_path):
    save_tree(tmp_path / "t", {"a": np.array([np.nan, 1.0])}, finite=False)
    assert np.isnan(load_tree(tmp_path / "t", finite=False)[0]["a"][0])
    with pytest.raises(CheckpointError, match="finite"):
        load_tree(tmp_path / "t")


@pytest.mark.parametrize(
    "bad",
    [
        {"a": [1]},
        {"a": object()},
        {1: 2},
        {"a/b": 1},
        {"$array": "x"},
        {"": 1},
        {"a": np.array(["s"])},
        {"a": 1j},
    ],
)
def test_a_leaf_or_key_of_another_kind_is_refused(tmp_path, bad):
    with pytest.raises(InputError, match="expected"):
        save_tree(tmp_path / "t", bad)
    assert not os.listdir(tmp_path)


@pytest.mark.parametrize("name", ["arrays.safetensors", "meta.json", "MANIFEST.json"])
@pytest.mark.parametrize(
    "damage", ["missing", "empty", "half", "flipped", "folder", "link", "pipe", "swapped"]
)
def test_any_damage_to_any_file_is_an_error_that_names_the_file(tmp_path, name, damage):
    save_tree(tmp_path / "t", TREE)
    save_tree(tmp_path / "other", {"a": np.ones(3)})
    path = tmp_path / "t" / name
    content = path.read_bytes()
    path.unlink()
    if damage == "empty":
        path.write_bytes(b"")
    elif damage == "half":
        path.write_bytes(content[: len(content) // 2])
    elif damage == "flipped":
        path.write_bytes(content[:-9] + bytes([content[-9] ^ 4]) + content[-8:])
    elif damage == "folder":
        path.mkdir()
    elif damage == "link":
        path.symlink_to("/dev/zero")
    elif damage == "pipe":
        os.mkfifo(path)
    elif damage == "swapped":
        path.write_bytes((tmp_path / "other" / name).read_bytes())
    with pytest.raises(CheckpointError, match=str(tmp_path)):
        load_tree(tmp_path / "t")


def sign(folder):
    """Writes a manifest that fits the files, as somebody with bad intentions would."""
    import hashlib

    names = ["arrays.safetensors", "meta.json"]
    contents = {name: (folder / name).read_bytes() for name in names}
    digests = {
        n: {"bytes": len(c), "sha256": hashlib.sha256(c).hexdigest()} for n, c in contents.items()
    }
    (folder / "MANIFEST.json").write_text(json.dumps(digests))


@pytest.mark.parametrize(
    "meta",
    [
        b"[]",
        b'{"format": 1}',
        b'{"format": 2, "finite": true, "tree": {}, "meta": {}}',
        b'{"format": 1, "finite": true, "tree": {"a": {"$array": "a"}}, "meta": {}}',
        b'{"format": 1, "finite": true, "tree": {"a": [1]}, "meta": {}}',
        b'{"format": 1, "finite": true, "tree": {"a": NaN}, "meta": {}}',
        b'{"format": 1, "finite": true, "tree": {"a": 1, "a": 2}, "meta": {}}',
        b'{"format": 1, "finite": true, "tree": {"a": ' + b"9" * 200_000 + b'}, "meta": {}}',
        b'{"a": ' * 100_000,
        b"\xff\xfe",
    ],
)
def test_a_signed_folder_with_a_wrong_schema_is_refused(tmp_path, meta):
    save_tree(tmp_path / "t", {})
    (tmp_path / "t" / "meta.json").write_bytes(meta)
    sign(tmp_path / "t")
    with pytest.raises(CheckpointError):
        load_tree(tmp_path / "t")


@pytest.mark.parametrize(
    "header",
    [
        {"a": {"dtype": "F64", "shape": [10**12], "data_offsets": [0, 24]}},
        {"a": {"dtype": "F64", "shape": [-3], "data_offsets": [0, 24]}},
        {"a": {"dtype": "F64", "shape": [3], "data_offsets": [0, 10**15]}},
        {"a": {"dtype": "BF16", "shape": [12], "data_offsets": [0, 24]}},
        {
            "a": {"dtype": "F64", "shape": [3], "data_offsets": [0, 24]},
            "b": {"dtype": "F64", "shape": [3], "data_offsets": [0, 24]},
        },
    ],
)
def test_signed_arrays_with_absurd_headers_are_refused(tmp_path, header):
    save_tree(tmp_path / "t", {"a": np.ones(3)})
    text = json.dumps(header).encode()
    (tmp_path / "t" / "arrays.safetensors").write_bytes(
        len(text).to_bytes(8, "little") + text + bytes(24)
    )
    sign(tmp_path / "t")
    with pytest.raises(CheckpointError):
        load_tree(tmp_path / "t")


def test_signed_nan_weights_are_refused(tmp_path):
    save_tree(tmp_path / "t", {"a": np.array([np.nan])}, finite=False)
    meta = (tmp_path / "t" / "meta.json").read_text()
    (tmp_path / "t" / "meta.json").write_text(meta.replace('"finite": false', '"finite": true'))
    sign(tmp_path / "t")
    with pytest.raises(CheckpointError, match="NaN"):
        load_tree(tmp_path / "t")


def test_three_hundred_random_mutations_give_the_documented_error_or_the_same_tree(tmp_path):
    save_tree(tmp_path / "t", TREE)
    originals = {path: path.read_bytes() for path in (tmp_path / "t").iterdir()}
    draw = random.Random(0)
    for _ in range(300):
        path, content = draw.choice(sorted(originals.items()))
        changed = bytearray(content)
        for _ in range(draw.randint(1, 4)):
            changed[draw.randrange(len(changed))] = draw.randrange(256)
        path.write_bytes(bytes(changed))
        with contextlib.suppress(CheckpointError):
            assert equal(load_tree(tmp_path / "t")[0], TREE)
        path.write_bytes(content)


class FullDisk:
    """A function of os that fails at its n-th call."""

    def __init__(self, real, n):
        self.real, self.left = real, n

    def __call__(self, *args, **kwargs):
        self.left -= 1
        if self.left == -1:
            raise OSError(28, "No space left on device")
        return self.real(*args, **kwargs)


@pytest.mark.parametrize("call", ["fsync", "rename", "open", "mkdir"])
def test_an_error_of_the_disk_at_any_call_leaves_a_whole_folder(tmp_path, monkeypatch, call):
    failures = 0
    for n in range(20):
        save_tree(tmp_path / "t", {"a": 1})
        disk = FullDisk(getattr(os, call), n)
        with monkeypatch.context() as patch:
            patch.setattr(os, call, disk)
            try:
                save_tree(tmp_path / "t", {"a": 2})
            except StorageError:
                failures += 1
        assert load_tree(tmp_path / "t")[0] in ({"a": 1}, {"a": 2})
        assert not list(tmp_path.glob(".tmp-*"))
        clean_up(tmp_path)
        if disk.left >= 0:
            break
    assert failures


def test_a_file_is_written_as_a_whole_or_not_at_all(tmp_path):
    write_file(tmp_path / "f.json", b'{"a": 1}')
    with pytest.raises(StorageError, match="no-such"):
        write_file(tmp_path / "no-such" / "f.json", b"x")
    assert read_json(tmp_path / "f.json") == {"a": 1}
    assert os.listdir(tmp_path) == ["f.json"]


def test_discarding_a_link_leaves_what_it_points_to(tmp_path):
    (tmp_path / "kept").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "kept")
    discard(tmp_path / "link")
    assert os.listdir(tmp_path) == ["kept"]
