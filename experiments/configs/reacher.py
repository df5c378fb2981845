"""Reach for targets all over the plane: local controllers for many teach one neural policy
(Gymnasium's Reacher-v5).
"""

from functools import partial

from agents.tasks import Reacher
from gps import badmm as method

task = partial(Reacher, covering=True)
config = method.Config(
    iterations=15,
    samples=1,
    kl_step=200.0,
    max_kl_step=3000.0,
    probe=False,
    std_share=0.0,
    initial="zero",
    restarts=3,
    replay=1,
    forecasts=3,
    forecast_spread=5.0,
    between=16,
    policy_steps=1500,
)  # 40 targets, 600 episodes
