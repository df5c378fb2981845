"""Peg insertion by feel: four holes 0.012 m off the middle, a policy that cannot see where, 240
episodes.
"""

from agents.tasks import PegBlind as task
from gps import badmm as method

config = method.Config(
    iterations=12,
    samples=5,
    kl_step=100.0,
    max_kl_step=2000.0,
    initial_std=0.05,
    min_std=0.02,
    penalty=5e-8,
    probe=False,
    initial="zero",
)
