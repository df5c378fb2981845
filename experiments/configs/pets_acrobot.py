"""The benchmark's acrobot by PETS: the tip as high as it gets, in 20 episodes of 201 steps."""

from agents.mpc import pets as method
from agents.tasks import MbblAcrobot as task

config = method.Config(iterations=20, warm_up=0, fit_every=50, action_repeat=5, fit_steps=300)
