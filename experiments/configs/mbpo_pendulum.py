"""Gymnasium's Pendulum-v1 by MBPO: ten episodes of 10 seconds, the first two of random torques;
twenty updates after each step, nearly all from imagined steps.
"""

from agents.imagination import mbpo as method
from agents.tasks import PendulumV1 as task

config = method.Config(iterations=10, evaluation_samples=20)  # 2000 steps
