"""Gymnasium's Pendulum-v1 by two horizons: ten episodes of 10 seconds, the first two of random
torques; states of 20 imagined steps, gradients through five.
"""

from agents.imagination import dhmbpo as method
from agents.tasks import PendulumV1 as task

config = method.Config(iterations=10, evaluation_samples=20)  # 2000 steps
