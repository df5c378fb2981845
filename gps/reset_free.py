"""Reset-free guided policy search: no start comes twice, so likely trials, not equal starts, share
a controller.

Montgomery, Ajay, Finn, Abbeel and Levine, Reset-Free Guided Policy Search: Efficient Deep
Reinforcement Learning with Stochastic Initial States (2017), algorithm 2. Each iteration

    trials       of the policy, each from a start of its own
    groups       of the recent trials that one time-varying linear-Gaussian model explains (`clusters`)
    anchor       pi_bar <-  the policy linearised along each group's trials, and a model of their dynamics
    C-step       p      <-  argmin E_p [cost]   subject to   KL(p || pi_bar) <= epsilon, in each group
    S-step       pi     <-  argmin sum KL(pi || pi + p - pi_bar), each trial taught by its group's change

Where this departs from the paper: a group may hold trials of the last few iterations, not of the
newest alone. In the S-step the policy is not drawn to p itself but by what the C-step changed: the
trials of a group are not as alike as those from one start, so that a linear pi_bar is not quite the
policy, and what it lacks is not unlearned. Epsilon stays as it is: what a step has gained is not
found out from trials that start elsewhere.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np

from agents.interfaces import Iteration, State, Task
from agents.rollout import Trajectories, rollout
from agents.saving import build_policy
from agents.tasks.capabilities import manifold_of
from dynamics import make_prior
from dynamics.storage.tree import check_tree
from lqr import InputError, LinearGaussianController, QuadraticCost, TrajectoryDistribution
from lqr.expansion import make_convex

from .steps import trajectory_step as lc
from .steps.clusters import cluster
from .steps.distillation import Lesson, controllers_lesson, teach
from .steps.policy_step import Seen, Student, compare, with_neighbours
from .steps.settings import Local, Neural, Rule, count, positive, whole

Array = np.ndarray
LINES = {"reach": 5, "strength": 0.01}  # of the linearisation


@dataclass(frozen=True)
class Config(Neural, Local):
    """Settings of reset-free guided policy search."""

    iterations: int = 15  # rounds of trials
    samples: int = 1  # trials of each condition in each iteration
    clusters: int = 16  # groups of trials, at most
    replay: int = 3  # iterations whose trials are grouped, and seen by the regression
    kl_step: float = 20.0  # nats per trajectory
    policy_steps: int = 400  # minibatch steps of each regression; more over-fit the few trials
    initial_std: float = 0.1  # exploration at the start, as a share of half the action range
    min_std: float = 0.05  # exploration never falls below this, same unit
    neighbours: int = 2  # states near each one seen that the regression sees, too; 0 for none
    # how far they lie, as a multiple of the trials' deviations from each other
    neighbour_spread: float = 1.0

    RULES: ClassVar[dict[str, Rule]] = {
        "clusters": count,
        "neighbours": whole,
        "neighbour_spread": positive,
    }


class Past(NamedTuple):
    """The trials of the last iterations, of which none diverged, and what is told of all."""

    x: Array  # (N, T+1, dx)
    u: Array  # (N, T, du)
    o: Array  # (N, T+1, do)
    used: Array  # (N, T), 1 for the steps of an episode that took place
    born: Array  # (N,), the iteration that a trial is of
    episodes: int = 0  # so far, and
    steps: int = 0  # their steps
    cost: float = 0.0  # mean of the newest trials
    # improvement of the mean cost that the models promised for the next trials
    promised: float = 0.0


def train(
    task: Task, config: Config, rng: np.random.Generator, state: State | None = None
) -> Iterator[Iteration]:
    """Yields one Iteration per round of trials; `state` continues from an earlier Iteration's.

    Raises InputError for a task whose states lie on a manifold, and for settings that mean nothing
    where the policy alone acts: `initial`, `smoothing`, `replay_radius`.
    """
    if manifold_of(task):
        raise InputError(
            f"{task.name} has states on a manifold; expected a plain vector: choose another method"
        )
    for name in ("initial", "smoothing", "replay_radius"):
        if getattr(config, name) != getattr(Config(), name):
            raise InputError(
                f"got {name} = {getattr(config, name)!r}, which means nothing here; expected it left out"
            )
    student = Student(task, config, config.initial_std, rng, state, remembers=False)
    prior = make_prior(config.prior, task)
    past, first = thaw(state, task, prior) if state else (nothing(task), 1)
    for number in range(first, config.iterations + 1):
        trials = rollout(
            task,
            student.policy,
            np.arange(task.conditions),
            config.samples,
            rng,
            antithetic=config.antithetic,
        )
        before, past = past, remember(past, trials, number, config.replay)
        prior.update(*trials.transitions)
        local = grouped(past, cluster(past.x, past.u, config.clusters, rng))
        seen = Seen(local.x[:, :, :-1], local.o[:, :, :-1], local.used)
        local = local._replace(controller=student.linearised(seen, **LINES))
        fit, cost = lc.fit(local, prior, config.prior_strength), expand(task, local)
        epsilon = np.full(len(local.x), student.imitation.pace * config.kl_step)
        step = lc.improve(local, fit.dynamics, cost, epsilon)
        teacher = lc.with_floor(step.controller, config.min_std, lc.action_scale(task))
        near = with_neighbours(seen, config.neighbours, config.neighbour_spread, rng)
        lesson = corrected(student.policy.mean(near.o), local.controller, teacher, near.x)
        loss = teach(
            student.policy,
            lesson,
            near.o,
            rng,
            near.used,
            student.imitation.steps,
            config.policy_rate,
        )
        share = local.used.any(2).sum(1) / len(past.x)
        past = past._replace(promised=float(share @ step.predicted))

        shown, arrays = student.report(rng)
        gap, kl = compare(
            student.linearised(seen, **LINES), teacher, TrajectoryDistribution(step.mean, step.cov)
        )
        scalars = {
            "rollouts": float(past.episodes),
            "env_steps": float(past.steps),
            "cost": shown["policy_cost"],
            "sampled_cost": past.cost,
            "kl": float(step.kl.mean()),
            "epsilon": float(step.epsilon.mean()),
            "eta": float(np.median(step.eta[step.solved])) if step.solved.any() else 0.0,
            "predicted": before.promised,
            "actual": before.cost - past.cost if before.episodes else 0.0,
            "unsolved": float((~step.solved).sum()),
            "diverged": float(trials.failed.sum()),
            "evidence": fit.evidence,
            "prior_strength": fit.strength,
            "std": float(np.sqrt(np.einsum("ctii->", teacher.cov) / teacher.k.size)),
            "clusters": float(len(local.x)),
            **shown,
            **student.imitation.report(gap, kl, step.epsilon),
            "policy_loss": loss,
        }
        frozen = {
            "number": number,
            "prior": prior.state(),
            "past": past._asdict(),
        } | student.state()
        yield Iteration(
            number,
            build_policy(frozen["policy"], "state"),
            scalars,
            arrays | {"cost": arrays["policy_cost"]},
            frozen,
        )


def corrected(
    mean: Array, anchor: LinearGaussianController, teacher: LinearGaussianController, x: Array
) -> Lesson:
    """Returns as targets a policy's own actions `mean` (K, N, T, du), and what the C-step changed
    of them at x.
    """
    lesson = controllers_lesson(teacher, x)
    return lesson._replace(mean=mean + lesson.mean - controllers_lesson(anchor, x).mean)


def expand(task: Task, local: lc.Local) -> QuadraticCost:
    """Returns each group's quadratic cost, with the mean slope and the mean curvature of its
    trials.

    Both are those of the cost smoothed over the group (Stein's lemma). The mean of the expansions,
    as of trials from one start, would have another slope at the group's mean where slope and
    curvature vary over the group.
    """
    each = make_convex(task.cost.expand(local.x, local.u), around=(local.x, local.u))
    xu = np.concatenate([local.x, np.pad(local.u, ((0, 0), (0, 0), (0, 1), (0, 0)))], -1)
    slope = np.einsum("cntij,cntj->cnti", each.C, xu) + each.c
    valid = local.used[..., :1]
    share = np.concatenate([valid, local.used], -1) / np.maximum(
        valid.sum(1, keepdims=True), 1
    )  # (K, N, T+1)
    C, slope, mean = (np.einsum("cnt,cnt...->ct...", share, a) for a in (each.C, slope, xu))
    mean = mean / np.maximum(share.sum(1), 1e-12)[..., None]  # of the trials that got there
    return QuadraticCost(C, slope - np.einsum("ctij,ctj->cti", C, mean), np.zeros(C.shape[:2]))


def nothing(task: Task) -> Past:
    """Returns what is known before the first trial."""
    T = task.horizon
    x = np.zeros((0, T + 1, task.dx))
    u = np.zeros((0, T, task.du))
    o = np.zeros((0, T + 1, task.do))
    return Past(x, u, o, np.zeros((0, T)), np.zeros(0))


def thaw(state: State, task: Task, prior: Any) -> tuple[Past, int]:
    """Returns what was known, and the number of the next iteration. Raises CheckpointError for
    another task's state.
    """
    T = task.horizon
    trials = {
        "x": ("N", T + 1, task.dx),
        "u": ("N", T, task.du),
        "o": ("N", T + 1, task.do),
        "used": ("N", T),
    }
    past = trials | {
        "born": ("N",),
        "episodes": int,
        "steps": int,
        "cost": float,
        "promised": float,
    }
    form: dict[str, Any] = {"number": int, "past": past}
    check_tree({key: state.get(key) for key in form}, form, "state")
    prior.load_state(state["prior"])
    return Past(**state["past"]), int(state["number"]) + 1


def remember(past: Past, trials: Trajectories, number: int, replay: int) -> Past:
    """Returns the past with the trials of this iteration, and without those of more than `replay`
    iterations ago.
    """
    kept = ~trials.failed
    used = (np.arange(trials.u.shape[1]) < trials.length[:, None]).astype(float)
    new = [a[kept] for a in (trials.x, trials.u, trials.o, used, np.full(len(kept), float(number)))]
    recent = np.concatenate([past.born, new[-1]]) > number - replay
    counts = past.episodes + len(kept), past.steps + int(trials.length.sum())
    arrays = (np.concatenate(pair)[recent] for pair in zip(past[:5], new, strict=True))
    return Past(*arrays, *counts, float(trials.cost.sum(-1)[kept].mean()))  # type: ignore[call-arg, arg-type]


def grouped(past: Past, group: Array) -> lc.Local:
    """Returns the trials group by group (N,); small groups are filled up with trials that do not
    count.

    The controllers are those that do nothing.
    """
    K, most = group.max() + 1, np.bincount(group).max()
    rows = np.stack([np.resize(np.flatnonzero(group == k), most) for k in range(K)])  # (K, most)
    counts = np.arange(most) < np.bincount(group)[:, None]
    x, u, o, used = (a[rows] for a in past[:4])
    (T, du), dx = u.shape[2:], x.shape[-1]
    still = LinearGaussianController(
        np.zeros((K, T, du, dx)), np.zeros((K, T, du)), np.zeros((K, T, du, du))
    )
    zero = np.zeros(K)
    return lc.Local(
        still, x, u, o, used * counts[..., None], zero, zero, zero, past.episodes, past.steps, zero
    )
