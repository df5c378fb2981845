"""The last iterations' local fits as the prior of the next: what was seen at the same step,
discounted by its age.

Of each condition and step, the samples of the last iterations are pooled, weaker the older they
are, together with those of the neighbouring steps about their own means; a Gaussian over everything
seen, worth one sample, stands behind them. The pooled mean is where the old episodes were; as the
mean of a prior weighs little, the new samples re-centre it.

It is for systems whose dynamics at a step hardly change from one iteration to the next. It never
sees episodes that were refused, and with two episodes per iteration on a task that bends it learns far
less than the mixture does.
"""

from typing import Any

import numpy as np

from ..normal_inverse_wishart import Array, NormalInverseWishart, asked, learnt, smallest
from ..numbers import above, count, number
from ..storage.tree import check_tree


class PreviousPrior:
    """Remembers the samples that it was asked about, up to `keep` iterations of them.

    Samples that it was asked about before, such as those of a controller that is taken up again,
    are not used as a prior for themselves.
    """

    careful = True  # it writes to nothing that it gets; see `asking`

    def __init__(
        self, keep: int = 5, discount: float = 0.7, width: float = 2.0, window: int = 4000
    ):
        self.keep, self.window = count("keep", keep), count("window", window)
        self.discount = number("discount", discount)
        self.width = above("width", width)  # steps
        self.z = np.zeros((0, 0))  # (M, d), the last transitions of all conditions
        self.past = np.zeros((0, 0, 0, 0, 0))  # (L, C, T, N, d), the youngest first

    def update(self, x: Array, u: Array, xnext: Array) -> None:
        """Adds transitions (M, .) to the window."""
        new = learnt(x, u, xnext, self.z.shape[1])
        self.z = (
            np.concatenate([self.z, new])[-self.window :] if len(self.z) else new[-self.window :]
        )

    def at(self, x: Array, u: Array, xnext: Array) -> NormalInverseWishart:
        """Returns the prior of each step from the samples of earlier calls; remembers these, (C, T,
        N, .).
        """
        now, lead, dx = asked(x, u, xnext, self.z.shape[1]), x.shape[:2], x.shape[-1]
        if self.past.shape[1:] != now.shape:
            self.past = np.zeros((0, *now.shape))  # other episodes than before: begin anew
        known = np.concatenate([now[None], self.past])
        ordered = np.sort(known, 3)  # the same samples in another order are the same
        again = np.zeros((len(self.past), lead[0]), bool)
        for i in range(1, len(known)):
            again[i - 1] = (ordered[:i] == ordered[i]).all((2, 3, 4)).any(0)
        share = np.where(again, 0.0, self.discount ** np.arange(1, len(known))[:, None])  # (L, C)
        if len(known) == 1 or not (ordered[0] == ordered[1]).all():
            self.past = known[: self.keep]
        everything, spread = self.z.mean(0), np.diag(smallest(self.z, dx))
        base = np.cov(self.z.T, bias=True) + spread
        Phi = np.broadcast_to(base, (*lead, *base.shape))
        n0 = np.ones(lead)
        mean = np.tile(everything, (*lead, 1))
        if share.any():
            Phi, n0, mean = self._pool(known[1:], share, Phi, mean)
        return NormalInverseWishart(mean, Phi / n0[..., None, None], np.ones(lead), np.ones(lead))

    def _pool(
        self, past: Array, share: Array, base: Array, everywhere: Array
    ) -> tuple[Array, Array, Array]:
        """Returns the scatter (C, T, d, d), with its count and its mean, of one sample of `base`
        and the past ones.
        """
        T, N = past.shape[2:4]
        centre = past.mean(3)  # (L, C, T, d)
        gap = past - centre[:, :, :, None]
        within = np.einsum("lc,lctni,lctnj->ctij", share, gap, gap)
        lag = np.arange(T)[:, None] - np.arange(T)
        kernel = np.exp(-0.5 * (lag / self.width) ** 2)
        total = N * share.sum(0)[:, None]  # (C, 1)
        mean = (
            np.einsum("lc,lcti->cti", share, centre)
            / np.maximum(share.sum(0), 1e-300)[:, None, None]
        )
        apart = centre - mean
        between = N * np.einsum("lc,lcti,lctj->ctij", share, apart, apart)
        Phi = base + np.einsum("ts,csij->ctij", kernel, within) + between
        mean = np.where(total[..., None] > 0, mean, everywhere)
        return Phi, 1 + total * kernel.sum(1), mean

    def state(self) -> dict[str, Any]:
        """Returns all that `load_state` needs."""
        return {"z": self.z, "past": self.past}

    def load_state(self, state: dict[str, Any]) -> None:
        """Takes over what `state` returned. Raises CheckpointError for anything else."""
        check_tree(state, {"z": ("M", "d"), "past": ("L", "C", "T", "N", "e")}, "prior")
        self.z, self.past = state["z"], state["past"]
