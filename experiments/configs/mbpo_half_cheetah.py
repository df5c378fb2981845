"""Gymnasium's HalfCheetah-v5 by MBPO: 20 000 steps, wider networks, ten updates after each step."""

from agents.imagination import mbpo as method
from agents.tasks import HalfCheetah as task

config = method.Config(
    iterations=20,
    iteration_steps=1000,
    warm_up=1000,
    update_ratio=10.0,
    hidden=(128, 128),
    model_hidden=(128, 128),
    actor_rate=3e-4,
    critic_rate=3e-4,
    rollouts=10_000,
)
