"""Gymnasium's Pendulum-v1 by gradient descent through the model: five episodes of 10 s, the first
one random.
"""

from agents.mpc import gradient_mpc as method
from agents.tasks import PendulumV1 as task

config = method.Config(iterations=5, random=0, refit=50, hold=5)
