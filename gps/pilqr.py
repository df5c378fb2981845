"""PILQR: an LQR step on what the model explains of the cost, then a path-integral step on what it
does not.

    cost_i  =  what model and expanded cost forecast for trial i  +  residual_i
    p      <-  argmin of the first   subject to   KL(p || last p) <= epsilon
    k      <-  k + sum_i (P_i - 1/N) (u_i - K x_i - k),      P_i ~ exp(-(sum of residual_i from here on) / eta)

Chebotar et al., Combining Model-Based and Model-Free Updates for Trajectory-Centric Reinforcement
Learning (2017), section 4: the cost of each trial is split into that which the fitted dynamics and
the expanded cost forecast for its start and its deviations, and a residual. KL-constrained LQR
minimises the first, path integrals the second. The LQR step is bounded more tightly than in the
other methods: where the model is blind it leads back to where it sees a slope.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from agents.interfaces import Iteration, State, Task
from agents.policies.linear_gaussian import ControllerPolicy

from .steps import trajectory_step as lc
from .steps.local_policies import Known, Rounds
from .steps.path_integral import cost_to_go, deviations, explained, moved, temperature, weights
from .steps.settings import Local, Rule, positive


@dataclass(frozen=True)
class Config(Local):
    """Settings of PILQR."""

    iterations: int = 20  # rounds of trials
    samples: int = 20  # trials of each condition in each iteration
    # nats per trajectory, the first LQR step; adapted per condition from then on
    kl_step: float = 2.0
    max_kl_step: float = 5.0  # nats per trajectory, the largest LQR step
    initial_std: float = 0.2  # exploration at the start, as a share of half the action range
    min_std: float = 0.2  # exploration never falls below this, same unit
    smoothing: float = 4.0  # steps over which the controllers' noise is smoothed; 0: white
    # nats per trajectory that the weights of the trials may differ from even ones
    residual_step: float = 40.0

    RULES: ClassVar[dict[str, Rule]] = {"residual_step": positive}


def train(
    task: Task, config: Config, rng: np.random.Generator, state: State | None = None
) -> Iterator[Iteration]:
    """Yields one Iteration per round of trials; `state` continues from an earlier Iteration's."""
    rounds = Rounds(task, config, state)
    for number in rounds.left:
        known = rounds.learn(rounds.sample(rng), refuse=False)
        step = improve(known, rounds, config.residual_step)
        rounds.adopt(known, step)
        report = rounds.report(known, step, rng)
        yield Iteration(
            number, ControllerPolicy(rounds.controller, rounds.chart), *report, rounds.state(number)
        )


def improve(known: Known, rounds: Rounds, residual_step: float) -> lc.Proposal:
    """Returns the controllers after both steps."""
    step = lc.improve(known.local, known.dynamics, known.cost, known.epsilon)
    return correct(known, step, lc.trial_costs(rounds.task.cost, known.local), residual_step)


def correct(known: Known, step: lc.Proposal, cost: np.ndarray, epsilon: float) -> lc.Proposal:
    """Returns the proposal moved towards the trials whose costs (C, N, T+1) were below what the
    model explains.
    """
    local, used = known.local, known.local.used
    delta = deviations(local.controller, local.x, local.u)
    S = cost_to_go(
        cost - explained(local.controller, delta, local.x[:, :, 0], known.dynamics, known.cost)
    )
    eta = temperature(S, np.full(len(S), epsilon / S.shape[-1]), used)
    return step._replace(controller=moved(step.controller, delta, weights(S, eta, used), used))
