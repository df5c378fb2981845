"""A floating body is turned by up to 172 degrees; its orientation is a quaternion, its models are
of the tangent.
"""

from agents.tasks import FreeBody as task
from gps import lqr_flm as method

config = method.Config(
    iterations=10, samples=4, initial_std=0.1, min_std=0.03, probe=False, initial="zero"
)
