"""Two poles in a row on a cart (InvertedDoublePendulum-v5) are kept upright: plans of 2 s in a
Gaussian process.
"""

from functools import partial

from agents.tasks import InvertedDoublePendulum
from gps import ilqg_ld as method

task = partial(InvertedDoublePendulum, horizon=40)
config = method.Config(iterations=6, samples=2, plan_iterations=20, min_std=0.1)
