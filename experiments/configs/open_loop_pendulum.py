"""Gymnasium's Pendulum-v1 by whole plans carried out open loop: five episodes of 10 s, the first
one random.
"""

from agents.mpc import open_loop as method
from agents.tasks import PendulumV1 as task

config = method.Config(iterations=5, action_repeat=5)
