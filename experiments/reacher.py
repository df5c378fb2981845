"""Reach any target: local controllers for many sampled targets teach one neural policy (Gymnasium's Reacher-v5)."""

from agents.tasks.reacher import Reacher as task
from gps import badmm as method

config = method.Config()
