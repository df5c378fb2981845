"""Reaching with an arm whose masses, rotors, damping and motors differ from episode to episode; the
dual update.
"""

from agents.tasks import Reacher
from agents.tasks.wrappers.randomised import LogUniform, Randomised
from gps import badmm as method


def task() -> Randomised:
    """Returns Reacher-v5 with physics that is drawn anew for each episode."""
    return Randomised(Reacher(), mass=LogUniform(0.25, 4.0), rotor=LogUniform(0.25, 4.0))


config = method.Config(
    iterations=15,
    samples=1,
    max_kl_step=1000.0,
    penalty_growth=1.45,
    probe=False,
    std_share=0.0,
    initial="zero",
)  # 40 targets, 600 episodes
