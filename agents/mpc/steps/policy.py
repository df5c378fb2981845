"""MPC: optimise an action sequence in the model, apply its first action, repeat.

A policy made of a planning model, a planner and a cost. Nothing of it is trained, so each may be
exchanged at any time: a model that has learned more, another goal, another planner.
"""

from copy import copy, deepcopy
from typing import Any, NamedTuple

import numpy as np

from lqr import InputError

from ...interfaces import Array, Cost
from ...planners import Objective, Plan, Planner, Value
from ...planners.models import PlanningModel
from ...policies.checks import checked_rows
from ...tasks.action_form import HandsOut


class Episode(NamedTuple):
    """What `predict` remembers of one episode."""

    t: int  # the step that comes next
    plan: Plan | None  # the latest
    age: int  # how many actions of it were applied
    rng: np.random.Generator


class MPC(HandsOut):
    """Plans `horizon` steps ahead from the state x in every `replan_every`-th step; never beyond
    the episode's end.
    """

    input = "x"
    in_turn = True  # side by side, one episode after the other draws in each step

    def __init__(
        self,
        model: PlanningModel,
        planner: Planner,
        cost: Cost,
        horizon: int,
        *,
        steps: int,
        low: Array,
        high: Array,
        value: Value | None = None,
        optimism: float = 0.0,
        replan_every: int = 1,
        dx: int | None = None,
    ):
        """`steps` is the length T of an episode, for which `cost` speaks; `value(x)` is a cost to
        go beyond the horizon.

        A sequence costs the mean over the model's particles less `optimism` times their deviation:
        what may turn out well is tried, and then known (optimism in the face of uncertainty; of
        learned models see Curi, Berkenkamp & Krause, Efficient Model-Based Reinforcement Learning
        through Optimistic Policy Search and Planning, 2020). Above 1 / sqrt(particles - 1) one
        particle that costs more lowers the sequence's cost, too: disagreement itself is sought.
        `low` and `high` (du,) limit the actions; with `dx`, states of another size are refused.
        """
        if horizon < 1 or steps < 1 or not 1 <= replan_every <= horizon:
            raise InputError(
                f"horizon is {horizon}, replan_every {replan_every}; expected 1 <= replan_every <= horizon"
            )
        self.model = model
        self.planner = planner
        self.cost = cost
        self.horizon = horizon
        self.value = value
        self.optimism = optimism
        self.steps = steps
        self.replan_every = replan_every
        self.dx = dx
        self.low, self.high = np.asarray(low, dtype=float), np.asarray(high, dtype=float)
        self.calls = 0  # one-step predictions of the model since it was made
        self.acts = 0  # environment steps since it was made
        self.reset()

    def with_cost(self, cost: Cost) -> "MPC":
        """Returns the same model and planner after another goal: nothing was learned for one cost
        but a value beyond the horizon, which is left out.
        """
        other = copy(self)
        other.cost, other.value, other.optimism = cost, None, 0.0
        other.calls = other.acts = 0
        other.reset()
        return other

    def reset(self) -> None:
        """Forgets the last plans: an episode begins."""
        self._warm_starts: list[Array] = []
        self.plans: list[Plan] = []  # the latest, one per simulation
        self.log: list[Plan] = []  # the first simulation's since the episode began
        self._age, self._clock = 0, 0
        self._own = np.random.default_rng(0)

    def sample(self, o: Array, t: int, rng: np.random.Generator | None) -> Array:
        """Returns actions (B, du) for the states `o` (B, dx) at step t; step 0 forgets the last
        plans.

        Without a generator, an episode's plans are always those of the same random numbers.
        """
        if self.dx is not None and np.shape(o)[1:] != (self.dx,):
            raise InputError(
                f"got states of {np.shape(o)[-1]} numbers; expected {self.dx}: this policy's input is x, not o"
            )
        if t == 0 or len(self._warm_starts) not in (0, len(o)):
            self.reset()
        if not self.plans or self._age >= self.replan_every:
            rng = self._own if rng is None else rng
            before = self._warm_starts or [np.zeros((0, self.horizon, len(self.low)))] * len(o)
            start = [self._later(a, self._age) for a in before]
            self.plans = [self.plan(x, t, s, rng) for x, s in zip(o, start, strict=True)]
            self._warm_starts, self._age = [plan.warm_starts for plan in self.plans], 0
            self.log.append(self.plans[0])
        self._age += 1
        self.acts += len(o)
        return np.stack([plan.U[self._age - 1] for plan in self.plans])

    def _later(self, starts: Array, age: int) -> Array:
        """Returns the sequences (M, H, du) as many steps later as have passed; then follows the
        middle of the limits.

        Not the last action again: where that is at a limit, little would be tried around it.
        """
        rest = np.broadcast_to(0.5 * (self.low + self.high), (len(starts), age, len(self.low)))
        return np.concatenate([starts[:, age:], rest], 1)

    def plan(self, x: Array, t: int, start: Array, rng: np.random.Generator) -> Plan:
        """Returns a plan from state x (dx,) at step t, beginning with the sequences `start` (M, H,
        du).
        """
        objective = Objective(
            model=self.model,
            cost=self.cost,
            x0=x,
            t=t,
            horizon=self.horizon,
            steps=self.steps,
            rng=rng,
            value=self.value,
            optimism=self.optimism,
        )
        plan = self.planner(objective, start, self.low, self.high, rng)
        self.calls += objective.calls
        return plan

    def act(self, x: Array, t: int | None = None, condition: int = 0) -> Array:
        """Returns the action (du,) in state x (dx,), at step t or at the step after the last one,
        in any condition.

        Raises InputError for a state of another size, or with numbers that are not finite.
        """
        self._clock = self._clock if t is None else t
        clock = self._clock % self.steps
        u = self.sample(checked_rows(x, self.dx, "state x")[:1], clock, None)[0]
        self._clock = clock + 1
        return self.handed_out(u)

    def predict(
        self,
        observation: Array,
        state: Any = None,
        episode_start: Any = None,
        deterministic: bool = True,
    ) -> tuple[Array, Any]:
        """Returns (action, state) in the form of Stable-Baselines3, for one state (dx,) or several
        (B, dx).

        `state` is what it returned before, an `Episode` for each row, or None at first; a row where
        `episode_start` is true begins anew. Each row acts as if it were alone. Raises InputError
        for a state of another size, or with numbers that are not finite.
        """
        x = checked_rows(observation, self.dx, "state x")
        before = [None] * len(x) if state is None else list(state)
        if len(before) != len(x):
            raise InputError(
                f"got {len(before)} episodes before and {len(x)} states; expected as many"
            )
        starts = np.zeros(len(x), bool) if episode_start is None else np.ravel(episode_start)
        starts = np.broadcast_to(starts, len(x))
        rows = [
            self._step(row, None if anew else episode, deterministic)
            for row, episode, anew in zip(x, before, starts, strict=True)
        ]
        u = np.stack([action for action, _ in rows])
        u = self.handed_out(u if np.ndim(observation) > 1 else u[0], np.float32)
        return u, tuple(after for _, after in rows)

    def _step(
        self, x: Array, episode: Episode | None, deterministic: bool
    ) -> tuple[Array, Episode]:
        """Returns the action (du,) of one episode in state x (dx,), and what it remembers then."""
        if episode is None or episode.t >= self.steps:
            episode = Episode(0, None, 0, np.random.default_rng(0))
        t, plan, age, rng = episode
        if plan is None or age >= self.replan_every:
            rng = deepcopy(rng)  # the state that was given stays as it is
            start = np.zeros((0, self.horizon, len(self.low)))
            start = start if plan is None else self._later(plan.warm_starts, age)
            plan = self.plan(x, t, start, rng if deterministic else np.random.default_rng())
            age = 0
        self.acts += 1
        return plan.U[age], Episode(t + 1, plan, age + 1, rng)
