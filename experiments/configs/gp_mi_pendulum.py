"""Pendulum swing-up by GP-MI: the simulator has half of the rod's mass and one and a half of its
length; it is corrected by the episodes.
"""

from functools import partial

from agents.bayesian import gp_mi as method
from agents.tasks import Pendulum

task = partial(Pendulum, believed={"mass": 0.5, "length": 1.5})
config = method.Config(iterations=3)
