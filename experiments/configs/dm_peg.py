"""dm_control's peg insertion, without a network: local models and local controllers, four slots,
200 episodes.
"""

from agents.tasks import DmPeg as task
from gps import lqr_flm as method

config = method.Config(iterations=10, samples=5, kl_step=100.0, max_kl_step=1000.0, initial="pd", initial_stiffness=2.0,
    initial_damping=0.1, initial_std=0.1, min_std=0.05, probe=False)  # fmt: skip
