"""Gymnasium's Reacher-v5 by PETS: another target in each of 50 episodes of one second."""

from agents.mpc import pets as method
from agents.planners import CEM
from agents.tasks import ReacherV5 as task

config = method.Config(
    iterations=50, horizon=15, planner=CEM(samples=60, elites=6, iterations=5), fit_steps=300
)
