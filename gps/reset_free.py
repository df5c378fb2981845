"""Reset-free guided policy search: no start comes twice, so that similar episodes, not equal starts,
share a controller.

Montgomery, Ajay, Finn, Abbeel and Levine, Reset-Free Guided Policy Search: Efficient Deep
Reinforcement Learning with Stochastic Initial States (2017), algorithm 2. Each iteration

    episodes     of the policy, each from a start of its own
    clusters     of the recent episodes, each fitted by one time-varying linear-Gaussian model
    anchor       pi_bar <-  the policy linearised along each cluster's episodes, and a model of their dynamics
    C-step       p      <-  argmin E_p [cost]   subject to   KL(p || pi_bar) <= epsilon, in each cluster
    S-step       pi     <-  argmin sum KL(pi || pi + p - pi_bar), each episode with its cluster's change

Where this departs from the paper: a cluster may hold episodes of the last few iterations. In the
S-step the targets are not p's actions but the policy's own plus the change of the C-step: the
episodes of a cluster differ more than those from one start, so that a linear pi_bar is not quite
the policy, and the policy should not lose the difference. Epsilon stays as it is: the improvement
of a step cannot be measured by episodes that start elsewhere.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from agents.interfaces import Iteration, State, Task
from agents.rollout import Trajectories, rollout
from agents.settings import Count, Positive, Whole
from agents.tasks.capabilities import manifold_of
from agents.training import Training
from dynamics import Fit, make_prior
from dynamics.asking import update
from dynamics.storage.tree import check_tree
from lqr import InputError, LinearGaussianController, QuadraticCost
from lqr.cost_terms import careful
from lqr.expansion import make_convex

from .steps.clusters import cluster
from .steps.distillation import Targets, controller_targets, fit_student
from .steps.exploration import action_scale, with_std
from .steps.local_data import LocalData, step_shares
from .steps.local_models import fit_dynamics
from .steps.local_policies import mean_std, median_eta
from .steps.policy_data import PolicyData, with_neighbours
from .steps.policy_step import GlobalPolicy, compare
from .steps.settings import LocalSettings, PolicySettings
from .steps.trajectory_step import TrajectoryStep, trajectory_step

ACTOR = "policy"  # whose the column cost is

Array = np.ndarray
REACH, STRENGTH = 5, 0.01  # of the linearisation


@dataclass(frozen=True)
class Config(PolicySettings, LocalSettings):
    """Settings of reset-free guided policy search."""

    iterations: Count = 15  # rounds of episodes and updates
    samples: Count = 1  # episodes of each condition in each iteration
    clusters: Count = 16  # clusters of episodes, at most
    replay: Count = 3  # iterations whose episodes are clustered, and seen by the regression
    kl_step: Positive = 20.0  # nats per trajectory
    policy_steps: Count = 400  # minibatch steps of each regression; more over-fit the few episodes
    initial_std: Positive = 0.1  # exploration at the start, as a share of half the action range
    min_std: Positive = 0.05  # exploration never falls below this, same unit
    neighbours: Whole = 2  # states near each one visited that the regression sees, too; 0 for none
    # how far they lie, as a multiple of the episodes' deviations from each other
    neighbour_spread: Positive = 1.0


class Past(NamedTuple):
    """The valid episodes of the last iterations."""

    x: Array  # (N, T+1, dx)
    u: Array  # (N, T, du)
    o: Array  # (N, T+1, do)
    used: Array  # (N, T), 1 for the steps of an episode that took place
    iteration: Array  # (N,), the iteration that an episode is of
    cost: float = 0.0  # mean of the newest episodes
    # improvement of the mean cost that the models predict for the next episodes
    predicted: float = 0.0


def train(
    task: Task, config: Config, rng: np.random.Generator, state: State | None = None
) -> Iterator[Iteration]:
    """Yields one Iteration per round of episodes; `state` continues from an earlier Iteration's.

    Raises InputError for a task whose states lie on a manifold, and for settings without a meaning
    where the policy alone acts: `initial`, `probe`, `smoothing`, `replay_radius`.
    """
    check(task, config)
    policy = GlobalPolicy(task, config, config.initial_std, rng, state, keeps_data=False)
    prior = make_prior(config.prior, task)
    training = Training(task, config.iterations, state, config.evaluate_every, prior=prior)
    past = restore(state, task) if state else no_episodes(task)
    for number in training.iterations():
        new = training.count(sample(task, policy, config, rng))
        before, past = past, with_new(past, new, number, config.replay)
        update(prior, *new.transitions)
        data = by_cluster(past, cluster(past.x, past.u, config.clusters, rng))
        states = PolicyData(data.x[:, :, :-1], data.o[:, :, :-1], data.used)
        data = data._replace(controller=policy.linearised(states, REACH, STRENGTH))
        models = fit_dynamics(data, prior, config.prior_strength)
        epsilon = np.full(len(data.x), policy.lag.step_scale * config.kl_step)
        step = trajectory_step(data, models.dynamics, expand_cost(task, data), epsilon)
        teacher = with_std(step.controller, action_scale(task), config.min_std)
        near = with_neighbours(states, config.neighbours, config.neighbour_spread, rng)
        loss = regress(policy, data.controller, teacher, near, config, rng)
        past = past._replace(predicted=predicted_improvement(data, step))

        evaluation, arrays = policy.report(training, rng)
        gap, kl = compare(policy.linearised(states, REACH, STRENGTH), teacher, step.distribution)
        scalars = row(training, before, past, new, models, step, teacher)
        scalars |= {"cost": evaluation["policy_cost"]} | evaluation
        scalars |= policy.lag.report(gap, kl, step.epsilon) | {"policy_loss": loss}
        arrays |= {"cost": arrays["policy_cost"]}
        yield policy.iteration(training, scalars, arrays, {"past": past._asdict()})


def check(task: Task, config: Config) -> None:
    """Raises InputError for a task or a setting that this method has no use for."""
    if manifold_of(task):
        raise InputError(
            f"{task.name} has states on a manifold; expected a plain vector: choose another method"
        )
    for name in ("initial", "probe", "smoothing", "replay_radius"):
        if getattr(config, name) != getattr(Config(), name):
            raise InputError(
                f"got {name} = {getattr(config, name)!r}, which means nothing here; expected it left out"
            )


def sample(
    task: Task, policy: GlobalPolicy, config: Config, rng: np.random.Generator
) -> Trajectories:
    """Returns episodes of the policy."""
    every = np.arange(task.conditions)
    return rollout(task, policy.policy, every, config.samples, rng, antithetic=config.antithetic)


def regress(
    policy: GlobalPolicy,
    anchor: LinearGaussianController,
    teacher: LinearGaussianController,
    near: PolicyData,
    config: Config,
    rng: np.random.Generator,
) -> float:
    """Trains the policy on its own actions plus the change of the C-step; returns the loss."""
    return fit_student(
        policy.policy,
        changed_targets(policy.policy.mean(near.o), anchor, teacher, near.x),
        near.o,
        rng,
        weight=near.used,
        steps=policy.lag.policy_steps,
        rate=config.policy_rate,
    )


def changed_targets(
    mean: Array, anchor: LinearGaussianController, teacher: LinearGaussianController, x: Array
) -> Targets:
    """Returns as targets a policy's own actions `mean` (K, N, T, du), plus the change of the C-step
    at x.
    """
    targets = controller_targets(teacher, x)
    return targets._replace(mean=mean + targets.mean - controller_targets(anchor, x).mean)


def expand_cost(task: Task, data: LocalData) -> QuadraticCost:
    """Returns each cluster's quadratic cost, with the mean gradient and the mean curvature of its
    episodes.

    Both are those of the cost smoothed over the cluster (Stein's lemma). The mean of the
    expansions, as for episodes from one start, would have another gradient at the cluster's mean
    where gradient and curvature vary over the cluster.
    """
    each = make_convex(careful(task.cost).expand(data.x, data.u), around=(data.x, data.u))
    xu = np.concatenate([data.x, np.pad(data.u, ((0, 0), (0, 0), (0, 1), (0, 0)))], -1)
    slope = np.einsum("cntij,cntj->cnti", each.C, xu) + each.c
    share = step_shares(data)
    C, slope, mean = (np.einsum("cnt,cnt...->ct...", share, a) for a in (each.C, slope, xu))
    mean = mean / np.maximum(share.sum(1), 1e-12)[..., None]  # of the episodes that got there
    return QuadraticCost(C, slope - np.einsum("ctij,ctj->cti", C, mean), np.zeros(C.shape[:2]))


def predicted_improvement(data: LocalData, step: TrajectoryStep) -> float:
    """Returns the predicted improvement of the mean cost of all episodes."""
    count = data.used.any(2).sum(1)
    return float((count / count.sum()) @ step.predicted)


def row(
    training: Training,
    before: Past,
    past: Past,
    new: Trajectories,
    models: Fit,
    step: TrajectoryStep,
    teacher: LinearGaussianController,
) -> dict[str, float]:
    """Returns the metrics of the local half; the policy is all that acts, so the task's own numbers
    are told of it alone.
    """
    return training.counts() | {
        "cost": past.cost,
        "sampled_cost": past.cost,
        "kl": float(step.kl.mean()),
        "epsilon": float(step.epsilon.mean()),
        "eta": median_eta(step),
        "predicted": before.predicted,
        "actual": before.cost - past.cost if training.number else 0.0,
        "unsolved": float((~step.solved).sum()),
        "diverged": float(new.failed.sum()),
        "evidence": models.evidence,
        "prior_strength": models.strength,
        "std": mean_std(teacher),
        "clusters": float(len(step.kl)),
    }


def no_episodes(task: Task) -> Past:
    """Returns the past before the first episode."""
    T = task.horizon
    x = np.zeros((0, T + 1, task.dx))
    u = np.zeros((0, T, task.du))
    o = np.zeros((0, T + 1, task.do))
    return Past(x, u, o, np.zeros((0, T)), np.zeros(0))


def restore(state: State, task: Task) -> Past:
    """Returns the past of a state. Raises CheckpointError for another task's."""
    T = task.horizon
    past = {
        "x": ("N", T + 1, task.dx),
        "u": ("N", T, task.du),
        "o": ("N", T + 1, task.do),
        "used": ("N", T),
        "iteration": ("N",),
        "cost": float,
        "predicted": float,
    }
    check_tree({"past": state.get("past")}, {"past": past}, "state")
    return Past(**state["past"])


def with_new(past: Past, new: Trajectories, number: int, replay: int) -> Past:
    """Returns the past with the episodes of this iteration, and without those of more than `replay`
    iterations ago.
    """
    kept = ~new.failed
    used = (np.arange(new.u.shape[1]) < new.length[:, None]).astype(float)
    iteration = np.concatenate([past.iteration, np.full(int(kept.sum()), float(number))])
    recent = iteration > number - replay
    return Past(
        x=np.concatenate([past.x, new.x[kept]])[recent],
        u=np.concatenate([past.u, new.u[kept]])[recent],
        o=np.concatenate([past.o, new.o[kept]])[recent],
        used=np.concatenate([past.used, used[kept]])[recent],
        iteration=iteration[recent],
        cost=float(new.cost.sum(-1)[kept].mean()),
    )


def by_cluster(past: Past, group: Array) -> LocalData:
    """Returns the episodes by cluster (N,); small clusters are filled up with episodes that do not
    count.

    The controllers take no action.
    """
    K, most = group.max() + 1, np.bincount(group).max()
    rows = np.stack([np.resize(np.flatnonzero(group == k), most) for k in range(K)])  # (K, most)
    counts = np.arange(most) < np.bincount(group)[:, None]
    x, u, o, used = (a[rows] for a in (past.x, past.u, past.o, past.used))
    (T, du), dx, zero = u.shape[2:], x.shape[-1], np.zeros(K)
    return LocalData(
        controller=LinearGaussianController(
            np.zeros((K, T, du, dx)), np.zeros((K, T, du)), np.zeros((K, T, du, du))
        ),
        x=x,
        u=u,
        o=o,
        used=used * counts[..., None],
        cost=zero,
        multiplier=zero,
        predicted=zero,
        baseline=zero,
        variation=zero,
        error=zero,
    )
