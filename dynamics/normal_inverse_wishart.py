"""A prior over Gaussians in pseudo-samples, and its posterior.

Everything is over z = [x; u; x' - x] of one time step, d = dx + du + dx: the change of state, not
the next state, so that a vanishing regression coefficient means "stays where it is". Murphy,
Machine Learning (2012), section 4.6.3.
"""

from typing import Any, NamedTuple, Protocol

import numpy as np

from lqr import InputError

Array = np.ndarray


class NormalInverseWishart(NamedTuple):
    """mean | cov ~ N(mean, cov / m),  cov ~ inverse-Wishart(Phi, n0 + d + 1), whose expectation is
    Phi / n0.
    """

    mean: Array  # (..., d)
    Phi: Array  # (..., d, d), scatter of the pseudo-samples
    m: Array  # (...), pseudo-samples behind the mean
    n0: Array  # (...), pseudo-samples behind the covariance


class Prior(Protocol):
    """A global model, asked for its opinion at each time step."""

    def update(self, x: Array, u: Array, xnext: Array) -> None:
        """Learns from transitions (M, dx), (M, du), (M, dx)."""
        ...

    def at(self, x: Array, u: Array, xnext: Array) -> NormalInverseWishart:
        """Returns the prior of each step, leading axes (C, T), from the samples there, (C, T, N,
        .).

        Its mean and its covariance Phi / n0 count. n0 (C, T) is the relative strength of the steps,
        1 for a prior that trusts itself alike everywhere: `fit_linear_gaussian` finds out from the
        data by how many pseudo-samples to multiply it. m is not used.
        """
        ...

    def state(self) -> dict[str, Any]:
        """Returns all that `load_state` needs, as a tree of finite arrays and numbers."""
        ...

    def load_state(self, state: dict[str, Any]) -> None:
        """Takes over what `state` returned."""
        ...


def checked(x: Array, u: Array, xnext: Array) -> tuple[Array, Array]:
    """Returns the inputs [x; u] (M, n) and the changes of state (M, dx) of transitions. Raises
    InputError.
    """
    x, u, xnext = (np.asarray(a, dtype=float) for a in (x, u, xnext))
    if x.ndim != 2 or u.ndim != 2 or x.shape != xnext.shape or len(x) != len(u) or not len(x):
        raise InputError(
            f"got shapes {x.shape}, {u.shape}, {xnext.shape}; expected (M, dx), (M, du), (M, dx), M >= 1"
        )
    if not (np.isfinite(x).all() and np.isfinite(u).all() and np.isfinite(xnext).all()):
        raise InputError(
            "a transition holds a number that is not finite; leave such transitions out"
        )
    return np.concatenate([x, u], 1), xnext - x


def learnt(x: Array, u: Array, xnext: Array, d: int) -> Array:
    """Returns transitions (M, .) as z (M, d); d is that of those before, 0 at first. Raises
    InputError.
    """
    z = np.concatenate(checked(x, u, xnext), 1)
    if d not in (0, z.shape[1]):
        raise InputError(
            f"transitions [x; u; x' - x] have {z.shape[1]} numbers; expected {d}, as those before"
        )
    return z


def asked(x: Array, u: Array, xnext: Array, d: int) -> Array:
    """Returns the samples (C, T, N, .) that a prior is asked about as z (C, T, N, d). Raises
    InputError.
    """
    z = np.concatenate([x, u, xnext - x], -1)
    if z.shape[-1] != d:
        seen = (
            f"{d}, as those it has seen"
            if d
            else "none: the prior has seen nothing; update it first"
        )
        raise InputError(f"samples [x; u; x' - x] have {z.shape[-1]} numbers; expected {seen}")
    return z


def posterior(
    prior: NormalInverseWishart, mean: Array, scatter: Array, N: Array
) -> NormalInverseWishart:
    """Returns the prior updated by N samples with this mean (..., d) and scatter matrix (..., d, d)
    about it.
    """
    m, n0 = prior.m + N, prior.n0 + N
    gap = mean - prior.mean
    pull = (prior.m * N / np.maximum(m, 1e-300))[..., None, None]
    Phi = prior.Phi + scatter + pull * gap[..., :, None] * gap[..., None, :]
    share = (N / np.maximum(m, 1e-300))[..., None]
    return NormalInverseWishart(
        prior.mean + share * gap, 0.5 * (Phi + np.swapaxes(Phi, -1, -2)), m, n0
    )


def smallest(z: Array, dx: int) -> Array:
    """Returns the variance (d,) below which a coordinate of transitions z (M, d) counts as
    constant.

    It is a share of the mean square, for a change of state that of the state, so that it does not
    depend on the units.
    """
    square = (z**2).mean(0) if len(z) else np.zeros(z.shape[-1])
    square[-dx:] = np.maximum(square[-dx:], square[:dx])
    return 1e-20 * np.where(square > 0, square, 1.0)
