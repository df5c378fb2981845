"""Act: who acts in the world, and what did the world do?"""

from .saving import KINDS, load_policy, save_policy

__all__ = ["KINDS", "load_policy", "save_policy"]
