"""Gymnasium's Reacher-v5, another start and target in each episode, for methods that plan in x.

x = [2 joint angles (rad), 2 joint velocities (rad/s), fingertip - target (2, m)]: the arm moves
alike wherever the target is, and this is all that the reward depends on.
"""

from ...settings import Count
from ..mujoco.reacher import ExactCost, tip_cost
from .mbbl_bodies import MbblReacher


class ReacherV5(MbblReacher):
    """The cost is the negated reward: |fingertip - target| + |u|^2 after each step."""

    name, env_id = "reacher_v5", "Reacher-v5"

    def __init__(self, conditions: Count = 1):
        super().__init__(conditions)
        self.cost = ExactCost(*(tip_cost(1.0, alpha, first=0.0) for alpha in (1e-40, 1e-5)))
