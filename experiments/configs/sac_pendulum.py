"""Gymnasium's Pendulum-v1 by soft actor-critic, without a model: fifteen episodes of 10 seconds, the
first two of random torques; ten updates after each step.
"""

from agents.baselines import sac as method
from agents.tasks import PendulumV1 as task

config = method.Config(iterations=15, evaluation_samples=20)  # 3000 steps
