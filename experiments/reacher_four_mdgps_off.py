"""The comparison task; guided policy search by mirror descent, trials of the local controllers."""

from agents.tasks.reacher import ReacherFour as task
from gps import mdgps as method

config = method.Config(sampling="off", step_rule="classic")  # 25 iterations of 4 x 2 trials
