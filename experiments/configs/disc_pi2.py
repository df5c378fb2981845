"""A point in the plane and a disc in which it costs less, with no slope that tells of it; path
integrals alone.
"""

from agents.tasks import Disc as task
from gps import pi2 as method

config = method.Config(probe=False, initial="zero")
