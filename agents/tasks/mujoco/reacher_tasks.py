"""Five reachers in one: each has a target and an inertia of its own, and says which it is.

The physics, cost and start angles are those of Reacher-v5, but that the arm of task k has INERTIA[k]
times the masses and the rotors' inertia. A policy sees Gymnasium's observation and the number of the
task, a 1 among zeros (10 + 5 numbers); the state x does not hold the inertia.
"""

import numpy as np

from lqr import InputError

from ...settings import Indices, typed
from ..base.mujoco_batch import MujocoBatch
from .reacher import PARAMETERS, Reacher

Array = np.ndarray

TARGETS = np.array([[0.10, 0.11], [-0.11, 0.10], [-0.09, -0.12], [0.12, -0.09], [0.02, 0.16]])  # m
INERTIA = np.array([1.0, 2.0, 0.6, 1.5, 0.8])  # factors


class ReacherTasks(Reacher):
    """The tasks of these numbers, a condition each."""

    name = "reacher_tasks"
    env_id = None
    do = 15
    simulator = None  # type: ignore[assignment]  # the inertia is in no state
    observation_of = None  # type: ignore[assignment]  # neither is the number of the task

    @typed
    def __init__(self, tasks: Indices = (0, 1, 2, 3)):
        if not tasks or max(tasks) >= len(TARGETS):
            raise InputError(f"tasks is {tasks}; expected some of 0 to {len(TARGETS) - 1}")
        super().__init__(len(tasks))
        self.tasks = np.array(tasks)
        self.targets = TARGETS[self.tasks]

    def reset(self, conditions: Array, rng: np.random.Generator) -> Array:
        """Starts simulation i in task tasks[conditions[i]], at angles that are drawn; returns x (B, 6)."""
        B, self._which = len(conditions), self.tasks[conditions]
        self._sim.assign = self._weigh
        speeds = rng.uniform(-0.005, 0.005, (B, 2))
        return self.start(rng.uniform(-0.1, 0.1, (B, 2)), speeds, TARGETS[self._which])

    def observe(self) -> Array:
        """Returns Gymnasium's observation and the task's number as a 1 among zeros, (B, 15)."""
        return np.concatenate([super().observe(), np.eye(len(TARGETS))[self._which]], 1)

    def _weigh(self, sim: MujocoBatch) -> None:
        factor = INERTIA[self._which]
        for name in ("mass of link 0", "mass of link 1", "rotor inertia"):
            for field, index in PARAMETERS[name]:
                sim.scale(field, index, factor)
        sim.follow()
