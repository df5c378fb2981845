"""Push an object from anywhere to the goal: plans in an ensemble teach one neural policy (Pusher-v5)."""

from functools import partial

from agents.tasks.pusher import GuidedPusher
from gps import ilqg_gps as method

task = partial(GuidedPusher, conditions=200)
config = method.Config(
    iterations=20,
    trials=20,
    tried=20,
    initial_std=0.25,
    smoothing=4.0,
    trial_smoothing=4.0,
    model="ensemble",
    members=3,
    model_hidden=(128, 128),
    plans=24,
    plan_iterations=4,
    copies=1,
    replay=2,
)
