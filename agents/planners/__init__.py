"""Planners: functions of one shape that find action sequences of low cost; see `shape`."""

from typing import Annotated, Any

from ..settings import PartOf
from .base import Plan, Planner
from .cem import CEM
from .cma import CMAES
from .gradient import Gradient
from .icem import ICEM
from .ilqr import ILQR
from .mppi import MPPI, RewardWeighted
from .objective import Objective, Value
from .random_shooting import RandomShooting

PLANNERS: dict[str, type] = {
    "random": RandomShooting,
    "cem": CEM,
    "icem": ICEM,
    "mppi": MPPI,
    "reward_weighted": RewardWeighted,
    "cma": CMAES,
    "gradient": Gradient,
    "ilqr": ILQR,
}
"""The planners by their word; a user may add to this. Each is a frozen dataclass of settings."""

PlannerSetting = Annotated[Any, PartOf(PLANNERS)]
"""The type of a setting that takes a planner, or the word of one."""

__all__ = [
    "CEM",
    "CMAES",
    "ICEM",
    "ILQR",
    "MPPI",
    "PLANNERS",
    "Gradient",
    "Objective",
    "Plan",
    "Planner",
    "PlannerSetting",
    "RandomShooting",
    "RewardWeighted",
    "Value",
]
