"""A point mass is pushed to a target by a local controller: 60 episodes, and how near the known
optimum they come.
"""

from agents.tasks import PointMass as task
from gps import lqr_flm as method

config = method.Config(
    iterations=12, samples=5, initial_std=0.1, max_kl_step=1000.0, probe=False, initial="zero"
)
