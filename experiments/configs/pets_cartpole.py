"""Cart-pole swing-up with the constants and the reward of PETS, by PETS: a light profile, 10
episodes of 8 seconds.
"""

from agents.mpc import pets as method
from agents.tasks import PetsCartPole as task

config = method.Config(iterations=10, warm_up=0, fit_every=50, action_repeat=5, fit_steps=300)
