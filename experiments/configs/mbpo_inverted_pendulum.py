"""Gymnasium's InvertedPendulum-v5 by MBPO: 5000 steps, the first 500 of random forces."""

from agents.imagination import mbpo as method
from agents.tasks import InvertedPendulum as task

config = method.Config(
    iterations=20, iteration_steps=250, warm_up=500, update_ratio=10.0, evaluation_samples=10
)
