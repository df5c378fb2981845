"""The 7-joint arm of PETS pushes an object to its goal, by iCEM in an ensemble: 100 episodes of 150
steps.
"""

from agents.mpc import icem_mpc as method
from agents.tasks import PetsPusher as task

config = method.Config(
    iterations=100,
    random=0,
    refit=75,
    hold=5,
    fit_steps=300,
    plans=100,
    plan_std=0.15,
    members=5,
    particles=5,
    hidden=(100, 100),
    screen=False,  # the object moves in few transitions
    optimism=1.0,  # at first; else the arm may come to rest beside the object
)
