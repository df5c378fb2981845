"""Four fixed targets by Q-learning with imagined rollouts in local linear models."""

from agents.imagination import mba as method
from agents.tasks import ReacherFour as task

config = method.Config(iterations=40, iteration_steps=200, warm_up=400)  # 160 episodes
