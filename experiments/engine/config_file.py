"""Settings in a file: what --config reads and --save-config writes.

A file is JSON, or YAML by its ending: the settings by their flat names, or a run's whole config.json,
of which the settings are taken. What it leaves out stays as it was.
"""

import json
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from dynamics.storage.files import read_file, read_json, write_file
from lqr import InputError

from .flat import flat, rebuilt, with_parts
from .registry import Experiment, nearest

LIMIT = 1 << 24  # bytes
YAML = (".yaml", ".yml")


def with_file(path: Path, experiment: Experiment, config: Any) -> Any:
    """Returns the config with the settings of a file. Raises InputError for one of another method,
    a setting that there is not, and a value that does not fit; CheckpointError for a file that
    cannot be read.
    """
    said = _read(path)
    of, mine = said.get("method"), experiment.method.__name__
    values = said.get("config", said)
    if of not in (None, mine) or not isinstance(values, dict):
        raise InputError(f"{path}: got settings of {of or 'no method'}; expected those of {mine}")
    config = with_parts(config, values)
    known = flat(config)
    for name in values:
        if name not in known:
            raise InputError(f"{path}: got the setting {name!r}; {nearest(str(name), known)}")
    taken = {name: tuple(v) if isinstance(v, list) else v for name, v in values.items()}
    try:
        return rebuilt(config, {**known, **taken})
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def save(path: Path, experiment: Experiment, config: Any) -> None:
    """Writes settings into a new file. Raises InputError where there is one, StorageError."""
    if path.exists():
        raise InputError(f"{path} is there; expected a new file for the settings")
    said = {"method": experiment.method.__name__, "config": flat(config)}
    write_file(path, json.dumps(said, indent=1, allow_nan=False).encode() + b"\n")


def _read(path: Path) -> Mapping[str, Any]:
    if path.suffix not in YAML:
        return read_json(path, LIMIT)
    try:
        yaml = import_module("yaml")
    except ModuleNotFoundError:
        raise InputError(
            f"{path}: reading YAML needs PyYAML, which is not installed; expected JSON, or: pip install pyyaml"
        ) from None
    try:
        said = yaml.safe_load(read_file(path, LIMIT, None))
    except yaml.YAMLError as error:
        raise InputError(f"{path}: got no YAML ({' '.join(str(error).split())})") from None
    if not isinstance(said, dict):
        raise InputError(f"{path}: got a {type(said).__name__}; expected settings by their names")
    return said
