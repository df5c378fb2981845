"""Path-integral planning: all sequences count, those of low cost exponentially more.

MPPI: Williams, Wagener, Goldfain, Drews, Rehg, Boots & Theodorou, Information Theoretic MPC for
Model-Based Reinforcement Learning (2017), algorithm 2. PDDM's variant: Nagabandi, Konolige, Levine
& Kumar, Deep Dynamics Models for Learning Dexterous Manipulation (2019), equations 4 to 6: noise
that is correlated in time.

Both weigh by costs in a unit of their own there. Here it is the spread of the draws, the gap between
their median cost and the lowest: neither a constant in the cost nor its unit changes a plan.
"""

from dataclasses import dataclass

import numpy as np

from ..settings import Count, NotNegative, Positive, Settings
from .base import Array, Objective, Plan, SearchLog, box, evaluate, first


@dataclass(frozen=True)
class MPPI(Settings):
    """u_t <- sum_i w_i v_t^i, w_i ~ exp(-1/temperature (S_i/spread + gamma sum_t u_t' Sigma^-1
    v_t^i)), v = u + noise.
    """

    samples: Count = 400  # action sequences in each iteration
    temperature: Positive = 0.05  # lambda, in spreads of the costs that are drawn
    std: Positive = 0.5  # of the noise, as a share of half the range
    gamma: NotNegative = 0.0  # control cost, same unit; lambda (1 - alpha) in the paper
    iterations: Count = 1  # draws and averages at each step

    def __call__(
        self, objective: Objective, start: Array, low: Array, high: Array, rng: np.random.Generator
    ) -> Plan:
        """Returns the plan; see `Planner`. Draws are clipped to the limits, and so is, as their
        mean, the plan.
        """
        U, log = first(start, low, high), SearchLog()
        std = self.std * box(start, low, high)[1]
        for _ in range(self.iterations):
            V = np.clip(U + std * rng.standard_normal((self.samples, *U.shape)), low, high)
            cost = evaluate(objective, V)
            log.add(V, cost)
            coupling = self.gamma * (U / std**2 * V).sum((1, 2))
            U = np.tensordot(weights(relative(cost) + coupling, self.temperature), V, 1)
        return log.plan(U, U[None])


@dataclass(frozen=True)
class RewardWeighted(Settings):
    """mu_t <- sum_k w_k a_t^k, w_k ~ exp(kappa R_k/spread), a_t = mu_t + n_t, n_t = beta e_t + (1 -
    beta) n_t-1.
    """

    samples: Count = 200  # action sequences in each iteration
    kappa: Positive = 50.0  # of the reward, per spread of the rewards that are drawn
    beta: Positive = 0.7  # of the filter: 1 is white noise
    std: Positive = 0.5  # of the noise before the filter, as a share of half the range
    iterations: Count = 1  # draws and averages at each step

    def __call__(
        self, objective: Objective, start: Array, low: Array, high: Array, rng: np.random.Generator
    ) -> Plan:
        """Returns the plan; see `Planner`."""
        mean, log = first(start, low, high), SearchLog()
        std = self.std * box(start, low, high)[1]
        for _ in range(self.iterations):
            noise = filtered(std * rng.standard_normal((self.samples, *mean.shape)), self.beta)
            U = np.clip(mean + noise, low, high)
            cost = evaluate(objective, U)
            log.add(U, cost)
            mean = np.tensordot(weights(relative(cost), 1 / self.kappa), U, 1)
        return log.plan(mean, mean[None])


def relative(cost: Array) -> Array:
    """Returns costs (N,) above the lowest, in units of the median's; where half of them are as low
    as the lowest, up to rounding, the others are infinite.
    """
    finite, above = np.isfinite(cost), cost - cost.min()
    above[above <= 1e-13 * np.abs(cost[finite]).max()] = 0.0
    spread = np.median(above[finite])
    return above / spread if spread > 0 else np.where(above > 0, np.inf, 0.0)


def weights(cost: Array, temperature: Positive) -> Array:
    """Returns exp(-cost / temperature), normalised, (N,); an infinite cost weighs nothing."""
    with np.errstate(over="ignore"):  # what is so much worse weighs nothing
        w = np.exp(-(cost - cost.min()) / temperature)
    return w / w.sum()


def filtered(noise: Array, beta: Positive) -> Array:
    """Returns n_t = beta e_t + (1 - beta) n_t-1 with n_-1 = 0, from noise e (N, H, du)."""
    n = np.empty_like(noise)
    last = np.zeros_like(noise[:, 0])
    for t in range(noise.shape[1]):
        last = n[:, t] = beta * noise[:, t] + (1 - beta) * last
    return n
