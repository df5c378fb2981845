"""Pendulum swing-up by MC-PILCO: five episodes of 4 seconds, the first of random torques."""

from agents.bayesian import mc_pilco as method
from agents.tasks import Pendulum as task

config = method.Config(iterations=5)
