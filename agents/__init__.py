"""Act: who acts in the world, and what did the world do?"""

from lqr import __version__

from .policies import POLICIES
from .saving import load_policy, save_policy

__all__ = ["POLICIES", "__version__", "load_policy", "save_policy"]
