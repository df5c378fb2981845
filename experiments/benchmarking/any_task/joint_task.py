"""A joint as a real robot has it: one after the other, with noise, latency and coarse sensors."""

import numpy as np

from agents.tasks.adapters.user_task import OwnTask
from lqr.costs import Action, WeightedNorm

Array = np.ndarray
DT = 0.05  # s
TICK = 2 * np.pi / 1000  # rad, of the encoder
STARTS = (-0.8, 0.5)  # rad, from the goal
NOISE = 0.05  # N m, deviation of what is applied beside the torque that was asked for
GRAVITY, DAMPING = 4.0, 0.5  # rad/s^2 with the arm level, 1/s


class Joint:
    """x = [angle from the goal (rad), its rate (rad/s), the torque that comes next (N m)], as the
    encoder tells them: an angle in whole ticks, and a rate that is a difference of two. A torque
    comes a step after it was asked for.
    """

    def reset(self, condition: int, rng: np.random.Generator) -> Array:
        """Starts at rest at one of two places, to within a tick."""
        self.rng = rng
        self.true = np.array([STARTS[condition] + rng.uniform(-TICK, TICK), 0.0, 0.0])
        self.seen = self._encoder()
        return np.array([self.seen, 0.0, 0.0])

    def step(self, u: Array) -> Array:
        """Returns x after 0.05 s, in which the torque acts that was asked for a step ago."""
        disturbed = self.true + np.array([0.0, 0.0, NOISE * self.rng.standard_normal()])
        self.true = joint_step(disturbed, u)
        before, self.seen = self.seen, self._encoder()
        return np.array([self.seen, (self.seen - before) / DT, self.true[2]])

    def _encoder(self) -> float:
        return float(TICK * np.round(self.true[0] / TICK))


def joint_step(x: Array, u: Array) -> Array:
    """Returns states (..., 3) one step after states x (..., 3) under torques u (..., 1), without
    noise and with a perfect encoder.
    """
    angle, rate, torque = np.moveaxis(x, -1, 0)
    after = rate + DT * (torque - DAMPING * rate - GRAVITY * np.sin(angle))
    return np.stack([angle + DT * after, after, u[..., 0]], -1)


class JointTask(OwnTask):
    """The joint, which is to hold its goal against gravity."""

    def __init__(self) -> None:
        super().__init__(
            Joint,
            WeightedNorm(np.array([1.0, 0.1, 0.0]), l2=2.0) + Action(0.01),
            action_low=[-8.0],
            action_high=[8.0],
            horizon=40,
            dt=DT,
            conditions=len(STARTS),
            name="joint with noise, latency and an encoder",
            state_names=("angle (rad)", "rate (rad/s)", "torque to come (N m)"),
            action_names=("torque (N m)",),
        )

    def simulator(self, x: Array, u: Array, factors: Array) -> Array:
        """Returns the states after one step, (M, 3), without noise."""
        return joint_step(x, u)
