"""Gymnasium's Pendulum-v1 by the cross-entropy method: five episodes of 10 seconds, the first of
them random.
"""

from agents.mpc import cem_mpc as method
from agents.tasks import PendulumV1 as task

config = method.Config(iterations=5, random=0, refit=50, hold=5)
