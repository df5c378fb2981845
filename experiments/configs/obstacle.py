"""Around a box to a target from four starts, one neural policy, 320 episodes."""

from agents.tasks import Obstacle as task
from gps import badmm as method

config = method.Config(
    iterations=16,
    samples=5,
    kl_step=100.0,
    max_kl_step=1000.0,
    initial_std=0.1,
    min_std=0.05,
    penalty=3e-7,
    probe=False,
    initial="zero",
)
