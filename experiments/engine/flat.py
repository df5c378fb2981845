"""The settings of a method as flat names: those of a part, such as a planner, stand behind its own.

    planner: cem,  planner_samples: 100,  planner_elites: 10

So they are typed on the command line, written in config.json, and compared.
"""

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any, get_type_hints

from agents.settings import PartOf, Settings, parts_of
from lqr import InputError


def parts(config: Any) -> Mapping[str, PartOf]:
    """Returns the fields of a config that take a part, with the tables of what they take."""
    return parts_of(type(config)) if isinstance(config, Settings) else {}


def flat(config: Any) -> dict[str, Any]:
    """Returns the settings by their flat names."""
    found: dict[str, Any] = {}
    tables = parts(config)
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if field.name not in tables:
            found[field.name] = value
            continue
        found[field.name] = tables[field.name].word(value)
        for name, setting in flat(value).items():
            found[f"{field.name}_{name}"] = setting
    return found


def hints(config: Any) -> dict[str, Any]:
    """Returns the types of the settings by their flat names; of a part, str."""
    own, tables = get_type_hints(type(config), include_extras=True), parts(config)
    found: dict[str, Any] = {}
    for field in dataclasses.fields(config):
        found[field.name] = str if field.name in tables else own[field.name]
        if field.name in tables:
            for name, hint in hints(getattr(config, field.name)).items():
                found[f"{field.name}_{name}"] = hint
    return found


def rebuilt(config: Any, values: Mapping[str, Any]) -> Any:
    """Returns a config of the same class with these values, by all of their flat names.

    Raises InputError for a value that does not fit.
    """
    tables, changed = parts(config), {}
    for field in dataclasses.fields(config):
        name = field.name
        if name not in tables:
            changed[name] = values[name]
            continue
        kind = tables[name].table[values[name]]
        own = {part.name: values[f"{name}_{part.name}"] for part in dataclasses.fields(kind)}
        try:
            changed[name] = kind(**own)
        except InputError as error:
            raise InputError(f"{name}_{error}") from None
    return dataclasses.replace(config, **changed)


def with_parts(config: Any, words: Mapping[str, Any]) -> Any:
    """Returns the config with the parts of these words, with their defaults where they are others
    than before; what is no word of a part's table is passed over.
    """
    for name, rule in parts(config).items():
        word = words.get(name)
        if (
            isinstance(word, str)
            and word in rule.table
            and word != rule.word(getattr(config, name))
        ):
            config = dataclasses.replace(config, **{name: word})
    return config


def profiles(method: Any) -> dict[str, Any]:
    """Returns the named settings of a method: `cpu`, its defaults, and the instances in its
    module, PAPER as `paper`.
    """
    named = {
        name.lower(): value
        for name, value in vars(method).items()
        if name.isupper() and type(value) is method.Config
    }
    return {"cpu": method.Config(), **named}


def with_profile(config: Any, method: Any, word: str) -> Any:
    """Returns the config with a profile's values where it has the method's defaults."""
    default, profile = method.Config(), profiles(method)[word]
    changed = {}
    for field in dataclasses.fields(config):
        mine, usual, new = (getattr(c, field.name) for c in (config, default, profile))
        if mine == usual:
            changed[field.name] = new
        elif field.name in parts(config) and type(mine) is type(usual) is type(new):
            names = [part.name for part in dataclasses.fields(mine)]
            taken = [n for n in names if getattr(mine, n) == getattr(usual, n)]
            changed[field.name] = dataclasses.replace(mine, **{n: getattr(new, n) for n in taken})
    return dataclasses.replace(config, **changed)


def differing(one: Any, other: Any) -> list[str]:
    """Returns the flat names of the settings that are not the same in two configs."""
    a, b = flat(one), flat(other)
    names: Iterable[str] = dict.fromkeys([*a, *b])
    return [name for name in names if (name in a) != (name in b) or a.get(name) != b.get(name)]
