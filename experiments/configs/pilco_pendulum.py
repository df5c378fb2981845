"""Pendulum swing-up by PILCO: six episodes of 4 seconds, the first of random torques."""

from agents.bayesian import pilco as method
from agents.tasks import Pendulum as task

config = method.Config(iterations=6)
