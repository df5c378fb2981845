"""PILCO's prediction: a Gaussian over the state goes through policy and model by its exact moments.

    [x] -> [x; cos; sin] -> v = policy -> u = squash(v) -> x' = x + f(x, cos, sin, u)

At each arrow the joint distribution is taken for the Gaussian of the same moments (Deisenroth &
Rasmussen 2011, section 2.2).
"""

from typing import NamedTuple

from dynamics.gp.moments import Bumps, moments, saturating, squashed, trigonometric

from ...interfaces import Task
from .differentiable import Goal, ModelTensors, Tensor, expected_cost, policy_bumps


class Belief(NamedTuple):
    """A Gaussian over what is known at a step."""

    mean: Tensor  # (n,)
    cov: Tensor  # (n, n)

    def joined(self, mean: Tensor, cov: Tensor, across: Tensor) -> "Belief":
        """Returns the joint Gaussian with another quantity, whose covariance with this is
        `across`.
        """
        import torch

        below = torch.cat([across.mT, cov], 1)
        both = torch.cat([torch.cat([self.cov, across], 1), below], 0)
        return Belief(torch.cat([self.mean, mean]), both)


def with_angles(x: Belief, angles: tuple[int, ...]) -> Belief:
    """Returns the joint Gaussian of x, cosines and sines."""
    if not angles:
        return x
    y = trigonometric(x.mean, x.cov, angles)
    return x.joined(y.mean, y.cov, x.cov @ y.gain)


def with_action(model: ModelTensors, policy: Bumps, known: Belief) -> Belief:
    """Returns the joint Gaussian of [x; cos; sin] and the action that the policy takes."""
    import torch

    f = model.policy_inputs
    v = moments(policy, known.mean[f], known.cov[f][:, f])
    v_cov = v.cov + 1e-10 * torch.eye(len(v.mean), dtype=torch.float64)
    u = squashed(v.mean, v_cov)
    across = known.cov[:, f] @ v.gain @ u.gain * model.half
    mean = model.middle + model.half * u.mean
    return known.joined(mean, u.cov * model.half[:, None] * model.half, across)


def after(model: ModelTensors, x: Belief, known: Belief) -> Belief:
    """Returns the Gaussian of x', where `known` is that of [x; cos; sin; u]."""
    z, dx = model.inputs, len(x.mean)
    change = moments(model.f, known.mean[z], known.cov[z][:, z])
    across = known.cov[:dx, z] @ change.gain
    cov = x.cov + change.cov + across + across.mT
    return Belief(x.mean + model.drift + change.mean, 0.5 * (cov + cov.mT))


def paid(model: ModelTensors, goal: Goal, known: Belief) -> Tensor:
    """Returns the expected saturating reward, where `known` is the Gaussian of [x; cos; sin]."""
    f = model.policy_inputs
    mean, cov = goal.A @ known.mean[f] + goal.b, goal.A @ known.cov[f][:, f] @ goal.A.mT
    return saturating(mean, cov, goal.width)


def predicted(
    model: ModelTensors, point: Tensor, start: Belief, horizon: int
) -> tuple[list[Belief], list[Belief]]:
    """Returns the Gaussians of [x; cos; sin] at the steps 0..T and of [x; u] at 0..T-1, under the
    policy of a point.
    """
    policy, x, dx = policy_bumps(model, point), start, len(start.mean)
    states, acted = [with_angles(x, model.angles)], []
    pick = [*range(dx), *range(len(states[0].mean), len(states[0].mean) + len(model.half))]
    for _ in range(horizon):
        known = with_action(model, policy, states[-1])
        x = after(model, x, known)
        states.append(with_angles(x, model.angles))
        acted.append(Belief(known.mean[pick], known.cov[pick][:, pick]))
    return states, acted


def loss(
    model: ModelTensors,
    planned: Task,
    goal: Goal | None,
    point: Tensor,
    start: Belief,
    horizon: int,
    unit: float,
) -> Tensor:
    """Returns what the policy of a point is expected to lose in an episode: minus the saturating
    reward where there is a goal, else the cost, in a unit.
    """
    import torch

    states, acted = predicted(model, point, start, horizon)
    if goal is not None:
        return -sum(paid(model, goal, known) for known in states[1:])
    dx, du = len(start.mean), len(model.half)
    last = states[-1]
    still = torch.zeros(du, dtype=torch.float64)
    end = Belief(last.mean[:dx], last.cov[:dx, :dx]).joined(
        still, torch.zeros(du, du, dtype=torch.float64), torch.zeros(dx, du, dtype=torch.float64)
    )
    mean = torch.stack([b.mean for b in (*acted, end)])
    cov = torch.stack([b.cov for b in (*acted, end)])
    return expected_cost(planned, mean, cov, unit)
