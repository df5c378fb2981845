"""Parameters from which one gradient step leads to a good policy for each of several tasks: MAML.

    phi_k  =  theta + alpha g_k(theta),    g_k the gradient of J_k,  by likelihood ratios
    theta  <-  arg max  mean_k J_k(phi_k),    mean_k KL(phi_k's old policy || its new one) <= delta

Finn, Abbeel & Levine, Model-Agnostic Meta-Learning (2017). J_k is the mean of pi_theta / pi_old times
the advantage, on episodes of the policy before the step: a function of theta with a second derivative,
so that the gradient goes through the step: d phi_k / d theta = I + alpha H_k, and H_k v is found by
central differences of g_k.
"""

from typing import NamedTuple

import numpy as np

from .clipped import clipped_gradient
from .gaussian_layers import GaussianLayers, divergences
from .natural_gradient import Step, natural_step
from .trust_region import Batch

Array = np.ndarray
DIFFERENCE = 1e-4  # of a direction's length, in units of the parameters


class Inner:
    """The step of one task, from its own episodes of the policy of theta."""

    def __init__(self, layers: GaussianLayers, theta: Array, batch: Batch, rate: float):
        """`batch` are episodes of the policy with parameters theta (P,), `rate` is alpha."""
        self.layers, self.batch, self.rate = layers, batch, rate
        self.log_density = layers.log_density(layers.gaussians(theta, batch.x), batch.u)[0]

    def slope(self, theta: Array) -> Array:
        """Returns g(theta) (P,), the gradient of the objective on the task's episodes."""
        return clipped_gradient(self.layers, theta, self.batch, self.log_density, np.inf)

    def adapted(self, theta: Array) -> Array:
        """Returns phi (P,)."""
        found: Array = theta + self.rate * self.slope(theta)
        return found

    def through(self, theta: Array, v: Array) -> Array:
        """Returns d phi / d theta times v (P,), a symmetric matrix."""
        size = float(np.linalg.norm(v))
        if size == 0.0:
            return v
        h = DIFFERENCE * v / size
        curved = (self.slope(theta + h) - self.slope(theta - h)) * (size / (2 * DIFFERENCE))
        found: Array = v + self.rate * curved
        return found


class Outer(NamedTuple):
    """One task: its step, and the episodes of its adapted policy."""

    inner: Inner
    phi: Array  # (P,), the adapted parameters that the episodes are of
    batch: Batch
    log_density: Array  # (M,), logarithms of their densities


def task_of(inner: Inner, theta: Array, batch: Batch) -> Outer:
    """Returns a task after its step from theta (P,), with episodes of the adapted policy."""
    layers, phi = inner.layers, inner.adapted(theta)
    before = layers.log_density(layers.gaussians(phi, batch.x), batch.u)[0]
    return Outer(inner, phi, batch, before)


def objective(theta: Array, tasks: list[Outer]) -> float:
    """Returns the mean over tasks of what the adapted policies would gain."""
    found = []
    for task in tasks:
        layers, phi = task.inner.layers, task.inner.adapted(theta)
        log = layers.log_density(layers.gaussians(phi, task.batch.x), task.batch.u)[0]
        found.append((np.exp(log - task.log_density) * task.batch.advantage).mean())
    return float(np.mean(found))


def meta_gradient(theta: Array, tasks: list[Outer]) -> Array:
    """Returns the gradient (P,) of the objective at theta, through the steps of all tasks."""
    slopes = [
        task.inner.through(
            theta,
            clipped_gradient(task.inner.layers, task.phi, task.batch, task.log_density, np.inf),
        )
        for task in tasks
    ]
    return np.mean(slopes, axis=0)


def divergence(theta: Array, tasks: list[Outer]) -> float:
    """Returns how far the adapted policies have moved, nats, the mean over tasks."""
    found = []
    for task in tasks:
        layers, x = task.inner.layers, task.batch.x
        new = layers.gaussians(task.inner.adapted(theta), x)
        found.append(divergences(layers.gaussians(task.phi, x), new).mean())
    return float(np.mean(found))


def meta_step(theta: Array, tasks: list[Outer], bound: float, damping: float = 0.1) -> Step:
    """Returns the parameters (P,) after one natural-gradient step up the objective, of at most `bound`
    nats.
    """
    products = [task.inner.layers.fisher(task.phi, task.batch.x) for task in tasks]

    def fisher(v: Array) -> Array:
        parts = [
            task.inner.through(theta, product(task.inner.through(theta, v)))
            for task, product in zip(tasks, products, strict=True)
        ]
        return np.mean(parts, axis=0)

    with np.errstate(over="ignore", invalid="ignore"):  # a step too long is halved
        return natural_step(
            theta,
            meta_gradient(theta, tasks),
            fisher,
            lambda new: objective(new, tasks),
            lambda new: divergence(new, tasks),
            bound,
            damping=damping,
        )
