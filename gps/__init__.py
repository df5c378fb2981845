"""Guide: how do local controllers teach a global policy?"""

from lqr import __version__

__all__ = ["__version__"]
