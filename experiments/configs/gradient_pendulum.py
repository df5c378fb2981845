"""Gymnasium's Pendulum-v1 by gradient descent through the model: five episodes of 10 s, the first
one random.
"""

from agents.mpc import mpc as method
from agents.planners import Gradient
from agents.tasks import PendulumV1 as task

config = method.Config(
    planner=Gradient(iterations=10), iterations=5, warm_up=0, fit_every=50, action_repeat=5
)
