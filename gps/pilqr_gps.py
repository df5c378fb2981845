"""PILQR with a global policy: LQR and path integrals improve the local controllers, one global
policy learns from all.

Chebotar et al., Combining Model-Based and Model-Free Updates for Trajectory-Centric Reinforcement
Learning (2017), the part on parametric policies: the mirror descent of `pigps`,

    C-step       p   <-  pi_bar moved by KL-constrained LQR, then by path integrals on the residual cost
    S-step       pi  <-  argmin sum KL(pi || p), a weighted regression over all conditions

with the C-step of `pilqr`.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from agents.interfaces import Iteration, State, Task

from . import pilqr
from .pigps import Sampling, mirror_descent
from .steps.local_policies import LocalFit, LocalPolicies
from .steps.settings import PolicySettings
from .steps.trajectory_step import TrajectoryStep

ACTOR = "controllers"  # whose the column cost is


@dataclass(frozen=True)
class Config(Sampling, PolicySettings, pilqr.Config):
    """Settings of PILQR with a global policy."""


def train(
    task: Task, config: Config, rng: np.random.Generator, state: State | None = None
) -> Iterator[Iteration]:
    """Yields one Iteration per round of episodes; `state` continues from an earlier Iteration's."""

    def step(fit: LocalFit, local: LocalPolicies, _: float) -> TrajectoryStep:
        return pilqr.pilqr_step(fit, local, config.residual_step)

    return mirror_descent(task, config, rng, state, controller_step=step)
