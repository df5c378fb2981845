"""Act: who acts in the world, and what did the world do?"""

from .policies import POLICIES
from .saving import load_policy, save_policy

__all__ = ["POLICIES", "load_policy", "save_policy"]
