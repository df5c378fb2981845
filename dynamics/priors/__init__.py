"""The table of prior global models: one word each, for what the local fits lean on."""

from collections.abc import Callable
from copy import deepcopy
from typing import Any

from lqr import InputError

from ..gp.gaussian_process import GaussianProcess
from ..networks.ensemble import Ensemble
from ..networks.mlp import Network
from ..normal_inverse_wishart import Prior
from .flat import FlatPrior
from .linearised import Linearised
from .mixture import GaussianMixturePrior
from .recent import PreviousPrior
from .simulator import SimulatorPrior

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


__all__ = ["PRIORS", "make_prior"]
