"""The model, the policy and what an episode is worth, as functions of tensors: what gradients of
policies go through.

The order of what is known at a step: x (dx), then cosines and sines of its angles, then u. The
policy sees features of x in their place, the model what `Featured` hands it.
"""

from typing import Any, NamedTuple

import numpy as np

from dynamics.features import Featured
from dynamics.gp.moments import Bumps, bumps_of

from ...interfaces import Array, Task
from ...policies.rbf import NOISE
from ...tasks.capabilities import PaysNear, angles_of, capability
from .spaces import RBFSpace

Tensor = Any  # torch.Tensor


class ModelTensors(NamedTuple):
    """The model of a round, and the policy's space; constants for torch."""

    f: Bumps  # of [x without angles; cos; sin; u]
    drift: Tensor  # (dx,), the mean change
    angles: tuple[int, ...]
    inputs: list[int]  # of the model, in [x; cos; sin; u]
    policy_inputs: list[int]  # of the policy, in [x; cos; sin]
    space: RBFSpace
    middle: Tensor  # (du,), of the actions
    half: Tensor  # (du,), of their range


def tensors_of(task: Task, model: Featured, space: RBFSpace) -> ModelTensors:
    """Returns a fitted model, and the policy's space, as tensors."""
    import torch

    dx, angles, du = task.dx, angles_of(task), task.du
    a = len(angles)
    inputs = [i for i in range(dx + 2 * a + du) if i not in angles]
    seen = []
    for i in range(dx):
        k = angles.index(i) if i in angles else -1
        seen += [i] if k < 0 else [dx + k, dx + a + k]
    gp = model.model
    assert gp.normaliser is not None
    parts = (
        gp.normaliser.change_mean,
        0.5 * (space.low + space.high),
        0.5 * (space.high - space.low),
    )
    drift, middle, half = (torch.as_tensor(np.array(p, float)) for p in parts)
    f = bumps_of(gp, np.array(inputs))
    return ModelTensors(f, drift, angles, inputs, seen, space, middle, half)


def policy_bumps(model: ModelTensors, point: Tensor) -> Bumps:
    """Returns the policy of a point (d,), before the squashing, as a function of its features."""
    import torch

    centres, targets, logs = model.space.parts(point)
    lengths = torch.exp(logs)
    scale = torch.as_tensor(model.space.scale)
    c = centres / lengths
    K = torch.exp(-0.5 * ((c[:, None] - c) ** 2).sum(-1))
    weights = torch.linalg.solve(K + NOISE**2 * torch.eye(len(c), dtype=torch.float64), targets)
    du = targets.shape[1]
    return Bumps(
        points=centres * scale,
        lengths=(lengths * scale).expand(du, -1),
        variance=torch.ones(du, dtype=torch.float64),
        weights=weights.mT,
    )


class Goal(NamedTuple):
    """A saturating reward in tensors."""

    A: Tensor  # (k, nf)
    b: Tensor  # (k,)
    width: float


def goal_of(task: Task, widen: float) -> Goal | None:
    """Returns the task's saturating reward, its width multiplied; None where it tells none."""
    import torch

    told = capability(task, PaysNear)
    if told is None:
        return None
    A, b, width = told.saturating
    return Goal(torch.as_tensor(A), torch.as_tensor(b), widen * width)


def expected_cost(task: Task, mean: Tensor, cov: Tensor, unit: float) -> Tensor:
    """Returns the expected cost of an episode whose [x; u] are N(mean (..., T+1, n), cov (..., T+1,
    n, n)), in a unit, to second order about the mean: exact for a quadratic cost.

    The gradient is that of the cost at the mean, and half its curvature by the covariance.
    """
    import torch

    m: Array = mean.detach().numpy()
    X, U = m[..., : task.dx].copy(), m[..., :-1, task.dx :].copy()
    C, c, const = (torch.as_tensor(np.array(a)) for a in task.cost.expand(X, U))
    value = const + (c * mean).sum(-1) + 0.5 * (mean * (C @ mean[..., None])[..., 0]).sum(-1)
    return (value + 0.5 * (C * cov).sum((-1, -2))).sum(-1) / unit
