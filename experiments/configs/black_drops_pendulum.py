"""Pendulum swing-up by Black-DROPS: four episodes of 4 seconds, the first of random torques."""

from agents.bayesian import black_drops as method
from agents.tasks import Pendulum as task

config = method.Config(iterations=4)
