"""Trajectories planned in a learned global model, executed, and planned again: iLQG with learned
dynamics.

Mitrovic, Klanke and Vijayakumar, Adaptive Optimal Feedback Control with Learned Internal Dynamics
Models (2010); with a Gaussian process as the model, Pan and Theodorou, Probabilistic Differential
Dynamic Programming (2014). Each round

    episodes of the controllers; fit the model to all transitions so far (the last `history` of them)
    U, K  <-  argmin of the cost under the model's mean, by iLQR within the action limits, from the
              actions of the last controllers in the new model, those of the optimum for its tangent
              at the start, and `guesses` random sequences; the plan of lowest cost is kept
    the next controllers are u = U + K (x - X), with noise

Local models move by a KL step from the latest episodes; here all data are used at once. Few
episodes are enough where one smooth function explains all of them. The plan trusts the mean of the
model; its errors are found by executing the plan.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np

from agents.imagine import controllers, imagine
from agents.interfaces import Iteration, State, Task
from agents.learners.learned_reward import LearnedReward, by_reward
from agents.planners.models import LearnedModel
from agents.policies.linear_gaussian import ControllerPolicy
from agents.rollout import Trajectories, rollout
from agents.settings import Count, EvaluationSettings, Positive, Whole, word_of
from agents.tasks.action_limits import resting
from agents.tasks.capabilities import manifold_of
from agents.training import Training
from dynamics import MODELS, ReplayBuffer
from dynamics.asking import linearise as ask
from dynamics.capabilities import attached
from dynamics.replay_buffer import CAPACITY
from dynamics.storage.tree import check_tree
from lqr import InputError, LinearGaussianController, LinearGaussianDynamics, backward, ilqr
from lqr.cost_terms import careful
from lqr.expansion import make_convex

from .steps.exploration import action_scale
from .steps.initial_controllers import zero_controllers
from .steps.local_policies import states_by_condition
from .steps.planned_trajectories import PlannedTrajectories

ACTOR = "controllers"  # whose the column cost is

Array = np.ndarray


@dataclass(frozen=True)
class Config(EvaluationSettings):
    """Settings of iLQG with learned dynamics."""

    iterations: Count = 15  # rounds of episodes and updates
    samples: Count = 1  # episodes of each condition in each iteration
    model: Annotated[str, word_of(MODELS)] = "gp"  # global model: nn, ensemble, gp, graph
    history: Count = CAPACITY  # transitions that the model is fitted to, at most: the newest
    plan_iterations: Count = 60  # of iLQR, in each round
    guesses: Whole = 1  # random action sequences that iLQR starts from besides the likely ones
    # exploration at the start, and of the guesses, as a share of half the action range
    initial_std: Positive = 0.3
    min_std: Positive = 0.05  # exploration from then on, same unit


def train(
    task: Task, config: Config, rng: np.random.Generator, state: State | None = None
) -> Iterator[Iteration]:
    """Yields one Iteration per round of episodes; `state` continues from an earlier Iteration's.

    Raises InputError for a task whose states lie on a manifold.
    """
    check_task(task)
    every = np.arange(task.conditions)
    model: Any = attached(MODELS[config.model](), task)
    planning_model, buffer = LearnedModel.of(task, model), ReplayBuffer(config.history)
    reward = LearnedReward.of(task)
    parts = {"model": model, "buffer": buffer, "reward": reward}
    training = Training(task, config.iterations, state, config.evaluate_every, **parts)
    controller = first_controllers(task, config, state)
    for _ in training.iterations():
        episodes = training.count(rollout(task, controller, every, config.samples, rng))
        buffer.add_and_fit(model, *episodes.transitions, rng)
        if reward:
            reward.fit(episodes, rng)
        x0 = states_by_condition(episodes.x, task)[:, :, 0].mean(1)
        sequences = random_sequences(task, config, rng)
        last = imagined_actions(task, planning_model, controller, x0)
        tangent = imagined_actions(
            task, planning_model, tangent_controllers(by_reward(task, reward), model, x0), x0
        )
        guesses = np.concatenate([last[:, None], tangent[:, None], sequences], 1)
        planned = plan(by_reward(task, reward), planning_model, x0, guesses, config)
        controller = planned.controller

        scalars, arrays = report(training, planned, episodes, rng)
        policy, rest = ControllerPolicy(controller), {"controller": controller._asdict()}
        yield training.iteration(policy, scalars, arrays, rest)


def check_task(task: Task) -> None:
    """Raises InputError for a task whose states lie on a manifold."""
    if manifold_of(task):
        raise InputError(
            f"{task.name} has states on a manifold; expected a plain vector: choose another method"
        )


def first_controllers(task: Task, config: Config, state: State | None) -> LinearGaussianController:
    """Returns controllers that do nothing but explore, or those of a state. Raises CheckpointError
    where these do not fit the task.
    """
    controller = zero_controllers(task, config.initial_std)
    if not state:
        return controller
    form = {name: value.shape for name, value in controller._asdict().items()}
    check_tree({"controller": state.get("controller")}, {"controller": form}, "state")
    return LinearGaussianController(**state["controller"])


def random_sequences(task: Task, config: Config, rng: np.random.Generator) -> Array:
    """Returns random actions, (C, guesses, T, du)."""
    shape = task.conditions, config.guesses, task.horizon, task.du
    draws = config.initial_std * action_scale(task) * rng.standard_normal(shape)
    return resting(task.action_low, task.action_high) + draws


def plan(
    task: Task, planning_model: LearnedModel, x0: Array, guesses: Array, config: Config
) -> PlannedTrajectories:
    """Returns the best plan of each condition from x0 (C, dx), of those that iLQR finds from the
    guesses (C, S, T, du), with the noise of `min_std`.
    """
    C, S, T = guesses.shape[:3]
    found = ilqr(
        planning_model.step,
        task.cost,
        np.repeat(x0[:, None], S, axis=1),
        np.clip(guesses, task.action_low, task.action_high),
        low=task.action_low,
        high=task.action_high,
        jacobian=planning_model.jacobian,
        vectorised="any",
        second_order=False,
        max_iterations=config.plan_iterations,
        tolerance=1e-5,
    )
    pick = np.arange(C), np.argmin(found.cost, axis=1)
    cov = np.tile(np.diag((config.min_std * action_scale(task)) ** 2), (C, T, 1, 1))
    return PlannedTrajectories(
        controller=LinearGaussianController(
            found.controller.K[pick], found.controller.k[pick], cov
        ),
        X=found.X[pick],
        U=found.U[pick],
        cost=found.cost[pick],
        converged=found.converged[pick],
    )


def tangent_controllers(task: Task, model: Any, x0: Array) -> LinearGaussianController:
    """Returns the optimum for dynamics that are everywhere the model's tangent at the starts x0 (C,
    dx).
    """
    C, T = len(x0), task.horizon
    still = np.tile(resting(task.action_low, task.action_high), (C, 1))
    mean, jacobian, noise = ask(model, x0, still)
    f = mean - (jacobian @ np.concatenate([x0, still], 1)[..., None])[..., 0]
    F, f, noise = (np.repeat(a[:, None], T, axis=1) for a in (jacobian, f, noise))
    X, U = np.repeat(x0[:, None], T + 1, axis=1), np.repeat(still[:, None], T, axis=1)
    cost = careful(task.cost).expand(X, U)
    floor = 1e-6 * float(np.abs(cost.C).max())  # whatever the unit of the cost
    cost = make_convex(cost, floor=floor, around=(X, U))
    return backward(LinearGaussianDynamics(F, f, noise), cost)[0]


def imagined_actions(
    task: Task, planning_model: LearnedModel, controller: LinearGaussianController, x0: Array
) -> Array:
    """Returns the actions (C, T, du) that the controllers take, without noise, in the model from x0
    (C, dx).
    """
    act = controllers(controller)
    return imagine(planning_model.step, act, x0, task.horizon, task.action_low, task.action_high).u


def report(
    training: Training,
    planned: PlannedTrajectories,
    episodes: Trajectories,
    rng: np.random.Generator,
) -> tuple[dict[str, float], dict[str, Array]]:
    """Returns the metrics row and the arrays for figures, after noise-free episodes of the
    controllers to try next.
    """
    test = training.evaluate(planned.controller, rng)
    gap = np.abs(test.states - planned.X)
    gap = gap[~np.isnan(gap)]  # of the steps that were taken
    scalars = training.row(
        test,
        sampled_cost=episodes.valid.costs.mean(),
        planned_cost=planned.cost.mean(),
        model_error=gap.mean() if len(gap) else np.nan,
        unsolved=(~planned.converged).sum(),
        diverged=episodes.failed.sum() + test.failed.sum(),
    )
    mean = np.concatenate([planned.X, np.pad(planned.U, ((0, 0), (0, 1), (0, 0)))], -1)
    spread = np.zeros((*mean.shape, mean.shape[-1]))
    x = states_by_condition(episodes.states, training.task)
    past = np.isnan(x).all((1, 3))[..., None]  # (C, T+1, 1), no episode got there
    mean, spread = np.where(past, np.nan, mean), np.where(past[..., None], np.nan, spread)
    return scalars, {"cost": test.costs, "x": x, "mean": mean, "cov": spread}
