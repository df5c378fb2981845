"""The compiled kernels on the disk: never stale, never damaged, never anybody's."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
KERNEL = """from .jit import kernel
from .helper import helped


@kernel
def f(x):
    return x + 1.0 + helped(x)
"""
HELPER = """from .jit import shared


@shared
def helped(x):
    return 0.0 * x
"""
CALL = "from pack.kernels import f; print(f(1.0), len(f.stats.cache_hits))"
CALL_EACH = """
import sys, warnings
from importlib import import_module
for name in sys.argv[1:]:
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        f = import_module(f"{name}.kernels").f
        print(name, f(1.0), len(f.stats.cache_hits), sum("damaged" in str(w.message) for w in said))
"""


def make_pack(folder):
    """Makes a package of one kernel and its helper, as lqr has them."""
    folder.mkdir()
    shutil.copyfile(ROOT / "lqr" / "kernels" / "jit.py", folder / "jit.py")
    (folder / "kernels.py").write_text(KERNEL)
    (folder / "helper.py").write_text(HELPER)


@pytest.fixture
def pack(tmp_path):
    """Such a package; a function that calls the kernel in a new process."""
    folder = tmp_path / "pack"
    make_pack(folder)
    environment = {key: value for key, value in os.environ.items() if key != "NUMBA_CACHE_DIR"}

    def call():
        done = subprocess.run(
            [sys.executable, "-c", CALL],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        value, hits = done.stdout.split()
        return float(value), int(hits), done.stderr

    call.folder, call.cache = folder, folder / "__pycache__"
    return call


@pytest.mark.parametrize("file", ["kernels.py", "helper.py"])
def test_a_kernel_that_was_edited_is_compiled_anew_even_if_the_files_date_and_size_are_the_same(
    pack, file
):
    assert pack()[:2] == (2.0, 0)
    assert pack()[:2] == (2.0, 1)
    path = pack.folder / file
    before = path.stat()
    path.write_text(path.read_text().replace("1.0", "7.0").replace("0.0 * x", "6.0 * x"))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_size == before.st_size
    shutil.rmtree(pack.cache / "x", ignore_errors=True)
    for compiled in pack.cache.glob(
        "*.pyc"
    ):  # Python's own cache is fooled by the date; that is not ours to mend
        compiled.unlink()
    assert pack()[:2] == (8.0, 0)


def test_a_damaged_cache_is_forgotten_with_a_warning(pack, tmp_path):
    assert pack()[:2] == (2.0, 0)
    names = []
    for suffix in (".nbi", ".nbc"):
        for damage in ("truncated", "flipped", "empty", "garbage"):
            names.append(f"{damage}_{suffix[1:]}")
            shutil.copytree(pack.folder, tmp_path / names[-1])
            (path,) = (tmp_path / names[-1] / "__pycache__").glob(f"*{suffix}")
            content = path.read_bytes()
            middle = len(content) // 2
            changed = {
                "truncated": content[:middle],
                "flipped": content[:middle] + bytes([content[middle] ^ 8]) + content[middle + 1 :],
                "empty": b"",
                "garbage": b"\x80garbage",
            }
            path.write_bytes(changed[damage])
    shutil.copytree(pack.folder, tmp_path / "whole")
    environment = {key: value for key, value in os.environ.items() if key != "NUMBA_CACHE_DIR"}

    def call_each():
        command = [sys.executable, "-c", CALL_EACH, *names, "whole"]
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()

    assert call_each() == [*(f"{name} 2.0 0 1" for name in names), "whole 2.0 1 0"]
    assert call_each() == [f"{name} 2.0 1 0" for name in (*names, "whole")]


def test_a_cache_that_anybody_may_write_to_is_not_used(pack):
    pack.cache.mkdir()
    pack.cache.chmod(0o777)
    value, hits, err = pack()
    assert (value, hits) == (2.0, 0)
    assert "anybody may write" in err
    assert not list(pack.cache.glob("*.nb?"))


def test_four_processes_that_share_an_empty_cache_all_get_the_right_answer(pack):
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", CALL], cwd=pack.folder.parent, stdout=-1, stderr=-1, text=True
        )
        for _ in range(4)
    ]
    for process in processes:
        out, err = process.communicate(timeout=600)
        assert process.returncode == 0, err
        assert out.startswith("2.0 ")
        assert "damaged" not in err
