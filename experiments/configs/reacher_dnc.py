"""The reacher of 40 targets by divide and conquer: four policies, distilled into one."""

from agents.tasks.mujoco.reacher import Reacher as task
from gps.multitask import dnc as method

config = method.Config()
