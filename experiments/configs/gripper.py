"""A gripper pushes a block to a goal, without a network: local models and controllers, four places,
640 episodes.
"""

from agents.tasks import Gripper as task
from gps import lqr_flm as method

config = method.Config(
    iterations=16,
    samples=10,
    kl_step=50.0,
    max_kl_step=500.0,
    initial_std=0.1,
    min_std=0.02,
    probe=False,
    initial="zero",
)
