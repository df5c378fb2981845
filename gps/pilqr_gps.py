"""PILQR with a global policy: LQR and path integrals improve the local controllers, one neural
policy learns from all.

Chebotar et al., Combining Model-Based and Model-Free Updates for Trajectory-Centric Reinforcement
Learning (2017), the part on parametric policies: the mirror descent of `pigps`,

    C-step       p   <-  pi_bar moved by KL-constrained LQR, then by path integrals on what that left unexplained
    S-step       pi  <-  argmin sum KL(pi || p), a weighted regression over all conditions

with the C-step of `pilqr`.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from agents.interfaces import Iteration, State, Task

from . import pilqr
from .pigps import Sampling, descend
from .steps.settings import Neural


@dataclass(frozen=True)
class Config(Sampling, Neural, pilqr.Config):
    """Settings of PILQR with a global policy."""


def train(
    task: Task, config: Config, rng: np.random.Generator, state: State | None = None
) -> Iterator[Iteration]:
    """Yields one Iteration per round of trials; `state` continues from an earlier Iteration's."""
    return descend(
        task,
        config,
        rng,
        state,
        lambda known, rounds, _: pilqr.improve(known, rounds, config.residual_step),
    )
