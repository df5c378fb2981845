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


@pytest.fixture
def pack(tmp_path):
    """A package of one kernel and its helper, as lqr has them; a function that calls the kernel in
    a new process.
    """
    folder = tmp_path / "pack"
    folder.mkdir()
    shutil.copyfile(ROOT / "lqr" / "jit.py", folder / "jit.py")
    (folder / "kernels.py").write_text(KERNEL)
    (folder / "helper.py").write_text(HELPER)
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


@pytest.mark.parametrize("suffix", [".nbi", ".nbc"])
@pytest.mark.parametrize("damage", ["truncated", "flipped", "empty", "garbage"])
def test_a_damaged_cache_is_forgotten_with_a_warning(pack, suffix, damage):
    assert pack()[:2] == (2.0, 0)
    for path in pack.cache.glob(f"*{suffix}"):
        content = path.read_bytes()
        middle = len(content) // 2
        changed = {
            "truncated": content[:middle],
            "flipped": content[:middle] + bytes([content[middle] ^ 8]) + content[middle + 1 :],
            "empty": b"",
            "garbage": b"\x80garbage",
        }
        path.write_bytes(changed[damage])
    value, hits, err = pack()
    assert (value, hits) == (2.0, 0)
    assert "damaged" in err
    assert pack()[:2] == (2.0, 1)


def test_a_cache_that_anybody_may_write_to_is_not_used(pack):
    pack.cache.mkdir()
    pack.cache.chmod(0o777)
    value, hits, err = pack()
    assert (value, hits) == (2.0, 0)
    assert "anybody may write" in err
    assert not list(pack.cache.glob("*.nb?"))


def test_six_processes_that_share_an_empty_cache_all_get_the_right_answer(pack):
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", CALL], cwd=pack.folder.parent, stdout=-1, stderr=-1, text=True
        )
        for _ in range(6)
    ]
    for process in processes:
        out, err = process.communicate(timeout=120)
        assert process.returncode == 0, err
        assert out.startswith("2.0 ")
