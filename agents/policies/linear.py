"""A linear policy of normalised observations: u = middle + half range * gain (o - centre) / scale.

z = (o - centre) / scale,     centre and scale the mean and deviation of all observations so far
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from dynamics.storage.tree import check_tree
from lqr import CheckpointError

from ..interfaces import Array, State, Task
from ..tasks.action_limits import bounded, resting
from .base import Memoryless


class LinearPolicy(Memoryless):
    """Deterministic; without limits of the actions their unit is 1 around 0."""

    def __init__(self, gain: Array, low: Array, high: Array, moments: Array | None = None):
        """`gain` (du, do), limits (du,); `moments` (3, do) are the count of the observations seen,
        their mean, and the sum of their squared distances from it.
        """
        self.gain, self.low, self.high = gain, low, high
        self.do = gain.shape[1]
        self.moments = np.zeros((3, self.do)) if moments is None else moments
        self.cov = np.zeros((len(gain), len(gain)))

    @classmethod
    def zero(cls, task: Task) -> "LinearPolicy":
        """Returns the policy of a task that takes the middle action everywhere."""
        return cls(np.zeros((task.du, task.do)), task.action_low, task.action_high)

    @property
    def normaliser(self) -> tuple[Array, Array]:
        """Centre and scale of observations, (do,) each; what never varied has the scale 1."""
        count, mean, squares = self.moments
        scale = np.sqrt(squares / np.maximum(count - 1, 1))
        return mean, np.where(scale > 1e-8 * (1 + np.abs(mean)), scale, 1.0)

    @property
    def range(self) -> tuple[Array, Array]:
        """Middle and half of the actions' range, (du,) each; the resting action and 1 where there
        are no limits.
        """
        limited = bounded(self.low, self.high)
        low, high = np.where(limited, self.low, -1.0), np.where(limited, self.high, 1.0)
        middle = np.where(limited, 0.5 * (low + high), resting(self.low, self.high))
        return middle, 0.5 * (high - low)

    def mean(self, o: Array) -> Array:
        """Returns the actions (..., du) for observations (..., do)."""
        return self.actions(self.gain, o)

    def actions(self, gain: Array, o: Array) -> Array:
        """Returns the actions (..., du) of other gains (..., du, do) for observations (..., do)."""
        (centre, scale), (middle, half) = self.normaliser, self.range
        return middle + half * (gain @ ((o - centre) / scale)[..., None])[..., 0]

    def rows(self, gains: Array) -> Callable[..., Array]:
        """Returns what acts by other gains (N, du, do), one in each episode, for `run_rows`."""
        return lambda x, o, t, rows: self.actions(gains[rows], o)

    def deviations(self, o: Array, rng: np.random.Generator) -> Array:
        """Returns no deviation, (B, du): the policy is deterministic."""
        return np.zeros((*o.shape[:-1], len(self.gain)))

    def moved(self, step: Array, o: Array) -> "LinearPolicy":
        """Returns the policy with its gain moved by `step` (du, do), which has seen observations
        (M, do) more (Chan, Golub & LeVeque 1979).
        """
        (n, mean, squares), m = self.moments, len(o)
        gap = o.mean(0) - mean
        total = n + m
        added = ((o - o.mean(0)) ** 2).sum(0) + gap**2 * n * m / total
        moments = np.stack([total, mean + gap * m / total, squares + added])
        return LinearPolicy(self.gain + step, self.low, self.high, moments)

    def state(self) -> State:
        """Returns what `from_state` needs."""
        return {"gain": self.gain, "low": self.low, "high": self.high, "moments": self.moments}

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> "LinearPolicy":
        """Builds the policy out of `state()`. Raises CheckpointError for anything else."""
        form = {"gain": ("du", "do"), "low": ("du",), "high": ("du",), "moments": (3, "do")}
        check_tree(state, form, "linear policy")
        if not (state["moments"][[0, 2]] >= 0).all():
            raise CheckpointError("linear policy: got negative moments; expected none below 0")
        return cls(state["gain"], state["low"], state["high"], state["moments"])

    def parameters(self) -> dict[str, Array]:
        """Returns all arrays that the mean depends on, by name."""
        (centre, scale), (middle, half) = self.normaliser, self.range
        return {"gain": self.gain, "centre": centre, "scale": scale, "middle": middle, "half": half}

    def torch_mean(self, p: dict[str, Any], o: Any) -> Any:
        """Returns the actions (B, du) of raw observations (B, do), as tensors."""
        return p["middle"] + p["half"] * (((o - p["centre"]) / p["scale"]) @ p["gain"].T)
