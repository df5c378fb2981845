"""How far ahead a plan can be trusted: what the model predicted of a round's episodes, beside what
came.

The model is the one before the round, so that these episodes are held out. Its uncertainty is shown
by trajectories that are drawn: through each member of an ensemble for the whole horizon (TSinf), or
from another model's distribution.
"""

from copy import deepcopy
from typing import Any, NamedTuple

import numpy as np

from dynamics import Ensemble, open_loop_error
from lqr import InputError, window

from ...interfaces import Array, Task
from ...planners import Plan
from ...planners.models import LearnedModel, PlanningModel, SimulatorModel
from ...rollout import Trajectories, rollout
from .policy import MPC

MOST = 50  # steps ahead at most
STARTS = 20  # steps of an episode predicted from
DRAWS = 20  # trajectories of each


class ModelEvaluation(NamedTuple):
    """Two numbers for the metrics, 0 where there is no learned model yet, and arrays for
    figures.
    """

    open_loop_error: (
        float  # at the end of the horizon, as a share of the error of "nothing changes"
    )
    coverage: (
        float  # share of costs over the horizon that lie within those of the drawn trajectories
    )
    arrays: dict[str, Array]


class PredictedCost(NamedTuple):
    """The cost of the actions that were taken, from S steps on, added up over the horizon."""

    start: Array  # (S,), steps of the episode
    real: Array  # (S, H+1)
    drawn: Array  # (S, P, H+1), along the trajectories that the model draws


def snapshot(model: PlanningModel) -> LearnedModel | None:
    """Returns a copy of a learned model, to be asked once it has learned more; None before it knows
    anything.
    """
    if not isinstance(model, LearnedModel) or getattr(model.dynamics, "normaliser", None) is None:
        return None
    dynamics = deepcopy(model.dynamics)
    if not isinstance(dynamics, Ensemble):
        return LearnedModel(dynamics, "sample", DRAWS)
    each = max(DRAWS // dynamics.members_, 1)  # as many of each member
    return LearnedModel(dynamics, "tsinf", each * dynamics.members_)


def evaluate(
    model: LearnedModel | None,
    policy: MPC,
    task: Task,
    episodes: Trajectories,
    rng: np.random.Generator,
) -> ModelEvaluation:
    """Returns what a model from `snapshot` predicts of the episodes of a round, and how the
    planner's search went in it.
    """
    arrays = {"plan_trace": traced(policy.log)} if policy.log else {}
    if model is None:
        return ModelEvaluation(0.0, 0.0, arrays)
    whole = ~episodes.failed
    ahead = min(policy.horizon, task.horizon, MOST)
    error = open_loop_error(
        model.step, episodes.x[whole], episodes.u[whole], ahead, episodes.length[whole]
    )
    last = np.flatnonzero(np.isfinite(error).all(0))
    share = float(error[0, last[-1]] / max(error[1, last[-1]], 1e-12)) if len(last) else 0.0
    arrays |= {"open_loop": error}
    first = int(np.argmax(whole))
    x, u, length = episodes.x[first], episodes.u[first], int(episodes.length[first])
    found = predicted_cost(model, policy.cost, x, u, length, horizon=ahead, rng=rng)
    low, high = found.drawn[..., -1].min(1), found.drawn[..., -1].max(1)
    inside = (low <= found.real[:, -1]) & (found.real[:, -1] <= high)
    arrays |= {
        f"predicted_cost_{name}": np.asarray(a, dtype=float) for name, a in found._asdict().items()
    }
    return ModelEvaluation(share, float(inside.mean()) if len(inside) else 0.0, arrays)


def predicted_cost(
    model: PlanningModel,
    cost: Any,
    x: Array,
    u: Array,
    length: int,
    horizon: int,
    rng: np.random.Generator,
) -> PredictedCost:
    """Returns what an episode x (T+1, dx), u (T, du) of `length` steps cost from several steps on,
    and was predicted to cost.

    The real actions are taken; trajectories that diverge cost infinitely much.
    """
    T = len(u)
    horizon = min(horizon, length)
    starts = np.unique(np.linspace(0, length - horizon, STARTS).astype(int))
    real, drawn = [], []
    for t in starts:
        part, act = window(cost, int(t), horizon, T), u[t : t + horizon]
        with np.errstate(over="ignore", invalid="ignore"):
            X = model.roll(x[t], act[None], int(t), rng)[0]
            each = part(X, np.broadcast_to(act, (len(X), *act.shape)))
        real.append(np.cumsum(part(x[t : t + horizon + 1], act)))
        drawn.append(np.cumsum(np.where(np.isfinite(each), each, np.inf), -1))
    return PredictedCost(starts, np.array(real), np.array(drawn))


def traced(plans: list[Plan]) -> Array:
    """Returns the lowest and the mean cost in each iteration of the planner, (plans, iterations,
    2).

    A search that ended sooner is NaN from there on.
    """
    found = np.full((len(plans), max(len(plan.trace) for plan in plans), 2), np.nan)
    for row, plan in zip(found, plans, strict=True):
        row[: len(plan.trace)] = np.stack([plan.trace, plan.means], -1)
    return found


def in_ground_truth(task: Task, policy: MPC) -> MPC:
    """Returns the oracle: the same planner in the task's own physics, the bound of what any model
    lets it reach.

    Raises InputError for a task that does not tell its physical state.
    """
    return MPC(
        SimulatorModel(task),
        policy.planner,
        policy.cost,
        policy.horizon,
        steps=policy.steps,
        low=policy.low,
        high=policy.high,
        value=policy.value,
        replan_every=policy.replan_every,
    )


class Oracle(NamedTuple):
    """The mean cost of an episode of each condition, from the same starts."""

    learned: float  # of the policy
    true: float  # of its planner in the ground-truth dynamics


def plans_in_a_model(policy: Any) -> bool:
    """Returns whether it is MPC in a learned model."""
    return isinstance(policy, MPC) and isinstance(policy.model, LearnedModel)


def oracle(task: Task, policy: MPC, rng: np.random.Generator, most: int) -> Oracle:
    """Returns what the policy's episodes cost, and those of its planner in the ground truth.

    Raises InputError where that would take more than `most` steps of the physics, or the task does
    not tell its physical state.
    """
    seed, every = int(rng.integers(2**31)), np.arange(task.conditions)
    true = in_ground_truth(task, policy)
    x = task.reset(every[:1], np.random.default_rng(seed))
    true.plan(x[0], 0, np.zeros((0, policy.horizon, task.du)), np.random.default_rng(seed))
    needed = true.calls * -(-task.horizon // policy.replan_every) * task.conditions
    if needed > most:
        raise InputError(
            f"the planner in the true physics would take {needed} steps of it; expected at most {most}"
        )
    costs = [
        rollout(task, p, every, 1, np.random.default_rng(seed)).valid.costs.mean()
        for p in (policy, true)
    ]
    return Oracle(*map(float, costs))
