"""Plan: given a model and a cost, which controller?"""

from .adjoint import LQRGradient, LQRSolution, solve_lqr, solve_lqr_vjp
from .box_qp import solve_box_qp
from .constrained import ConstrainedResult, constrained_ilqr
from .cost_function import CostFunction
from .cost_terms import Sum
from .costs import Action, ActionLimits, Lorentzian, Quadratic, Saturated, StateLimits, WeightedNorm
from .divergence import entropy, kl_divergence, negative_log_density
from .equality import ConstrainedLQR, equality_constrained
from .errors import (
    CheckpointError,
    Diverged,
    GPSError,
    InputError,
    NotPositiveDefinite,
    NumericalError,
    SimulationError,
    StorageError,
)
from .evaluation import (
    ActionValue,
    action_value,
    backward_each,
    backward_regularised,
    controller_value,
    costate,
)
from .expansion import Cost, absolute, make_convex
from .ilqr import ILQRResult, Progress, ilqr
from .infinite_horizon import StationaryController, infinite_horizon
from .kalman import (
    KalmanUpdate,
    StationaryFilter,
    kalman_predict,
    kalman_update,
    stationary_filter,
)
from .kl_constrained import minimise_cost_within_kl
from .kl_per_step import minimise_cost_within_kl_per_step
from .lagrangian import KLResult
from .lqg import LQG, Filtered, Smoothed, kalman_filter, lqg, rts_smoother
from .multiple_shooting import ShootingResult, multiple_shooting
from .passes import backward, expected_cost, forward
from .problems import linear, quadratic
from .receding_horizon import receding_horizon, shift, window
from .sampling import sample_trajectories
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
    "LQG",
    "Action",
    "ActionLimits",
    "ActionValue",
    "CheckpointError",
    "ConstrainedLQR",
    "ConstrainedResult",
    "Cost",
    "CostFunction",
    "Diverged",
    "Filtered",
    "GPSError",
    "Gaussian",
    "ILQRResult",
    "InputError",
    "KLResult",
    "KalmanUpdate",
    "LQRGradient",
    "LQRSolution",
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
    "Saturated",
    "ShootingResult",
    "SimulationError",
    "Smoothed",
    "StateLimits",
    "StationaryController",
    "StationaryFilter",
    "StorageError",
    "Sum",
    "TrajectoryDistribution",
    "WeightedNorm",
    "__version__",
    "absolute",
    "action_value",
    "backward",
    "backward_each",
    "backward_regularised",
    "constrained_ilqr",
    "controller_value",
    "costate",
    "entropy",
    "equality_constrained",
    "expected_cost",
    "forward",
    "ilqr",
    "infinite_horizon",
    "kalman_filter",
    "kalman_predict",
    "kalman_update",
    "kl_divergence",
    "linear",
    "lqg",
    "make_convex",
    "minimise_cost_within_kl",
    "minimise_cost_within_kl_per_step",
    "multiple_shooting",
    "negative_log_density",
    "quadratic",
    "receding_horizon",
    "rts_smoother",
    "sample_trajectories",
    "shift",
    "solve_box_qp",
    "solve_lqr",
    "solve_lqr_vjp",
    "stationary_filter",
    "tracking_cost",
    "window",
]
