"""Local controllers as something that can be kept: they see the state x and the step t, one per
condition.
"""

from typing import Any

import numpy as np

from dynamics import Chart, Manifold
from dynamics.storage.tree import check_tree
from lqr import CheckpointError, InputError, LinearGaussianController

from ..interfaces import Array, State


class ControllerPolicy:
    """Time-varying linear-Gaussian controllers, one per condition; they need the state and the
    step, not o.
    """

    sees = "x"

    def __init__(self, controller: LinearGaussianController, chart: Chart | None = None):
        """`chart` is that of the states where these lie on a manifold; the controllers then see its
        coordinates.
        """
        self.controller, self.chart = controller, chart

    def act(self, x: Array, t: int, condition: int = 0) -> Array:
        """Returns the mean action (du,) of a condition's controller in state x (dx,) at step t."""
        seen = np.asarray(x) if self.chart is None else self.chart.tangent_at(x, t, condition)
        return self.controller.K[condition, t] @ seen + self.controller.k[condition, t]

    def sample(self, o: Array, t: int, rng: np.random.Generator | None) -> Array:
        """Returns actions (C, du) for the states `o` (C, dx), row c by condition c's controller."""
        seen = o if self.chart is None else self.chart.tangent_at(o, t)
        mean = (self.controller.K[:, t] @ seen[..., None])[..., 0] + self.controller.k[:, t]
        if rng is None:
            return mean
        noise = rng.standard_normal(mean.shape)
        return mean + (np.linalg.cholesky(self.controller.cov[:, t]) @ noise[..., None])[..., 0]

    def state(self) -> State:
        """Returns what `from_state` needs."""
        chart = self.chart and {
            "parts": ",".join(self.chart.manifold.parts),
            "origin": self.chart.origin,
        }
        return {
            "kind": "controllers",
            **self.controller._asdict(),
            **({"chart": chart} if chart else {}),
        }

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> "ControllerPolicy":
        """Builds the controllers out of `state()`. Raises CheckpointError for anything else."""
        form = {
            "kind": str,
            "K": ("C", "T", "du", "dx"),
            "k": ("C", "T", "du"),
            "cov": ("C", "T", "du", "du"),
        }
        if not isinstance(state, dict) or "chart" not in state:
            check_tree(state, form, "controllers")
            return cls(LinearGaussianController(state["K"], state["k"], state["cov"]))
        check_tree(
            state,
            {**form, "chart": {"parts": str, "origin": ("C", "states", "numbers")}},
            "controllers",
        )
        controller = LinearGaussianController(state["K"], state["k"], state["cov"])
        try:
            manifold = Manifold(*state["chart"]["parts"].split(","))
            origin = state["chart"]["origin"]
        except InputError as error:
            raise CheckpointError(f"controllers: {error}; it is of another version") from None
        if controller.K.shape[-1] != manifold.dim or origin.shape[1:] != (
            controller.K.shape[1] + 1,
            manifold.size,
        ):
            raise CheckpointError(
                f"controllers: got gains {controller.K.shape} and origin {origin.shape}, expected those of "
                f"{manifold.dim} and {manifold.size} numbers per state; it is of another version"
            )
        return cls(controller, Chart(manifold, origin))
