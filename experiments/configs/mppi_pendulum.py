"""Gymnasium's Pendulum-v1 by path integrals: five episodes of 10 seconds, the first of them
random.
"""

from agents.mpc import mppi_mpc as method
from agents.tasks import PendulumV1 as task

config = method.Config(iterations=5, random=0, refit=50, hold=5)
