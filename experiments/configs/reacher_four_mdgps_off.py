"""The comparison task; guided policy search by mirror descent, episodes of the local controllers."""

from agents.tasks import ReacherFour as task
from gps import mdgps as method

config = method.Config(  # 25 iterations of 4 x 2 episodes
    sampling="off",
    step_rule="classic",
    kl_step=1.0,
    max_kl_step=8.0,
    initial_std=0.05,
    min_std=0.05,
    probe=False,
    initial="zero",
)
