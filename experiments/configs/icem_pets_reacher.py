"""The 7-joint arm of PETS reaches a point, another one in each of 20 episodes of 150 steps, by iCEM
in an ensemble.
"""

from agents.mpc import icem_mpc as method
from agents.tasks import PetsReacher as task

config = method.Config(iterations=20, random=0, refit=50, hold=5, fit_steps=300, plan_std=0.15)
