"""Gymnasium's Pendulum-v1 by PDDM, filtered and reward-weighted plans: five episodes of 10 s, the
first one random.
"""

from agents.mpc import pddm as method
from agents.tasks import PendulumV1 as task

config = method.Config(iterations=5, warm_up=0, fit_every=50, action_repeat=5)
