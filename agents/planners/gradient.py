"""Gradient descent on action sequences through a differentiable model, from several starts at once.

Adam (Kingma & Ba 2015) on the actions in units of half their range, projected on the limits. The
starts are the last plan, the plan of a few iterations of the cross-entropy method, and random
sequences. The objective needs a method `gradient(U) -> cost (N,), slope (N, H, du)`, as
`agents.planners.objective.Objective` has for any model with a tangent.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from lqr import InputError, NumericalError

from ..settings import Count, Positive, Settings, Whole
from .base import Array, Objective, Plan, SearchLog, box, finite_or_worst, first
from .cem import CEM


@dataclass(frozen=True)
class Gradient(Settings):
    """Carries out, and keeps, the best sequence."""

    follows_mean: ClassVar[bool] = True  # of the model: it has no use for optimism

    starts: Count = 4  # sequences that descend, side by side
    iterations: Count = 30  # of Adam
    rate: Positive = 0.1  # Adam's step, as a share of half the range; falls to 0 along a cosine
    search_samples: Whole = 50  # of each of two iterations of CEM, whose mean is a start; 0: none

    def __call__(
        self, objective: Objective, start: Array, low: Array, high: Array, rng: np.random.Generator
    ) -> Plan:
        """Returns the plan; see `Planner`. Raises InputError for an objective without a
        gradient.
        """
        slope_of: Any = getattr(objective, "gradient", None)
        if slope_of is None:
            raise InputError(
                "the objective has no gradient; expected a method gradient(U), or another planner"
            )
        U, half, log = first(start, low, high)[None], box(start, low, high)[1], SearchLog()
        if self.search_samples:
            elites = max(self.search_samples // 10, 2)
            search = CEM(self.search_samples, elites, iterations=2)
            found = search(objective, start, low, high, rng)
            log.evaluations, U = found.evaluations, np.concatenate([found.U[None], U])
        more = rng.uniform(low, high, size=(max(self.starts - len(U), 0), *U.shape[1:]))
        U = np.concatenate([U, more])[: self.starts]
        m, v, steepest = np.zeros(U.shape), np.zeros(U.shape), float(np.finfo(float).tiny)
        for i in range(self.iterations):
            cost, slope = slope_of(U)
            log.add(U, finite_or_worst(cost))
            g = np.nan_to_num(slope * half, nan=0.0, posinf=0.0, neginf=0.0)
            steepest = max(steepest, float(np.abs(g).max()))  # whatever the unit of the cost
            m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
            step = (
                m / (1 - 0.9 ** (i + 1)) / (np.sqrt(v / (1 - 0.999 ** (i + 1))) + 1e-8 * steepest)
            )
            rate = self.rate * 0.5 * (1 + np.cos(np.pi * i / self.iterations))
            U = np.clip(U - rate * half * step, low, high)
        log.add(U, finite_or_worst(objective(U)))
        if not np.isfinite(log.cost):
            raise NumericalError(
                "no start has a finite cost; expected one or more: the model or the cost breaks"
            )
        return log.plan(log.U, log.U[None])
