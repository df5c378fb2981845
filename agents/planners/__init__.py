"""Planners: functions of one shape that find cheap action sequences; see `shape`."""

from .base import Plan, Planner
from .cem import CEM
from .cma import CMAES
from .gradient import Gradient
from .icem import ICEM
from .ilqr import ILQR
from .mppi import MPPI, RewardWeighted
from .objective import Objective, Value
from .random_shooting import RandomShooting

PLANNERS = {
    "shooting": RandomShooting,
    "cem": CEM,
    "icem": ICEM,
    "mppi": MPPI,
    "reward_weighted": RewardWeighted,
    "cmaes": CMAES,
    "gradient": Gradient,
    "ilqr": ILQR,
}
"""The planners by their word."""

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
    "RandomShooting",
    "RewardWeighted",
    "Value",
]
