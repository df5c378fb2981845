"""A point in the plane and a disc in which it costs less, with no slope to it: a policy taught by
path integrals.
"""

from agents.tasks import Disc as task
from gps import pigps as method

config = method.Config(probe=False, initial="zero")
