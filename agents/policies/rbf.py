"""A network of radial basis functions, squashed to the limits: the policy of PILCO.

    u = middle + half range * squash(v),    squash(v) = (9 sin v + sin 3v) / 8
    v = k(f, centres) (K + s^2 1)^-1 targets,      k(f, c) = exp(-1/2 |(f - c) / length|^2)

Deisenroth & Rasmussen (2011), section 2.3: the mean of a Gaussian process whose data are the
parameters. It sees the features f of x: angles as cosine and sine, in their place.
"""

from typing import Any

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from dynamics.storage.tree import check_tree
from lqr import CheckpointError

from ..interfaces import Array, State
from .base import Memoryless
from .checks import limits

NOISE = 0.01  # standard deviation s of the targets, in their unit


def features(x: Array, angles: tuple[int, ...]) -> Array:
    """Returns states x (..., dx) with each angle as its cosine and sine, in its place, (..., nf)."""
    if not angles:
        return np.asarray(x)
    columns = []
    for i in range(np.shape(x)[-1]):
        a = x[..., i]
        columns += [np.cos(a), np.sin(a)] if i in angles else [a]
    return np.stack(columns, -1)


def correlations(f: Array, centres: Array, lengths: Array) -> Array:
    """Returns exp(-1/2 |(f - c) / length|^2), (..., M, n), of features (..., M, nf), centres (...,
    n, nf) and lengths (..., nf).
    """
    a, b = f / lengths[..., None, :], centres / lengths[..., None, :]
    far = (a**2).sum(-1)[..., None] + (b**2).sum(-1)[..., None, :] - 2 * a @ np.swapaxes(b, -1, -2)
    return np.exp(-0.5 * np.maximum(far, 0.0))


def squash(v: Array) -> Array:
    """Returns (9 sin v + sin 3v) / 8, from -1 to 1."""
    return (9 * np.sin(v) + np.sin(3 * v)) / 8


class RBFPolicy(Memoryless):
    """Deterministic; its actions lie within finite limits."""

    input = "x"

    def __init__(
        self,
        centres: Array,
        targets: Array,
        lengths: Array,
        low: Array,
        high: Array,
        angles: tuple[int, ...] = (),
    ):
        """`centres` (n, nf) in features, `targets` (n, du), `lengths` (nf,), limits (du,)."""
        self.centres, self.targets, self.lengths = centres, targets, lengths
        self.angles = tuple(int(i) for i in angles)
        self.low, self.high = limits(low, high, targets.shape[1])
        self.do = centres.shape[1] - len(self.angles)  # of x
        self.cov = np.zeros((targets.shape[1],) * 2)
        K = correlations(centres, centres, lengths) + NOISE**2 * np.eye(len(centres))
        self.weights = cho_solve(cho_factor(K), targets)  # (n, du)

    def mean(self, o: Array) -> Array:
        """Returns the actions (..., du) in states (..., dx)."""
        f = features(o, self.angles)
        k = correlations(np.atleast_2d(f), self.centres, self.lengths)
        v = (k @ self.weights).reshape(*np.shape(o)[:-1], -1)
        middle, half = 0.5 * (self.low + self.high), 0.5 * (self.high - self.low)
        return middle + half * squash(v)

    def deviations(self, o: Array, rng: np.random.Generator) -> Array:
        """Returns no deviation, (B, du): the policy is deterministic."""
        return np.zeros((*o.shape[:-1], len(self.cov)))

    def parameters(self) -> dict[str, Array]:
        """Returns all arrays that the mean depends on, by name."""
        middle, half = 0.5 * (self.low + self.high), 0.5 * (self.high - self.low)
        angles = np.array(self.angles, dtype=int)
        parts = {"centres": self.centres, "weights": self.weights, "lengths": self.lengths}
        return parts | {"middle": middle, "half": half, "angles": angles}

    def torch_mean(self, p: dict[str, Any], o: Any) -> Any:
        """Returns the mean actions (B, du) in states (B, dx), as tensors."""
        import torch

        columns = []
        for i in range(self.do):
            a = o[:, i]
            columns += [torch.cos(a), torch.sin(a)] if i in self.angles else [a]
        gap = (torch.stack(columns, -1)[:, None] - p["centres"]) / p["lengths"]
        v = torch.exp(-0.5 * (gap**2).sum(-1)) @ p["weights"]
        return p["middle"] + p["half"] * (9 * torch.sin(v) + torch.sin(3 * v)) / 8

    def state(self) -> State:
        """Returns what `from_state` needs."""
        parts = {"centres": self.centres, "targets": self.targets, "lengths": self.lengths}
        angles = np.array(self.angles, dtype=float)
        return parts | {"low": self.low, "high": self.high, "angles": angles}

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> "RBFPolicy":
        """Builds the policy out of `state()`. Raises CheckpointError for anything else."""
        form = {"centres": ("n", "nf"), "targets": ("n", "du"), "lengths": ("nf",)}
        check_tree(state, form | {"low": ("du",), "high": ("du",), "angles": ("a",)}, "rbf policy")
        whole = state["angles"] % 1 == 0
        if not ((state["lengths"] > 0).all() and whole.all() and (state["angles"] >= 0).all()):
            raise CheckpointError(
                "rbf policy: got lengths or angles that are none; expected lengths above 0 and "
                "coordinates of x"
            )
        angles = tuple(state["angles"].astype(int).tolist())
        return cls(**{**state, "angles": angles})
