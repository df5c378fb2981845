"""Guided policy search by the dual update: Bregman ADMM between local controllers and one neural
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
the action. Scaled by the inverse covariances, a step adds to the leans S lambda / nu of the two
sides `rate` times the gap between them, shared out by their covariances, however far apart these
are. The leans that are used are bounded, nu is evened out over the steps within bounds, and nu and
lambda grow by a fixed factor per iteration.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import numpy as np

from agents.interfaces import Iteration, State, Task
from agents.saving import build_policy
from dynamics.storage.tree import check_tree
from lqr import LinearGaussianController, TrajectoryDistribution, negative_log_density

from .steps import trajectory_step as lc
from .steps.local_policies import Rounds
from .steps.policy_step import Student, compare
from .steps.settings import Local, Neural, Rule, count, not_negative, positive

Array = np.ndarray


@dataclass(frozen=True)
class Config(Neural, Local):
    """Settings of guided policy search by the dual update."""

    inner: int = 2  # alternations of controllers, policy and multipliers per iteration
    agreement: float = 1e-5  # nu at the start, cost per nat
    agreement_growth: float = 1.3  # factor on nu per iteration
    dual_rate: float = 0.2  # step of the multipliers, as a share of nu; 0 switches them off
    dual_bound: float = 0.1  # largest lean y, as a share of half the action range

    RULES: ClassVar[dict[str, Rule]] = {
        **{"inner": count, "agreement": positive, "agreement_growth": positive},
        **{"dual_rate": not_negative, "dual_bound": not_negative},
    }


class Dual(NamedTuple):
    """The dual variables, leading axes (C, T)."""

    lam: Array  # (C, T, du), cost per unit of action
    nu: Array  # (C, T), cost per nat


def train(
    task: Task, config: Config, rng: np.random.Generator, state: State | None = None
) -> Iterator[Iteration]:
    """Yields one Iteration per round of trials; `state` continues from an earlier Iteration's."""
    rounds = Rounds(task, config, state)
    student = Student(task, config, config.initial_std, rng, state)
    dual = thaw(state, rounds.controller) if state else start(rounds.controller, config.agreement)
    bound = config.dual_bound * rounds.scale
    for number in rounds.left:
        new = rounds.sample(rng)
        known = student.imitation.paced(rounds.learn(new))
        seen = student.trusted(student.see(new, known.local.chart), known)
        teacher = known.local.controller
        for _ in range(config.inner):
            student.distil(teacher, seen, rng, dual.nu, lean_of(dual, teacher.cov, bound))
            pi = student.linearised(seen)
            lean = lean_of(dual, pi.cov, bound)
            extra = negative_log_density(pi._replace(k=pi.k + lean), dual.nu)
            step = lc.improve(
                known.local, known.dynamics, known.cost, known.epsilon, extra, dual.nu
            )
            teacher = rounds.floored(step)
            gap, kl = compare(pi, teacher, TrajectoryDistribution(step.mean, step.cov))
            dual = update_dual(dual, gap, kl, pi.cov + teacher.cov, config.dual_rate)
        loss = student.distil(teacher, seen, rng, dual.nu, lean_of(dual, teacher.cov, bound))
        dual = dual._replace(
            lam=dual.lam * config.agreement_growth, nu=dual.nu * config.agreement_growth
        )
        rounds.adopt(known, step)

        scalars, arrays = rounds.report(known, step, rng)
        shown, pictures = student.report(rng)
        costs = scalars["cost"], shown["policy_cost"]
        scalars |= shown | student.imitation.report(gap, kl, known.epsilon, costs)
        scalars |= {
            "policy_loss": loss,
            "lean": float(np.abs(lean).mean()),
            "nu": float(dual.nu.mean()),
        }
        arrays |= pictures | {"lambda": dual.lam, "nu": dual.nu}
        frozen = rounds.state(number) | student.state() | {"dual": dual._asdict()}
        yield Iteration(number, build_policy(frozen["policy"], "state"), scalars, arrays, frozen)


def start(controller: LinearGaussianController, nu: float) -> Dual:
    """Returns multipliers of 0 and even weights."""
    return Dual(np.zeros_like(controller.k), np.full(controller.k.shape[:-1], nu))


def thaw(state: State, controller: LinearGaussianController) -> Dual:
    """Returns saved dual variables. Raises CheckpointError where they are not of these controllers'
    shape.
    """
    form = {"dual": {"lam": controller.k.shape, "nu": controller.k.shape[:-1]}}
    check_tree({"dual": state.get("dual")}, form, "state")
    return Dual(**state["dual"])


def lean_of(dual: Dual, cov: Array, bound: Array) -> Array:
    """Returns y = S lambda / nu, (C, T, du), within the bound (du,); S is (du, du) or (C, T, du,
    du).
    """
    return np.clip((cov @ dual.lam[..., None])[..., 0] / dual.nu[..., None], -bound, bound)


def update_dual(dual: Dual, gap: Array, disagreement: Array, cov: Array, rate: float) -> Dual:
    """Moves lambda along the gap, and evens nu out over the steps: up where the two disagree more
    than on average.

    `cov` (C, T, du, du) is the sum of the two covariances. nu stays within a factor 4 of its mean,
    which does not change: without that bound it is evened out without end, and the multipliers do
    not settle.
    """
    lam = dual.lam + rate * dual.nu[..., None] * np.linalg.solve(cov, gap[..., None])[..., 0]
    relative = disagreement / np.maximum(disagreement.mean(-1, keepdims=True), 1e-12)
    mean = dual.nu.mean(-1, keepdims=True)
    nu = np.clip(dual.nu * np.clip(relative, 0.5, 2.0) ** 0.25, mean / 4, mean * 4)
    return Dual(lam, nu * mean / nu.mean(-1, keepdims=True))
