"""Gymnasium's pendulum: MPC teaches a neural policy in ten episodes, which TRPO then improves for
30 000 steps.
"""

from agents.mpc import mbmf as method
from agents.tasks import PendulumV1 as task

config = method.Config()
