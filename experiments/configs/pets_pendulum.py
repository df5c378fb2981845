"""Gymnasium's Pendulum-v1 by PETS: five episodes of 10 seconds, learning in their midst; 2.5 s of
random torques.
"""

from agents.mpc import pets as method
from agents.tasks import PendulumV1 as task

config = method.Config(iterations=5, warm_up=0, fit_every=50, action_repeat=5)
