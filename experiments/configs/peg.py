"""Peg insertion with a 7-joint arm: four holes, one neural policy, 240 episodes; the dual update."""

from agents.tasks import Peg as task
from gps import badmm as method

config = method.Config(
    iterations=12,
    samples=5,
    kl_step=100.0,
    max_kl_step=2000.0,
    initial_std=0.05,
    min_std=0.02,
    penalty=4.5e-8,
    probe=False,
    initial="zero",
)
