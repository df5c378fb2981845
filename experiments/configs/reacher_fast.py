"""Reach for targets all over the plane in few episodes: plans in a Gaussian process teach a network
(Reacher-v5).
"""

from functools import partial

from agents.tasks import Reacher
from gps import ilqg_gps as method

task = partial(Reacher, conditions=200)
config = method.Config(iterations=8, episodes=4, replay=1)  # 32 episodes
