"""What one step costs: the cost of a transition, one for whoever learns from steps.

    paid = c_t(x_t, u_t) + [the episode ended there] c_t+1(x_t+1)

A task's cost is a function of whole episodes; its window of one step is cut out here, once. An end
is paid for with its state. What is paid where a time limit cuts an episode off, `TaskEnv` says.
"""

from typing import Any

import numpy as np

from lqr import InputError, window

from ...interfaces import Array, Task


class StepCost:
    """The cost of single steps of a task, for any leading axes."""

    def __init__(self, task: Task):
        self.task = task
        self._windows: dict[int, Any] = {}

    @property
    def midst(self) -> int:
        """The step at which a transition is evaluated whose time is not known, as an imagined one's is
        not: the second, as the first and the last may have costs of their own.
        """
        return min(1, self.task.horizon - 1)

    def at(self, t: int) -> Any:
        """Returns the cost of the steps t, t+1 of an episode."""
        if t not in self._windows:
            self._windows[t] = window(self.task.cost, t, 1, self.task.horizon)
        return self._windows[t]

    def parts(self, x: Array, u: Array, xnext: Array, t: int) -> tuple[Array, Array]:
        """Returns the costs (...) of x (..., dx) with u (..., du) at step t, and of x' (..., dx) by
        itself.
        """
        found = self.at(t)(np.stack([x, xnext], -2), u[..., None, :])
        return found[..., 0], found[..., 1]

    def rewards(
        self, x: Array, u: Array, xnext: Array, end: Array | bool, t: int | None = None
    ) -> Array:
        """Returns minus what is paid (...), at step t, or else in the midst of an episode."""
        now, last = self.parts(x, u, xnext, self.midst if t is None else t)
        return -(now + np.where(end, last, 0.0))

    def check_stationary(self, x: Array, u: Array, xnext: Array) -> None:
        """Raises InputError where these transitions (M, .) cost something else at another time: a
        critic that does not see the time cannot learn that.
        """
        T = self.task.horizon
        times = sorted({self.midst, T // 2, max(T - 2, self.midst)})
        costs = [self.parts(x, u, xnext, t)[0] for t in times]
        gap = max(float(np.abs(cost - costs[0]).max()) for cost in costs)
        if gap > 1e-6 * max(float(np.abs(costs[0]).max()), 1e-12):
            raise InputError(
                f"the cost of {self.task.name} changes with time (by {gap:.3g} between steps {times}); expected one "
                "that is the same at each step: a critic does not see the time; choose a planner or a local method"
            )
