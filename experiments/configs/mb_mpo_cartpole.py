"""The benchmark's cart-pole, kept upright, by MB-MPO: twenty rounds, each of an episode of each member's
policy.
"""

from agents.imagination import mb_mpo as method
from agents.tasks import MbblCartPole as task

config = method.Config(iterations=20, iteration_steps=1005, updates=10)
