"""The command line: which experiment, with which settings, where; typed by the method's own
dataclass.
"""

import contextlib
import dataclasses
import io
import math
import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

from lqr import CheckpointError, InputError

from . import listing, registry
from .config_file import with_file
from .flat import differing, flat, hints, parts, profiles, rebuilt, with_parts, with_profile
from .registry import Experiment, nearest


def program(name: str) -> str:
    """Returns what a shell is told to run a command of `experiments`: in a checkout its file, else
    the program that is installed.
    """
    checkout = (registry.ROOT / "pyproject.toml").is_file()
    return f"python experiments/{name}.py" if checkout else f"gps {name}"


PROGRAM = program("run")
USAGE = f"""usage: {PROGRAM} NAME [--SETTING VALUE ...] [--seed N] [--out DIR]

       {PROGRAM} NAME --help         the settings of one experiment, with units
       {PROGRAM} METHOD --task TASK  any method on any task: --cost MODULE:FUNCTION
       {PROGRAM} --resume DIR        go on with a run
       {PROGRAM} --list              the experiments, a line each
       {PROGRAM} --list METHODS      the methods
       {PROGRAM} --list TASKS        the tasks; gymnasium:ENV_ID and mjcf:FILE are some, too

A setting that is True or False is set by --NAME, --no-NAME, or --NAME False."""


@dataclasses.dataclass(frozen=True)
class Options:
    """What every experiment understands."""

    seed: int = 0  # of every random number of the run
    # in place of the experiment's: a name of docs/tasks.md, gymnasium:ENV_ID, or mjcf:FILE
    task: str | None = None
    task_conditions: int | None = None  # how many starts that task has, where it can be told
    task_horizon: int | None = None  # steps of an episode of that task, where it can be told
    mjcf: Path | None = None  # a robot model of yours, MJCF or URDF: the same as --task mjcf:FILE
    # where sites of that model belong (m): SITE:X,Y,Z; more conditions: SITE:X,Y,Z/X,Y,Z; drawn from
    # a box: SITE:LOW..HIGH,Y,Z; at another site: SITE:SITE; more sites: "SITE:...;SITE:..."
    goal_site: str | None = None
    task_start: str | None = None  # a keyframe of that model, where episodes start
    # hold the weight of that model's links, as most robots' own controllers do
    compensate_gravity: bool = False
    # each environment of gymnasium:ENV_ID in a process: for a step of milliseconds
    task_processes: bool = False
    # in place of the task's: MODULE:FUNCTION or FILE.py:FUNCTION of x and u; it is imported
    cost: str | None = None
    # fresh episodes after each iteration, whose means are the columns evaluated_...
    evaluation_episodes: int | None = None
    # folder for the results; new or empty; None is runs/NAME/DATE-TIME-seedSEED
    out: Path | None = None
    # go on with the run in this folder, with its settings; more --iterations make it longer
    resume: Path | None = None
    # begin where the run in this folder stands, of the same method, with these settings and this task
    init: Path | None = None
    # settings out of a file: a run's config.json, or what --save-config wrote; the words go before it
    config: Path | None = None
    save_config: Path | None = None  # write the settings into this file, JSON, and run nothing
    # refuse to resume where the last bits could differ, as on another machine
    strict_resume: bool = False
    debug: bool = False  # show the traceback of an error


class Request(NamedTuple):
    """What was asked for."""

    experiment: Experiment
    config: Any
    options: Options


Saved = Callable[[Path, Experiment], tuple[Any, int]]  # a run's folder -> its config and its seed


def parse(
    words: Sequence[str], saved: Saved, experiment_of: Callable[[Path], str]
) -> Request | None:
    """Returns what the words ask for, or None where they asked for help, which is then on the
    standard output.

    saved and experiment_of read a run's folder, for --resume. Raises InputError for what cannot be
    understood.
    """
    words = list(words)
    if not words or words[0] in ("-h", "--help"):
        print(USAGE)
        return None
    if words[0] == "--list":
        print(listing.text(words[1] if len(words) > 1 else "experiments"))
        return None
    if words[0].startswith("-"):
        folder = _value_after(words, "--resume")
        if folder is None and words[0] == "--resume":
            raise InputError("got --resume alone; expected the folder of a run after it")
        if folder is None:
            raise InputError(
                f"got {words[0]} first; expected an experiment: {', '.join(registry.names())}"
            )
        words.insert(0, experiment_of(Path(folder)))
    experiment = registry.load(words[0])
    request = _typed(experiment, experiment.config, Options(), words[1:])
    if request is None or request.options.resume is None:
        return request
    config, seed = saved(request.options.resume, experiment)
    request = _typed(experiment, config, Options(seed=seed), words[1:])
    assert request is not None
    odd = differing(request.config, config)
    if "iterations" in odd and request.config.iterations > config.iterations:
        odd.remove("iterations")  # it is made longer
    odd += ["seed"] if request.options.seed != seed else []
    odd += ["out"] if request.options.out is not None else []
    if odd:
        raise CheckpointError(
            f"{request.options.resume}: got other values than the run has for {', '.join(odd)}; "
            "expected none of them beside --resume: leave them out, or start a new run"
        )
    return request


def _typed(
    experiment: Experiment, config: Any, options: Options, words: Sequence[str]
) -> Request | None:
    """Returns the request of the words over these defaults; None after help."""
    import tyro

    named = profiles(experiment.method)
    profile = _value_after(words, "--profile")
    if profile in named:
        config = with_profile(config, experiment.method, profile)
    if file := _value_after(words, "--config"):
        config = with_file(Path(file), experiment, config)
    config = with_parts(config, {name: _value_after(words, f"--{name}") for name in parts(config)})
    word = experiment.method.__name__.rpartition(".")[2]
    settings = _settings(word, config, {} if len(named) < 2 else named)
    groups = {"run": (Options, options), **settings}
    both = dataclasses.make_dataclass(
        "both",
        [(name, kind, dataclasses.field(default=value)) for name, (kind, value) in groups.items()],
        frozen=True,
    )
    own = [group for group, _ in settings.values()]
    switches = [
        field.name
        for group in (Options, *own)
        for field in dataclasses.fields(group)
        if field.type is bool
        or getattr(field.type, "__origin__", None) is bool
        or field.type == "bool"
    ]
    printed = io.StringIO()
    try:
        with contextlib.redirect_stderr(printed):
            got, unknown = tyro.cli(
                both,
                prog=f"{PROGRAM} {experiment.name}",
                description=experiment.text,
                args=_spelt_out(words, switches),
                default=both(),
                config=(tyro.conf.FlagConversionOff, tyro.conf.OmitArgPrefixes),
                return_unknown_args=True,
            )
    except SystemExit as stop:
        if not stop.code:
            return None
        raise InputError(_one_line(printed.getvalue())) from None
    if unknown:
        raise InputError(_unknown(unknown[0], experiment, config, options))
    values = {
        name: value for group in settings for name, value in vars(getattr(got, group)).items()
    }
    for name, value in values.items():
        if isinstance(value, float) and not math.isfinite(value):
            raise InputError(f"{_option(name)} is {value}; expected a finite number")
    return Request(experiment, rebuilt(config, values), got.run)


def _settings(method: str, config: Any, named: Mapping[str, Any]) -> dict[str, tuple[type, Any]]:
    """Returns dataclasses of the settings by their flat names, with instances of these defaults:
    one of the method's own, with the profile where there are several, and one for each part.
    """
    import tyro

    meanings, types = {f.name: f.meaning for f in registry.fields(config)}, hints(config)
    tables = {name: rule.table for name, rule in parts(config).items()}
    groups: dict[str, list[Any]] = {method: []} | {f"{method}_{name}": [] for name in tables}
    if named:
        meaning = "the method's numbers, where the experiment has none of its own"
        hint: Any = Annotated[Literal[tuple(named)], tyro.conf.arg(help=meaning)]
        groups[method].append(("profile", hint, dataclasses.field(default="cpu")))
    for name, value in flat(config).items():
        hint = Literal[tuple(tables[name])] if name in tables else types[name]
        hint = Annotated[hint, tyro.conf.arg(help=meanings[name].replace("%", "%%"))]
        part = next((part for part in tables if f"{name}_".startswith(f"{part}_")), None)
        group = groups[method if part is None else f"{method}_{part}"]
        group.append((name, hint, dataclasses.field(default=value)))
    made = {
        name: dataclasses.make_dataclass("settings", fields, frozen=True)
        for name, fields in groups.items()
    }
    return {name: (group, group()) for name, group in made.items()}


def _spelt_out(words: Sequence[str], switches: Sequence[str]) -> list[str]:
    """Returns the words with --NAME and --no-NAME of settings that are True or False as --NAME
    True and --NAME False; a value that is there may be spelt true or false.
    """
    yes = {_option(name): _option(name) for name in switches}
    no = {f"--no-{name.replace('_', '-')}": _option(name) for name in switches}
    found, rest = list[str](), list(words)
    while rest:
        word = rest.pop(0)
        option, equals, value = word.replace("_", "-").partition("=")
        if option in no and not equals:
            found += [no[option], "False"]
        elif option in yes:
            if not equals:
                value = rest.pop(0) if rest and rest[0].lower() in ("true", "false") else "True"
            known = value.lower() in ("true", "false")
            found += [yes[option], value.capitalize() if known else value]
        else:
            found.append(word)
    return found


def command(about: Mapping[str, Any]) -> str:
    """Returns what a shell is told to make a run again, from what its config.json says."""
    settings = {"seed": about["seed"], **chosen_words(about["chosen"]), **about["config"]}
    return f"{PROGRAM} {shlex.quote(about['experiment'])} {as_words(settings)}"


def chosen_words(chosen: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the options of a run that chose its task, its cost or its evaluation."""
    names = {field.name for field in dataclasses.fields(Options)}
    return {name: value for name, value in chosen.items() if name in names}


def as_words(settings: Mapping[str, Any]) -> str:
    """Returns settings as a shell takes them."""
    found = list[str]()
    for name, value in settings.items():
        values = value if isinstance(value, (tuple, list)) else [value]
        found += [_option(name), *(shlex.quote(str(one)) for one in values)]
    return " ".join(found)


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _unknown(word: str, experiment: Experiment, config: Any, options: Options) -> str:
    """Returns the message for an option that there is not; of a part's, with those that it has."""
    valid = [_option(f.name) for f in registry.fields(options) + registry.fields(config)]
    given = word.split("=")[0]
    for name, rule in parts(config).items():
        own = [option for option in valid if option.startswith(_option(name) + "-")]
        if given.startswith(_option(name) + "-"):
            return (
                f"unknown option {word!r} of {experiment.name} with {_option(name)} "
                f"{rule.word(getattr(config, name))}; expected one of: {', '.join(own)}"
            )
    return f"unknown option {word!r} of {experiment.name}; {nearest(given, valid)}"


def _one_line(box: str) -> str:
    """Returns the message in tyro's framed text as one line, without its repetition of the help."""
    rows = [row.strip("│ ") for row in box.splitlines() if not row.startswith(("╭", "╰"))]
    message = []
    for row in rows:
        if re.fullmatch("─+", row):
            break
        message.append(row)
    return " ".join(" ".join(message).split()) or "the command line is not understood; see --help"


def _value_after(words: Sequence[str], option: str) -> str | None:
    for word, following in zip(words, [*words, None][1:], strict=True):
        if word == option:
            return following
        if word.startswith(option + "="):
            return word.split("=", 1)[1]
    return None
