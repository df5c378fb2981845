"""Model: given data, what happens next?"""

from collections.abc import Callable
from copy import deepcopy
from typing import Any

from lqr import InputError

from .base import ChangeModel, Model, Tangent
from .diagnostics import (
    Diagnostics,
    Error,
    diagnose,
    error_along,
    k_step_error,
    one_step_error,
    open_loop_error,
)
from .gp.gaussian_process import GaussianProcess
from .local import Fit, fit_linear_gaussian
from .manifold import Manifold
from .networks.ensemble import Ensemble
from .networks.mlp import Network
from .priors.flat import FlatPrior
from .priors.linearised import Linearised
from .priors.mixture import GaussianMixturePrior
from .priors.normal_inverse_wishart import NormalInverseWishart, Prior, posterior
from .priors.recent import PreviousPrior
from .priors.simulator import IdentifiedSimulator, SimulatorPrior
from .propagation import PROPAGATIONS, propagate
from .regression import (
    MatrixNormalInverseWishart,
    StudentT,
    draw,
    log_evidence,
    predictive,
    regression,
)
from .replay_buffer import History
from .tangent import Chart, InChart, chart_of

MODELS: dict[str, type[ChangeModel]] = {"nn": Network, "ensemble": Ensemble, "gp": GaussianProcess}
"""The global models by their word."""

PRIORS: dict[str, Callable[[], Any]] = {
    "flat": FlatPrior,
    "gmm": GaussianMixturePrior,
    "previous": PreviousPrior,
    "simulator": SimulatorPrior,
    "nn": lambda: Linearised(Network()),
    "ensemble": lambda: Linearised(Ensemble()),
    "gp": lambda: Linearised(GaussianProcess()),
}
"""The prior global models by their word; add your own with PRIORS["word"] = factory."""


def make_prior(prior: str | Prior, task: Any = None) -> Any:
    """Returns the prior of that word, or a copy of the object, as a Config may be used twice.

    A prior that has a method `attach` is handed the task. Raises InputError for an unknown word,
    with the choices, and for an object that is no `Prior`.
    """
    if isinstance(prior, str) and prior not in PRIORS:
        raise InputError(f"prior is {prior!r}; expected one of {', '.join(PRIORS)}")
    made = PRIORS[prior]() if isinstance(prior, str) else deepcopy(prior)
    missing = [name for name in ("update", "at", "state", "load_state") if not hasattr(made, name)]
    if missing or isinstance(made, type):
        what = (
            f"{prior!r:.80}, a class"
            if isinstance(made, type)
            else f"{prior!r:.80} without {', '.join(missing)}"
        )
        hint = (
            "Linearised(model) makes a prior of a model"
            if hasattr(made, "linearise")
            else "see dynamics.Prior"
        )
        raise InputError(
            f"got the prior {what}; expected one of {', '.join(PRIORS)} or an object; {hint}"
        )
    if hasattr(made, "attach"):
        made.attach(task)
    return made


__all__ = [
    "MODELS",
    "PRIORS",
    "PROPAGATIONS",
    "ChangeModel",
    "Chart",
    "Diagnostics",
    "Ensemble",
    "Error",
    "Fit",
    "FlatPrior",
    "GaussianMixturePrior",
    "GaussianProcess",
    "History",
    "IdentifiedSimulator",
    "InChart",
    "Linearised",
    "Manifold",
    "MatrixNormalInverseWishart",
    "Model",
    "Network",
    "NormalInverseWishart",
    "PreviousPrior",
    "Prior",
    "SimulatorPrior",
    "StudentT",
    "Tangent",
    "chart_of",
    "diagnose",
    "draw",
    "error_along",
    "fit_linear_gaussian",
    "k_step_error",
    "log_evidence",
    "make_prior",
    "one_step_error",
    "open_loop_error",
    "posterior",
    "predictive",
    "propagate",
    "regression",
]
