"""The 7-joint arm of PETS pushes an object to its goal, by iCEM in an ensemble: 100 episodes of 150
steps.
"""

from agents.mpc import mpc as method
from agents.planners import ICEM
from agents.tasks import PetsPusher as task

config = method.Config(
    planner=ICEM(samples=100, std=0.15),
    propagation="tsinf",
    particles=5,
    iterations=100,
    warm_up=0,
    fit_every=75,
    action_repeat=5,
    fit_steps=300,
    hidden=(100, 100),
    reject_outliers=False,  # the object moves in few transitions
    optimism=1.0,  # at first; else the arm may come to rest beside the object
)
