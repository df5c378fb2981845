"""What the methods that learn at each step share: soft actor-critic from a replay buffer.

    act at random for `warm_up` steps, then by the policy; after each step, `update_ratio` updates

A method's page says where an update's data come from, and what is done before it. Observations and
rewards are measured in the units of the random steps.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from dynamics import ReplayBuffer
from dynamics.replay_buffer import CAPACITY, Transitions

from ..interfaces import Array, Iteration, State, Task
from ..rollout import Trajectories
from ..settings import Count, Counts, EvaluationSettings, Finite, Positive, Share, Whole
from ..tasks.capabilities import OthersEpisodes, capability
from ..training import Training, not_run
from .sac import SAC, Batch, Told, Units
from .stepwise import Stepwise, explored

EVALUATION_SEED = 12345  # of the starts from which the policy is evaluated


@dataclass(frozen=True)
class OffPolicySettings(EvaluationSettings):
    """Settings of every method that learns by soft actor-critic."""

    iterations: Count = 20  # rounds of whole episodes
    iteration_steps: Count = 200  # steps of a round, at least
    warm_up: Count = 400  # steps of random actions at the start
    # steps that a random action is held, at most; above 1 these are the limits, and how long is
    # drawn for each episode
    action_repeat: Count = 1
    update_ratio: Positive = 10.0  # updates for each step from then on
    batch: Count = 256  # transitions of an update
    hidden: Counts = (64, 64)  # units of the hidden layers of policy and critics
    discount: Share = 0.99  # of a step
    actor_rate: Positive = 1e-3  # learning rate of the policy
    critic_rate: Positive = 1e-3  # learning rate of the critics
    temperature_rate: Positive = 1e-3  # learning rate of the temperature's logarithm
    track: Positive = 0.005  # share by which the critics' targets follow them in an update
    # what the policy's entropy is brought to, nats per action, in units of half the range
    action_entropy: Finite = -1.0
    layer_norm: bool = False  # normalise the layers of the critics
    capacity: Count = CAPACITY  # transitions that are kept: the newest
    # updates of a round without a step of the world, once `warm_up` is over; 0: it goes on stepping
    offline: Whole = 0
    # noise-free episodes of each condition that tell the cost; nothing is learned from them
    evaluation_samples: Count = 1


class OffPolicy:
    """A run: the task's episodes, the replay buffer, the learner, and their counts."""

    def __init__(
        self,
        task: Task,
        config: OffPolicySettings,
        rng: np.random.Generator,
        state: State | None,
        update: Callable[["OffPolicy"], Told] | None = None,
        prepare: Callable[["OffPolicy"], None] | None = None,
        make: Callable[..., Any] | None = None,
        actor: Callable[["OffPolicy"], Any] | None = None,
        **parts: Any,
    ):
        """`update(run)` makes one update, by default of a minibatch of the replay buffer;
        `prepare(run)` comes after each step, before its updates; `make(task, config, rng)` makes
        the learner, by default soft actor-critic; `actor(run)` returns who acts in
        place of the learner's policy. Further `parts` are saved with the run.
        """
        self.task, self.c, self.rng = task, config, rng
        self.update, self.prepare = update or from_replay, prepare
        self.buffer = ReplayBuffer(config.capacity)
        self.steps = Stepwise(task, self.buffer, self._learn)
        fresh = rng if state is None else np.random.default_rng(0)
        self.learner: Any = (make or make_learner)(task, config, fresh)
        parts = {"replay": self.buffer, "learner": self.learner, **parts}
        self.training = Training(task, config.iterations, state, config.evaluate_every, **parts)
        self._told: list[Told] = []
        self.actor = actor or _own_policy
        self._others = 0  # steps that others tried

    def iterations(self) -> range:
        """Returns the numbers of the iterations that are still to come."""
        return self.training.iterations()

    @property
    def env_steps(self) -> int:
        """Steps so far that were learned from."""
        return self.buffer.total

    @property
    def own_steps(self) -> int:
        """Those of them that were tried here, and not by others."""
        return self.env_steps - self._others

    @property
    def offline(self) -> bool:
        """Whether nothing more is tried: the learner has to do with what is there."""
        return self.c.offline > 0 and self.env_steps >= self.c.warm_up

    def collect(self) -> Trajectories:
        """Runs the episodes of an iteration, in which the learner learns."""
        self._told = []
        if shared := capability(self.task, OthersEpisodes):
            for found in shared.others():
                self.steps.take(found)
            self._others = max(self.env_steps - self.training.steps, 0)
        if self.offline:
            if self.prepare:
                self.prepare(self)
            self._told = [self.update(self) for _ in range(self.c.offline)]
            return not_run(self.task, 1)
        act = explored(
            self.task,
            lambda: self.actor(self),
            self.c.warm_up,
            lambda: self.own_steps,
            self.rng,
            self.c.action_repeat,
        )
        begun = self.training.episodes
        found = self.steps.episodes(act, self.c.iteration_steps, begun, self.rng)
        return self.training.count(found)

    def iteration(self, found: Trajectories, **more: float) -> Iteration:
        """Returns what is yielded after these episodes: the policy as it is now, graded from the
        same starts each time.
        """
        policy, C = self.actor(self), self.task.conditions
        policy = policy.copy() if policy is self.learner.policy else policy
        starts = np.random.default_rng(EVALUATION_SEED)
        shown = self.training.evaluate(policy, starts, self.c.evaluation_samples)
        said = np.array(self._told).reshape(-1, len(Told._fields))
        means = said.mean(0) if len(said) else np.zeros(len(Told._fields))
        scalars = self.training.row(
            shown,
            sampled_cost=found.valid.costs.mean(),
            diverged=found.failed.sum() + shown.failed.sum(),
            updates=self.learner.updates,
            **dict(zip(Told._fields, means, strict=True)),
            **more,
        )
        x = shown.states.reshape(C, -1, *shown.x.shape[1:])[:, 0]
        arrays = {"policy_cost": shown.costs.reshape(C, -1).mean(1), "policy_x": x}
        return self.training.iteration(policy, scalars, arrays)

    def _learn(self) -> None:
        """Comes after each step."""
        if self.own_steps < self.c.warm_up:
            return
        after = self.env_steps - self.c.warm_up
        if not self.learner.updates:
            self.steps.check()
            data = self.buffer.data
            assert data.o is not None
            assert data.reward is not None
            self.learner.measure(Units.of(data.o, data.reward))
        if self.c.offline:
            return
        if self.prepare:
            self.prepare(self)
        while self.learner.updates < np.floor(self.c.update_ratio * after):
            self._told.append(self.update(self))


def _own_policy(run: OffPolicy) -> Any:
    return run.learner.policy


def make_learner(task: Task, c: OffPolicySettings, rng: np.random.Generator) -> SAC:
    """Returns a learner that has seen nothing."""
    units = Units(np.zeros(task.do), np.ones(task.do), np.array(0.0), np.array(1.0))
    return SAC(
        task.action_low,
        task.action_high,
        units,
        rng,
        hidden=c.hidden,
        discount=c.discount,
        actor_rate=c.actor_rate,
        critic_rate=c.critic_rate,
        temperature_rate=c.temperature_rate,
        track=c.track,
        target_entropy=task.du * c.action_entropy,
        layer_norm=c.layer_norm,
    )


def from_replay(run: OffPolicy) -> Told:
    """One update from a minibatch of what really happened."""
    rows = run.buffer.sample(run.c.batch, run.rng)
    return run.learner.update(in_units(run.learner, rows), run.rng)


def in_units(learner: SAC, rows: Transitions) -> Batch:
    """Returns transitions that have observations, rewards and ends as the learner takes them."""
    given: tuple[Any, ...] = (rows.o, rows.u, rows.reward, rows.onext, rows.end)
    return learner.batch(*given)


def stacked(parts: list[Batch]) -> Batch:
    """Returns minibatches as one."""
    return Batch(*(np.concatenate(part) for part in zip(*parts, strict=True)))


__all__ = ["Array", "OffPolicy", "OffPolicySettings", "from_replay", "in_units", "stacked"]
