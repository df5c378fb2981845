"""A car that is paid on top alone: MBPO is paid for what its model does not know, until it gets there."""

from agents.imagination import mbpo as method
from agents.tasks import SparseMountainCar as task

config = method.Config(
    iterations=3,
    iteration_steps=999,
    warm_up=300,
    update_ratio=5.0,
    rollout_length=(10,),
    rollouts=2000,
    fit_every=100,
    bonus=10.0,
    discount=0.995,
)
