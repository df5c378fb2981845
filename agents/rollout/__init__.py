"""Rollouts: controllers and policies act in a task, and what happened is recorded."""

from .checks import checked_cost
from .noise import smoothed
from .running import metrics_of, rollout, run, run_rows
from .trajectories import Act, Trajectories, Watch

__all__ = [
    "Act",
    "Trajectories",
    "Watch",
    "checked_cost",
    "metrics_of",
    "rollout",
    "run",
    "run_rows",
    "smoothed",
]
