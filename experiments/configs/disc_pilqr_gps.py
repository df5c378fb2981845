"""A point in the plane and a disc in which it costs less, with no slope to it: a policy taught by
PILQR.
"""

from agents.tasks import Disc as task
from gps import pilqr_gps as method

config = method.Config(probe=False, initial="zero")
