"""Guided policy search by the dual update: Bregman ADMM between local controllers and one neural policy.

Levine, Finn, Darrell and Abbeel, End-to-End Training of Deep Visuomotor Policies (2016), section 4 and appendix A:

    minimise  E_p [ cost ]   subject to   E_p(u|x) [u] = E_pi(u|o) [u]  at every step of every condition

with Lagrange multipliers lambda (per condition and step) on the mean actions, and a weight nu (per condition and step)
on the divergence between the two. Each iteration alternates

    controllers  p      <-  argmin E_p [cost - lambda' u] + nu KL(p || pi),  within a KL step of the last controllers
    policy       pi     <-  argmin E [lambda' u_pi] + nu KL(pi || p),  a weighted regression over all conditions
    multipliers  lambda <-  lambda + rate nu (S_p + S_pi)^-1 (u_pi - u_p),  the covariances of the two

Where this departs from the paper: the multipliers' step there is rate nu (u_pi - u_p), in units of the action. Scaled
by the inverse covariances, a step adds to the leans S lambda / nu of the two sides `rate` times the gap between them,
shared out by their covariances, however far apart these are. The leans that are used are bounded, nu is evened out
over the steps within bounds, and nu and lambda grow by a fixed factor per iteration.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from agents.interfaces import Iteration, State, Task
from agents.neural_policy import NeuralPolicy
from agents.rollout import rollout
from dynamics import make_prior
from lqr import LinearGaussianController, TrajectoryDistribution, kl_divergence, negative_log_density

from . import local as lc
from .linearise import linearise
from .settings import check, count, counts, not_negative, positive

Array = np.ndarray


@dataclass(frozen=True)
class Config:
    """Settings of guided policy search by the dual update."""

    iterations: int = 25  # rounds of trials
    samples: int = 2  # trials of each condition in each iteration
    prior: str = "gmm"  # prior global model: flat, gmm
    kl_step: float = 10.0  # nats per trajectory, the first step; adapted per condition from then on
    max_kl_step: float = 200.0  # nats per trajectory, the largest step
    initial_std: float = 0.01  # exploration at the start, as a share of half the action range
    min_std: float = 0.01  # exploration never falls below this, same unit
    hidden: tuple[int, ...] = (64, 64)  # units of the policy's hidden layers
    policy_steps: int = 500  # minibatch steps of each regression
    policy_rate: float = 3e-3  # Adam's learning rate at the start of each regression
    inner: int = 2  # alternations of controllers, policy and multipliers per iteration
    replay: int = 5  # iterations whose trials the regression sees
    agreement: float = 1e-5  # nu at the start, cost per nat
    agreement_growth: float = 1.3  # factor on nu per iteration
    dual_rate: float = 0.2  # step of the multipliers, as a share of nu; 0 switches them off
    dual_bound: float = 0.1  # largest lean y, as a share of half the action range

    def __post_init__(self) -> None:
        check(
            self,
            iterations=count,
            samples=count,
            kl_step=positive,
            max_kl_step=positive,
            initial_std=positive,
            min_std=positive,
        )
        check(
            self, policy_steps=count, policy_rate=positive, inner=count, replay=count, hidden=counts, agreement=positive
        )
        check(self, agreement_growth=positive, dual_rate=not_negative, dual_bound=not_negative)


class Dual(NamedTuple):
    """The dual variables, leading axes (C, T)."""

    lam: Array  # (C, T, du), cost per unit of action
    nu: Array  # (C, T), cost per nat


def train(task: Task, config: Config, rng: np.random.Generator, state: State | None = None) -> Iterator[Iteration]:
    """Yields one Iteration per round of trials; `state` continues from an earlier Iteration's."""
    C, T, du = task.conditions, task.horizon, task.du
    every, scale = np.arange(C), lc.action_scale(task)
    bound = config.dual_bound * scale
    prior, replay, first, old = make_prior(config.prior), [], 1, None
    controller = lc.initial_controller(task, config.initial_std)
    fresh = rng if state is None else np.random.default_rng(0)  # a resumed run must draw nothing before its first trial
    policy = NeuralPolicy.create(task.do, du, config.hidden, config.initial_std * scale, fresh)
    dual = Dual(np.zeros((C, T, du)), np.full((C, T), config.agreement))
    if state:
        controller, old, first = lc.resume(state, prior)
        policy, dual = NeuralPolicy.from_state(state["policy"]), Dual(**state["dual"])
        replay = [tuple(trial[name] for name in ("x", "o", "used")) for _, trial in sorted(state["replay"].items())]
    for number in range(first, config.iterations + 1):
        trials = rollout(task, controller, every, config.samples, rng)
        new = lc.by_condition(trials, controller, np.ones(C))
        replay = [*replay, (new.x[:, :, :-1], new.o[:, :, :-1], new.used)][-config.replay :]
        prior.update(*lc.transitions(new))
        promised = old.predicted if old else np.zeros(task.conditions)
        local, accepted, actual = lc.judge(old, new, config.max_kl_step / config.kl_step)
        dynamics = lc.fit(local, prior)
        cost = lc.expand(task.cost, local)
        seen = tuple(np.concatenate(parts, axis=1) for parts in zip(*replay, strict=True))
        teacher = local.controller
        for _ in range(config.inner):
            loss = regress(policy, teacher, dual, bound, seen, config, rng)
            student = linearise(seen[0], policy.mean(seen[1]), policy.cov, seen[2])
            lean = lean_of(dual, policy.cov, bound)
            extra = negative_log_density(student._replace(k=student.k + lean), dual.nu)
            step = lc.improve(local, dynamics.dynamics, cost, config.kl_step * local.multiplier, extra, dual.nu)
            teacher = lc.with_floor(step.controller, config.min_std, scale)
            gap, disagreement = compare(student, teacher, TrajectoryDistribution(step.mean, step.cov))
            dual = update_dual(dual, gap, disagreement, policy.cov + teacher.cov, config.dual_rate)
        loss = regress(policy, teacher, dual, bound, seen, config, rng)
        dual = dual._replace(lam=dual.lam * config.agreement_growth, nu=dual.nu * config.agreement_growth)
        controller, old = teacher, local._replace(predicted=step.predicted)

        test = rollout(task, controller, every, 1, rng, noise=0.0)
        shown = rollout(task, policy, every, 1, rng, noise=0.0)
        scalars, arrays = lc.report(task, local, trials, test, step, accepted, promised, actual, dynamics)
        scalars |= {
            "policy_cost": float(shown.cost.sum(-1).mean()),
            **{f"policy_{name}": float(value.mean()) for name, value in task.metrics(shown.x, shown.u).items()},
            "policy_kl": float(disagreement.sum(-1).mean()),
            "policy_gap": float(np.sqrt((gap**2).mean())),
            "policy_loss": loss,
            "lean": float(np.abs(lean).mean()),
            "nu": float(dual.nu.mean()),
        }
        arrays |= {"policy_cost": shown.cost.sum(-1), "policy_x": shown.x, "lambda": dual.lam, "nu": dual.nu}
        frozen = lc.freeze(number, controller, old, prior)
        frozen |= {"policy": policy.state(), "dual": dual._asdict()}
        frozen["replay"] = {f"{i:03d}": dict(zip(("x", "o", "used"), r, strict=True)) for i, r in enumerate(replay)}
        yield Iteration(number, NeuralPolicy.from_state(frozen["policy"]), scalars, arrays, frozen)


def regress(
    policy: NeuralPolicy,
    teacher: LinearGaussianController,
    dual: Dual,
    bound: Array,
    seen: tuple[Array, ...],
    config: Config,
    rng: np.random.Generator,
) -> float:
    """Trains the policy towards the controllers' mean actions at all states seen, leaning back by S_p lambda / nu.

    Each sample weighs nu times the precision of its controller. The policy's covariance becomes the inverse of the
    controllers' mean precision (Levine, Finn et al. 2016, appendix A).
    """
    x, o, used = seen
    precision = np.linalg.inv(teacher.cov)  # (C, T, du, du)
    back = lean_of(dual, teacher.cov, bound)
    target = np.einsum("ctij,cntj->cnti", teacher.K, x) + (teacher.k - back)[:, None]
    weight = np.broadcast_to((dual.nu[..., None, None] * precision)[:, None], (*target.shape, target.shape[-1]))
    rows = used > 0
    policy.cov = np.linalg.inv(precision.mean((0, 1)))
    return policy.fit(o[rows], target[rows], weight[rows], rng, config.policy_steps, rate=config.policy_rate)


def lean_of(dual: Dual, cov: Array, bound: Array) -> Array:
    """Returns y = S lambda / nu, (C, T, du), within the bound (du,); S is (du, du) or (C, T, du, du)."""
    return np.clip((cov @ dual.lam[..., None])[..., 0] / dual.nu[..., None], -bound, bound)


def compare(
    student: LinearGaussianController, teacher: LinearGaussianController, under: TrajectoryDistribution
) -> tuple[Array, Array]:
    """Returns the gap of the mean actions, policy - controller, (C, T, du), and KL(p || pi) per step, (C, T)."""
    dx = student.K.shape[-1]
    mean = under.mean[:, :-1, :dx, None]
    gap = ((student.K - teacher.K) @ mean)[..., 0] + student.k - teacher.k
    return gap, kl_divergence(teacher, student, under)


def update_dual(dual: Dual, gap: Array, disagreement: Array, cov: Array, rate: float) -> Dual:
    """Moves lambda along the gap, and evens nu out over the steps: up where the two disagree more than on average.

    `cov` (C, T, du, du) is the sum of the two covariances. nu stays within a factor 4 of its mean, which does not
    change: without that bound it is evened out without end, and the multipliers do not settle.
    """
    lam = dual.lam + rate * dual.nu[..., None] * np.linalg.solve(cov, gap[..., None])[..., 0]
    relative = disagreement / np.maximum(disagreement.mean(-1, keepdims=True), 1e-12)
    mean = dual.nu.mean(-1, keepdims=True)
    nu = np.clip(dual.nu * np.clip(relative, 0.5, 2.0) ** 0.25, mean / 4, mean * 4)
    return Dual(lam, nu * mean / nu.mean(-1, keepdims=True))
