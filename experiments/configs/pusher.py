"""Push an object from anywhere to the goal: plans teach a policy, a model-free method improves it
(Pusher-v5).
"""

from functools import partial

from agents.tasks import Pusher
from gps import ilqg_mf as method

task = partial(Pusher, conditions=200, weight=4.0)  # of the distance to the goal, in fine-tuning
config = method.Config(
    iterations=24,
    teaching=4,
    episodes=20,
    executed_plans=20,
    initial_std=0.25,
    smoothing=4.0,
    episode_smoothing=4.0,
    model="ensemble",
    members=3,
    model_hidden=(128, 128),
    fit_steps=1500,
    plan_starts=32,
    plan_iterations=10,
    noisy_copies=1,
    replay=2,
    tune_steps=4000,
    tune_std=0.2,
    discount=0.98,
    shaping=True,
)
