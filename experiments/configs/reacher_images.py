"""Reach any target, seen in pictures of 64 x 64 pixels: filters that were learned to tell where tip,
elbow and target are, local controllers that know, one policy that sees.
"""

from functools import partial

from agents.tasks import ReacherImages
from gps import badmm as method

task = partial(ReacherImages, conditions=40, covering=True)
config = method.Config(
    policy="keypoints",
    filters="poses",
    fixed_filters=True,
    iterations=15,
    samples=1,
    kl_step=200.0,
    max_kl_step=3000.0,
    probe=False,
    std_share=0.0,
    initial="zero",
    restarts=3,
    policy_steps=1500,
    inner=1,
    evaluate_every=5,
)  # 40 targets, 600 episodes
