"""Plan: given a model and a cost, which controller?"""

from .box_qp import solve_box_qp
from .constrained import ConstrainedResult, constrained_ilqr
from .cost_terms import Sum
from .costs import Action, ActionLimits, Lorentzian, Quadratic, StateLimits, WeightedNorm
from .divergence import entropy, kl_divergence, negative_log_density
from .errors import (
    CheckpointError,
    GPSError,
    InputError,
    NotPositiveDefinite,
    NumericalError,
    SimulationError,
    StorageError,
)
from .expansion import Cost, make_convex
from .ilqr import ILQRResult, Progress, ilqr
from .infinite_horizon import StationaryController, infinite_horizon
from .kl_constrained import minimise_cost_within_kl
from .kl_per_step import minimise_cost_within_kl_per_step
from .lagrangian import KLResult
from .lqg import Filtered, kalman_filter, rts_smoother
from .passes import backward, expected_cost, forward
from .receding_horizon import receding_horizon, shift, window
from .tracking import tracking_cost
from .types import (
    Gaussian,
    LinearGaussianController,
    LinearGaussianDynamics,
    LinearGaussianObservation,
    QuadraticCost,
    QuadraticValue,
    TrajectoryDistribution,
)

__version__ = "0.2.0"

__all__ = [
    "Action",
    "ActionLimits",
    "CheckpointError",
    "ConstrainedResult",
    "Cost",
    "Filtered",
    "GPSError",
    "Gaussian",
    "ILQRResult",
    "InputError",
    "KLResult",
    "LinearGaussianController",
    "LinearGaussianDynamics",
    "LinearGaussianObservation",
    "Lorentzian",
    "NotPositiveDefinite",
    "NumericalError",
    "Progress",
    "Quadratic",
    "QuadraticCost",
    "QuadraticValue",
    "SimulationError",
    "StateLimits",
    "StationaryController",
    "StorageError",
    "Sum",
    "TrajectoryDistribution",
    "WeightedNorm",
    "__version__",
    "backward",
    "constrained_ilqr",
    "entropy",
    "expected_cost",
    "forward",
    "ilqr",
    "infinite_horizon",
    "kalman_filter",
    "kl_divergence",
    "make_convex",
    "minimise_cost_within_kl",
    "minimise_cost_within_kl_per_step",
    "negative_log_density",
    "receding_horizon",
    "rts_smoother",
    "shift",
    "solve_box_qp",
    "tracking_cost",
    "window",
]
