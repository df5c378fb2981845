"""A point in the plane and a disc in which it costs less, with no slope that tells of it; LQR and
path integrals.
"""

from agents.tasks import Disc as task
from gps import pilqr as method

config = method.Config(probe=False, initial="zero")
