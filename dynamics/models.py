"""The table of global models: one word each."""

from .base import ChangeModel
from .gp.gaussian_process import GaussianProcess
from .graphs.network import GraphNetwork
from .networks.ensemble import Ensemble
from .networks.mlp import Network

MODELS: dict[str, type[ChangeModel]] = {
    "nn": Network,
    "ensemble": Ensemble,
    "gp": GaussianProcess,
    "graph": GraphNetwork,
}
"""The global models by their word; add your own with MODELS["word"] = factory."""
