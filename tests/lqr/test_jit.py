"""Kernels survive a damaged cache, and importing the package stays light."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CODE = """
import numpy as np
from lqr import LinearGaussianController, LinearGaussianDynamics, Gaussian, forward
T = 2
d = LinearGaussianDynamics(np.ones((T, 1, 2)), np.zeros((T, 1)), np.zeros((T, 1, 1)))
k = LinearGaussianController(np.zeros((T, 1, 1)), np.ones((T, 1)), np.zeros((T, 1, 1)))
print(forward(d, k, Gaussian(np.zeros(1), np.eye(1))).mean[:, 0].tolist())
"""


def run(code, **env):
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done


def test_a_damaged_cache_is_deleted_with_a_warning_and_the_answer_is_right(tmp_path):
    env = {"NUMBA_CACHE_DIR": str(tmp_path)}
    assert run(CODE, **env).stdout.strip() == "[0.0, 1.0, 2.0]"
    files = list(tmp_path.rglob("*_forward*"))
    assert files
    for file in files:
        file.write_bytes(b"\x80damaged")
    again = run(CODE, **env)
    assert again.stdout.strip() == "[0.0, 1.0, 2.0]"
    assert "damaged" in again.stderr
    assert "damaged" not in run(CODE, **env).stderr


def test_without_a_folder_to_write_to_kernels_are_compiled_in_the_process(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("a file where a folder is wanted")
    done = run(CODE, NUMBA_CACHE_DIR=str(blocked / "cache"))
    assert done.stdout.strip() == "[0.0, 1.0, 2.0]"


def test_importing_lqr_loads_neither_torch_nor_mujoco_nor_our_other_packages():
    out = run(
        "import sys, lqr; print([m for m in ('torch', 'mujoco', 'agents', 'gps', 'dynamics') if m in sys.modules])"
    )
    assert out.stdout.strip() == "[]"
