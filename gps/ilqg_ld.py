"""Trajectories planned in a learned global model, tried, and planned again: iLQG with learned
dynamics.

Mitrovic, Klanke and Vijayakumar, Adaptive Optimal Feedback Control with Learned Internal Dynamics
Models (2010); with a Gaussian process as the model, Pan and Theodorou, Probabilistic Differential
Dynamic Programming (2014). Each round

    try the controllers; fit the model to all transitions so far (the last `history` of them)
    U, K  <-  argmin of the cost under the model's mean, by iLQR within the action limits, from what
    the last
              controllers do in the new model, what those of its tangent at the start do, and from
              `guesses` random actions; the cheapest is kept
    u = U + K (x - X) is what is tried next, with noise

Where local models move by a KL step from the trials at hand, here the whole of what is known is
used at once: few trials are enough where one smooth function explains all of them. The plan trusts
the mean of the model: what it does not know it finds out by trying.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np

from agents.interfaces import Iteration, State, Task
from agents.planners.models import LearnedModel
from agents.policies.linear_gaussian import ControllerPolicy
from agents.rollout import Trajectories, metrics_of, rollout
from agents.tasks.capabilities import manifold_of
from dynamics import MODELS, ReplayBuffer
from dynamics.replay_buffer import CAPACITY
from dynamics.storage.tree import check_tree
from lqr import InputError, LinearGaussianController, LinearGaussianDynamics, backward, ilqr
from lqr.expansion import make_convex

from .steps import trajectory_step as lc
from .steps.settings import Rule, check, count, one_of, positive, whole

Array = np.ndarray


@dataclass(frozen=True)
class Config:
    """Settings of iLQG with learned dynamics."""

    iterations: int = 15  # rounds of trials
    samples: int = 1  # trials of each condition in each iteration
    model: str = "gp"  # global model: nn, ensemble, gp
    history: int = CAPACITY  # transitions that the model is fitted to, at most: the newest
    plan_iterations: int = 60  # of iLQR, in each round
    guesses: int = 1  # random action sequences that are improved besides the likely ones
    # exploration at the start, and of the guesses, as a share of half the action range
    initial_std: float = 0.3
    min_std: float = 0.05  # exploration from then on, same unit

    RULES: ClassVar[dict[str, Rule]] = {
        **{"iterations": count, "samples": count, "plan_iterations": count, "guesses": whole},
        **{"initial_std": positive, "min_std": positive, "history": count},
    }

    def __post_init__(self) -> None:
        check(self, **self.RULES, model=one_of(*MODELS))


class Plan(NamedTuple):
    """What is expected of the controllers; leading axis C."""

    controller: LinearGaussianController
    X: Array  # (C, T+1, dx)
    U: Array  # (C, T, du)
    cost: Array  # (C,)
    converged: Array  # (C,) bool


def train(
    task: Task, config: Config, rng: np.random.Generator, state: State | None = None
) -> Iterator[Iteration]:
    """Yields one Iteration per round of trials; `state` continues from an earlier Iteration's.

    Raises InputError for a task whose states lie on a manifold.
    """
    if manifold_of(task):
        raise InputError(
            f"{task.name} has states on a manifold; expected a plain vector: choose another method"
        )
    every, scale = np.arange(task.conditions), lc.action_scale(task)
    model: Any = MODELS[config.model]()
    world = LearnedModel.of(task, model)
    controller = lc.initial_controller(task, config.initial_std)
    buffer, episodes, steps, first = ReplayBuffer(config.history), 0, 0, 1
    if state:
        check_state(state, controller)
        controller = LinearGaussianController(**state["controller"])
        buffer.load_state(state["seen"])
        episodes, steps, first = state["episodes"], state["steps"], state["number"] + 1
        model.load_state(state["model"])
    for number in range(first, config.iterations + 1):
        trials = rollout(task, controller, every, config.samples, rng)
        buffer.add_and_fit(model, *trials.transitions, rng)
        episodes, steps = episodes + len(trials.length), steps + int(trials.length.sum())
        guesses = (
            config.initial_std
            * scale
            * rng.standard_normal((task.conditions, config.guesses, task.horizon, task.du))
        )
        x0 = starting_at(trials, task)
        likely = [imagine(task, world, c, x0)[:, None] for c in (controller, hold(task, model, x0))]
        starts = np.concatenate([*likely, guesses], 1)
        made = plan(task, world, x0, starts, config, scale)
        controller = made.controller
        scalars, arrays = report(task, made, trials, episodes, steps, rng)
        frozen = {
            "number": number,
            "controller": controller._asdict(),
            "episodes": episodes,
            "steps": steps,
        }
        frozen |= {"seen": buffer.state(), "model": model.state()}
        yield Iteration(number, ControllerPolicy(controller), scalars, arrays, frozen)


def check_state(state: State, controller: LinearGaussianController) -> None:
    """Raises CheckpointError where a state does not fit controllers of this shape."""
    form = {name: value.shape for name, value in controller._asdict().items()}
    counts = dict.fromkeys(("number", "episodes", "steps"), int)
    check_tree(state, {**counts, "controller": form, "seen": dict, "model": dict}, "state")


def plan(
    task: Task, world: LearnedModel, x0: Array, starts: Array, config: Config, scale: Array
) -> Plan:
    """Returns the best plan of each condition from x0 (C, dx), of those that iLQR makes of `starts`
    (C, S, T, du).
    """
    C, S, T = starts.shape[:3]

    found = ilqr(
        world.step,
        task.cost,
        np.repeat(x0[:, None], S, axis=1),
        np.clip(starts, task.action_low, task.action_high),
        low=task.action_low,
        high=task.action_high,
        jacobian=world.jacobian,
        vectorised="any",
        second_order=False,
        max_iterations=config.plan_iterations,
        tolerance=1e-5,
    )
    best = np.argmin(found.cost, axis=1)
    pick = np.arange(C), best
    cov = np.tile(np.diag((config.min_std * scale) ** 2), (C, T, 1, 1))
    controller = LinearGaussianController(found.controller.K[pick], found.controller.k[pick], cov)
    return Plan(controller, found.X[pick], found.U[pick], found.cost[pick], found.converged[pick])


def hold(task: Task, model: Any, x0: Array) -> LinearGaussianController:
    """Returns what would be optimal if the world were the model's tangent at the starts x0 (C, dx)
    everywhere.
    """
    C, T, du = len(x0), task.horizon, task.du
    still = np.clip(np.zeros((C, du)), task.action_low, task.action_high)
    mean, jacobian, noise = model.linearise(x0, still)
    f = mean - (jacobian @ np.concatenate([x0, still], 1)[..., None])[..., 0]
    F, f, noise = (np.repeat(a[:, None], T, axis=1) for a in (jacobian, f, noise))
    X, U = np.repeat(x0[:, None], T + 1, axis=1), np.repeat(still[:, None], T, axis=1)
    cost = make_convex(task.cost.expand(X, U), floor=1e-6, around=(X, U))
    return backward(LinearGaussianDynamics(F, f, noise), cost)[0]


def imagine(
    task: Task, world: LearnedModel, controller: LinearGaussianController, x0: Array
) -> Array:
    """Returns the actions (C, T, du) that the controllers take, without noise, in the model's world
    from x0 (C, dx).
    """
    x, U = x0, np.empty(controller.k.shape)
    for t in range(task.horizon):
        mean = (controller.K[:, t] @ x[..., None])[..., 0] + controller.k[:, t]
        U[:, t] = np.clip(mean, task.action_low, task.action_high)
        x = world.step(x, U[:, t])
    return U


def starting_at(trials: Trajectories, task: Task) -> Array:
    """Returns the mean start of each condition, (C, dx)."""
    return trials.x[:, 0].reshape(task.conditions, -1, trials.x.shape[-1]).mean(1)


def report(
    task: Task,
    made: Plan,
    trials: Trajectories,
    episodes: int,
    steps: int,
    rng: np.random.Generator,
) -> tuple[dict[str, float], dict[str, Array]]:
    """Returns the metrics row and the arrays for figures, after noise-free trials of the
    controllers to try next.
    """
    test = rollout(task, made.controller, np.arange(task.conditions), 1, rng, noise=0.0)
    ended = test.valid
    scalars = {
        "rollouts": float(episodes),
        "env_steps": float(steps),
        "cost": float(ended.costs.mean()),
        **{name: float(value.mean()) for name, value in metrics_of(task, ended).items()},
        "sampled_cost": float(trials.valid.costs.mean()),
        "planned_cost": float(made.cost.mean()),
        "model_error": float(np.abs(test.x - made.X).mean()),
        "unsolved": float((~made.converged).sum()),
        "diverged": float(trials.failed.sum() + test.failed.sum()),
    }
    mean = np.concatenate([made.X, np.pad(made.U, ((0, 0), (0, 1), (0, 0)))], -1)
    spread = np.zeros((*mean.shape, mean.shape[-1]))
    x = trials.x.reshape(task.conditions, -1, *trials.x.shape[1:])
    return scalars, {"cost": test.costs, "x": x, "mean": mean, "cov": spread}
