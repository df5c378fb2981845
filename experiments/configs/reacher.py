"""Reach any target: local controllers for many sampled targets teach one neural policy (Gymnasium's
Reacher-v5).
"""

from agents.tasks import Reacher as task
from gps import badmm as method

config = method.Config(
    iterations=15,
    samples=1,
    max_kl_step=1000.0,
    penalty_growth=1.45,
    probe=False,
    std_share=0.0,
    initial="zero",
)  # 40 targets, 600 episodes
