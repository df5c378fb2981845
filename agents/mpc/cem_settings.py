"""The settings that methods share whose planner is CEM."""

from dataclasses import dataclass
from typing import ClassVar

from ..planners import CEM
from ..settings import Rule, count, or_none, positive, share
from .loop import Planned


@dataclass(frozen=True)
class CEMSettings(Planned):
    """Settings of a method that plans by CEM."""

    plans: int | None = None  # action sequences in each iteration of the planner
    elites: int | None = None  # the best of them
    plan_iterations: int | None = None  # of the planner
    smoothing: float = 0.1  # share of the old mean and variance that is kept
    plan_std: float = 0.5  # of the first draws, as a share of half the range
    best: bool = False  # carry out the best sequence instead of the mean

    RULES: ClassVar[dict[str, Rule]] = {
        **{
            "plans": or_none(count),
            "elites": or_none(count),
            "plan_iterations": or_none(count),
            "smoothing": share,
        },
        "plan_std": positive,
    }

    def planner(self) -> CEM:
        """Returns the planner of settled settings."""
        assert self.plans is not None
        assert self.elites is not None
        assert self.plan_iterations is not None
        elites = min(self.elites, self.plans)
        return CEM(
            self.plans, elites, self.plan_iterations, self.smoothing, self.plan_std, best=self.best
        )
