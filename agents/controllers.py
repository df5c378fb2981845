"""Local controllers as something that can be kept: they see the state x and the step t, one per condition."""

from typing import Any

import numpy as np

from dynamics.storage import check_tree
from lqr import LinearGaussianController

from .interfaces import Array, State


class ControllerPolicy:
    """Time-varying linear-Gaussian controllers, one per condition; they need the state and the step, not o."""

    sees = "x"

    def __init__(self, controller: LinearGaussianController):
        self.controller = controller

    def act(self, x: Array, t: int, condition: int = 0) -> Array:
        """Returns the mean action (du,) of a condition's controller in state x (dx,) at step t."""
        return self.controller.K[condition, t] @ np.asarray(x) + self.controller.k[condition, t]

    def sample(self, o: Array, t: int, rng: np.random.Generator | None) -> Array:
        """Returns actions (C, du) for the states `o` (C, dx), row c by condition c's controller."""
        mean = (self.controller.K[:, t] @ o[..., None])[..., 0] + self.controller.k[:, t]
        if rng is None:
            return mean
        noise = rng.standard_normal(mean.shape)
        return mean + (np.linalg.cholesky(self.controller.cov[:, t]) @ noise[..., None])[..., 0]

    def state(self) -> State:
        """Returns what `from_state` needs."""
        return {"kind": "controllers", **self.controller._asdict()}

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> "ControllerPolicy":
        """Builds the controllers out of `state()`. Raises CheckpointError for anything else."""
        form = {"kind": str, "K": ("C", "T", "du", "dx"), "k": ("C", "T", "du"), "cov": ("C", "T", "du", "du")}
        check_tree(state, form, "controllers")
        return cls(LinearGaussianController(*(np.asarray(state[name], dtype=float) for name in ("K", "k", "cov"))))
