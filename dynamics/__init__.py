"""Model: given data, what happens next?"""

from collections.abc import Callable
from copy import deepcopy
from typing import Any

from lqr import InputError

from .flat import FlatPrior
from .gmm import GaussianMixturePrior
from .local import Fit, fit_linear_gaussian
from .prior import NormalInverseWishart, Prior, log_evidence, posterior

PRIORS: dict[str, Callable[[], Any]] = {"flat": FlatPrior, "gmm": GaussianMixturePrior}
"""The prior global models by their word; add your own with PRIORS["word"] = factory."""


def make_prior(prior: str | Prior) -> Any:
    """Returns the prior of that word, or a copy of the object; an unknown word is refused with the choices."""
    if not isinstance(prior, str):
        return deepcopy(prior)  # a Config may be used twice
    if prior not in PRIORS:
        raise InputError(f"prior is {prior!r}; expected one of {', '.join(PRIORS)}")
    return PRIORS[prior]()


__all__ = [
    "PRIORS",
    "Fit",
    "FlatPrior",
    "GaussianMixturePrior",
    "NormalInverseWishart",
    "Prior",
    "fit_linear_gaussian",
    "log_evidence",
    "make_prior",
    "posterior",
]
