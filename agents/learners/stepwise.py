"""Learning at each step: an episode goes on, its transitions go into a replay buffer, and a learner
is asked after each of them.

An iteration is whole episodes, as a simulation in mid-episode is in no saved state: so a run goes
on after a stop to the same bits. The runner calls back between steps, and nothing else is needed.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from dynamics import ReplayBuffer
from lqr import InputError

from ..interfaces import Array, Task
from ..rollout import Act, Trajectories, run
from ..tasks.action_limits import bounded
from ..tasks.capabilities import LearnedCost, Rewarded, capability
from ..tasks.costs.step_cost import StepCost


def refuse_unlimited(task: Task) -> None:
    """Raises InputError where an action has no limits, or cannot move: they are a learner's units."""
    if not bounded(task.action_low, task.action_high).all():
        raise InputError(
            f"{task.name} has actions without limits; expected finite action_low and action_high, "
            "which are a learner's units"
        )
    if not (task.action_low < task.action_high).all():
        raise InputError(
            f"{task.name} has the action limits {task.action_low} and {task.action_high}; expected low < high, "
            "which are a learner's units: leave out an actuator that cannot move"
        )


class Stepwise:
    """Runs episodes of a task, one after the other, into a buffer that has all of a transition."""

    def __init__(self, task: Task, buffer: ReplayBuffer, learn: Callable[[], None]):
        """`learn()` is called after each transition, which the buffer then has."""
        refuse_unlimited(task)
        self.task, self.buffer, self.learn = task, buffer, learn
        self.cost = StepCost(task)
        self._t = 0

    def episodes(self, act: Act, steps: int, begun: int, rng: np.random.Generator) -> Trajectories:
        """Returns whole episodes of at least so many steps in all, one after the other, the
        condition of each the next one's after that of episode number `begun`.
        """
        found, count = list[Trajectories](), 0
        while count < steps:
            where = np.array([(begun + len(found)) % self.task.conditions])
            found.append(self.episode(act, where, rng))
            count += int(found[-1].length.sum())
        return Trajectories(*(np.concatenate(part) for part in zip(*found, strict=True)))

    def episode(self, act: Act, where: Array, rng: np.random.Generator) -> Trajectories:
        """Runs one episode; a transition in which the simulation diverged is not learned from."""
        self._t = 0
        found = run(self.task, act, where, rng, self._watch)
        if not found.failed[0]:
            self._add(found, int(found.length[0]))
        return found

    def take(self, found: Trajectories) -> None:
        """Takes in the transitions of episodes that somebody else made."""
        step = np.arange(found.u.shape[1])
        first = np.broadcast_to(step == 0, found.mask.shape)[found.mask]
        over = np.where(found.length < self.task.horizon, found.length, 0)[:, None]
        end, cost = (step + 1 == over)[found.mask], found.cost[:, :-1][found.mask]
        x, u, xnext = found.transitions
        if len(x):
            o, onext = found.o[:, :-1][found.mask], found.o[:, 1:][found.mask]
            reward = -cost if self.paid else self.cost.rewards(x, u, xnext, end)
            self.buffer.add(x, u, xnext, o, onext, reward, end, first)

    @property
    def paid(self) -> bool:
        """Whether the world pays each step. One that learns its cost from that tells what was paid
        only once an episode has begun.
        """
        pays = capability(self.task, Rewarded) or capability(self.task, LearnedCost)
        return pays is not None

    def check(self) -> None:
        """Raises InputError where the task's cost, as far as it is known, changes with time."""
        if not self.paid:
            self.cost.check_stationary(*self.buffer.transitions)

    def _watch(self, so_far: Trajectories) -> None:
        t = so_far.u.shape[1]
        if t == 1:  # an episode that was discarded begins again
            self._t = 0
        self._add(so_far, t)

    def _add(self, found: Trajectories, t: int) -> None:
        """Adds transition t - 1, the last so far."""
        if t <= self._t:
            return
        first, self._t = self._t == 0, t
        x, u, xnext = found.x[:, t - 1], found.u[:, t - 1], found.x[:, t]
        end = np.array([found.u.shape[1] == self.task.horizon and t < self.task.horizon])
        reward = -found.cost[:, t - 1] if self.paid else self.cost.rewards(x, u, xnext, end)
        o, onext = found.o[:, t - 1], found.o[:, t]
        self.buffer.add(x, u, xnext, o, onext, reward, end, np.array([first]))
        self.learn()


def explored(
    task: Task, policy: Callable[[], Any], random_steps: int, count: Callable[[], int],
    rng: np.random.Generator, repeat: int = 1,
) -> Act:  # fmt: skip
    """Returns who acts: at random within the limits for so many steps, then a draw of the policy.

    With `repeat` above 1 a random action is one of the limits, and is held for as many steps as are
    drawn for an episode, 1 to `repeat`, each order of magnitude as likely: what has inertia is not
    moved by what changes at each step.
    """
    held, action = 1, np.zeros(task.du)

    def act(x: Array, o: Array, t: int) -> Array:
        nonlocal held, action
        if count() >= random_steps:
            actor = policy()
            seen = x if getattr(actor, "input", "o") == "x" else o
            actions: Array = actor.sample(seen, t, rng)
            return actions
        if repeat == 1:
            return rng.uniform(task.action_low, task.action_high, (len(x), task.du))
        if t == 0:
            held = int(np.exp(rng.uniform(0.0, np.log(repeat + 1))))
        if t % held == 0:
            action = np.where(rng.random(task.du) < 0.5, task.action_low, task.action_high)
        return np.tile(action, (len(x), 1))

    return act
