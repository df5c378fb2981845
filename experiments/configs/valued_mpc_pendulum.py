"""Gymnasium's Pendulum-v1 by MPC that looks five steps ahead, and by critics beyond: eight episodes of
10 seconds.
"""

from agents.mpc import valued_mpc as method
from agents.tasks import PendulumV1 as task

config = method.Config(iterations=8, warm_up=200)  # 1600 steps
