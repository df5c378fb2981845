"""Gymnasium's Pendulum-v1 by stochastic value gradients: fifteen episodes of 10 seconds, the first two
of random torques; the policy's gradient goes through five imagined steps.
"""

from agents.imagination import svg as method
from agents.tasks import PendulumV1 as task

config = method.Config(iterations=15, evaluation_samples=20)  # 3000 steps
