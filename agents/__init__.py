"""Act: who acts in the world, and what did the world do?"""

from .saved import load_policy, save_policy

__all__ = ["load_policy", "save_policy"]
