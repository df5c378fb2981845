"""What a result depends on beside its settings: versions, machine, and how this machine rounds."""

import hashlib
import inspect
import os
import platform
import tomllib
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("lqr", "dynamics", "agents", "gps", "experiments")
SUFFIXES = (".py", ".xml", ".json")
DISTRIBUTION = "guided-policy-search"
NUMERICAL = ("numpy", "scipy", "torch", "mujoco", "gymnasium", "numba", "llvmlite", "scikit-learn")
VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "OPENBLAS_CORETYPE",
    "MKL_NUM_THREADS",
    "ATEN_CPU_CAPABILITY",
    "NUMBA_CPU_NAME",
    "NUMBA_CPU_FEATURES",
    "NUMBA_DISABLE_JIT",
    "NUMBA_OPT",
)


def own_version() -> str:
    """Returns this library's version: the checkout's, else the installed one's."""
    project = Path(__file__).resolve().parents[2] / "pyproject.toml"
    if project.is_file():
        return str(tomllib.loads(project.read_text(encoding="utf-8"))["project"]["version"])
    return metadata.version(DISTRIBUTION)


def dependencies() -> dict[str, str]:
    """Returns the version of every installed distribution."""
    found = {}
    for distribution in metadata.distributions():
        about = distribution.metadata  # parsed anew each time it is asked for
        if name := about["Name"]:
            found[name] = about["Version"]
    return {name: found[name] for name in sorted(found, key=str.lower)}


def fingerprint(*parts: Any) -> dict[str, str]:
    """Returns what decides the last bits of a result; two runs with equal fingerprints can be
    compared bit by bit. `parts` are modules, functions and classes that the run is made of.
    """
    numbers = {name: _version(name) for name in NUMERICAL}
    variables = {name: os.environ[name] for name in VARIABLES if os.environ.get(name)}
    if variables.get("NUMBA_DISABLE_JIT") == "0":
        del variables["NUMBA_DISABLE_JIT"]
    return {
        "python": platform.python_version(),
        "machine": platform.machine(),
        **numbers,
        **variables,
        "rounding": rounding(),
        "sources": sources(*parts),
    }


def sources(*parts: Any) -> str:
    """Returns a digest of the packages' sources, and of the files that define these modules,
    functions and classes, wherever they are.
    """
    digest = hashlib.sha256()
    for path, content in _sources():
        digest.update(f"{path} {content}\n".encode())
    inside = [ROOT / package for package in PACKAGES]
    files = {found for part in parts if (found := _file_of(part))}
    for file in sorted(files):
        if not any(file.is_relative_to(folder) for folder in inside):
            digest.update(file.read_bytes())
    return digest.hexdigest()[:16]


@cache
def _sources() -> list[tuple[str, str]]:
    """Returns the place and the digest of each file of the packages, in order."""
    files = sorted(
        path
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.suffix in SUFFIXES
    )
    return [
        (str(path.relative_to(ROOT)), hashlib.sha256(path.read_bytes()).hexdigest())
        for path in files
    ]


def _file_of(part: Any) -> Path | None:
    """Returns the file that defines something; None where there is none."""
    try:
        return Path(inspect.getfile(part)).resolve()
    except (OSError, TypeError):
        return None


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
