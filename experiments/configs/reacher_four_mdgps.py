"""The comparison task; guided policy search by mirror descent, episodes of the policy itself."""

from agents.tasks import ReacherFour as task
from gps import mdgps as method

config = method.Config(probe=False, initial="zero")  # 25 iterations of 4 x 2 episodes
