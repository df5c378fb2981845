"""Sutton's maze by Dyna-Q: fifty remembered steps after each real one."""

from agents.imagination import dyna_q as method
from agents.tasks import Maze as task

config = method.Config(iterations=25, iteration_steps=1)  # an episode each
