"""Cart-pole swing-up with the constants and the reward of PETS, by PETS: a light profile, 10
episodes of 8 seconds.
"""

from agents.mpc import pets as method
from agents.tasks import PetsCartPole as task

config = method.Config(iterations=10, random=0, refit=50, hold=5, fit_steps=300)
