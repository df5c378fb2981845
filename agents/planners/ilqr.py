"""iLQR as a planner: the descent of `lqr.ilqr` in any model that can be linearised, within the limits of the actions.

Tassa, Erez & Todorov, Synthesis and stabilization of complex behaviors through online trajectory optimization (2012).
The objective gives its parts, as `agents.planners.objective.Objective` does: `x0`, `step`, `jacobian`, `cost`.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from lqr import InputError, ilqr

from .shape import Array, Objective, Plan, Record, box, check_settings, first


@dataclass(frozen=True)
class ILQR:
    """Descends from the last plan and from random sequences; carries out, and keeps, the cheapest."""

    starts: int = 2  # sequences that descend, side by side
    iterations: int = 20  # backward sweeps
    std: float = 0.2  # of the random starts about the middle, as a share of half the range

    def __post_init__(self) -> None:
        check_settings(self)

    def __call__(self, objective: Objective, start: Array, low: Array, high: Array, rng: np.random.Generator) -> Plan:
        """Returns the plan; see `Planner`. Raises InputError for an objective that does not tell its parts."""
        parts: Any = objective
        missing = [name for name in ("x0", "step", "jacobian", "cost") if not hasattr(objective, name)]
        if missing:
            raise InputError(f"the objective has no {', '.join(missing)}; expected those of `Objective`")
        middle, half = box(start, low, high)
        U = first(start, low, high)
        extra = middle + self.std * half * rng.standard_normal((self.starts - 1, *U.shape))
        n, record = parts.steps(U.shape[0]), Record()
        guesses = np.concatenate([U[None], np.clip(extra, low, high)])
        found = ilqr(
            parts.step,
            parts.cost,
            np.tile(parts.x0, (self.starts, 1)),
            guesses[:, :n],
            low=low,
            high=high,
            jacobian=parts.jacobian,
            vectorised=True,
            timed=True,
            second_order=False,
            max_iterations=self.iterations,
            tolerance=1e-6,
        )
        guesses[:, :n] = found.U
        record.see(guesses, np.asarray(found.cost))
        record.evaluations = int(np.sum(found.iterations))
        return record.plan(record.U, record.U[None])
