"""A task whose state is what a filter makes of its pictures, and whose goal is a picture.

    task = Pictured(ReacherFourImages(), Moving(encoder))

x = [filter's state - that of the goal's picture, joints' positions, joints' rates]: the local
models, their priors and the KL-constrained LQR run on that unchanged. Differences, so that the cost
is the same for all goals. They are scaled so that at the start the goal is `START` away in the
mean: the unit of the cost decides what actions are worth.
"""

from collections import OrderedDict
from typing import Any, Literal

import numpy as np

from dynamics.vision.filters import Filter
from lqr import InputError
from lqr.costs import Action, Lorentzian, Saturated, WeightedNorm

from ...interfaces import Array, Cost
from ..base.wrapper import Wrapper
from ..capabilities import Joints, ShowsGoals, capability

START = 0.2  # mean distance of the codes at the start
MOST = 100_000  # states whose true ones are remembered


class Pictured(Wrapper):
    """The task whose x is a filter's state of its pictures, less that of the goal's picture."""

    # what is known of the task's states is not known of codes
    manifold = simulator = joint_target = plane = targets = views = None
    project = observation_of = ended = to_physical = to_qpos_qvel = copy = held_out = None
    planning_cost = tuning_cost = state_names = image = None

    def __init__(
        self,
        task: Any,
        filter: Filter,
        cost: Literal["norm", "log", "exp"] = "norm",
        effort: float = 0.1,
        keep: bool = True,
        rates: float = 0.0,
    ):
        """The cost is the distance of the codes (`norm`), its logarithm, or 1 - exp(-distance), and
        `effort` |u|^2; `rates` is how much the rates in a filter's state count. Without `keep` the
        state has no joints. Raises InputError for a task that shows no goals.
        """
        super().__init__(task)
        if capability(task, ShowsGoals) is None:
            raise InputError(
                f"got {task.name}, which has no `goal_pictures`; expected a task that shows its goals"
            )
        self.filter, self.name = filter, f"pictured:{task.name}"
        self.goals = filter.start(task.goal_pictures())
        told = capability(task, Joints) if keep else None
        self.kept = [] if told is None else [*told.joints[0], *told.joints[1]]
        n = len(self.kept) // 2
        self.dx = self.do = filter.d + 2 * n
        self.joints = (range(filter.d, filter.d + n), range(filter.d + n, self.dx)) if n else None
        self.known: OrderedDict[bytes, Array] = OrderedDict()
        codes = getattr(getattr(filter, "encoder", filter), "d", filter.d)
        self.unit = np.ones(filter.d)
        self.unit[:] = START / self._far(task, codes)
        weights = np.concatenate(
            [np.ones(codes), np.full(filter.d - codes, rates), np.zeros(2 * n)]
        )
        self.cost: Cost = goal_cost(cost, weights, effort)

    def _far(self, task: Any, codes: int) -> float:
        """Returns the mean distance of the codes of starts and goals."""
        task.reset(np.arange(task.conditions), np.random.default_rng(0))
        gap = (self.filter.start(task.pictures()) - self.goals)[:, :codes]
        far = float(np.linalg.norm(gap, axis=1).mean())
        if not far > 0:
            raise InputError(
                f"the codes of {task.name} do not tell starts from goals; expected others"
            )
        return far

    def reset(self, conditions: Array, rng: np.random.Generator) -> Array:
        """Starts simulation i in condition conditions[i]; returns x (B, dx)."""
        true = self.task.reset(conditions, rng)
        self._goal = self.goals[conditions]
        self._state = self.filter.start(self.task.pictures())
        return self._seen(true)

    def step(self, u: Array) -> Array:
        """Applies u (B, du); returns x (B, dx)."""
        true = self.task.step(u)
        self._state = self.filter.follow(self._state, u, self.task.pictures())
        return self._seen(true)

    def _seen(self, true: Array) -> Array:
        x = np.concatenate([(self._state - self._goal) * self.unit, true[:, self.kept]], 1)
        for code, state in zip(x, true, strict=True):
            self.known[code.tobytes()] = state.copy()
        self._x = x
        while len(self.known) > MOST:
            self.known.popitem(last=False)
        return x

    def observe(self) -> Array:
        """Returns what a policy sees now, (B, dx): the state."""
        return self._x.copy()

    def metrics(self, x: Array, u: Array) -> dict[str, Array]:
        """Returns the task's own numbers of the true states, and their cost by it, (N,) each: NaN
        where the states are none that were seen lately.
        """
        true = np.full((*x.shape[:2], self.task.dx), np.nan)
        for index in np.ndindex(*x.shape[:2]):
            true[index] = self.known.get(np.ascontiguousarray(x[index]).tobytes(), np.nan)
        lost = np.isnan(true).reshape(len(x), -1).max(1) > 0
        filled = np.where(lost[:, None, None], 0.0, true)
        numbers = self.task.metrics(filled, u)
        numbers |= {"true_cost": self.task.cost(filled, u).sum(-1)}
        return {name: np.where(lost, np.nan, value) for name, value in numbers.items()}


def goal_cost(word: str, weights: Array, effort: float) -> Cost:
    """Returns the cost of the distance of codes to the goal's, by its word, and of actions."""
    if word == "norm":
        near: Any = WeightedNorm(weights, l1=1.0, l2=0.0, alpha=1e-5)
    elif word == "log":
        near = Lorentzian(weights, l1=START, l2=0.0, alpha=1e-5)
    elif word == "exp":
        near = Saturated(weights, width=START, alpha=1e-5)
    else:
        raise InputError(f"cost is {word!r}; expected norm, log or exp")
    return near + Action(2 * effort)  # it halves the square
