"""Gymnasium's Reacher-v5 by MBPO: a hundred episodes of a second, the first five of random torques."""

from agents.imagination import mbpo as method
from agents.tasks import ReacherV5 as task

config = method.Config(
    iterations=20, iteration_steps=250, warm_up=250, update_ratio=10.0, evaluation_samples=20
)
