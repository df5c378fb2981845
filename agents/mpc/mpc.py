"""MPC: any planner in any model; by default the cross-entropy method in an ensemble's mean.

At each step the planner finds an action sequence of low cost, whose first action is applied:

    U* = argmin over U = u_t .. u_t+H-1 of  J(U) = sum_h c(x_h, u_h),   x_h+1 ~ model(x_h, u_h)

`--planner` takes a word of `agents.planners`:

    random            the best of random sequences: Nagabandi et al., Neural Network Dynamics (2018)
    cem               normals, refitted to the elites: Wang et al., Benchmarking MBRL (2019)
    icem              ... with coloured noise and a memory: Pinneri et al. (2020)
    mppi              path integrals: Williams et al., Information Theoretic MPC (2017)
    reward_weighted   ... with noise filtered in time: Nagabandi et al., PDDM (2019)
    cma               CMA-ES: Hansen & Ostermeier (2001); the package `cmaes`
    gradient          Adam through the model: Bharadhwaj, Xie & Shkurti (2020)
    ilqr              second-order descent: Tassa, Erez & Todorov (2012)

With `--model simulator` it plans in the task's own physics: GT-CEM and GT-RS of the benchmark. The
last two follow the model's mean. Where limits are far wider than what is wanted of the motors, as
with an arm, the planner's `std` is what matters: strong noise costs itself.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from ..interfaces import Iteration, State, Task
from ..planners import CEM, ICEM, MPPI, RandomShooting
from .steps.loop import MPCSettings, train_mpc

ACTOR = "planner"  # whose the column cost is


@dataclass(frozen=True)
class Config(MPCSettings):
    """Settings of MPC."""


# Wang et al. (2019), GT-CEM
PAPER = replace(
    Config(),
    planner=CEM(samples=500, elites=50, iterations=5),
    horizon=30,
    hidden=(200, 200, 200),
)
# Nagabandi et al. (2018), and GT-RS of Wang et al. (2019)
PAPER_RANDOM = replace(
    Config(), planner=RandomShooting(samples=1000), model="nn", horizon=10, hidden=(500, 500)
)
# Pinneri et al. (2020), its budget of 100 sequences, which it plans with in the true physics
PAPER_ICEM = replace(
    Config(),
    planner=ICEM(samples=40, elites=10, iterations=3),
    horizon=30,
    hidden=(200, 200, 200),
    propagation="tsinf",
    particles=20,
)
# Williams et al. (2017)
PAPER_MPPI = replace(Config(), planner=MPPI(samples=1200), horizon=50, hidden=(32, 32))


def train(
    task: Task, config: Config, rng: np.random.Generator, state: State | None = None
) -> Iterator[Iteration]:
    """Yields one Iteration per round of episodes; `state` continues from an earlier Iteration's."""
    return train_mpc(task, config, rng, state)
