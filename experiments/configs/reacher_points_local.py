"""Reach what a picture shows: local controllers whose state are points found in pictures without
labels, and the arm's own joints; 200 episodes.
"""

from agents.tasks.wrappers.reacher_points import reacher_points as task
from gps import lqr_flm as method

config = method.Config(probe=False, initial="zero")  # 25 iterations of 4 x 2 episodes
