"""A point mass seen without its velocity: a recurrent policy learns to brake; --policy mlp shows
what it is worth.
"""

from agents.tasks import PointMassHidden as task
from gps import badmm as method

config = method.Config(
    policy="recurrent",
    hidden=(32, 32),
    policy_steps=200,
    iterations=10,
    samples=3,
    inner=1,
    penalty=1.9e-6,
    probe=False,
    initial="zero",
)  # 10 iterations of 4 x 3 episodes
