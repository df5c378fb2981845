"""The reacher of 40 targets by TRPO: without a model, what guided policy search is held against."""

from agents.baselines import trpo as method
from agents.tasks.mujoco.reacher import Reacher as task

config = method.Config(iterations=100)
