"""Door opening with a hook, without a network: local models and local controllers, four starts,
1600 episodes.
"""

from agents.tasks import Door as task
from gps import lqr_flm as method

config = method.Config(
    iterations=20,
    samples=20,
    kl_step=100.0,
    max_kl_step=500.0,
    initial_std=0.05,
    min_std=0.02,
    probe=False,
    initial="zero",
)
