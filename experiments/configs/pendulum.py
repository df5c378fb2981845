"""Pendulum swing-up with PILCO's constants: plans in a Gaussian process, from episodes of 4
seconds.
"""

from agents.tasks import Pendulum as task
from gps import ilqg_ld as method

config = method.Config(iterations=6)
