"""The 7-joint arm of PETS reaches a point, another one in each of 20 episodes of 150 steps, by iCEM
in an ensemble.
"""

from agents.mpc import mpc as method
from agents.planners import ICEM
from agents.tasks import PetsReacher as task

config = method.Config(
    planner=ICEM(samples=60, std=0.15),
    propagation="tsinf",
    particles=5,
    iterations=20,
    warm_up=0,
    fit_every=50,
    action_repeat=5,
    fit_steps=300,
)
