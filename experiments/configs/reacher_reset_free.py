"""Reach for targets all over the plane, no start twice: episodes that are alike share a
controller, all teach one policy.
"""

from agents.tasks import ReacherResetFree as task
from gps import reset_free as method

config = method.Config()  # 15 iterations of 40 episodes
