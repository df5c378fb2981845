"""Model: given data, what happens next?"""

from lqr import __version__

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
from .graphs.network import GraphNetwork
from .local import Fit, fit_linear_gaussian
from .manifold import Manifold
from .models import MODELS
from .networks.ensemble import Ensemble
from .networks.mlp import Network
from .normal_inverse_wishart import NormalInverseWishart, Prior, posterior
from .priors import PRIORS, make_prior
from .priors.flat import FlatPrior
from .priors.linearised import Linearised
from .priors.mixture import GaussianMixturePrior
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
from .replay_buffer import ReplayBuffer, Transitions
from .tangent import Chart, InChart, chart_of

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
    "GraphNetwork",
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
    "ReplayBuffer",
    "SimulatorPrior",
    "StudentT",
    "Tangent",
    "Transitions",
    "__version__",
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
