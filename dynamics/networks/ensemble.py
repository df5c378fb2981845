"""A probabilistic ensemble: networks that each predict a mean and a variance, on data drawn with
replacement.

Chua, Calandra, McAllister & Levine, Deep Reinforcement Learning in a Handful of Trials using
Probabilistic Dynamics Models (2018), section 4 and appendix A.1: the variance tells noise, the
members' disagreement what is not known.
"""

from typing import Any

import numpy as np

from ..base import Array, Model
from ..threads import one_thread
from .adam import CosineAdam
from .base import MLPEnsemble, Params
from .fused_forward import change_each, fuse


class Ensemble(MLPEnsemble):
    """Members whose log-variances stay softly between bounds that are learnt with them."""

    word = "ensemble"
    heads, bootstrap = 2, True
    logs = ("high", "low")

    def __init__(
        self,
        members: int = 5,
        hidden: tuple[int, ...] = (64, 64),
        steps: int = 1000,
        learning_rate: float = 3e-3,
        batch: int = 256,
        unroll: int = 1,
        reject_outliers: bool = True,
        rare: tuple[int, ...] = (),
    ):
        super().__init__(
            members, hidden, steps, learning_rate, batch, unroll, reject_outliers, rare
        )
        self.settings["members"] = self.members_

    def members(self, x: Array, u: Array) -> tuple[Array, Array]:
        """Returns each member's mean of x' and variance of its noise, (E, ..., dx) both."""
        z, normaliser = self._ask(x, u)
        mean, var = self._moments(z)
        shape = (len(mean), *np.shape(x))
        return x + (normaliser.change_mean + normaliser.change_std * mean).reshape(shape), (
            normaliser.change_std**2 * var
        ).reshape(shape)

    def tangents(self, x: Array, u: Array) -> Array:
        """Returns each member's exact Jacobian of its mean of x', (E, ..., dx, n)."""
        return self._real(self._tangents(self._ask(x, u)[0]), np.shape(x))

    def sample(self, x: Array, u: Array, rng: np.random.Generator) -> Array:
        """Returns a draw of x' (..., dx): of a member chosen at random, then of its Gaussian."""
        return self.sample_members(x, u, rng.integers(self.members_, size=np.shape(x)[:-1]), rng)

    def sample_members(self, x: Array, u: Array, member: Array, rng: np.random.Generator) -> Array:
        """Returns a draw of x' (..., dx), each row's from the Gaussian of its `member` (...).

        Each row meets a noise of its own. No other member is asked: 10 million rows in a CPU second
        for five networks of 2 x 64.
        """
        self.known(x, u)
        x, u = np.asarray(x, dtype=float), np.asarray(u, dtype=float)
        net, which = fuse(self), np.ravel(member)
        order = np.argsort(which, kind="stable")
        begins = np.searchsorted(which[order], np.arange(self.members_ + 1))
        X, U = x.reshape(-1, x.shape[-1])[order], u.reshape(-1, u.shape[-1])[order]
        noise = rng.standard_normal(X.shape, dtype=np.float32)
        change = np.empty(X.shape)
        change_each(X, U, begins, noise, change, *net)
        after = np.empty(X.shape)
        after[order] = X + change
        return after.reshape(x.shape)

    def disagreement(self, x: Array, u: Array) -> Array:
        """Returns how far apart the members' means are, (...): root mean square over the
        coordinates of their deviation, in units of the changes' spread. It is small where the
        members have seen data, whatever the noise.
        """
        mean = self._moments(self._ask(x, u)[0])[0]
        return np.sqrt(mean.var(0).mean(-1)).reshape(np.shape(x)[:-1])

    def imitate(self, teacher: Model, x: Array, u: Array, rng: np.random.Generator) -> float:
        """Learns what another model predicts at x (M, dx) and u (M, du), soft targets: its mean and
        the variance of each coordinate; returns the mean of KL(teacher || self), nats, where all
        coordinates are independent.

        Nobody needs to have been at these points. An ensemble's disagreement becomes a part of the
        variance that its student tells; a student of one member costs a fraction of it.
        """
        import torch

        self.fit(x, u, teacher.sample(x, u, rng), rng)  # a first network, from labels
        told = teacher.predict(x, u)
        z, normaliser = self._ask(x, u)
        change, unit = told.mean - x, normaliser.change_std
        mean = (change - normaliser.change_mean) / unit
        var = np.diagonal(told.cov, axis1=-2, axis2=-1) / unit**2
        Z, m, v = (torch.as_tensor(a, dtype=torch.float32) for a in (z, mean, var))
        E, batch = self.members_, min(self.batch, len(z))

        def loss(rows: Any) -> Any:
            found, log = self.heads_of(params, Z[rows].expand(E, -1, -1))
            square = (v[rows] + (found - m[rows]) ** 2) * (-log).exp()
            return 0.5 * (square + log - v[rows].log() - 1).sum(-1).mean(-1)

        with one_thread():
            params = {name: value.clone().requires_grad_() for name, value in self.params.items()}
            optimiser = CosineAdam(params.values(), self.learning_rate, self.steps, foreach=True)
            for _ in range(self.steps):
                optimiser.zero_grad()
                loss(torch.as_tensor(rng.integers(len(z), size=batch))).sum().backward()
                optimiser.step()
            self.params, self.fused = {n: p.detach() for n, p in params.items()}, None
            with torch.no_grad():
                return float(loss(slice(None)).mean())

    def _extra(self, dx: int) -> dict[str, Array]:
        E = self.members_
        return {"high": np.full((E, 1, dx), 0.5), "low": np.full((E, 1, dx), -10.0)}

    def heads_of(self, params: Params, z: Any) -> tuple[Any, Any]:
        """Returns means and bounded log-variances, (E, M, dx) each."""
        from torch.nn.functional import softplus

        mean, log = self._forward(params, z).chunk(2, -1)
        log = params["high"] - softplus(params["high"] - log)
        return mean, params["low"] + softplus(log - params["low"])

    def _loss(self, params: Params, z: Any, y: Any, last: Any) -> tuple[Any, Any]:
        """Each term weighed by its standard deviation, held fixed: else a member may call noise
        what it finds hard.

        Seitzer, Tavakoli, Antic & Martius, On the Pitfalls of Heteroscedastic Uncertainty
        Estimation (2022), beta 1/2.
        """
        gap, log, last = self._errors(params, z, y, last)
        return (gap**2 * (-log).exp() + log) * (0.5 * last[1]).exp(), last

    def _score(self, params: Params, z: Any, y: Any, last: Any) -> tuple[Any, Any]:
        """Returns twice the negative log-likelihoods of Student's t with 4 degrees of freedom, less
        a constant.

        Under a Gaussian, an impact or two among the transitions that were held out would outweigh
        all others, and no training would seem to help.
        """
        import torch

        gap, log, last = self._errors(params, z, y, last)
        return 5 * torch.log1p(gap**2 * (-log).exp() / 4) + log, last

    def _errors(
        self, params: Params, z: Any, y: Any, last: Any
    ) -> tuple[Any, Any, tuple[Any, Any]]:
        """Returns errors and log-variances so far, and both as the next step takes them.

        Further steps ahead teach the mean alone: their variance is the sum of those of the steps,
        held fixed.
        """
        import torch

        mean, log = self.heads_of(params, z)
        gap = mean - y
        if last is not None:
            gap, log = last[0] + gap, torch.logaddexp(last[1], log.detach())
        return gap, log, (gap, log.detach())

    def _penalty(self, params: Params) -> Any:
        return 0.01 * (params["high"] - params["low"]).sum()

    def _moments(self, z: Array) -> tuple[Array, Array]:
        import torch

        with one_thread(), torch.inference_mode():
            Z = torch.as_tensor(z, dtype=torch.float32)
            mean, log = self.heads_of(self.params, Z.expand(self.members_, -1, -1))
            return mean.double().numpy(), log.double().exp().numpy()

    def _predict(self, z: Array) -> tuple[Array, Array]:
        mean, var = self._moments(z)
        gap = mean - mean.mean(0)
        cov = np.einsum("emi,emj->mij", gap, gap) / len(mean)
        return mean.mean(0), cov + var.mean(0)[..., None] * np.eye(mean.shape[-1])
