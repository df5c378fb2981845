"""The comparison task without a network: local models and local controllers only, 200 episodes."""

from agents.tasks import ReacherFour as task
from gps import lqr_flm as method

config = method.Config(probe=False, initial="zero")  # 25 iterations of 4 x 2 episodes
