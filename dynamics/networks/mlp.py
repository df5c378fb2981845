"""A network trained on all data, whose uncertainty is what it leaves unexplained in transitions
that were held out.
"""

from typing import Any

import numpy as np

from ..base import Array
from .base import MLPEnsemble, Params


class Network(MLPEnsemble):
    """One perceptron with least-squares loss; the same covariance everywhere."""

    word = "nn"

    def __init__(
        self,
        hidden: tuple[int, ...] = (64, 64),
        steps: int = 1000,
        learning_rate: float = 3e-3,
        batch: int = 256,
        unroll: int = 1,
        reject_outliers: bool = True,
        rare: tuple[int, ...] = (),
    ):
        super().__init__(1, hidden, steps, learning_rate, batch, unroll, reject_outliers, rare)
        self.residual = np.zeros((0, 0))  # (dx, dx), in standard units

    def _loss(self, params: Params, z: Any, y: Any, last: Any) -> tuple[Any, Any]:
        gap = self._forward(params, z) - y
        gap = gap if last is None else last[0] + gap
        return gap**2, (gap,)

    def _evaluate(self, z: Array, y: Array, held: Array) -> None:
        """Takes the covariance of the held-out residuals, with two pseudo-samples of uncorrelated
        ones beside them.
        """
        if len(held) < 2:
            self.residual = np.eye(y.shape[1])  # nobody knows
            return
        gap = self._outputs(z[held])[0] - y[held]
        alone = np.diag((gap**2).mean(0) + 1e-10)
        self.residual = (gap.T @ gap + 2 * alone) / (len(held) + 2)

    def _predict(self, z: Array) -> tuple[Array, Array]:
        return self._outputs(z)[0], np.broadcast_to(self.residual, (len(z), *self.residual.shape))

    def _state(self) -> dict[str, Any]:
        return super()._state() | {"residual": self.residual}

    def _form(self) -> dict[str, Any]:
        return super()._form() | {"residual": ("dx", "dx")}

    def _load(self, state: dict[str, Any]) -> None:
        super()._load(state)
        self.residual = state["residual"]
