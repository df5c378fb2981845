"""Path-integral policy improvement: each controller follows the better of its trials, with no model
at all.

    P_i  ~   exp(-S_i / eta),  S_i the cost of trial i from this step on,    KL(P || even weights) <= epsilon
    k   <-   k + sum_i (P_i - 1/N) (u_i - K x_i - k)

Chebotar et al. (2017), section 3.2; `path_integral` holds the update. The local models that are
fitted besides only make the forecasts of the report. It asks for more trials than the other
methods, and for no slope of the cost.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from agents.interfaces import Iteration, State, Task
from agents.policies.linear_gaussian import ControllerPolicy

from .steps import trajectory_step as lc
from .steps.local_policies import Known, Rounds
from .steps.path_integral import cost_to_go, deviations, moved, temperature, weights
from .steps.settings import Local


@dataclass(frozen=True)
class Config(Local):
    """Settings of path-integral policy improvement."""

    iterations: int = 20  # rounds of trials
    samples: int = 20  # trials of each condition in each iteration
    prior: str = "flat"  # prior global model of the report's forecasts: flat, gmm, simulator, nn, ensemble, gp
    # nats per trajectory that the weights of the trials may differ from even ones
    kl_step: float = 40.0
    initial_std: float = 0.07  # exploration at the start, as a share of half the action range
    smoothing: float = 4.0  # steps over which the controllers' noise is smoothed; 0: white


def train(
    task: Task, config: Config, rng: np.random.Generator, state: State | None = None
) -> Iterator[Iteration]:
    """Yields one Iteration per round of trials; `state` continues from an earlier Iteration's."""
    rounds = Rounds(task, config, state)
    for number in rounds.left:
        known = rounds.learn(rounds.sample(rng), refuse=False)
        step = follow(known, rounds, np.full(task.conditions, config.kl_step))
        rounds.adopt(known, step)
        report = rounds.report(known, step, rng)
        yield Iteration(
            number, ControllerPolicy(rounds.controller, rounds.chart), *report, rounds.state(number)
        )


def follow(known: Known, rounds: Rounds, epsilon: np.ndarray) -> lc.Proposal:
    """Returns the controllers moved towards their cheaper trials, within epsilon (C,) nats per
    trajectory.
    """
    local = known.local
    S = cost_to_go(lc.trial_costs(rounds.task.cost, local))
    eta = temperature(S, epsilon / S.shape[-1], local.used)
    delta = deviations(local.controller, local.x, local.u)
    controller = moved(local.controller, delta, weights(S, eta, local.used), local.used)
    return lc.propose(local, controller, known.dynamics, known.cost, epsilon, np.median(eta, -1))
