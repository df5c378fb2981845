"""Gymnasium's Pendulum-v1 by value expansion: fifteen episodes of 10 seconds, the first two of random
torques; targets look three imagined steps ahead.
"""

from agents.imagination import mve as method
from agents.tasks import PendulumV1 as task

config = method.Config(iterations=15, evaluation_samples=20)  # 3000 steps
