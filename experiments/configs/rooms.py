"""Four goals behind one door by Distral: what the tasks have in common is learned once."""

from agents.tasks import Rooms as task
from gps.multitask import distral as method

config = method.Config(kl_cost=0.15, entropy_cost=0.01, goal_coordinates=(2,))
