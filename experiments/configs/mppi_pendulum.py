"""Gymnasium's Pendulum-v1 by path integrals: five episodes of 10 seconds, the first of them
random.
"""

from agents.mpc import mpc as method
from agents.planners import MPPI
from agents.tasks import PendulumV1 as task

config = method.Config(
    planner=MPPI(samples=100, iterations=3),
    iterations=5,
    warm_up=0,
    fit_every=50,
    action_repeat=5,
)
