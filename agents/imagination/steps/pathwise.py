"""The policy's gradient along imagined paths: model, reward, policy and critic are one function.

    maximise  E[ sum_i<H  gamma^i (r(x_i, u_i) - alpha log pi_i)  +  gamma^H (min_j Q_j(o_H, a_H) - alpha log pi_H) ]

Noise of policy and model are drawn beforehand (the reparametrisation of Heess et al., Learning
Continuous Control Policies by Stochastic Value Gradients, 2015), so that the gradient goes through
all steps. A cost and an observation that are NumPy's bring their own derivatives: `expand`, and
central differences.
"""

from typing import Any

import numpy as np

from dynamics.threads import one_thread

from ...interfaces import Array
from ...learners.relu_networks import ReluNetworks
from ...learners.sac import LOG_2PI, SAC
from ...policies.squashed import LOG_STD
from .environment_model import EnvironmentModel

DIFFERENCE = 1e-4  # of an observation's derivatives, in spreads of the state


def networks(made: ReluNetworks, flat: Any) -> Any:
    """Returns the function (K, B, in) -> (K, B, out) of networks whose parameters are the tensor
    `flat`.
    """
    import torch

    parts = [
        part.reshape(shape)
        for part, shape in zip(
            torch.split(flat, [int(np.prod(shape)) for shape in made.shapes]),
            made.shapes,
            strict=True,
        )
    ]
    last = made.last

    def call(x: Any) -> Any:
        for i in range(last + 1):
            x = torch.baddbmm(parts[2 * i + 1], x, parts[2 * i])
            if i < last and made.layer_norm:
                gain, offset = parts[2 * last + 2 + 2 * i : 2 * last + 4 + 2 * i]
                x = torch.nn.functional.layer_norm(x, x.shape[-1:], eps=1e-5) * gain + offset
            x = torch.relu(x) if i < last else x
        return x

    return call


def squashed(out: Any, e: Any) -> tuple[Any, Any]:
    """Returns actions within -1 and 1 (B, du) and the logarithms of their densities (B,)."""
    import torch

    mean, log_std = out.chunk(2, -1)
    log_std = log_std.clamp(*LOG_STD)
    v = mean + log_std.exp() * e
    squash = 2 * (float(np.log(2.0)) - v - torch.nn.functional.softplus(-2 * v))
    return torch.tanh(v), (-0.5 * e**2 - log_std - 0.5 * LOG_2PI - squash).sum(-1)


class Pathwise:
    """A learner and a model of the environment as one differentiable function."""

    def __init__(self, learner: SAC, env_model: EnvironmentModel):
        self.learner, self.env_model = learner, env_model
        self.n = learner.units

    def objective(self, flat: Any, x0: Array, H: int, value: bool, rng: np.random.Generator) -> Any:
        """Returns the mean objective, a tensor, of the actor's parameters `flat` from states x0
        (B, dx), in the learner's units; without `value` nothing is added after the last step.
        """
        import torch

        env_model, learner = self.env_model, self.learner
        E = env_model.c.members
        x0 = env_model.extended(x0[: len(x0) // E * E])
        x = torch.as_tensor(x0, dtype=flat.dtype)
        actor, alpha = networks(learner.actor, flat), learner.alpha
        total = torch.zeros(len(x0), dtype=flat.dtype)
        weight = torch.ones(len(x0), dtype=flat.dtype)
        for _ in range(H):
            a, logp = self._act(actor, x, rng)
            u = a * self._as(learner.policy.half, x) + self._as(learner.policy.middle, x)
            after = self._step(x, u, rng)
            end = np.asarray(
                env_model.ends(after.detach().double().numpy()[:, : env_model.task.dx]), bool
            )
            reward = self._reward(x, u, after, end)
            total = total + weight * (reward - alpha * logp)
            over = torch.as_tensor(end, dtype=flat.dtype)
            total = total + weight * learner.discount * over * learner.end_value
            weight, x = weight * learner.discount * (1 - over), after
        if value:
            a, logp = self._act(actor, x, rng)
            critic = networks(
                learner.critic, torch.as_tensor(learner.critic.flat, dtype=flat.dtype)
            )
            q = critic(torch.cat([self._seen(x), a], -1).expand(2, -1, -1))[..., 0].min(0).values
            total = total + weight * (q - alpha * logp)
        return total.mean(), logp

    def update_actor(
        self, x0: Array, H: int, rng: np.random.Generator, value: bool = True, clip: float = 10.0
    ) -> float:
        """Moves the policy along the gradient, whose norm is cut to `clip`, and the temperature;
        returns the entropy.
        """
        import torch

        with one_thread():
            flat = torch.tensor(self.learner.actor.flat, requires_grad=True)
            objective, logp = self.objective(flat, x0, H, value, rng)
            (slope,) = torch.autograd.grad(-objective, flat)
        found: Array = slope.numpy()
        entropy = -float(logp.detach().mean())
        if np.isfinite(found).all():
            cut = min(1.0, clip / max(float(np.linalg.norm(found)), 1e-12))
            self.learner.actor.slope[:] = cut * found
            self.learner.actor.step(self.learner.rates[0])
            self.learner.update_temperature(entropy)
        return entropy

    def _as(self, value: Any, like: Any) -> Any:
        import torch

        return torch.as_tensor(np.asarray(value), dtype=like.dtype)

    def _noise(self, shape: tuple[int, ...], like: Any, rng: np.random.Generator) -> Any:
        return self._as(rng.standard_normal(shape), like)

    def _act(self, actor: Any, x: Any, rng: np.random.Generator) -> tuple[Any, Any]:
        e = self._noise((len(x), self.env_model.task.du), x, rng)
        return squashed(actor(self._seen(x)[None])[0], e)

    def _seen(self, x: Any) -> Any:
        """Returns what the networks see of states x (B, dx), in units."""
        x = x[:, : self.env_model.task.dx]
        if self.env_model.seen is not None:
            scale = self._scale()
            x = from_numpy(
                x,
                self.env_model.observation_of,
                lambda at: slopes(self.env_model.observation_of, at, scale),
            )
        return (x - self._as(self.n.o_mean, x)) / self._as(self.n.o_std, x)

    def _scale(self) -> Array:
        normaliser = self.env_model.model.normaliser
        dx = self.env_model.task.dx
        if normaliser is None:
            return np.ones(dx)
        rate = normaliser.inverse_std[:dx]
        return np.where(rate > 0, 1 / np.where(rate > 0, rate, 1.0), 1.0)

    def _step(self, x: Any, u: Any, rng: np.random.Generator) -> Any:
        """Returns x' (B, dx): an equal part of the rows through each member."""
        import torch

        if self.env_model.true is not None:
            return self._true_step(x, u)
        model, E = self.env_model.model, self.env_model.c.members
        n = model.normaliser
        assert n is not None
        at = x
        if self.env_model.learns_reward:
            at = torch.cat([x[:, :-1], torch.zeros_like(x[:, -1:])], 1)
        z = (torch.cat([at, u], 1) - self._as(n.mean, x)) * self._as(n.inverse_std, x)
        params = {name: p.to(x.dtype) for name, p in model.params.items()}
        mean, log = model.heads_of(params, z.reshape(E, -1, z.shape[1]))
        e = self._noise(mean.shape, x, rng)
        change = mean + (0.5 * log).exp() * e
        change = change.reshape(len(x), -1) * self._as(n.change_std, x) + self._as(n.change_mean, x)
        return at + change

    def _true_step(self, x: Any, u: Any) -> Any:
        """Returns x' of the simulator, with its Jacobian by differences."""
        import torch

        true, dx = self.env_model.true, x.shape[1]
        assert true is not None
        xu = torch.cat([x, u], 1)
        return from_numpy(
            xu,
            lambda at: true.step(at[:, :dx], at[:, dx:]),
            lambda at: true.jacobian(at[:, None, :dx], at[:, None, dx:])[:, 0],
        )

    def _reward(self, x: Any, u: Any, after: Any, end: Array) -> Any:
        """Returns the reward (B,), in units."""
        import torch

        env_model, dx, du = self.env_model, self.env_model.task.dx, self.env_model.task.du
        if env_model.learns_reward:
            paid = after[:, -1]
        else:
            both = torch.cat([x, u, after], 1)

            def value(at: Array) -> Array:
                parts = at[:, :dx], at[:, dx : dx + du], at[:, dx + du :]
                return env_model.cost.rewards(*parts, end)[:, None]

            def slope(at: Array) -> Array:
                X = np.stack([at[:, :dx], at[:, dx + du :]], 1)
                U = at[:, None, dx : dx + du]
                C, c, _ = env_model.cost.at(env_model.cost.midst).expand(X, U)
                xu = np.concatenate([X, np.concatenate([U, 0 * U], 1)], -1)
                g = np.einsum("btij,btj->bti", C, xu) + c
                last = np.where(end[:, None], g[:, 1, :dx], 0.0)
                return -np.concatenate([g[:, 0], last], 1)[:, None]

            paid = from_numpy(both, value, slope)[:, 0]
        return (paid - float(self.n.r_mean)) / float(self.n.r_std)


def slopes(function: Any, x: Array, scale: Array) -> Array:
    """Returns central differences of a function of rows (B, in) -> (B, out), (B, out, in)."""
    columns = []
    for i, h in enumerate(DIFFERENCE * scale):
        move = h * (np.arange(x.shape[1]) == i)
        columns.append((function(x + move) - function(x - move)) / (2 * h))
    return np.stack(columns, -1)


def from_numpy(x: Any, function: Any, jacobian: Any) -> Any:
    """Returns function(x) (B, out) of a tensor x (B, in), as a tensor whose gradient goes through
    jacobian(x) (B, out, in).
    """
    import torch

    class Outside(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            ctx.save_for_backward(x)
            return torch.as_tensor(function(x.double().numpy()), dtype=x.dtype)

        @staticmethod
        def backward(ctx: Any, slope: Any) -> Any:
            (x,) = ctx.saved_tensors
            J = torch.as_tensor(jacobian(x.double().numpy()), dtype=x.dtype)
            return torch.einsum("bo,boi->bi", slope, J)

    return Outside.apply(x)
