"""The command line: which experiment, with which settings, where; typed by the method's own
dataclass.
"""

import contextlib
import dataclasses
import io
import math
import re
import textwrap
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

from agents.tasks import TASKS
from lqr import CheckpointError, InputError

from . import registry
from .flat import differing, flat, hints, parts, profiles, rebuilt, with_parts, with_profile
from .registry import Experiment, nearest

PROGRAM = "python experiments/run.py"


@dataclasses.dataclass(frozen=True)
class Options:
    """What every experiment understands."""

    seed: int = 0  # of every random number of the run
    # in place of the experiment's: a name of docs/tasks.md, or gymnasium:ENV_ID
    task: str | None = None
    task_conditions: int | None = None  # how many starts that task has, where it can be told
    task_horizon: int | None = None  # steps of an episode of that task, where it can be told
    # each environment of gymnasium:ENV_ID in a process: for a step of milliseconds
    task_processes: bool = False
    # in place of the task's: MODULE:FUNCTION or FILE.py:FUNCTION of x and u; it is imported
    cost: str | None = None
    # fresh episodes after each iteration, whose means are the columns evaluated_...
    evaluation_episodes: int | None = None
    # folder for the results; new or empty; None is runs/NAME/DATE-TIME-seedSEED
    out: Path | None = None
    resume: Path | None = None  # go on with the run in this folder, with its settings
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
    if not words or words[0] in ("-h", "--help", "--list"):
        print(overview())
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
    odd += ["seed"] if request.options.seed != seed else []
    odd += ["out"] if request.options.out is not None else []
    if odd:
        raise CheckpointError(
            f"{request.options.resume}: got other values than the run has for {', '.join(odd)}; "
            "expected none of them beside --resume: leave them out, or start a new run"
        )
    return request


def overview() -> str:
    """Returns the text of --help and --list: every experiment and every setting, with unit and
    default.
    """
    lines = [f"usage: {PROGRAM} NAME [--SETTING VALUE ...] [--seed N] [--out DIR]", ""]
    lines += [
        f"       {PROGRAM} --resume DIR      go on with a run",
        f"       {PROGRAM} NAME --help       one experiment",
        f"       {PROGRAM} METHOD --task TASK [--cost MODULE:FUNCTION]      any method on any task",
    ]
    lines += [
        "",
        "METHOD is one of " + ", ".join(registry.methods()),
        "TASK is gymnasium:ENV_ID or one of",
    ]
    lines += textwrap.wrap(
        ", ".join(TASKS), 110, initial_indent="      ", subsequent_indent="      "
    )
    lines += ["", "Every run takes:", *_table(registry.fields(Options()))]
    for name in registry.names():
        experiment = registry.load(name)
        method, text = experiment.method.__name__, experiment.text.splitlines()
        lines += ["", f"{name}    {text[0]}", *(f"    {line}".rstrip() for line in text[1:])]
        lines += [f"    method {method}:", *_table(registry.fields(experiment.config))]
    return "\n".join(lines)


def _table(fields: Sequence[registry.Field]) -> list[str]:
    def shown(value: Any) -> str:
        return " ".join(map(str, value)) if isinstance(value, tuple) else str(value)

    options = [f"--{f.name.replace('_', '-')} {shown(f.default)}" for f in fields]
    width = max(map(len, options), default=0)
    return [
        f"      {option:<{width}}  {f.meaning}".rstrip()
        for option, f in zip(options, fields, strict=True)
    ]


def _typed(
    experiment: Experiment, config: Any, options: Options, words: Sequence[str]
) -> Request | None:
    """Returns the request of the words over these defaults; None after help."""
    import tyro

    named = profiles(experiment.method)
    profile = _value_after(words, "--profile")
    if profile in named:
        config = with_profile(config, experiment.method, profile)
    config = with_parts(config, {name: _value_after(words, f"--{name}") for name in parts(config)})
    settings = _settings(config, {} if len(named) < 2 else named)
    unnamed = tyro.conf.arg(name="")
    both = dataclasses.make_dataclass(
        "both",
        [
            ("options", Annotated[Options, unnamed], dataclasses.field(default=options)),
            ("config", Annotated[settings, unnamed], dataclasses.field(default=settings())),
        ],
        frozen=True,
    )
    printed = io.StringIO()
    try:
        with contextlib.redirect_stderr(printed):
            got, unknown = tyro.cli(
                both,
                prog=f"{PROGRAM} {experiment.name}",
                description=experiment.text,
                args=list(words),
                default=both(),
                config=(tyro.conf.FlagCreatePairsOff,),
                return_unknown_args=True,
            )
    except SystemExit as stop:
        if not stop.code:
            return None
        raise InputError(_one_line(printed.getvalue())) from None
    if unknown:
        raise InputError(_unknown(unknown[0], experiment, config, options))
    values = vars(got.config)
    for name, value in values.items():
        if isinstance(value, float) and not math.isfinite(value):
            raise InputError(f"{_option(name)} is {value}; expected a finite number")
    return Request(experiment, rebuilt(config, values), got.options)


def _settings(config: Any, named: Mapping[str, Any]) -> type:
    """Returns a dataclass of the settings by their flat names, with these defaults, and of the
    profile where there are several.
    """
    import tyro

    meanings, types = {f.name: f.meaning for f in registry.fields(config)}, hints(config)
    tables = {name: rule.table for name, rule in parts(config).items()}
    fields: list[Any] = []
    if named:
        meaning = "the method's numbers, where the experiment has none of its own"
        hint: Any = Annotated[Literal[tuple(named)], tyro.conf.arg(help=meaning)]
        fields.append(("profile", hint, dataclasses.field(default="cpu")))
    for name, value in flat(config).items():
        hint = Literal[tuple(tables[name])] if name in tables else types[name]
        hint = Annotated[hint, tyro.conf.arg(help=meanings[name].replace("%", "%%"))]
        fields.append((name, hint, dataclasses.field(default=value)))
    return dataclasses.make_dataclass("settings", fields, frozen=True)


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
    for word, following in zip(words, [*words[1:], None], strict=True):
        if word == option:
            return following
        if word.startswith(option + "="):
            return word.split("=", 1)[1]
    return None
