"""What the planning methods share: episodes of MPC, from which a model learns, which MPC plans in.

    act (random actions at first); fit the model to all transitions so far (the newest `capacity`);
    again

A method's page names its model, its planner and its numbers. Nothing here knows which methods there
are. With the model "simulator" no dynamics are learned: that is the oracle. MPC plans from states x,
by the task's cost or, where it has none, by a reward that is learned along with the model.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np

from dynamics import MODELS, PROPAGATIONS, Ensemble, GaussianProcess, Network
from dynamics.capabilities import attached
from dynamics.graphs.network import GraphNetwork
from dynamics.propagation import MEMBERS
from dynamics.replay_buffer import CAPACITY
from lqr import InputError

from ...interfaces import Array, Iteration, State, Task
from ...learners.learned_reward import LearnedReward
from ...planners import CEM, PlannerSetting
from ...planners.models import LearnedModel, PlanningModel, SimulatorModel
from ...rollout import Trajectories, run
from ...rollout.in_turn import in_turn
from ...settings import Count, Counts, Indices, NotNegative, Settings, Whole, word_of
from ...tasks.action_limits import bounded
from ...tasks.capabilities import manifold_of, runs_serially
from ...training import Training
from . import model_evaluation
from .online_model import OnlineModel
from .policy import MPC
from .saving import TaskMPC


def known_model(word: str) -> str | None:
    """The task's own simulator, or a model of the table."""
    return word_of(("simulator", *MODELS))(word)


@dataclass(frozen=True)
class MPCSettings(Settings):
    """Settings of every planning method."""

    iterations: Count = 10  # rounds of episodes
    samples: Count = 1  # episodes of each condition in each round
    planner: PlannerSetting = CEM(samples=100, elites=10, iterations=3)  # of action sequences
    horizon: Count = 25  # steps planned ahead; at most an episode's
    warm_up: Whole = 1  # rounds of random actions at the start; with 0, until the model is fitted for the first time
    action_repeat: Count = 1  # steps that a random action is held
    # steps of an episode between fits of the model; 0: it is fitted at the end alone
    fit_every: Whole = 0
    # to plan in: nn, ensemble, gp, graph, or simulator, the task's own
    model: Annotated[str, known_model] = "ensemble"
    # of the model's uncertainty: mean, sample, ts1, tsinf, moment; what needs members is mean in
    # another model
    propagation: Annotated[str, word_of(PROPAGATIONS)] = "mean"
    particles: Count = 1  # trajectories of each action sequence; with mean, one
    hidden: Counts = (64, 64)  # units of a network's hidden layers
    # networks of an ensemble; with ts1, tsinf, moment, particles are a multiple of them
    members: Count = 5
    capacity: Count = CAPACITY  # transitions that the model is fitted to, at most: the newest
    fit_steps: Count = 1000  # minibatch steps of each regression, twice as many on a fresh start
    unroll: Count = 1  # steps that the loss of a network looks ahead, open loop
    # leave gross outliers out of a network's fit, such as impacts; not what an object is pushed by
    reject_outliers: bool = True
    # coordinates of x whose rare jumps are no outliers, such as the place of what is pushed
    rare: Indices = ()
    # deviations over particles that are taken off a sequence's mean cost, at first
    optimism: NotNegative = 0.0
    optimistic_iterations: Whole = 25  # rounds of optimism, if any; then the model is trusted
    # what plans are evaluated by: the task's own cost, where it has one, or what steps paid and where
    # episodes ended, learned along with the model
    reward: Literal["task", "learned"] = "task"

    def __post_init__(self) -> None:
        """Raises InputError for a value that does not fit its field, and for optimism without
        use.
        """
        super().__post_init__()
        if not self.optimism or self.model == "simulator":
            return
        if getattr(self.planner, "follows_mean", False):
            kind = type(self.planner).__name__
            raise InputError(f"optimism is {self.optimism:g}; expected 0: {kind} follows the mean")
        if particles_of(self)[1] == 1:
            raise InputError(
                f"optimism is {self.optimism:g} with one particle; expected 0, or several particles"
            )


def particles_of(config: MPCSettings) -> tuple[str, int]:
    """Returns how uncertainty is propagated in the model of these settings, and by how many
    particles.

    Members are an ensemble's alone; the mean is one trajectory.
    """
    members = config.propagation in MEMBERS and config.model != "ensemble"
    if members or config.propagation == "mean":
        return "mean", 1
    return config.propagation, config.particles


def train_mpc(
    task: Task,
    config: MPCSettings,
    rng: np.random.Generator,
    state: State | None,
    replan_every: int = 1,
) -> Iterator[Iteration]:
    """Yields one Iteration per round of episodes of MPC with the config's planner.

    All hold the one policy whose model goes on learning: keep its `state()` to keep it as it is.
    Raises InputError for a task whose states lie on a manifold, or whose actions have no limits.
    """
    refuse(task, config)
    learns = config.model != "simulator"
    dynamics: Any = attached(make_model(config), task) if learns else None
    online = OnlineModel(dynamics, config.fit_every, rng, config.capacity) if learns else None
    reward = make_reward(task, config)
    policy = controller(task, config, dynamics, reward, replan_every)
    training = Training(task, config.iterations, state, reward=reward)
    best = np.inf if state is None else float(state["best"])
    if state and online:
        online.load_state(state)
    for number in training.iterations():
        policy.calls = policy.acts = 0
        acts = number > config.warm_up or not (online or reward)
        optimistic = learns and number <= config.optimistic_iterations
        before = model_evaluation.snapshot(policy.model)
        policy.optimism = config.optimism if optimistic else 0.0
        found = run_episodes(
            task,
            policy if acts else None,
            config.samples,
            rng,
            config.action_repeat,
            online if acts else None,
        )
        policy.optimism = 0.0  # who is given the policy does not want to explore
        evaluation = model_evaluation.evaluate(  # draws from a generator of its own
            before, policy, task, found, np.random.default_rng(number)
        )
        error = online.finish(found) if online else 0.0
        if reward:
            reward.fit(found, rng)
        best = min(best, float(found.valid.costs.min()))
        scalars = training.row(
            training.count(found, explored=False),
            best_cost=best,
            model_calls=policy.calls / max(policy.acts, 1),  # predictions per environment step
            model_error=error,
            open_loop_error=evaluation.open_loop_error,
            coverage=evaluation.coverage,
            diverged=found.failed.sum(),
        )
        arrays = {**by_condition(task, found), **evaluation.arrays}
        saved = {"best": best, **(online.state() if online else {})}
        yield training.iteration(policy, scalars, arrays, saved)


def by_condition(task: Task, found: Trajectories) -> dict[str, Array]:
    """Returns the mean cost of each condition, (C,), and its episodes' states, (C, N, T+1, dx), NaN past
    their ends."""
    cost = found.costs.reshape(task.conditions, -1).mean(1)
    return {"cost": cost, "x": found.states.reshape(task.conditions, -1, *found.x.shape[1:])}


def refuse(task: Task, config: MPCSettings) -> None:
    """Raises InputError for a task that cannot be planned in, or not with these settings."""
    if config.fit_every and runs_serially(task) and config.samples * task.conditions > 1:
        raise InputError(
            f"fit_every is {config.fit_every}; expected 0 where {task.name} runs several episodes one "
            "after the other in each iteration"
        )
    if manifold_of(task):
        raise InputError(
            f"{task.name} has states on a manifold; expected a plain vector: choose another method"
        )
    if not bounded(task.action_low, task.action_high).all():
        raise InputError(
            f"{task.name} has actions without limits; expected finite action_low and action_high, "
            "which action sequences are drawn between"
        )


def run_episodes(
    task: Task,
    policy: MPC | None,
    samples: int,
    rng: np.random.Generator,
    action_repeat: int = 1,
    online: OnlineModel | None = None,
) -> Trajectories:
    """Returns `samples` episodes of each condition, of the policy or of uniformly random actions,
    each repeated a while.

    An `online` model watches, and until it and the policy's reward know something actions are
    random.
    """
    where = np.repeat(np.arange(task.conditions), samples)
    paid = policy is None or not isinstance(policy.cost, LearnedReward) or policy.cost.ready
    held: Array = np.zeros(0)

    def draw(x: Array, o: Array, t: int, rng: np.random.Generator) -> Array:
        nonlocal held
        if policy and paid and (online is None or online.ready):
            return policy.sample(x, t, rng)
        if t % action_repeat == 0:
            held = rng.uniform(task.action_low, task.action_high, (len(x), task.du))
        return held

    watch = online.watch if online else None
    if runs_serially(task):
        return run(task, in_turn(draw, rng, len(where)), where, rng, watch)
    return run(task, lambda x, o, t: draw(x, o, t, rng), where, rng, watch)


def make_model(config: MPCSettings) -> Any:
    """Returns a new dynamics model of the settings' word."""
    if config.model == "ensemble":
        return Ensemble(
            config.members,
            hidden=config.hidden,
            steps=config.fit_steps,
            unroll=config.unroll,
            reject_outliers=config.reject_outliers,
            rare=config.rare,
        )
    if config.model == "nn":
        return Network(
            hidden=config.hidden,
            steps=config.fit_steps,
            unroll=config.unroll,
            reject_outliers=config.reject_outliers,
            rare=config.rare,
        )
    if config.model == "gp":
        return GaussianProcess(reject_outliers=config.reject_outliers, rare=config.rare)
    if config.model == "graph":
        return GraphNetwork(
            hidden=config.hidden,
            steps=config.fit_steps,
            unroll=config.unroll,
            reject_outliers=config.reject_outliers,
            rare=config.rare,
        )
    return MODELS[config.model]()


def make_reward(task: Task, config: MPCSettings) -> LearnedReward | None:
    """Returns a new model of what the task pays, a network of the settings' sizes; None where the
    task has a cost, and that is to be known.
    """
    sizes = config.hidden, config.fit_steps, config.capacity
    return LearnedReward(*sizes) if config.reward == "learned" else LearnedReward.of(task, *sizes)


def controller(
    task: Task,
    config: MPCSettings,
    dynamics: Any,
    reward: LearnedReward | None = None,
    replan_every: int = 1,
) -> TaskMPC:
    """Returns MPC with the config's planner in a learned model, or in the task's own physics; by
    the learned `reward` where the task has no cost.
    """
    model: PlanningModel
    if config.model == "simulator":
        model = SimulatorModel(task)
    else:
        model = LearnedModel(dynamics, *particles_of(config))
    return TaskMPC(
        task,
        model,
        config.planner,
        config.model,
        config.horizon,
        replan_every=replan_every,
        reward=reward,
    )
