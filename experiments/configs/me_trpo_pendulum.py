"""Gymnasium's Pendulum-v1 by ME-TRPO: twelve episodes of 10 seconds, and between them TRPO on what
five networks imagine.
"""

from agents.imagination import me_trpo as method
from agents.tasks import PendulumV1 as task

config = method.Config(iterations=6, evaluation_samples=20)  # 2400 steps
