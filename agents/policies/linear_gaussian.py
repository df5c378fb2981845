"""Local controllers as something that can be kept: they see the state x and the step t, one per
condition.
"""

from typing import Any

import numpy as np

from dynamics import Chart, Manifold
from dynamics.storage.tree import check_tree
from lqr import CheckpointError, InputError, LinearGaussianController

from ..interfaces import Array, State
from ..tasks.action_form import HandsOut
from .checks import checked, checked_rows


class ControllerPolicy(HandsOut):
    """Time-varying linear-Gaussian controllers, one per condition; they need the state and the
    step, not o.
    """

    input = "x"

    def __init__(self, controller: LinearGaussianController, chart: Chart | None = None):
        """`chart` is that of the states where these lie on a manifold; the controllers then see its
        coordinates.
        """
        self.controller, self.chart = controller, chart
        self.reset()

    def reset(self) -> None:
        """Begins an episode, for `act` without a step."""
        self._clock = 0

    def act(self, x: Array, t: int | None = None, condition: int = 0) -> Array:
        """Returns the mean action (du,) of a condition's controller in state x (dx,), at step t or
        at the step after the last one; after the last step of an episode another one begins.

        Raises InputError for a state of another size, or with numbers that are not finite.
        """
        T = self.controller.k.shape[1]
        clock = (self._clock if t is None else t) % T
        x = checked(x, self._size, "state x")
        if x.ndim > 1:
            raise InputError(f"the state x has shape {x.shape}; expected ({x.shape[-1]},)")
        action = self._action(x, clock, condition)
        self._clock = clock + 1
        return self.handed_out(action)

    def predict(
        self,
        observation: Array,
        state: Any = None,
        episode_start: Any = None,
        deterministic: bool = True,
    ) -> tuple[Array, Any]:
        """Returns (action, state) in the form of Stable-Baselines3, for one state (dx,), by the
        first condition's controller, or for several (C, dx), row c by that of condition c.

        `state` is what it returned before, the step of each row, or None at first; a row where
        `episode_start` is true begins anew. Raises InputError for another number of rows, a state
        of another size, or with numbers that are not finite.
        """
        x = checked_rows(observation, self._size, "state x")
        C, T = self.controller.k.shape[:2]
        if len(x) not in (1, C):
            raise InputError(f"got {len(x)} states; expected 1, or {C}, one for each condition")
        t = np.zeros(len(x), int) if state is None else np.asarray(state[0], dtype=int)
        if t.shape != (len(x),):
            raise InputError(f"got steps of shape {t.shape}; expected ({len(x)},), as the states")
        if episode_start is not None:
            t = np.where(np.ravel(episode_start), 0, t)
        t = t % T
        u = np.stack(
            [
                self._action(row, int(step), c)
                for c, (row, step) in enumerate(zip(x, t, strict=True))
            ]
        )
        if not deterministic:
            cov = self.controller.cov[np.arange(len(x)), t]
            noise = np.random.default_rng().standard_normal(u.shape)
            u = u + (np.linalg.cholesky(cov) @ noise[..., None])[..., 0]
        return self.handed_out(u if np.ndim(observation) > 1 else u[0], np.float32), (t + 1,)

    @property
    def _size(self) -> int | None:
        """The numbers of a state, which is no tangent vector."""
        return self.controller.K.shape[-1] if self.chart is None else self.chart.manifold.size

    def _action(self, x: Array, t: int, condition: int) -> Array:
        """Returns the mean action (du,) of a condition's controller in state x (dx,) at step t."""
        seen = x if self.chart is None else self.chart.tangent_at(x, t, condition)
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
            **self.controller._asdict(),
            **({"chart": chart} if chart else {}),
        }

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> "ControllerPolicy":
        """Builds the controllers out of `state()`. Raises CheckpointError for anything else."""
        form = {
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
