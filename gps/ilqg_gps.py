"""Plans in a learned global model teach a global policy: guided policy search whose teachers need no
episodes of their own.

The teachers are those of iLQG with learned dynamics (Mitrovic, Klanke and Vijayakumar 2010; with a
Gaussian process, Pan and Theodorou 2014). Trajectory optimisation that starts from the policy's
actions, and teaches the policy, is guided policy search (Levine and Koltun, Guided Policy Search,
2013; Mordatch and Todorov, Combining the Benefits of Function Approximation and Trajectory
Optimization, 2014). Each round

    episodes of the policy, with noise; fit the model to all transitions so far
    from many imagined starts: U, K  <-  argmin of the cost under the model's mean, by iLQR within
                               the action limits, from the policy's actions there, from the last
                               plan and from random actions
    follow u = U + K (x - X), with noise, in the model; its actions in the states met there are the
                               policy's imitation targets
    execute some of the plans as well, where the policy alone would not soon meet the model's errors

Local models need episodes in every situation that is to teach. Here one model is shared by all of
them: a few episodes anywhere are enough for any number of teachers.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, NamedTuple

import numpy as np

from agents.imagine import imagine
from agents.interfaces import Iteration, State, Task
from agents.learners.learned_reward import LearnedReward, by_reward
from agents.planners.models import LearnedModel
from agents.policies import make_policy
from agents.rollout import Trajectories, run_rows
from agents.saving import build_policy, state_of
from agents.settings import (
    Count,
    Counts,
    EvaluationSettings,
    NotNegative,
    Positive,
    Whole,
    word_of,
)
from agents.tasks.action_limits import bounded, resting
from agents.tasks.capabilities import ObservationOf, capability, manifold_of
from agents.training import Training
from dynamics import MODELS, Ensemble, Network, ReplayBuffer
from dynamics.capabilities import attached
from dynamics.replay_buffer import CAPACITY
from dynamics.storage.tree import check_tree
from lqr import CheckpointError, InputError

from .steps.distillation import Targets, fit_student
from .steps.exploration import action_scale
from .steps.planned_trajectories import PlannedTrajectories, guesses, near, noise, plan

ACTOR = "policy"  # whose the column cost is

Array = np.ndarray


@dataclass(frozen=True)
class Config(EvaluationSettings):
    """Settings of plans that teach a policy."""

    iterations: Count = 8  # rounds of episodes and updates
    episodes: Count = 2  # episodes of each round, in conditions drawn at random
    # exploration in the first round, and random plans, as a share of half the action range
    initial_std: Positive = 0.3
    min_std: Positive = 0.1  # exploration from then on, same unit
    # steps over which the noise of the first round and of random plans is smoothed; 0: white
    smoothing: NotNegative = 0.0
    episode_smoothing: NotNegative = 0.0  # the same of the noise of later rounds
    # actions at their limits only, drawn at random with the mean that is asked for
    dither: bool = False
    model: Annotated[str, word_of(MODELS)] = "gp"  # global model: nn, ensemble, gp, graph
    members: Count = 5  # networks of an ensemble
    model_hidden: Counts = (64, 64)  # units of the hidden layers of nn, ensemble
    # minibatch steps of each of their regressions, twice as many on a fresh start
    fit_steps: Count = 1000
    history: Count = CAPACITY  # transitions that the model is fitted to, at most: the newest
    # plans of each round that are executed, so that the model learns where they go: whole ones
    executed_plans: Whole = 0
    executed_feedback: NotNegative = 0.3  # share of their feedback gains when they are executed
    # their noise, as a share of half the action range, smoothed as in the episodes of later rounds
    executed_std: NotNegative = 0.05
    plan_starts: Count = 48  # imagined starts of the task, the same in each round
    # further starts in each round, at states of episodes: for tasks whose cost does not change with time
    extra_starts: Whole = 0
    plan_length: Whole = 0  # steps that are planned; 0: the whole episode
    # last steps of a plan that do not teach, where a plan ends before the episode does
    plan_tail: Whole = 0
    plan_iterations: Count = 15  # of iLQR, from each guess
    # besides the policy's actions: the last plan of this start, then random sequences
    guesses: Count = 1
    # by which share of its cost's variation another plan must cost less than the one from the
    # policy's actions
    warm_start_bias: NotNegative = 0.05
    noisy_copies: Whole = 3  # noisy copies of each plan in the model, whose states teach as well
    noisy_copies_std: NotNegative = 0.1  # their noise, as a share of half the action range
    replay: Count = 1  # rounds whose plans teach
    hidden: Counts = (64, 64)  # units of the policy's hidden layers
    policy_steps: Count = 2000  # minibatch steps of each regression
    policy_rate: Positive = 3e-3  # Adam's learning rate at the start of each regression


class Teaching(NamedTuple):
    """What the plans of the last rounds leave to the next."""

    where: Array  # (plan_starts,) int, conditions of the starts
    starts: Array  # (plan_starts, dx)
    last: Array | None  # (plan_starts, T, du), the last plans from there
    targets: list[tuple[Array, Array]]  # observations (M, do), actions (M, du) of the last rounds


def train(
    task: Task, config: Config, rng: np.random.Generator, state: State | None = None
) -> Iterator[Iteration]:
    """Yields one Iteration per round of episodes; `state` continues from an earlier Iteration's.

    Raises InputError for a task that cannot be planned in (see `check_task`); NumericalError where
    the model diverges whatever is done.
    """
    check_task(task, config)
    model, buffer = attached(make_model(config), task), ReplayBuffer(config.history)
    planning_model = LearnedModel.of(task, model)
    reward = LearnedReward.of(task, config.model_hidden, config.fit_steps, config.history)
    planned = by_reward(task, reward)
    parts = {"model": model, "buffer": buffer, "reward": reward}
    training = Training(task, config.iterations, state, config.evaluate_every, **parts)
    policy, teaching = restore(state, task, config) if state else begin(task, config, rng)
    for number in training.iterations():
        actor = policy if number > 1 else None
        episodes = [training.count(exploration_episodes(task, actor, config, rng))]
        buffer.add_and_fit(model, *episodes[0].transitions, rng)
        if reward:
            reward.fit(episodes[0], rng)
        visited = buffer.transitions[0]
        extra = visited[rng.integers(len(visited), size=config.extra_starts)]
        x0 = np.concatenate([teaching.starts, extra])
        sequences = random_sequences(task, len(x0), config, rng)
        U = guesses(planned, planning_model, policy, x0, sequences, teaching.last)
        plans = plan(planned, planning_model, x0, U, config.plan_iterations, config.warm_start_bias)
        if config.executed_plans:
            episodes.append(training.count(execute(task, plans, teaching.where, config, rng)))
            buffer.add(*episodes[1].transitions, model=model)
            if reward:
                reward.add(episodes[1])
        new = imitation_targets(task, planning_model, plans, visited, config, rng)
        targets = [*teaching.targets, new][-config.replay :]
        teaching = teaching._replace(last=plans.U[: config.plan_starts], targets=targets)
        loss = fit_policy(task, policy, teaching, config, rng)

        scalars, arrays = report(training, policy, plans, episodes, rng)
        scalars |= {"policy_loss": loss}
        saved = saved_state(policy, teaching)
        yield training.iteration(build_policy(saved["policy"], "state"), scalars, arrays, saved)


def begin(task: Task, config: Config, rng: np.random.Generator) -> tuple[Any, Teaching]:
    """Returns a new policy, and starts that are drawn from the task's."""
    std = config.initial_std * action_scale(task)
    policy = make_policy("mlp", task, config.hidden, std, rng)
    where = rng.integers(task.conditions, size=config.plan_starts)
    return policy, Teaching(where, np.array(task.reset(where, rng), float), None, [])


def saved_state(policy: Any, teaching: Teaching) -> dict[str, Any]:
    """Returns, as a tree, what `restore` needs."""
    targets = {f"{i:03d}": {"o": o, "u": u} for i, (o, u) in enumerate(teaching.targets)}
    return {
        "policy": state_of(policy),
        "where": teaching.where.astype(float),
        "starts": teaching.starts,
        "last": teaching.last,
        "targets": targets,
    }


def restore(state: State, task: Task, config: Config) -> tuple[Any, Teaching]:
    """Returns the policy of a state, and what its plans leave. Raises CheckpointError where they do
    not fit the task and the settings.
    """
    names = [f"{i:03d}" for i in range(min(state["number"], config.replay))]
    length = config.plan_length or task.horizon
    form = {
        "policy": dict,
        "where": (config.plan_starts,),
        "starts": (config.plan_starts, task.dx),
        "last": (config.plan_starts, length, task.du),
        "targets": {name: {"o": (name, task.do), "u": (name, task.du)} for name in names},
    }
    check_tree({key: state.get(key) for key in form}, form, "state")
    if not np.isin(state["where"], np.arange(task.conditions)).all():
        raise CheckpointError(
            f"state/where: got {state['where']}; expected conditions 0 to {task.conditions - 1}"
        )
    targets = [(one["o"], one["u"]) for _, one in sorted(state["targets"].items())]
    teaching = Teaching(state["where"].astype(int), state["starts"], state["last"], targets)
    return build_policy(state["policy"], "state"), teaching


def make_model(config: Config) -> Any:
    """Returns a new global model."""
    if config.model == "ensemble":
        return Ensemble(config.members, hidden=config.model_hidden, steps=config.fit_steps)
    if config.model == "nn":
        return Network(hidden=config.model_hidden, steps=config.fit_steps)
    return MODELS[config.model]()


def check_task(task: Any, config: Config) -> None:
    """Raises InputError for a task whose states lie on a manifold, that does not tell what a policy
    sees in a state, whose actions have no limits to dither between, or whose episodes are too short
    for the plans.
    """
    if manifold_of(task) or capability(task, ObservationOf) is None:
        raise InputError(
            f"{task.name} has states on a manifold or no `observation_of`; expected vectors x, and "
            "observation_of(x), what is seen there"
        )
    if config.dither and not bounded(task.action_low, task.action_high).all():
        raise InputError(
            f"{task.name} has actions without limits; expected dither False, or finite limits to take"
        )
    length, count = config.plan_length or task.horizon, config.executed_plans
    if count and (count > config.plan_starts or length < task.horizon):
        raise InputError(
            f"got executed_plans {count} of {config.plan_starts} plans of {length} steps; expected at most all of "
            f"them, and plans of whole episodes, {task.horizon} steps"
        )
    if not config.plan_tail < length <= task.horizon:
        raise InputError(
            f"got plans of {length} steps with plan_tail {config.plan_tail}; expected fewer, and at most {task.horizon}"
        )


def exploration_episodes(
    task: Task, policy: Any, config: Config, rng: np.random.Generator
) -> Trajectories:
    """Returns episodes of the policy with noise, or of noise alone where there is none yet."""
    where, scale = rng.integers(task.conditions, size=config.episodes), action_scale(task)
    std, smoothing = config.min_std, config.episode_smoothing
    if not policy:
        std, smoothing = config.initial_std, config.smoothing
    draws = noise((len(where), task.horizon, task.du), std * scale, smoothing, rng)
    rest = resting(task.action_low, task.action_high)

    def act(x: Array, o: Array, t: int, rows: slice) -> Array:
        u = draws[rows, t] + (policy.mean(o) if policy else rest)
        if not config.dither:
            return u
        share = (u - task.action_low) / (task.action_high - task.action_low)
        return np.where(rng.random(u.shape) < share, task.action_high, task.action_low)

    return run_rows(task, act, where, rng)


def random_sequences(task: Task, starts: int, config: Config, rng: np.random.Generator) -> Array:
    """Returns random actions to plan from, (starts, 1 + guesses, T, du), one sequence for each plan
    of a start.
    """
    size = starts, 1 + config.guesses, config.plan_length or task.horizon, task.du
    std = config.initial_std * action_scale(task)
    draws = noise((size[0] * size[1], *size[2:]), std, config.smoothing, rng).reshape(size)
    return resting(task.action_low, task.action_high) + draws


def execute(
    task: Task, plans: PlannedTrajectories, where: Array, config: Config, rng: np.random.Generator
) -> Trajectories:
    """Returns episodes of some of the plans from the task's own starts, in the conditions `where`
    (plan_starts,).
    """
    some = rng.choice(len(where), config.executed_plans, replace=False)
    (K, k, _), U = (a[some] for a in plans.controller), plans.U[some]
    std = config.executed_std * action_scale(task)
    draws = noise(U.shape, std, config.episode_smoothing, rng)

    def act(x: Array, o: Array, t: int, rows: slice) -> Array:
        U_t, planned = U[rows, t], np.einsum("cij,cj->ci", K[rows, t], x) + k[rows, t]
        return U_t + config.executed_feedback * (planned - U_t) + draws[rows, t]

    return run_rows(task, act, where[some], rng)


def imitation_targets(
    task: Any,
    planning_model: LearnedModel,
    plans: PlannedTrajectories,
    visited: Array,
    config: Config,
    rng: np.random.Generator,
) -> tuple[Array, Array]:
    """Returns observations (M, do) of states in the plans and around them, and the plans' actions
    there, (M, du).

    The states of a noisy copy that has diverged, far from all states visited (K, dx) and planned,
    are left out.
    """
    controller, std = plans.controller, config.noisy_copies_std * action_scale(task)
    low, high, taught = task.action_low, task.action_high, list[Array]()

    def act(x: Array, o: Array, t: int) -> Array:
        u = np.einsum("cij,csj->csi", controller.K[:, t], x) + controller.k[:, None, t]
        taught.append(np.clip(u, low, high))
        draws = std * rng.standard_normal(u.shape)
        draws[:, 0] = 0.0
        return taught[-1] + draws

    x0 = np.repeat(plans.X[:, :1, :], 1 + config.noisy_copies, axis=1)  # (C, S, dx)
    steps = plans.U.shape[1] - config.plan_tail
    found = imagine(planning_model.step, act, x0, steps, low, high)
    x, u = np.moveaxis(found.x[..., :-1, :], -2, 0), np.stack(taught)  # step by step
    valid = near(x, np.concatenate([visited, plans.X.reshape(-1, x.shape[-1])]))
    return task.observation_of(x[valid]), u[valid]


def fit_policy(
    task: Task, policy: Any, teaching: Teaching, config: Config, rng: np.random.Generator
) -> float:
    """Trains the policy on the targets of the last rounds, and sets its noise; returns the loss."""
    o, u = (np.concatenate(part) for part in zip(*teaching.targets, strict=True))
    scale = action_scale(task)
    targets = Targets(u, np.diag(scale**-2.0))
    steps, rate = config.policy_steps, config.policy_rate
    loss = fit_student(policy, targets, o, rng, steps=steps, rate=rate)
    policy.cov = np.diag((config.min_std * scale) ** 2)
    return loss


def report(
    training: Training,
    policy: Any,
    plans: PlannedTrajectories,
    episodes: list[Trajectories],
    rng: np.random.Generator,
) -> tuple[dict[str, float], dict[str, Array]]:
    """Returns the metrics row and the arrays for figures, after noise-free episodes of the policy.

    `episodes` are those of the round, first the policy's.
    """
    test = training.evaluate(policy, rng)
    scalars = training.row(
        test,
        sampled_cost=episodes[0].valid.costs.mean(),
        planned_cost=plans.cost.mean(),
        diverged=sum(some.failed.sum() for some in (*episodes, test)),
    )
    return scalars, {"cost": test.costs, "x": test.states[:, None]}
