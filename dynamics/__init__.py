"""Model: given data, what happens next?"""

from collections.abc import Callable
from copy import deepcopy
from typing import Any

from lqr import InputError

from .chart import Chart, InChart, chart_of
from .flat import FlatPrior
from .gmm import GaussianMixturePrior
from .local import Fit, fit_linear_gaussian
from .manifold import Manifold
from .prior import NormalInverseWishart, Prior, log_evidence, posterior
from .simulator import SimulatorPrior

PRIORS: dict[str, Callable[[], Any]] = {
    "flat": FlatPrior,
    "gmm": GaussianMixturePrior,
    "simulator": SimulatorPrior,
}
"""The prior global models by their word; add your own with PRIORS["word"] = factory."""


def make_prior(prior: str | Prior, task: Any = None) -> Any:
    """Returns the prior of that word, or a copy of the object; an unknown word is refused with the choices.

    A prior that has a method `attach` is handed the task.
    """
    if isinstance(prior, str) and prior not in PRIORS:
        raise InputError(f"prior is {prior!r}; expected one of {', '.join(PRIORS)}")
    made = PRIORS[prior]() if isinstance(prior, str) else deepcopy(prior)  # a Config may be used twice
    if hasattr(made, "attach"):
        made.attach(task)
    return made


__all__ = [
    "PRIORS",
    "Chart",
    "Fit",
    "FlatPrior",
    "GaussianMixturePrior",
    "InChart",
    "Manifold",
    "NormalInverseWishart",
    "Prior",
    "SimulatorPrior",
    "chart_of",
    "fit_linear_gaussian",
    "log_evidence",
    "make_prior",
    "posterior",
]
