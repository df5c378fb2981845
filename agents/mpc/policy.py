"""Model-predictive control: plan from where one is, act, plan again.

A policy made of a world, a planner and a cost. Nothing of it is trained, so each may be exchanged
at any time: a model that has learned more, another goal, another planner.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from lqr import InputError

from ..interfaces import Array, Cost
from ..planners import Objective, Plan, Planner, Value
from ..planners.models import World


class MPC:
    """Plans `horizon` steps ahead from the state x in every `every`-th step; never beyond the
    episode's end.
    """

    sees, in_task = "x", True  # `from_state` takes a task as well

    def __init__(
        self,
        world: World,
        planner: Planner,
        cost: Cost,
        horizon: int,
        *,
        steps: int,
        low: Array,
        high: Array,
        value: Value | None = None,
        optimism: float = 0.0,
        every: int = 1,
        dx: int | None = None,
        about: Callable[[], dict[str, Any]] | None = None,
    ):
        """`steps` is the length T of an episode, for which `cost` speaks; `value(x)` is a cost to
        go beyond the horizon.

        A sequence is priced at the mean over the world's particles less `optimism` times their
        deviation: what may turn out well is tried, and then known (optimism in the face of
        uncertainty; of learned models see Curi, Berkenkamp & Krause, Efficient Model-Based
        Reinforcement Learning through Optimistic Policy Search and Planning, 2020). Above 1 /
        sqrt(particles - 1) one particle that is dearer lowers the price, too: disagreement itself
        is sought. `low` and `high` (du,) limit the actions; with `dx`, states of another size are
        refused. `about()` tells what `state` is to save; see `agents.mpc.loop`.
        """
        if horizon < 1 or steps < 1 or not 1 <= every <= horizon:
            raise InputError(f"horizon is {horizon}, every {every}; expected 1 <= every <= horizon")
        self.world = world
        self.planner = planner
        self.cost = cost
        self.horizon = horizon
        self.value = value
        self.optimism = optimism
        self.steps = steps
        self.every = every
        self.dx = dx
        self._about = about
        self.low, self.high = np.asarray(low, dtype=float), np.asarray(high, dtype=float)
        self.calls = 0  # one-step predictions of the model since it was made
        self.acts = 0  # environment steps since it was made
        self.reset()

    def reset(self) -> None:
        """Forgets the last plans: an episode begins."""
        self._kept: list[Array] = []
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
                f"got states of {np.shape(o)[-1]} numbers; expected {self.dx}: this policy sees x, not o"
            )
        if t == 0 or len(self._kept) not in (0, len(o)):
            self.reset()
        if not self.plans or self._age >= self.every:
            rng = self._own if rng is None else rng
            before = self._kept or [np.zeros((0, self.horizon, len(self.low)))] * len(o)
            start = [self._later(a) for a in before]
            self.plans = [self.plan(x, t, s, rng) for x, s in zip(o, start, strict=True)]
            self._kept, self._age = [plan.kept for plan in self.plans], 0
            self.log.append(self.plans[0])
        self._age += 1
        self.acts += len(o)
        return np.stack([plan.U[self._age - 1] for plan in self.plans])

    def _later(self, kept: Array) -> Array:
        """Returns the sequences (M, H, du) as many steps later as have passed; then follows the
        middle of the limits.

        Not the last action again: where that is at a limit, little would be tried around it.
        """
        rest = np.broadcast_to(0.5 * (self.low + self.high), (len(kept), self._age, len(self.low)))
        return np.concatenate([kept[:, self._age :], rest], 1)

    def plan(self, x: Array, t: int, start: Array, rng: np.random.Generator) -> Plan:
        """Returns a plan from state x (dx,) at step t, beginning with the sequences `start` (M, H,
        du).
        """
        objective = Objective(
            self.world, self.cost, x, t, self.horizon, self.steps, rng, self.value, self.optimism
        )
        plan = self.planner(objective, start, self.low, self.high, rng)
        self.calls += objective.calls
        return plan

    def act(self, x: Array, t: int | None = None, condition: int = 0) -> Array:
        """Returns the action (du,) in state x (dx,), at step t or at the step after the last one,
        in any condition.
        """
        self._clock = self._clock if t is None else t
        clock = self._clock % self.steps
        u = self.sample(np.asarray(x, dtype=float)[None], clock, None)[0]
        self._clock = clock + 1
        return u

    def predict(
        self,
        observation: Array,
        state: Any = None,
        episode_start: Any = None,
        deterministic: bool = True,
    ) -> tuple[Array, Any]:
        """Returns (action, state) in the form of Stable-Baselines3, for one state (dx,) or several
        (B, dx).

        `state` is the step; it begins with None, and anew where `episode_start` says so.
        """
        x = np.asarray(observation, dtype=float)
        starts = episode_start is not None and bool(np.any(episode_start))
        t = 0 if state is None or starts else int(state[0]) % self.steps
        u = self.sample(np.atleast_2d(x), t, None if deterministic else np.random.default_rng())
        return (u if x.ndim > 1 else u[0]).astype(np.float32), (t + 1,)

    def state(self) -> dict[str, Any]:
        """Returns what `from_state` needs. Raises InputError for parts that were put together by
        hand.
        """
        if self._about is None:
            raise InputError(
                "got an MPC of parts that cannot be saved; expected one that a method made"
            )
        return {"kind": "mpc", **self._about()}

    @classmethod
    def from_state(cls, state: dict[str, Any], task: Any = None) -> "MPC":
        """Builds the policy out of `state()`, in the task of that name or the one given. Raises
        CheckpointError.
        """
        from .loop import restored

        return restored(state, task)
