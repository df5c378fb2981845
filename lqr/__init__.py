"""Plan: given a model and a cost, which controller?"""

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
from .kl_constrained import KLResult, minimise_cost_within_kl
from .kl_per_step import minimise_cost_within_kl_per_step
from .passes import backward, expected_cost, forward
from .types import (
    Gaussian,
    LinearGaussianController,
    LinearGaussianDynamics,
    QuadraticCost,
    QuadraticValue,
    TrajectoryDistribution,
)

__all__ = [
    "CheckpointError",
    "GPSError",
    "Gaussian",
    "InputError",
    "KLResult",
    "LinearGaussianController",
    "LinearGaussianDynamics",
    "NotPositiveDefinite",
    "NumericalError",
    "QuadraticCost",
    "QuadraticValue",
    "SimulationError",
    "StorageError",
    "TrajectoryDistribution",
    "backward",
    "entropy",
    "expected_cost",
    "forward",
    "kl_divergence",
    "minimise_cost_within_kl",
    "minimise_cost_within_kl_per_step",
    "negative_log_density",
]
