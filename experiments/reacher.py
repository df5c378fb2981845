"""Reach any target: local controllers for many sampled targets teach one neural policy (Gymnasium's Reacher-v5)."""

from agents.tasks.reacher import Reacher as task
from gps import badmm as method

config = method.Config(iterations=15, samples=1, agreement_growth=1.45)  # 40 targets: 600 trials, 30 000 steps
