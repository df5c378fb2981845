"""What a prior global model makes of episodes that were recorded once, iteration by iteration, for
all priors alike.
"""

import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from scipy.stats import t as student

from agents.rollout import rollout
from dynamics import Chart, Fit, chart_of, diagnose, make_prior, predictive
from gps.steps.local_data import LocalData, by_condition, transitions
from gps.steps.local_models import fit_dynamics
from lqr import LinearGaussianController

Array = np.ndarray
LEVELS = (50, 90, 99)  # per cent, of the intervals
STEPS = 10  # of the longer prediction


class Recorded(NamedTuple):
    """The episodes of one iteration's controllers: those a model may see, and others that it is
    evaluated by.
    """

    seen: LocalData  # episodes (C, N, ...)
    held_out: LocalData  # episodes (C, M, ...)


def record(task: Any, method: Any, config: Any, seed: int, held_out: int) -> Iterator[Recorded]:
    """Yields an iteration's episodes, `config.samples` to be seen and `held_out` more, while the
    method learns.
    """
    rng, every = np.random.default_rng(seed), np.arange(task.conditions)
    for iteration in method.train(task, config, np.random.default_rng(seed)):
        controller = LinearGaussianController(**iteration.state["controller"])
        chart = chart_of(task)
        if chart:
            chart = Chart(chart.manifold, iteration.state["origin"])
        ran = [
            rollout(task, controller, every, count, rng, chart=chart)
            for count in (config.samples, held_out)
        ]
        yield Recorded(
            *(by_condition(episodes, controller, np.ones(len(every)), chart) for episodes in ran)
        )


def assess(
    word: str, task: Any, recorded: list[Recorded], strength: float | None = None
) -> Iterator[dict[str, Any]]:
    """Yields, for each iteration, how the local models under this prior do on the episodes they have
    not seen.
    """
    prior, episodes = make_prior(word, task), 0
    for number, (seen, unseen) in enumerate(recorded, 1):
        start = time.process_time()
        prior.update(*transitions(seen))
        fit = fit_dynamics(seen, prior, strength)
        seconds = time.process_time() - start
        episodes += seen.x.shape[0] * seen.x.shape[1]
        yield {
            "prior": word,
            "iteration": number,
            "episodes": episodes,
            **evaluated(fit, unseen),
            "fit_ms": 1e3 * seconds,
        }


def evaluated(fit: Fit, unseen: LocalData) -> dict[str, float]:
    """Returns the errors of one and of several steps as shares of those of x' = x, the log
    likelihood in nats per transition, and the shares of coordinates within the intervals of each
    level."""
    counts = unseen.used > 0  # an episode may end early, or not have taken place
    found = diagnose(
        fit, unseen.x, unseen.u, min(STEPS, int(counts.sum(-1).max())), weight=unseen.used
    )
    ahead = predictive(fit.posterior, unseen.x[:, :, :-1], unseen.u)
    gap = np.abs(unseen.x[:, :, 1:] - ahead.location)
    spread = np.sqrt(np.diagonal(ahead.scale, axis1=-2, axis2=-1))
    wide = {p: spread * student.ppf(0.5 + p / 200, ahead.df)[..., None] for p in LEVELS}
    return {
        "one_step": found.one_step.model / found.one_step.zero,
        "k_step": found.k_step.model / found.k_step.zero,
        "log_likelihood": found.log_likelihood,
        **{f"coverage_{p}": float((gap <= wide[p])[counts].mean()) for p in LEVELS},
    }
