"""A user's model, prior or simulator, asked with care: it gets copies, and what it gives is checked,
copied, and named where it is wrong; see `lqr.user_functions`.

The library's own models say `careful = True`, and are asked as they are.
"""

from typing import Any

import numpy as np

from lqr import Gaussian, InputError, NumericalError
from lqr.user_functions import guarded, real

from .base import Array, Model, Tangent
from .normal_inverse_wishart import NormalInverseWishart, Prior


def fit(model: Model, x: Array, u: Array, xnext: Array, rng: np.random.Generator) -> None:
    """Fits the model to transitions (M, dx), (M, du), (M, dx)."""
    _asked(model, "fit", x, u, xnext, rng)


def predict(model: Model, x: Array, u: Array) -> Gaussian:
    """Returns the distribution of x', mean (..., dx) and cov (..., dx, dx)."""
    found = _asked(model, "predict", x, u)
    if _own(model):
        return found  # type: ignore[no-any-return]
    mean = real(_name(model, "predict(x, u).mean"), _field(model, found, "mean"), x.shape)
    cov = _field(model, found, "cov")
    return Gaussian(mean, real(_name(model, "predict(x, u).cov"), cov, (*x.shape, x.shape[-1])))


def sample(model: Model, x: Array, u: Array, rng: np.random.Generator) -> Array:
    """Returns a draw of x' (..., dx)."""
    found = _asked(model, "sample", x, u, rng)
    return found if _own(model) else real(_name(model, "sample(x, u, rng)"), found, x.shape)


def linearise(model: Model, x: Array, u: Array) -> Tangent:
    """Returns the tangent: mean (..., dx), jacobian (..., dx, n) and noise (..., dx, dx), finite."""
    found = _asked(model, "linearise", x, u)
    if _own(model):
        return found  # type: ignore[no-any-return]
    dx, n = x.shape[-1], x.shape[-1] + u.shape[-1]
    shapes = {"mean": x.shape, "jacobian": (*x.shape, n), "noise": (*x.shape, dx)}
    return Tangent(
        **{
            part: real(
                _name(model, f"linearise(x, u).{part}"), _field(model, found, part), shape, True
            )
            for part, shape in shapes.items()
        }
    )


def update(prior: Prior, x: Array, u: Array, xnext: Array) -> None:
    """Has the prior learn from transitions (M, dx), (M, du), (M, dx)."""
    _asked(prior, "update", x, u, xnext)


def prior_at(prior: Prior, x: Array, u: Array, xnext: Array) -> NormalInverseWishart:
    """Returns the prior of each step, from the samples there (C, T, N, .), as new arrays."""
    found = _asked(prior, "at", x, u, xnext)
    if _own(prior):
        return found  # type: ignore[no-any-return]
    if not isinstance(found, NormalInverseWishart):
        raise InputError(
            f"{_name(prior, 'at(x, u, xnext)')} gave a {type(found).__name__}; expected a NormalInverseWishart"
        )
    name = _name(prior, "at(x, u, xnext)")
    return NormalInverseWishart(*(real(f"{name}.{part}", a, np.shape(a)) for part, a in
                                  zip(found._fields, found, strict=True)))  # fmt: skip


def simulated(simulator: Any, x: Array, u: Array, factors: Array) -> Array:
    """Returns the states (M, dx) that a task's simulator gives, NaN where that failed."""
    found = guarded("the task's simulator", simulator)(x.copy(), u.copy(), factors.copy())
    return real("the task's simulator", found, x.shape)


def _own(model: Any) -> bool:
    return bool(getattr(model, "careful", False))


def _name(model: Any, method: str) -> str:
    return f"{type(model).__name__}.{method}"


def _asked(model: Any, method: str, *given: Any) -> Any:
    """Returns what a method gives; a user's gets copies of the arrays."""
    function = getattr(model, method)
    if _own(model):
        return function(*given)
    copies = [a.copy() if isinstance(a, np.ndarray) else a for a in given]
    passed = (np.linalg.LinAlgError, NumericalError)
    return guarded(_name(model, method), function, passed)(*copies)


def _field(model: Any, found: Any, part: str) -> Any:
    if not hasattr(found, part):
        raise InputError(
            f"{type(model).__name__} gave a {type(found).__name__} without `{part}`; expected a Gaussian from predict, "
            "a Tangent from linearise"
        )
    return getattr(found, part)
