"""What methods share that improve a stochastic policy on imagined episodes alone.

    collect   whole real episodes of the policy, with its noise
    fit       the ensemble, to all transitions so far
    improve   the policy in the ensemble, until its members no longer agree that it improves

Each of the three takes what it needs and returns what it made, so that they may go one after the
other or side by side.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np

from dynamics import ReplayBuffer
from dynamics.replay_buffer import CAPACITY

from ...interfaces import Array, Iteration, State, Task
from ...learners.off_policy import EVALUATION_SEED
from ...learners.stepwise import Stepwise, explored
from ...learners.trust_region import initial_policy, is_new
from ...policies.layers import units
from ...policies.mlp import NeuralPolicy
from ...rollout import Act, Trajectories
from ...settings import (
    Count,
    Counts,
    EvaluationSettings,
    Fraction,
    NotNegative,
    Positive,
    Share,
    Whole,
)
from ...tasks.action_limits import action_unit
from ...training import Training
from .environment_model import EnvironmentModel, ModelSettings
from .imagined_episodes import imagined_episodes, member_costs

Update = Callable[[NeuralPolicy, Trajectories, np.random.Generator], NeuralPolicy]
"""Returns a policy that improves on the one whose imagined episodes are given."""


@dataclass(frozen=True)
class OnPolicySettings(ModelSettings, EvaluationSettings):
    """Settings of methods that improve on imagined episodes alone."""

    iterations: Count = 6  # rounds of real episodes
    iteration_steps: Count = 400  # real steps of a round, at least
    warm_up: Whole = 400  # steps of uniformly random actions at the start
    fit_every: Count = 1  # rounds between fits
    hidden: Counts = (32, 32)  # units of the policy's hidden layers
    initial_std: Positive = 0.5  # of the actions at the start, in half action ranges
    updates: Count = 50  # of the policy in each round, at most
    imagined: Count = 100  # episodes that are imagined for each update
    imagined_steps: Count = 50  # steps of each of them, at most an episode's
    # states that they begin in: all that were seen, or the initial ones of episodes
    starts: Literal["all", "initial"] = "all"
    validation: Count = 20  # episodes in each member that tell
    discount: Share = 0.97  # of a step
    smoothing: Fraction = 0.98  # lambda, of the advantages
    capacity: Count = CAPACITY  # transitions that are kept: the newest
    # steps of the world in a second, as of a robot; 0: as many as are computed
    pace: NotNegative = 0.0
    # noise-free episodes of each condition that tell the cost; nothing is learned from them
    evaluation_samples: Count = 1


class Improved(NamedTuple):
    """What a round of imagination came to."""

    policy: NeuralPolicy
    updates: int  # made, those included that were undone
    first: Array  # (members,), what an episode of the policy costs in each member
    last: Array  # (members,), the same of the policy that is kept
    trace: Array  # (validations, members), each time that they were asked


def starts_of(buffer: ReplayBuffer, c: Any, count: int, rng: np.random.Generator) -> Array:
    """Returns states (count, dx) that imagined episodes begin in."""
    x = buffer.data.x
    if c.starts == "initial":
        lengths = np.array(buffer.lengths)
        x = x[np.cumsum(lengths) - lengths]
    found: Array = x[rng.integers(len(x), size=count)]
    return found


def with_units_of(policy: NeuralPolicy, buffer: ReplayBuffer) -> NeuralPolicy:
    """Returns a new policy with the units of the first observations that were made; any other as it
    is.
    """
    if not is_new(policy):
        return policy
    p = policy
    return NeuralPolicy(
        p.weights, p.biases, *units(np.asarray(buffer.data.o)), p.cov, p.low, p.high
    )


def improve(
    policy: NeuralPolicy,
    env_model: EnvironmentModel,
    buffer: ReplayBuffer,
    update: Update,
    c: Any,
    rng: np.random.Generator,
) -> Improved:
    """Returns the policy after updates on imagined episodes: the last that enough members agreed
    about. The members' episodes have the same starts and draws all through.
    """
    horizon = min(c.imagined_steps, env_model.task.horizon)
    fixed, seed = starts_of(buffer, c, c.validation, rng), int(rng.integers(2**31))
    best, first = policy, member_costs(env_model, policy, fixed, horizon, seed)
    kept, trace, number = first, [first], 0
    every = c.validate_every or c.updates
    for number in range(1, c.updates + 1):
        x0 = starts_of(buffer, c, c.imagined, rng)
        member = None if c.member_of == "step" else rng.integers(c.members, size=c.imagined)
        policy = update(policy, imagined_episodes(env_model, policy, x0, horizon, rng, member), rng)
        if number % every and number < c.updates:
            continue
        now = member_costs(env_model, policy, fixed, horizon, seed)
        trace.append(now)
        if c.validate_every and (now < kept).mean() < c.agreement:
            break
        best, kept = policy, now
    return Improved(best, number, first, kept, np.array(trace))


class OnPolicy:
    """A run: the task's episodes, the model, the policy, and their counts."""

    def __init__(
        self, task: Task, c: OnPolicySettings, rng: np.random.Generator, state: State | None
    ):
        """Begins, or goes on from an Iteration's state."""
        self.task, self.rng = task, rng
        self.c: Any = c
        self.buffer = ReplayBuffer(c.capacity)
        self.env_model = EnvironmentModel(task, c)
        self.steps = Stepwise(task, self.buffer, _nothing)
        parts = {"replay": self.buffer, "env_model": self.env_model}
        self.training = Training(task, c.iterations, state, c.evaluate_every, **parts)
        self.policy = (
            NeuralPolicy.from_state(self.training.saved["policy"])
            if state
            else new_policy(task, c, rng)
        )
        self.model_error = self.training.saved.get("model_error", 0.0)
        known = c.model == "simulator" or self.env_model.known > 0
        self.fitted = bool(state) and known
        self.adapted: list[NeuralPolicy] = []  # who acts in place of the policy, by turns

    def iterations(self) -> range:
        """Returns the numbers of the iterations that are still to come."""
        return self.training.iterations()

    def collect(self, waiting: Callable[[int], None] | None = None) -> Trajectories:
        """Runs the real episodes of a round; `waiting(t)` is called before each of their steps. Where
        there are `adapted` policies, each has an episode by turns, from round to round.
        """
        turn = self.training.episodes - 1

        def begin(t: int) -> None:
            nonlocal turn
            turn += t == 0
            if waiting:
                waiting(t)

        def policy() -> NeuralPolicy:
            return self.adapted[turn % len(self.adapted)] if self.adapted else self.policy

        act = explored(self.task, policy, self.c.warm_up, lambda: self.buffer.total, self.rng)
        act = paced(act, self.c.pace, begin)
        begun = self.training.episodes
        found = self.steps.episodes(act, self.c.iteration_steps, begun, self.rng)
        if self.training.number == 0:
            self.steps.check()
        return self.training.count(found)

    def fit(self) -> None:
        """Fits the model to all that was seen."""
        if self.training.number % self.c.fit_every == 0:
            self.model_error = self.env_model.fit(self.buffer, self.rng)
            self.fitted = True

    def improve(self, update: Update) -> Improved:
        """Improves the policy in the model."""
        policy = with_units_of(self.policy, self.buffer)
        found = improve(policy, self.env_model, self.buffer, update, self.c, self.rng)
        self.policy = found.policy
        return found

    def iteration(
        self,
        found: Trajectories,
        told: Improved,
        numbers: dict[str, float] | None = None,
        arrays: dict[str, Array] | None = None,
        saved: State | None = None,
    ) -> Iteration:
        """Returns what is yielded after these episodes: the policy as it is now, graded from the
        same starts each time.
        """
        starts, policy = np.random.default_rng(EVALUATION_SEED), self.policy
        shown = self.training.evaluate(policy, starts, self.c.evaluation_samples)
        scalars = self.training.row(
            shown,
            sampled_cost=found.valid.costs.mean(),
            diverged=found.failed.sum() + shown.failed.sum(),
            model_error=self.model_error,
            updates=told.updates,
            imagined_first=told.first.mean(),
            imagined_cost=told.last.mean(),
            agreement=(told.last < told.first).mean(),
            std=float(np.sqrt(np.diag(policy.cov)).mean()),
            **(numbers or {}),
        )
        C = self.task.conditions
        arrays = {
            **(arrays or {}),
            "policy_cost": shown.costs.reshape(C, -1).mean(1),
            "policy_x": shown.states.reshape(C, -1, *shown.x.shape[1:])[:, 0],
        }
        saved = {**(saved or {}), "policy": policy.state(), "model_error": float(self.model_error)}
        return self.training.iteration(policy, scalars, arrays, saved)


def paced(act: Act, pace: float, waiting: Callable[[int], None] | None = None) -> Act:
    """Returns who acts at most `pace` times in a second, at any speed with 0, and is late by a step at
    most; `waiting(t)` is called before each action.
    """
    due = -np.inf

    def act_in_time(x: Array, o: Array, t: int) -> Array:
        nonlocal due
        if waiting:
            waiting(t)
        if pace:
            time.sleep(max(due - time.monotonic(), 0.0))
            now = time.monotonic()
            due = (due if now - due < 1 / pace else now) + 1 / pace
        return act(x, o, t)

    return act_in_time


def new_policy(task: Task, c: OnPolicySettings, rng: np.random.Generator) -> NeuralPolicy:
    """Returns a policy that has seen nothing, around the middle of the limits."""
    std = c.initial_std * action_unit(task.action_low, task.action_high)
    policy = initial_policy(task, c.hidden, std, rng)
    policy.biases[-1][:] = 0.5 * (task.action_low + task.action_high)
    return policy


def _nothing() -> None:
    pass
