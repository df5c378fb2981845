"""Pendulum-v1 at the pace of a real one, 20 steps in a second: fitting and improving go on meanwhile,
in two more processes.
"""

from agents.imagination import asynchronous as method
from agents.tasks import PendulumV1 as task

config = method.Config(
    iterations=8,
    iteration_steps=200,
    updates=10,  # of a turn; there are many of them in an episode
    schedule="processes",
    pace=20.0,
    evaluation_samples=20,
)  # 1600 steps, 80 s of data
