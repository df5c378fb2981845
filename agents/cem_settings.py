"""The settings that methods share whose planner is CEM."""

from dataclasses import dataclass
from typing import ClassVar

from .planned import Planned
from .planners import CEM
from .rules import Rule, count, or_none, share


@dataclass(frozen=True)
class CEMSettings(Planned):
    """Settings of a method that plans by CEM."""

    plans: int | None = None  # action sequences in each iteration of the planner
    elites: int | None = None  # the best of them
    plan_iterations: int | None = None  # of the planner
    smoothing: float = 0.1  # share of the old mean and variance that is kept
    best: bool = False  # carry out the best sequence instead of the mean

    RULES: ClassVar[dict[str, Rule]] = {
        **{"plans": or_none(count), "elites": or_none(count), "plan_iterations": or_none(count), "smoothing": share},
    }

    def planner(self) -> CEM:
        """Returns the planner of settled settings."""
        assert self.plans is not None
        assert self.elites is not None
        assert self.plan_iterations is not None
        return CEM(self.plans, min(self.elites, self.plans), self.plan_iterations, self.smoothing, best=self.best)
