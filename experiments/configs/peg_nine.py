"""Peg insertion: nine holes on a grid, 540 episodes; one neural policy, evaluated on 16 holes between
them, too.
"""

from agents.tasks import PegNine as task
from gps import badmm as method

config = method.Config(
    iterations=12,
    samples=5,
    kl_step=100.0,
    max_kl_step=2000.0,
    initial_std=0.05,
    min_std=0.02,
    penalty=3.7e-8,
    probe=False,
    initial="zero",
)
