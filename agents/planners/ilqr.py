"""iLQR as a planner: the descent of `lqr.ilqr` in any model that can be linearised, within the
limits of the actions.

Tassa, Erez & Todorov, Synthesis and stabilization of complex behaviors through online trajectory
optimization (2012). The objective gives its parts, as `agents.planners.objective.Objective` does:
`x0`, `step`, `jacobian`, `cost`.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from lqr import ILQRResult, InputError, NumericalError, ilqr

from ..settings import Count, Positive, Settings
from .base import Array, Objective, Plan, SearchLog, box, finite_or_worst, first


@dataclass(frozen=True)
class ILQR(Settings):
    """Descends from the last plan and from random sequences; carries out, and keeps, the one
    of lowest cost.
    """

    follows_mean: ClassVar[bool] = True  # of the model: it has no use for optimism

    starts: Count = 2  # sequences that descend, side by side
    iterations: Count = 20  # backward sweeps
    std: Positive = 0.2  # of the random starts about the middle, as a share of half the range

    def __call__(
        self, objective: Objective, start: Array, low: Array, high: Array, rng: np.random.Generator
    ) -> Plan:
        """Returns the plan; see `Planner`. Raises InputError for an objective that does not tell
        its parts.

        Starts under which the model diverges are left out; NumericalError where it does under all
        of them.
        """
        parts: Any = objective
        missing = [
            name for name in ("x0", "step", "jacobian", "cost") if not hasattr(objective, name)
        ]
        if missing:
            raise InputError(
                f"the objective has no {', '.join(missing)}; expected those of `Objective`"
            )
        middle, half = box(start, low, high)
        U = first(start, low, high)
        extra = middle + self.std * half * rng.standard_normal((self.starts - 1, *U.shape))
        n, log = parts.steps(U.shape[0]), SearchLog()
        guesses = np.concatenate([U[None], np.clip(extra, low, high)])
        try:
            found = self._descend(parts, guesses[:, :n], low, high)
        except (
            InputError
        ):  # for a start whose cost is not finite, and for what the same call raises again
            guesses = guesses[finite(parts, guesses[:, :n])]
            found = self._descend(parts, guesses[:, :n], low, high)
        guesses[:, :n] = found.U
        log.add(guesses, finite_or_worst(found.cost))
        log.evaluations = int(np.sum(found.iterations))
        return log.plan(log.U, log.U[None])

    def _descend(self, parts: Any, U: Array, low: Array, high: Array) -> ILQRResult:
        return ilqr(
            parts.step,
            parts.cost,
            np.tile(parts.x0, (len(U), 1)),
            U,
            low=low,
            high=high,
            jacobian=parts.jacobian,
            vectorised=True,
            timed=True,
            second_order=False,
            max_iterations=self.iterations,
            tolerance=1e-6,
        )


def finite(parts: Any, U: Array) -> Array:
    """Returns which sequences U (N, H, du) cost a finite number, (N,). Raises NumericalError where
    none does.
    """
    X = np.repeat(np.tile(parts.x0, (len(U), 1))[:, None], U.shape[1] + 1, axis=1)
    with np.errstate(over="ignore", invalid="ignore"):
        for t in range(U.shape[1]):
            X[:, t + 1] = parts.step(X[:, t], U[:, t], t)
        sound: Array = np.isfinite(parts.cost(X, U).sum(-1))
    if not sound.any():
        raise NumericalError(
            "no start has a finite cost; expected one or more: the model or the cost breaks"
        )
    return sound
