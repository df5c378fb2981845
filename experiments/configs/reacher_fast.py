"""Reach any target after a few dozen episodes: plans in a Gaussian process teach one neural policy
(Reacher-v5).
"""

from functools import partial

from agents.tasks import Reacher
from gps import ilqg_gps as method

task = partial(Reacher, conditions=200)
config = method.Config(iterations=8, episodes=4, replay=1)  # 32 episodes
