"""A tanh network with Gaussian actions as a function of one vector of parameters, and its
derivatives forwards and backwards: what natural gradients are made of.

Actions are in units of half their range, observations in the policy's own. The deviations do not
depend on the observation.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy.special import log_ndtr

from ..policies.layers import scaled_outputs
from ..policies.mlp import NeuralPolicy
from ..policies.numpy_training import views
from ..tasks.action_limits import action_unit

Array = np.ndarray


class Gaussians(NamedTuple):
    """Distributions of actions; or derivatives with respect to these."""

    mean: Array  # (M, du)
    log_std: Array  # (du,)


class GaussianLayers:
    """The shapes of a policy's parameters, and the units of its actions."""

    def __init__(self, policy: NeuralPolicy):
        self.shapes = [a.shape for a in (*policy.weights, *policy.biases, policy.biases[-1])]
        self.count, self.policy = len(policy.weights), policy
        self.unit = action_unit(policy.low, policy.high, np.zeros((1, len(policy.low))))
        self.low, self.high = policy.low / self.unit, policy.high / self.unit

    def flat(self, policy: NeuralPolicy) -> Array:
        """Returns the parameters of a policy of these shapes, (P,)."""
        W, b = scaled_outputs(policy.weights, policy.biases, 1 / self.unit)
        log_std = 0.5 * np.log(np.diag(policy.cov)) - np.log(self.unit)
        return np.concatenate([a.ravel() for a in (*W, *b, log_std)])

    def policy_of(self, theta: Array) -> NeuralPolicy:
        """Returns the policy with parameters (P,)."""
        *layers, log_std = (a.copy() for a in views(theta, self.shapes))
        W, b = scaled_outputs(layers[: self.count], layers[self.count :], self.unit)
        p, cov = self.policy, np.diag((self.unit * np.exp(log_std)) ** 2)
        return NeuralPolicy(W, b, p.centre, p.scale, cov, p.low, p.high)

    def inputs(self, o: Array) -> Array:
        """Returns what the network sees of observations (M, do)."""
        return (o - self.policy.centre) / self.policy.scale

    def gaussians(self, theta: Array, x: Array) -> Gaussians:
        """Returns the distributions of actions at inputs (M, do)."""
        parts = views(theta, self.shapes)
        return Gaussians(self._hidden(parts, x)[-1], parts[-1])

    def pushed(self, theta: Array, x: Array, v: Array, h: list[Array] | None = None) -> Gaussians:
        """Returns the derivatives of the distributions along a change v (P,) of the parameters; `h`
        is what `_hidden` returns, where it is known.
        """
        parts, along = views(theta, self.shapes), views(v, self.shapes)
        h, L = self._hidden(parts, x) if h is None else h, self.count
        slope = h[0] @ along[0].T + along[L]
        for i in range(L):
            if i:
                slope = slope @ parts[i].T + h[i] @ along[i].T + along[L + i]
            if i < L - 1:
                slope = slope * (1 - h[i + 1] ** 2)
        return Gaussians(slope, along[-1])

    def pulled(
        self, theta: Array, x: Array, slope: Gaussians, h: list[Array] | None = None
    ) -> Array:
        """Returns the gradient (P,) of what has these derivatives by the distributions."""
        parts = views(theta, self.shapes)
        h, L = self._hidden(parts, x) if h is None else h, self.count
        back = slope.mean
        found: list[Array] = [np.empty(0)] * (2 * L)
        for i in reversed(range(L)):
            found[i], found[L + i] = back.T @ h[i], back.sum(0)
            if i:
                back = (back @ parts[i]) * (1 - h[i] ** 2)
        return np.concatenate([a.ravel() for a in (*found, slope.log_std)])

    def fisher(self, theta: Array, x: Array) -> Callable[[Array], Array]:
        """Returns the function of v (P,) that is the Fisher information times v, the mean over
        inputs (M, do).
        """
        parts = views(theta, self.shapes)
        h, variance = self._hidden(parts, x), np.exp(2 * parts[-1])

        def product(v: Array) -> Array:
            along = self.pushed(theta, x, v, h)
            slope = Gaussians(along.mean / variance / len(x), 2 * along.log_std)
            return self.pulled(theta, x, slope, h)

        return product

    def log_density(self, p: Gaussians, u: Array) -> tuple[Array, Gaussians]:
        """Returns log p(u) (M,) of actions (M, du), up to a constant, and its derivatives, row by row.

        An action at a limit stands for all beyond it (Fujita & Maeda, Clipped Action Policy
        Gradient, 2018): the rollout clips.
        """
        std = np.exp(p.log_std)
        z = (u - p.mean) / std
        below, above = u <= self.low, u >= self.high
        side = np.where(below, z, -z)
        tail = log_ndtr(side)
        mills = np.exp(-0.5 * z**2 - 0.5 * np.log(2 * np.pi) - tail)
        out = below | above
        value = np.where(out, tail, -0.5 * z**2 - p.log_std)
        slope = np.where(out, np.where(below, -mills, mills), z) / std
        by_std = np.where(out, slope * (u - p.mean), z**2 - 1)
        fixed = below & above  # what cannot move is certain
        value, slope, by_std = (np.where(fixed, 0.0, a) for a in (value, slope, by_std))
        return value.sum(1), Gaussians(slope, by_std)

    def _hidden(self, parts: list[Array], x: Array) -> list[Array]:
        """Returns the inputs of all layers, and the outputs of the last."""
        h, L = [x], self.count
        for i in range(L):
            a = h[-1] @ parts[i].T + parts[L + i]
            h.append(np.tanh(a) if i < L - 1 else a)
        return h


def divergences(p: Gaussians, q: Gaussians) -> Array:
    """Returns KL(p || q) of each row, (M,), nats."""
    ratio = np.exp(2 * (p.log_std - q.log_std))
    gap = (p.mean - q.mean) ** 2 * np.exp(-2 * q.log_std)
    return (q.log_std - p.log_std + 0.5 * (ratio + gap - 1)).sum(1)


def slope_of_first(p: Gaussians, q: Gaussians) -> Gaussians:
    """Returns the derivatives of the mean of KL(p || q) by p."""
    gap = (p.mean - q.mean) * np.exp(-2 * q.log_std)
    return Gaussians(gap / len(gap), np.exp(2 * (p.log_std - q.log_std)) - 1)


def slope_of_second(p: Gaussians, q: Gaussians) -> Gaussians:
    """Returns the derivatives of the mean of KL(p || q) by q."""
    gap = (q.mean - p.mean) * np.exp(-2 * q.log_std)
    square = np.exp(2 * (p.log_std - q.log_std)) + (p.mean - q.mean) ** 2 * np.exp(-2 * q.log_std)
    return Gaussians(gap / len(gap), (1 - square).mean(0))
