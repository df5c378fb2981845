"""The comparison task: four fixed targets, 200 episodes; guided policy search by the dual
update.
"""

from agents.tasks import ReacherFour as task
from gps import badmm as method

config = method.Config(probe=False, initial="zero")  # 25 iterations of 4 x 2 episodes
