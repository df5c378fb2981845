"""What is wrong with a run, told from its tables: a plain line for each trouble, and what to try.

Each trouble is a function of the run's columns that returns its line, or None, in one table. They
compare costs with costs and errors with errors: neither a constant in the cost nor any unit
changes what they find. What a method does not report, they do not judge.
"""

import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from agents.tasks import TASKS

from . import registry, tables
from .cli import PROGRAM, as_words, chosen_words

Array = np.ndarray

LEAST = 4  # iterations before anything is said
CHANCE = 10.0  # F statistic of the actions' effect below which it may be chance
REACH = 0.02  # share of the cost's variation that a step should be able to change
TINY = 1e-4  # share of half the action range that noise should have
FLAT = 1e-3  # share of the cost's variation that depends on more than the actions
AS_BAD = 0.9  # error of a model, where 1 is the error of "nothing changes"
PROMISE = 0.02  # share of the cost's variation from which on a promised improvement is one
KEPT = 0.1  # share of what was promised that should have come
FLOOR = 0.03  # share of the first KL step below which it has collapsed
AT_BOUND = 0.9  # share of the largest KL step from which on it is at its ceiling
MOST = 0.5  # share of the last iterations that makes a habit
MOST_OF_ALL = 0.75  # share of the last iterations in which a model has to be bad
FOLLOWS = 0.3  # share of the controllers' gain by which the policy may cost more than they
BESIDE = 1.0  # typical gains by which a condition may cost more than the typical one
STANDSTILL = 0.1  # share of the typical gain that a condition should have gained lately
GAIN = 0.02  # share of the cost's variation that counts as an improvement
EARLY = 0.5  # share of the horizon that episodes should reach


class Run(NamedTuple):
    """What is looked at."""

    columns: Mapping[str, Array]  # of metrics.csv, (n,)
    conditions: Mapping[str, Array]  # of conditions.csv, (n, C)
    method: str
    task: str  # the words that name the task, from --task on
    settings: Mapping[str, Any]  # of the method
    horizon: int  # steps of an episode
    returns: tuple[float, float] | None = None  # of the policy, and of no action

    def last(self, name: str, least: int = 3) -> Array:
        """Returns the finite values of a column in the last third of the iterations, of so many at
        least.
        """
        found = self.columns.get(name, np.zeros(0))
        found = found[-max(least, len(found) // 3) :]
        return np.asarray(found[np.isfinite(found)])

    def first(self, name: str) -> Array:
        """Returns the finite values of a column in the first third."""
        found = self.columns.get(name, np.zeros(0))
        found = found[: max(3, len(found) // 3)]
        return np.asarray(found[np.isfinite(found)])

    @property
    def variation(self) -> float:
        """The size of the cost, which no constant in it changes: the largest of any iteration."""
        found = self.columns.get("cost_variation", np.zeros(0))
        return float(np.nanmax(found)) if np.isfinite(found).any() else math.nan

    def setting(self, name: str) -> float:
        """Returns a setting that is a number; NaN where there is none."""
        value = self.settings.get(name)
        return float(value) if isinstance(value, (int, float)) else math.nan

    def other(self, *methods: str) -> str:
        """Returns the command that runs the first of these methods that is not this run's."""
        method = next(name for name in methods if name != self.method)
        return f"`{PROGRAM} {method} {self.task}`"

    def wider(self) -> str:
        """Returns twice the units of the hidden layers, 64 or more each."""
        return " ".join(str(max(64, 2 * int(n))) for n in self.settings.get("hidden") or (32, 32))

    def has(self, *names: str) -> bool:
        """Whether the method has these settings."""
        return all(name in self.settings for name in names)


class Symptom(NamedTuple):
    """A trouble that a run shows."""

    word: str  # as docs/symptoms.md heads it
    line: str  # what was seen
    remedy: str  # what to try, in words that can be typed


class Trouble(NamedTuple):
    """How a trouble is found, and what helps."""

    find: Callable[[Run], str | None]  # -> what was seen; None where it is not there
    remedy: Callable[[Run], str]
    at_end: bool = False  # while a run is in progress it is no trouble


def no_exploration(run: Run) -> str | None:
    """The noise of the actions does nothing that is seen in the states."""
    effect = run.first("action_effect")
    if not len(effect) or np.median(effect) >= CHANCE:
        return None
    seen = f"F = {np.median(effect):.2g}, where {CHANCE:g} would be clear"
    return f"what the actions do to the states cannot be told from what happens anyway ({seen})"


def small_exploration(run: Run) -> str | None:
    """The noise is seen, but a step within its KL bound cannot change the cost."""
    std = max(run.setting("initial_std"), run.setting("min_std"))
    if std < TINY and not run.settings.get("probe"):
        return f"the noise of the actions is {std:g} of half their range"
    names = ("epsilon", "cost_spread", "cost_variation")
    epsilon, spread, variation = (run.columns.get(name, np.zeros(0)) for name in names)
    if not len(epsilon) == len(spread) == len(variation) > 0:
        return None
    reach = np.sqrt(2 * epsilon) * spread / variation
    reach = reach[: max(3, len(reach) // 3)]
    reach = reach[np.isfinite(reach)]
    if not len(reach) or np.max(reach) >= REACH:
        return None
    return f"a KL step can change the cost by about {np.max(reach):.1g} of its variation, so small is the noise"


def flat_cost(run: Run) -> str | None:
    """The cost is the same in all states seen."""
    found = run.columns.get("cost_by_state", np.zeros(0))
    found = found[np.isfinite(found)]
    if not len(found) or found.max() >= FLAT:
        return None
    return (
        "beside what the actions cost, the cost (or reward) was the same in all states that were "
        "seen: there is no slope to follow"
    )


def poor_model(run: Run) -> str | None:
    """The model is no better than x' = x."""
    for name in ("one_step_error", "open_loop_error"):
        error = run.last(name, 5)
        error = error[error > 0]  # 0: not known yet
        if len(error) >= 3 and np.quantile(error, 1 - MOST_OF_ALL) > AS_BAD:
            return (
                f"the model's forecasts of new episodes are {np.median(error):.2g} times as wrong "
                'as "nothing changes"'
            )
    return None


def broken_promises(run: Run) -> str | None:
    """Improvement is predicted, and does not come, in most conditions."""
    broken = _broken(run)
    if not len(broken) or broken.mean() <= MOST:
        return None
    return (
        f"in {broken.sum()} of {len(broken)} conditions less than {KEPT:.0%} of the improvements "
        "that the models promised came"
    )


def floor(run: Run) -> str | None:
    """The KL step has collapsed."""
    share = _share_of_steps(run, lambda step, first, _: step <= FLOOR * first)
    if share is None:
        return None
    return f"in {share:.0%} of the last iterations the KL step was below {FLOOR:.0%} of --kl-step: nothing moves"


def ceiling(run: Run) -> str | None:
    """The KL step is as large as it may be, and is used up."""
    kl, epsilon = run.conditions.get("kl"), run.conditions.get("epsilon")
    if kl is None or epsilon is None:
        return None
    used = kl >= AT_BOUND * epsilon
    n = max(3, len(kl) // 3)
    share = _share_of_steps(run, lambda step, _, most: step >= AT_BOUND * most)
    if share is None or min(share, used[-n:].mean()) < AT_BOUND or not _still_falls(run):
        return None
    return f"in {share:.0%} of the last iterations the KL step was at --max-kl-step, used up, and the cost still fell"


def lagging_policy(run: Run) -> str | None:
    """The policy costs much more than its controllers."""
    policy, cost = run.last("policy_cost"), run.last("cost")
    if run.settings.get("policy_steps") is None or not len(policy) or not len(cost):
        return None
    gap, gain = float(np.median(policy) - np.median(cost)), _start(run) - float(np.median(cost))
    if not gain > GAIN * run.variation or gap <= FOLLOWS * gain:
        return None
    return f"the policy costs {gap:.3g} more than its controllers, which have gained {gain:.3g}"


def stuck_condition(run: Run) -> str | None:
    """A condition stays far above the others."""
    cost = run.conditions.get("cost")
    if cost is None or cost.shape[1] < 3 or len(cost) < 2 * LEAST:
        return None
    n = max(3, len(cost) // 3)
    last, before = np.nanmedian(cost[-n:], 0), np.nanmedian(cost[-2 * n : -n], 0)
    typical = np.nanmedian(cost[0]) - np.nanmedian(last)
    if not typical > GAIN * run.variation:
        return None
    above = (last - np.nanmedian(last)) / typical
    stuck = (above > BESIDE) & (before - last < STANDSTILL * typical)
    if len(broken := _broken(run)) == len(stuck):
        stuck |= (above > 0.5 * BESIDE) & broken
    if not stuck.any():
        return None
    return (
        f"{_conditions(stuck)}the cost stands still at {last[stuck].mean():.3g}, "
        f"where the others' median is {np.nanmedian(last):.3g}"
    )


def early_end(run: Run) -> str | None:
    """Episodes end long before the horizon."""
    steps, episodes = (run.columns.get(name, np.zeros(0)) for name in ("env_steps", "episodes"))
    if len(steps) < LEAST or len(episodes) != len(steps):
        return None
    length = np.diff(steps, prepend=0.0) / np.diff(episodes, prepend=0.0)
    length = length[-max(3, len(length) // 3) :]
    success = np.concatenate([run.last("success"), run.last("policy_success")])
    length = length[np.isfinite(length)]
    if not len(length) or np.median(length) >= EARLY * run.horizon:
        return None
    if len(success) and success.max() > MOST:
        return None
    return f"episodes end after {np.median(length):.0f} of {run.horizon} steps: nothing is learned of what comes after"


def no_gain(run: Run) -> str | None:
    """It is no better than at the start, or than no action."""
    if run.returns and run.returns[0] <= run.returns[1]:
        policy, idle = run.returns
        return f"the return is {policy:.4g}, and {idle:.4g} with no action at all"
    name = "policy_cost" if len(run.last("policy_cost")) else "cost"
    last = run.last(name)
    if not len(last) or not run.variation > 0:
        return None
    gain = _start(run) - float(np.median(last))
    if not gain < GAIN * run.variation:
        return None
    return f"the cost is {np.median(last):.4g}, and was {_start(run):.4g} at the start"


def more_noise(run: Run) -> str:
    """Returns the words for more exploration, as a share of half the action range."""
    if not run.has("initial_std"):
        return (
            f"actions that do more; a cost that sees what they do; or {run.other('pets', 'mbmf')}"
        )
    now = run.setting("initial_std")
    std = 0.1 if now < 0.03 else 0.3 if now < 0.3 else 1.0
    floor = f" --min-std {std:g}" if run.has("min_std") else ""
    return f"`--initial-std {std:g}{floor} --samples {_samples(run)}`"


def slope(run: Run) -> str:
    """Returns what finds a reward that no slope leads to."""
    return (
        "a cost that falls towards the goal, `--cost MODULE:FUNCTION`; "
        f"{run.other('pilqr', 'pets')}, or {run.other('pets', 'mbmf')}"
    )


def better_model(run: Run) -> str:
    """Returns what makes models better."""
    if run.has("prior"):
        other = "gmm" if run.settings["prior"] != "gmm" else "gp"
        return f"`--samples {_samples(run)}`, `--prior {other}`, or more noise: {more_noise(run)}"
    return (
        "more episodes, by `--iterations` or `--samples`; angles declared as a manifold, or as "
        "sine and cosine"
    )


def smaller_steps(run: Run) -> str:
    """Returns what makes promises come true."""
    return f"{better_model(run)}; with swing-ups and contacts {run.other('ilqg_gps', 'pets')}"


def larger_steps(run: Run) -> str:
    """Returns the words for larger steps."""
    return f"`--max-kl-step {10 * run.setting('max_kl_step'):g}`"


def longer_regression(run: Run) -> str:
    """Returns what makes a policy follow."""
    steps = 4 * run.setting("policy_steps")
    return (
        f"`--policy-steps {steps:g}`, `--hidden {run.wider()}`, or `--lag-response train`; "
        "do the observations tell the conditions apart?"
    )


def restart(run: Run) -> str:
    """Returns what may free a condition."""
    hold = "`--initial hold`, " if run.has("initial") else ""
    return (
        f"{more_noise(run)}, {hold}or another `--seed`; {run.other('ilqg_gps', 'pets')} shares one "
        "model between all"
    )


def priced_end(run: Run) -> str:
    """Returns what helps where episodes end early."""
    shorter = f"`--task-horizon {max(run.horizon // 4, 1)}` at first; "
    shorter = shorter if "gymnasium:" in run.task else ""
    return f"a cost that rises before the end, `--cost MODULE:FUNCTION`; {shorter}or {run.other('pets', 'ilqg_ld')}"


def another_method(run: Run) -> str:
    """Returns what else to try."""
    noise = f"{more_noise(run)}; " if run.has("initial_std") else "twice the `--iterations`; "
    return noise + run.other("pets", "ilqg_gps") + ", or " + run.other("ilqg_gps", "mbmf")


TROUBLES = {  # the word -> how it is found and what helps, causes before what follows from them
    "no exploration seen": Trouble(no_exploration, more_noise),
    "exploration too small": Trouble(small_exploration, more_noise),
    "flat cost": Trouble(flat_cost, slope),
    "episodes end early": Trouble(early_end, priced_end),
    'model no better than "nothing changes"': Trouble(poor_model, better_model),
    "promises not kept": Trouble(broken_promises, smaller_steps),
    "KL step at its floor": Trouble(floor, smaller_steps),
    "KL step at its ceiling": Trouble(ceiling, larger_steps, at_end=True),
    "policy does not follow": Trouble(lagging_policy, longer_regression),
    "condition stuck": Trouble(stuck_condition, restart),
    "no gain": Trouble(no_gain, another_method),
}


def symptoms(run: Run) -> list[Symptom]:
    """Returns what is wrong with a run, causes first; nothing in its first iterations."""
    if len(run.columns.get("iteration", ())) < LEAST:
        return []
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # what is not known is NaN here
        found = [(word, trouble, trouble.find(run)) for word, trouble in TROUBLES.items()]
    return [Symptom(word, line, trouble.remedy(run)) for word, trouble, line in found if line]


class Watch:
    """Looks at a run while it is in progress, ten times, and tells each trouble once: when it is
    seen for the second time in a row.
    """

    def __init__(
        self,
        about: Run,
        total: int | None,
        rows: Sequence[Mapping[str, float]],
        conditions: Sequence[Mapping[str, float]],
    ):
        """Goes on from the rows of the tables so far; `about` says all but these."""
        self.about, self.every = about, max(1, (total or 100) // 10)
        self.rows, self.conditions = list(rows), list(conditions)
        self.seen: set[str] = set()  # at the last look
        self.told: set[str] = set()

    def look(
        self, row: Mapping[str, float], conditions: Sequence[Mapping[str, float]]
    ) -> list[Symptom]:
        """Returns the troubles to be told after an iteration with these rows of the tables."""
        self.rows.append(row)
        self.conditions += conditions
        if len(self.rows) % self.every:
            return []
        found = symptoms(
            self.about._replace(
                columns=columns(self.rows), conditions=tables.by_iteration(self.conditions)
            )
        )
        found = [one for one in found if not TROUBLES[one.word].at_end]
        news = [one for one in found if one.word in self.seen - self.told]
        self.seen = {one.word for one in found}
        self.told |= {one.word for one in news}
        return news


def of_folder(
    path: Path, about: Mapping[str, Any], task: Any, returns: tuple[float, float] | None = None
) -> list[Symptom]:
    """Returns what is wrong with the finished run in `path`, from its config.json and tables."""
    run = Run(
        columns=columns(tables.read(path / "metrics.csv")),
        conditions=tables.by_iteration(tables.read(path / "conditions.csv")),
        method=about["method"].rpartition(".")[2],
        task=task_words(about["experiment"], about["chosen"]),
        settings=about["config"],
        horizon=task.horizon,
        returns=returns,
    )
    return symptoms(run)


def task_words(experiment: str, chosen: Mapping[str, Any]) -> str:
    """Returns the words that name a run's task on the command line: those of the run, or else the
    name of the experiment's task in the table, TASK where it has none.
    """
    words = {k: v for k, v in chosen_words(chosen).items() if k != "evaluation_episodes"}
    if "task" in words:
        return as_words(words)
    task = registry.load(experiment).task
    place = f"{task.__module__}:{task.__qualname__}" if isinstance(task, type) else ""
    name = next((name for name, known in TASKS.items() if known == place), "TASK")
    return as_words({"task": name, **words})


def columns(rows: Sequence[Mapping[str, float]]) -> dict[str, Array]:
    """Returns the rows of a table as columns."""
    return {key: np.array([row[key] for row in rows], dtype=float) for key in (rows or [{}])[0]}


def _broken(run: Run) -> Array:
    """Returns in which conditions an improvement was promised in most of the last iterations, and
    did not come, (C,) bool, neither in the episodes with noise nor in those without; empty where
    that is not known.
    """
    predicted, actual = (run.conditions.get(name) for name in ("predicted", "actual"))
    if predicted is None or actual is None or not run.variation > 0 or len(predicted) < LEAST:
        return np.zeros(0, bool)
    n = min(max(5, len(predicted) // 3), len(predicted) - 1)
    predicted, actual = predicted[-n:], actual[-n:]
    promised, came = np.nanmean(predicted, 0), np.nanmean(actual, 0)
    if (cost := run.conditions.get("cost")) is not None:
        came = np.fmax(came, (cost[-n - 1] - cost[-1]) / n)
    habit = (predicted > PROMISE * run.variation).mean(0) > MOST
    return np.asarray(habit & (promised > PROMISE * run.variation) & (came < KEPT * promised))


def _share_of_steps(run: Run, odd: Callable[[Array, float, float], Array]) -> float | None:
    """Returns the share of the last KL steps that are odd, where it makes a habit; `odd` is told
    the steps, the first and the largest.
    """
    epsilon = run.conditions.get("epsilon")
    first, most = run.setting("kl_step"), run.setting("max_kl_step")
    if epsilon is None or len(epsilon) < LEAST or not first < most * (1 + 1e-9):
        return None
    share = float(odd(epsilon[-max(3, len(epsilon) // 3) :], first, most).mean())
    return share if share > MOST else None


def _start(run: Run) -> float:
    """Returns the cost at the start: of the first episodes, or after the first iteration where
    that is worse.
    """
    ends = [run.columns.get(name, np.array([np.nan]))[0] for name in ("sampled_cost", "cost")]
    return float(np.nanmax(ends)) if np.isfinite(ends).any() else math.nan


def _still_falls(run: Run) -> bool:
    """Whether the cost fell in the last third of the iterations."""
    cost = run.last("cost")
    half = len(cost) // 2
    return half > 0 and bool(np.median(cost[:half]) - np.median(cost[half:]) > GAIN * run.variation)


def _samples(run: Run) -> int:
    return max(6, int(2 * run.setting("samples"))) if run.has("samples") else 6


def _conditions(which: Array) -> str:
    """Returns "in conditions 1, 2 of 4 ", nothing where there is one."""
    if len(which) == 1:
        return ""
    numbers = np.flatnonzero(which)
    shown = ", ".join(map(str, numbers[:6])) + (", ..." if len(numbers) > 6 else "")
    return f"in condition{'s' if len(numbers) > 1 else ''} {shown} of {len(which)} "
