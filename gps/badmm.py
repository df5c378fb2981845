"""Guided policy search by the dual update: Bregman ADMM between local controllers and one global
policy.

Levine, Finn, Darrell and Abbeel, End-to-End Training of Deep Visuomotor Policies (2016), section 4
and appendix A:

    minimise  E_p [ cost ]   subject to   E_p(u|x) [u] = E_pi(u|o) [u]  at every step of every condition

with Lagrange multipliers lambda (per condition and step) on the mean actions, and a weight nu (per
condition and step) on the divergence between the two. Each iteration alternates

    controllers  p      <-  argmin E_p [cost - lambda' u] + nu KL(p || pi),  within a KL step of the last controllers
    policy       pi     <-  argmin E [lambda' u_pi] + nu KL(pi || p),  a weighted regression over all conditions
    multipliers  lambda <-  lambda + rate nu (S_p + S_pi)^-1 (u_pi - u_p),  the covariances of the
    two

Where this departs from the paper: the multipliers' step there is rate nu (u_pi - u_p), in units of
the action. Scaled by the inverse covariances, a step adds to the two sides' shifts S lambda / nu of
the target action `rate` times the gap between them, in proportion to their covariances, however far
apart these are. The shifts are bounded. nu is evened out over the steps within bounds, and nu and
lambda grow by a fixed factor per iteration.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from agents.interfaces import Iteration, State, Task
from agents.settings import Count, NotNegative, Positive, Whole
from dynamics.storage.tree import check_tree
from lqr import LinearGaussianController, QuadraticCost, negative_log_density

from .steps.between import Taught, with_mixtures
from .steps.local_data import LocalData
from .steps.local_policies import LocalPolicies
from .steps.policy_data import PolicyData, check_forecasts, with_forecast
from .steps.policy_step import GlobalPolicy, compare, report
from .steps.seeing import SeeingSettings
from .steps.settings import LocalSettings, PolicySettings, RestartSettings
from .steps.trajectory_step import trajectory_step

ACTOR = "controllers"  # whose the column cost is
TABLE_ONLY = ("lambda", "nu")  # arrays that no figure draws

Array = np.ndarray


@dataclass(frozen=True)
class Config(SeeingSettings, PolicySettings, RestartSettings, LocalSettings):
    """Settings of guided policy search by the dual update."""

    inner: Count = 2  # alternations of controllers, policy and multipliers per iteration
    # nu at the start, per nat: a share of the cost's variation along the first episodes
    penalty: Positive = 6e-6
    penalty_growth: Positive = 1.3  # factor on nu per iteration
    dual_rate: NotNegative = 0.2  # step of the multipliers, as a share of nu; 0 switches them off
    # largest shift of the target action by the multipliers, as a share of half the action range
    dual_bound: NotNegative = 0.1
    # states of each step where new controllers are about to go, which the regression sees, too; 0
    # for images and for memory
    forecasts: Whole = 0
    # how far they lie from each other, as a multiple of the deviations that the model predicts
    forecast_spread: Positive = 3.0
    # mixtures of each condition's controller with those of its neighbours, which teach the policy
    # what lies between; 0 for images
    between: Whole = 0


class Dual(NamedTuple):
    """The dual variables, leading axes (C, T)."""

    lam: Array  # (C, T, du), cost per unit of action
    nu: Array  # (C, T), cost per nat


def train(
    task: Task, config: Config, rng: np.random.Generator, state: State | None = None
) -> Iterator[Iteration]:
    """Yields one Iteration per round of episodes; `state` continues from an earlier Iteration's."""
    check_forecasts(task, config.policy, config.forecasts, config.between)
    local = LocalPolicies(task, config, rng, state)
    policy = GlobalPolicy(task, config, local.std, rng, state)
    dual = restored_dual(local.controller, state) if state else None
    bound = config.dual_bound * local.scale
    for _ in local.iterations():
        new = local.sample(rng)
        fit = policy.lag.scaled(local.fit_models(new))
        dual = dual or initial_dual(fit.data, config.penalty)
        data = policy.within_trust_region(policy.add(new, fit.data.chart), fit)
        teacher, near = fit.data.controller, data
        for _ in range(config.inner):
            teach(policy, teacher, near, dual, bound, config.between, rng)
            pi = policy.linearised(data)
            y = shift(dual, pi.cov, bound)
            extra = penalty(pi, dual, y)
            step = trajectory_step(fit.data, fit.dynamics, fit.cost, fit.epsilon, extra, dual.nu)
            teacher = local.explored(fit, step)
            near = with_forecast(
                data,
                step.distribution,
                config.samples,
                config.forecasts,
                config.forecast_spread,
                rng,
                task,
            )
            gap, kl = compare(pi, teacher, step.distribution)
            dual = update_dual(dual, gap, kl, pi.cov + teacher.cov, config.dual_rate)
        loss = teach(policy, teacher, near, dual, bound, config.between, rng)
        dual = grown(dual, config.penalty_growth)
        local.update(fit, step)

        scalars, arrays = report(local, policy, fit, step, rng, gap=gap, kl=kl)
        scalars |= {"policy_loss": loss, "shift": float(np.abs(y).mean())}
        scalars |= {"nu": float(dual.nu.mean())}
        arrays |= {"lambda": dual.lam, "nu": dual.nu}
        saved = local.state() | {"dual": dual._asdict()}
        yield policy.iteration(local.training, scalars, arrays, saved)


def teach(
    policy: GlobalPolicy,
    teacher: LinearGaussianController,
    data: PolicyData,
    dual: Dual,
    bound: Array,
    between: int,
    rng: np.random.Generator,
) -> float:
    """Trains the policy towards the controllers, their mean actions shifted by the multipliers, and
    towards so many mixtures of each with its neighbours; returns the loss.
    """
    taught = Taught(teacher, data, dual.nu, shift(dual, teacher.cov, bound))
    if between:
        taught = with_mixtures(taught, between, policy.task, rng)
    return policy.distil(taught.teacher, taught.data, rng, taught.nu, taught.shift)


def initial_dual(data: LocalData, penalty: float) -> Dual:
    """Returns multipliers of 0 and even weights nu, the same in all conditions: `penalty` times the
    mean variation of the cost, so that neither its unit nor a constant in it matters.
    """
    variation = float(data.variation.mean())
    if variation <= np.finfo(float).tiny ** 0.5:  # a flat cost has no size
        variation = 1.0
    return Dual(
        np.zeros_like(data.controller.k), np.full(data.controller.k.shape[:-1], penalty * variation)
    )


def restored_dual(controller: LinearGaussianController, state: State) -> Dual:
    """Returns the dual variables of a state. Raises CheckpointError where these do not fit the
    controllers.
    """
    form = {"dual": {"lam": controller.k.shape, "nu": controller.k.shape[:-1]}}
    check_tree({"dual": state.get("dual")}, form, "state")
    return Dual(**state["dual"])


def shift(dual: Dual, cov: Array, bound: Array) -> Array:
    """Returns the multipliers' shift of the target action, y = S lambda / nu, (C, T, du), within
    the bound (du,); S is (du, du) or (C, T, du, du).
    """
    return np.clip((cov @ dual.lam[..., None])[..., 0] / dual.nu[..., None], -bound, bound)


def penalty(pi: LinearGaussianController, dual: Dual, y: Array) -> QuadraticCost:
    """Returns nu times the negative log density of the policy pi, its mean action shifted by y (C,
    T, du).
    """
    return negative_log_density(pi._replace(k=pi.k + y), dual.nu)


def update_dual(dual: Dual, gap: Array, kl: Array, cov: Array, rate: float) -> Dual:
    """Moves lambda along the gap, and evens nu out over the steps: up where the KL (C, T) is above
    its average.

    `cov` (C, T, du, du) is the sum of the two covariances. nu stays within a factor 4 of its mean,
    which does not change. Without that bound nu drifts on and the multipliers do not settle.
    """
    lam = dual.lam + rate * dual.nu[..., None] * np.linalg.solve(cov, gap[..., None])[..., 0]
    relative = kl / np.maximum(kl.mean(-1, keepdims=True), 1e-12)
    mean = dual.nu.mean(-1, keepdims=True)
    nu = np.clip(dual.nu * np.clip(relative, 0.5, 2.0) ** 0.25, mean / 4, mean * 4)
    return Dual(lam, nu * mean / nu.mean(-1, keepdims=True))


def grown(dual: Dual, factor: float) -> Dual:
    """Returns lambda and nu, both times a factor: the shifts stay."""
    return Dual(dual.lam * factor, dual.nu * factor)
