"""A search over a method's settings: trials, each of several seeds, chosen by Optuna.

    trial    settings drawn by the tree-structured Parzen estimator (Bergstra et al. 2011) from what
             came of the trials before
    score    the mean over the seeds of the last iteration's `measure`, lower is better
    pruned   where after as many iterations it is above the median of the trials before

The study is a file of lines, which several processes may write and which outlives each of them. The
draws of a trial depend on the trials before it and their number alone: with one process a search
that was stopped goes on as if it had not been.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lqr import GPSError, InputError

from ..engine.flat import flat, rebuilt, with_parts
from ..engine.registry import Experiment
from .space import Range

STUDY = "study.log"
AT_RANDOM = 8  # trials before the estimator has something to go by
UNPRUNED = 5  # trials that run to their end before any is pruned


@dataclass(frozen=True)
class Search:
    """What is searched, of which experiment, by which measure."""

    experiment: Experiment
    config: Any
    ranges: Sequence[Range]
    seeds: Sequence[int]
    measure: str = "cost"  # a column of metrics.csv
    larger: bool = False  # whether larger values of it are better

    def settings(self, values: Mapping[str, Any]) -> Any:
        """Returns the method's settings with these values. Raises InputError where they do not fit
        each other.
        """
        config = with_parts(self.config, values)
        return rebuilt(config, {**flat(config), **values})

    def scores(self, config: Any, seed: int) -> Iterator[float]:
        """Yields the score after each iteration of one run: lower is better."""
        task, rng = self.experiment.task(), np.random.default_rng(seed)
        for iteration in self.experiment.method.train(task, config, rng):
            if self.measure not in iteration.scalars:
                raise InputError(
                    f"measure is {self.measure!r}; expected one of {', '.join(iteration.scalars)}"
                )
            score = float(iteration.scalars[self.measure])
            yield -score if self.larger else score

    def final(self, config: Any, seed: int) -> float:
        """Returns the last score of a run."""
        *_, last = self.scores(config, seed)
        return last


def open_study(folder: Path) -> Any:
    """Returns the study in a folder, a new one where there is none. Raises InputError without
    Optuna.
    """
    try:
        import optuna
        from optuna.storages import JournalStorage
        from optuna.storages.journal import JournalFileBackend
    except ModuleNotFoundError:
        raise InputError(
            "a search needs Optuna, which is not installed; expected the extra tune: "
            'python -m pip install -c constraints.txt -e ".[tune]"'
        ) from None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    pruner = optuna.pruners.MedianPruner(n_startup_trials=UNPRUNED, n_warmup_steps=1)
    storage = JournalStorage(JournalFileBackend(str(folder / STUDY)))
    return optuna.create_study(
        storage=storage, study_name="settings", load_if_exists=True, pruner=pruner
    )


def ended(study: Any) -> list[Any]:
    """Returns the trials that came to a score, or were pruned, in order."""
    return [t for t in study.trials if t.state.name in ("COMPLETE", "PRUNED")]


def forget_what_died(study: Any) -> None:
    """Marks the trials of processes that are gone as failed: nobody goes on with them."""
    from optuna.trial import TrialState

    for trial in study.get_trials(states=(TrialState.RUNNING,)):
        study.tell(trial.number, state=TrialState.FAIL)


def begin(study: Any, search: Search) -> list[str]:
    """Has a study try the settings as they are first, so that what is found is not worse on its
    seeds; returns the names of those that lie outside of their ranges, for which it cannot be.
    """
    known = flat(search.config)
    first = {r.name: known[r.name] for r in search.ranges}
    outside = [r.name for r in search.ranges if not r.holds(first[r.name])]
    waiting = (
        t.system_attrs.get("fixed_params") for t in study.trials if t.state.name == "WAITING"
    )
    tried = [*(t.params for t in ended(study)), *waiting]
    if not outside and first not in tried:
        study.enqueue_trial(first)
    return outside


def work(
    study: Any,
    search: Search,
    trials: int,
    stopped: Callable[[], bool] = lambda: False,
    worker: int = 0,
) -> None:
    """Runs trials until so many of the study have ended, or `stopped()`; the `worker`s of a study
    draw apart. Raises what the first trial raises: nothing was right then.
    """
    from optuna.samplers import TPESampler
    from optuna.trial import TrialState

    while len(ended(study)) < trials and not stopped():
        number = len(ended(study))
        study.sampler = TPESampler(n_startup_trials=AT_RANDOM, seed=number + 10_000 * worker)
        trial = study.ask()
        try:
            score = _score(search, trial, stopped)
        except GPSError as error:  # settings that do not fit each other, or a run that broke
            if not ended(study):
                study.tell(trial, state=TrialState.FAIL)
                raise
            trial.set_user_attr("error", str(error))
            score = math.inf
        if score is None:
            study.tell(trial, state=TrialState.FAIL)
        elif math.isfinite(score):
            study.tell(trial, score)
        else:
            study.tell(trial, state=TrialState.PRUNED)


def _score(search: Search, trial: Any, stopped: Callable[[], bool]) -> float | None:
    """Returns the mean score of a trial over the seeds: NaN where it was pruned, None where it was
    stopped.
    """
    config = search.settings({r.name: r.suggested(trial) for r in search.ranges})
    finals: list[float] = []
    step = 0
    for seed in search.seeds:
        score = math.inf
        for score in search.scores(config, seed):
            step += 1
            if math.isfinite(score):  # what is not evaluated in this iteration says nothing
                trial.report(float(np.mean([*finals, score])), step)
            if stopped():
                return None
            if trial.should_prune():
                return math.nan
        if not ended(trial.study) and not math.isfinite(score):
            raise InputError(
                f"got {score} as the last {search.measure}; expected a number: does the last iteration evaluate "
                "(--evaluate-every 1)"
            )
        finals.append(score)
    return float(np.mean(finals))
