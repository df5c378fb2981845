"""The comparison task with a simulator that has half the links' masses as the prior; it is
corrected by the episodes.
"""

from functools import partial

from agents.tasks import ReacherFour
from gps import lqr_flm as method

task = partial(ReacherFour, {"mass of link 0": 0.5, "mass of link 1": 0.5})
config = method.Config(
    iterations=5,
    samples=1,
    prior="simulator",
    pretraining=25,
    kl_step=1000.0,
    max_kl_step=1e5,
    probe=False,
    initial="zero",
)
