"""Policies as points of a space that a search moves in: `mlp`, tanh units, and `rbf`, radial basis
functions.

A space acts for many points at once, each in its own imagined episodes, and hands out the policy of
one. Its inputs are divided by the largest that were seen, so that no unit matters.
"""

from typing import Any, Protocol

import numpy as np

from ...interfaces import Array, Policy, Task
from ...policies.mlp import NeuralPolicy
from ...policies.rbf import NOISE, RBFPolicy, correlations, features, squash
from ...rollout import Act
from ...tasks.capabilities import ObservationOf, angles_of, capability

SILENT = 1e-6  # of half the action range: the standard deviation of a policy that is deterministic


class Space(Protocol):
    """Where policies are searched."""

    size: int  # d, numbers of a point

    def first(self, count: int, rng: np.random.Generator) -> Array:
        """Returns points to begin at, (count, d), of size 1."""
        ...

    def act(self, points: Array) -> Act:
        """Returns what acts by points (P, d) in states (P, S, dx)."""
        ...

    def policy(self, point: Array) -> Policy:
        """Returns the policy of a point (d,)."""
        ...

    def point(self, policy: Any) -> Array:
        """Returns the point (d,) of a policy of this space."""
        ...


def sizes_of(f: Array) -> Array:
    """Returns the unit of each input, (n,): the largest size in f (M, n); 1 where all are 0."""
    size = np.abs(f).max(0)
    return np.where(size > 0, size, 1.0)


class MLPSpace:
    """One layer of tanh units over observations, linear outputs, cut to the limits."""

    def __init__(self, task: Task, x: Array, hidden: int):
        """`x` (M, dx) are the states that were seen."""
        told = capability(task, ObservationOf)
        assert told is not None
        self.scale = sizes_of(told.observation_of(x))
        self.low, self.high, self.hidden = task.action_low, task.action_high, hidden
        self.shapes = ((hidden, task.do), (hidden,), (task.du, hidden), (task.du,))
        self.size = sum(int(np.prod(shape)) for shape in self.shapes)

    def first(self, count: int, rng: np.random.Generator) -> Array:
        """Returns normal points, (count, d)."""
        return rng.standard_normal((count, self.size))

    def layers(self, points: Array) -> list[Array]:
        """Returns W1 (..., h, do), b1 (..., h), W2 (..., du, h), b2 (..., du) of points (..., d)."""
        cuts = np.cumsum([int(np.prod(shape)) for shape in self.shapes])[:-1]
        parts = np.split(points, cuts, -1)
        lead = points.shape[:-1]
        return [a.reshape(*lead, *s) for a, s in zip(parts, self.shapes, strict=True)]

    def act(self, points: Array) -> Act:
        """Returns what acts by points (P, d)."""
        W1, b1, W2, b2 = self.layers(points)
        W1 = np.swapaxes(W1 / self.scale, -1, -2)
        W2 = np.swapaxes(W2, -1, -2)
        middle, half = 0.5 * (self.low + self.high), 0.5 * (self.high - self.low)

        def act(x: Array, o: Array, t: int) -> Array:
            h = np.tanh(o @ W1 + b1[:, None])
            return middle + half * np.clip(h @ W2 + b2[:, None], -1.0, 1.0)

        return act

    def point(self, policy: NeuralPolicy) -> Array:
        """Returns the point (d,) of a policy."""
        middle, half = 0.5 * (self.low + self.high), 0.5 * (self.high - self.low)
        (W1, W2), (b1, b2) = policy.weights, policy.biases
        parts = W1 / policy.scale * self.scale, b1, W2 / half[:, None], (b2 - middle) / half
        return np.concatenate([np.ravel(a) for a in parts])

    def policy(self, point: Array) -> Policy:
        """Returns the network of a point (d,)."""
        W1, b1, W2, b2 = (a.copy() for a in self.layers(point))
        middle, half = 0.5 * (self.low + self.high), 0.5 * (self.high - self.low)
        centre, cov = np.zeros(len(self.scale)), np.diag((SILENT * half) ** 2)
        W2, b2 = half[:, None] * W2, middle + half * b2
        return NeuralPolicy([W1, W2], [b1, b2], centre, self.scale, cov, self.low, self.high)


class RBFSpace:
    """Centres and length scales in units of the features, and targets."""

    def __init__(self, task: Task, x: Array, centres: int):
        """`x` (M, dx) are the states that were seen."""
        self.angles = angles_of(task)
        f = features(x, self.angles)
        self.scale, self.count, self.du = sizes_of(f), centres, task.du
        self.low, self.high = task.action_low, task.action_high
        self.seen = f / self.scale
        self.n = f.shape[1]
        self.size = centres * (self.n + task.du) + self.n

    def first(self, count: int, rng: np.random.Generator) -> Array:
        """Returns points whose centres lie about the states that were seen, (count, d)."""
        rows = rng.integers(len(self.seen), size=(count, self.count))
        centres = self.seen[rows] + rng.standard_normal((count, self.count, self.n))
        targets = 0.1 * rng.standard_normal((count, self.count, self.du))
        return self.join(centres, targets, np.zeros((count, self.n)))

    def join(self, centres: Array, targets: Array, logs: Array) -> Array:
        """Returns points (..., d) of centres (..., c, n), targets (..., c, du) and logs of length
        scales (..., n).
        """
        lead = logs.shape[:-1]
        return np.concatenate([centres.reshape(*lead, -1), targets.reshape(*lead, -1), logs], -1)

    def parts(self, points: Any) -> tuple[Any, Any, Any]:
        """Returns centres, targets and logs of length scales of points (..., d), arrays or tensors."""
        lead, a, b = points.shape[:-1], self.count * self.n, self.count * self.du
        centres = points[..., :a].reshape(*lead, self.count, self.n)
        targets = points[..., a : a + b].reshape(*lead, self.count, self.du)
        return centres, targets, points[..., a + b :]

    def act(self, points: Array) -> Act:
        """Returns what acts by points (P, d)."""
        centres, targets, logs = self.parts(points)
        lengths = np.exp(logs)
        K = correlations(centres, centres, lengths) + NOISE**2 * np.eye(self.count)
        weights = np.linalg.solve(K, targets)
        middle, half = 0.5 * (self.low + self.high), 0.5 * (self.high - self.low)

        def act(x: Array, o: Array, t: int) -> Array:
            k = correlations(features(x, self.angles) / self.scale, centres, lengths)
            return middle + half * squash(k @ weights)

        return act

    def point(self, policy: RBFPolicy) -> Array:
        """Returns the point (d,) of a policy."""
        logs = np.log(policy.lengths / self.scale)
        return self.join(policy.centres / self.scale, policy.targets, logs)

    def policy(self, point: Array) -> RBFPolicy:
        """Returns the policy of a point (d,)."""
        centres, targets, logs = self.parts(point)
        lengths = np.exp(logs) * self.scale
        return RBFPolicy(centres * self.scale, targets, lengths, self.low, self.high, self.angles)


SPACES = {"mlp": MLPSpace, "rbf": RBFSpace}


def space_of(word: str, task: Task, x: Array, units: int) -> Any:
    """Returns the space of policies of that word, with so many units, where states x (M, dx) were
    seen.
    """
    return SPACES[word](task, x, units)
