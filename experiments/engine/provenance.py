"""What a result depends on beside its settings: versions, machine, and how this machine rounds."""

import hashlib
import os
import platform
import tomllib
from importlib import metadata
from pathlib import Path

import numpy as np

DISTRIBUTION = "guided-policy-search"
NUMERICAL = ("numpy", "scipy", "torch", "mujoco", "gymnasium", "numba", "llvmlite", "scikit-learn")
VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "OPENBLAS_CORETYPE",
    "MKL_NUM_THREADS",
    "ATEN_CPU_CAPABILITY",
    "NUMBA_CPU_NAME",
)


def own_version() -> str:
    """Returns this library's version: the checkout's, else the installed one's."""
    project = Path(__file__).resolve().parents[2] / "pyproject.toml"
    if project.is_file():
        return str(tomllib.loads(project.read_text(encoding="utf-8"))["project"]["version"])
    return metadata.version(DISTRIBUTION)


def dependencies() -> dict[str, str]:
    """Returns the version of every installed distribution."""
    found = {d.metadata["Name"]: d.version for d in metadata.distributions() if d.metadata["Name"]}
    return {name: found[name] for name in sorted(found, key=str.lower)}


def fingerprint() -> dict[str, str]:
    """Returns what decides the last bits of a result; two runs with equal fingerprints can be
    compared bit by bit.
    """
    numbers = {name: _version(name) for name in NUMERICAL}
    variables = {name: os.environ[name] for name in VARIABLES if name in os.environ}
    return {
        "python": platform.python_version(),
        "machine": platform.machine(),
        **numbers,
        **variables,
        "rounding": rounding(),
    }


def rounding() -> str:
    """Returns a digest of small fixed computations, which differs where the linear algebra rounds
    differently.
    """
    a = np.sin(np.arange(96.0 * 96).reshape(96, 96))
    b = a @ a.T + 96 * np.eye(96)
    parts = (b, np.linalg.cholesky(b), np.linalg.solve(b, a), np.exp(a), np.tanh(a))
    return hashlib.sha256(
        b"".join(np.ascontiguousarray(part).tobytes() for part in parts)
    ).hexdigest()[:16]


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "absent"
