"""MC-PILCO's prediction: particles go through policy and model, each with noise of its own.

    x' = x + mu(x, u) + sigma(x, u) z,    z ~ N(0, 1) drawn before: a differentiable function

Amadio, Dalla Libera, Antonello, Nikovski, Carli & Romeres, Model-Based Policy Search Using Monte
Carlo Gradient Estimation with Real Systems Application (2022). Nothing is taken for a Gaussian; the
gradient is that of the draws.
"""

from dynamics.gp.moments import Bumps

from ...interfaces import Task
from .differentiable import Goal, ModelTensors, Tensor, expected_cost, policy_bumps


def bumps(f: Bumps, z: Tensor) -> Tensor:
    """Returns variance times correlation with each point, (M, e, m), at z (M, n)."""
    import torch

    rate = f.lengths**-2  # (e, n)
    cross = torch.einsum("mn,en,pn->mep", z, rate, f.points)
    far = (z**2) @ rate.mT  # (M, e)
    own = rate @ (f.points**2).mT  # (e, m)
    power = cross - 0.5 * far[:, :, None] - 0.5 * own
    return f.variance[:, None] * torch.exp(torch.clamp(power, max=0.0))


def known_of(model: ModelTensors, x: Tensor) -> Tensor:
    """Returns [x; cos; sin], (M, .)."""
    import torch

    angle = x[:, list(model.angles)]
    return torch.cat([x, torch.cos(angle), torch.sin(angle)], 1)


def action(model: ModelTensors, policy: Bumps, known: Tensor, kept: Tensor) -> Tensor:
    """Returns the actions (M, du); `kept` (M, n) weighs the basis functions: dropout."""
    import torch

    k = bumps(policy, known[:, model.policy_inputs])
    v = torch.einsum("mep,ep->me", k * kept[:, None], policy.weights)
    return model.middle + model.half * (9 * torch.sin(v) + torch.sin(3 * v)) / 8


def change(model: ModelTensors, known: Tensor, u: Tensor, noise: Tensor) -> Tensor:
    """Returns draws of x' - x, (M, dx), with standard normal noise (M, dx)."""
    import torch

    z = torch.cat([known, u], 1)[:, model.inputs]
    k = bumps(model.f, z)
    mean = torch.einsum("mep,ep->me", k, model.f.weights)
    part = torch.einsum("mep,eqp->meq", k, model.f.explained)
    var = torch.clamp(model.f.variance - (part**2).sum(-1), min=0.0) + model.f.noise
    return model.drift + mean + torch.sqrt(var) * noise


def loss(
    model: ModelTensors,
    planned: Task,
    goal: Goal | None,
    point: Tensor,
    starts: Tensor,
    noise: Tensor,
    kept: Tensor,
    unit: float,
) -> Tensor:
    """Returns the mean over particles of what the policy of a point loses in an episode, from
    starts (M, dx), with noise (T, M, dx) and dropout `kept` (M, n).
    """
    import torch

    policy, x = policy_bumps(model, point), starts
    paid, steps = torch.zeros(len(x), dtype=torch.float64), []
    for z in noise:
        known = known_of(model, x)
        u = action(model, policy, known, kept)
        steps.append(torch.cat([x, u], 1))
        x = x + change(model, known, u, z)
        if goal is not None:
            gap = known_of(model, x)[:, model.policy_inputs] @ goal.A.mT + goal.b
            paid = paid + torch.exp(-0.5 * (gap**2).sum(1) / goal.width**2)
    if goal is not None:
        return -paid.mean()
    last = torch.cat([x, torch.zeros(len(x), len(model.half), dtype=torch.float64)], 1)
    mean = torch.stack([*steps, last], 1)
    still = torch.zeros(*mean.shape, mean.shape[-1], dtype=torch.float64)
    return expected_cost(planned, mean, still, unit).mean()
