"""Door opening with a hook, without a network: local models and local controllers, four starts, 200 trials."""

from agents.tasks.door import Door as task
from gps import lqr_flm as method

config = method.Config(iterations=10, samples=5, kl_step=50.0, max_kl_step=2000.0, initial_std=0.1, min_std=0.02)
