"""Planners: functions of one shape that find action sequences of low cost; see `shape`."""

from typing import Annotated, Any

from ..settings import PartOf
from .base import Plan as Plan
from .base import Planner as Planner
from .cem import CEM as CEM
from .cma import CMAES as CMAES
from .gradient import Gradient as Gradient
from .icem import ICEM as ICEM
from .ilqr import ILQR as ILQR
from .mppi import MPPI as MPPI
from .mppi import RewardWeighted as RewardWeighted
from .objective import Objective as Objective
from .objective import Value as Value
from .random_shooting import RandomShooting as RandomShooting

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
