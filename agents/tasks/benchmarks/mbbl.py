"""The classic environments of Benchmarking Model-Based Reinforcement Learning (Wang et al. 2019),
in its definitions.

They differ from Gymnasium's: a reward is that of the state that a step starts from, nothing ends an
episode, and an action in [-1, 1] is turned into what the environment takes. Its pendulum is
rewarded for hanging down. x holds the cosines and sines of the angles that are rewarded, and the
cost, the negated reward, says of them

    -cos a = 1/2 (cos a - 1)^2 + 1/2 sin^2 a - 1

which has the curvature that a planner needs: of a cost that is linear in the cosine, all of it lies
in the dynamics.
"""

import numpy as np

from lqr.costs import Action, Quadratic, WeightedNorm

from ...settings import Count
from ..base.ode_task import MapTask
from ..classic.acrobot import Acrobot
from ..classic.mountain_car import FASTEST, LEFT, RIGHT, MountainCar

Array = np.ndarray


def before_each_step(horizon: int) -> Array:
    """Returns weights (horizon+1,) of the states that a step starts from: all but the last."""
    return np.r_[np.ones(horizon), 0.0]


class MbblTask(MapTask):
    """One action within [-1, 1], and the return as the measure."""

    du, horizon = 1, 201
    action_low, action_high = -np.ones(1), np.ones(1)

    def project(self, x: Array) -> Array:
        """Returns the states x (..., dx) with cosines and sines that belong together: see
        `agents.planners.models.ProjectedModel`.
        """
        return self.states(self.to_physical(x))

    def metrics(self, x: Array, u: Array) -> dict[str, Array]:
        """Returns the return, (N,)."""
        return {"return": -self.cost(x, u).sum(-1)}


class MbblPendulum(MbblTask):
    """s = [angle, 0 upright, speed]; x = o = [cos, sin, speed]; a torque of 2 u on a rod of 1 kg
    and 1 m.

    The reward is -(cos + 0.1 |sin| + 0.1 speed^2 + 0.001 torque^2): it is best to hang.
    """

    name, dt, dx, do = "mbbl_pendulum", 0.05, 3, 3

    def __init__(self, conditions: Count = 1):
        super().__init__(conditions)
        ramp = before_each_step(self.horizon)
        place = Quadratic(
            np.diag([1.0, 1.0, 0.2]), np.array([1.0, 0.0, 0.0]), const=-0.5, ramp=ramp
        )
        self.cost = (
            place
            + WeightedNorm([0.0, 1.0, 0.0], l1=0.1, l2=0.0, alpha=1e-6, ramp=ramp)
            + Action(0.008)
        )

    def starts(self, conditions: Array, rng: np.random.Generator) -> Array:
        """Returns any angle, and a speed within 1 rad/s."""
        return rng.uniform([-np.pi, -1.0], [np.pi, 1.0], size=(len(conditions), 2))

    def advance(self, s: Array, u: Array) -> Array:
        """Returns s one step later, by Euler's method, the speed first."""
        speed = s[..., 1] + (15.0 * np.sin(s[..., 0]) + 3.0 * 2.0 * u[..., 0]) * self.dt
        speed = np.clip(speed, -8.0, 8.0)
        return np.stack([s[..., 0] + speed * self.dt, speed], -1)

    def states(self, s: Array) -> Array:
        """Returns cosine, sine and speed."""
        return np.stack([np.cos(s[..., 0]), np.sin(s[..., 0]), s[..., 1]], -1)

    def to_physical(self, x: Array) -> Array:
        """Returns angle and speed."""
        return np.stack([np.arctan2(x[..., 1], x[..., 0]), x[..., 2]], -1)

    see = states

    def observation_of(self, x: Array) -> Array:
        """Returns a copy of x (..., 3)."""
        return x.copy()


class MbblCartPole(MbblTask):
    """Gymnasium's CartPole without an end, pushed by 10 N to the side of u; x = [s, cosine, sine],
    o = s = [cart, its speed, angle, 0 upright, its speed]. The reward is cos(angle) - 0.01
    cart^2."""

    name, dt, dx, do = "mbbl_cartpole", 0.02, 6, 4

    def __init__(self, conditions: Count = 1):
        super().__init__(conditions)
        C, c = np.diag([0.02, 0, 0, 0, 1, 1]), np.array([0, 0, 0, 0, -1.0, 0])
        self.cost = Quadratic(C, c, const=-0.5, ramp=before_each_step(self.horizon))

    def starts(self, conditions: Array, rng: np.random.Generator) -> Array:
        """Returns states within 0.05 of upright rest."""
        return rng.uniform(-0.05, 0.05, size=(len(conditions), 4))

    def advance(self, s: Array, u: Array) -> Array:
        """Returns s one step later, by Euler's method (Barto, Sutton and Anderson 1983)."""
        speed, angle, spin = s[..., 1], s[..., 2], s[..., 3]
        sin, cos = np.sin(angle), np.cos(angle)
        force = np.where(u[..., 0] > 0, 10.0, -10.0)
        push = (
            force + 0.05 * spin**2 * sin
        ) / 1.1  # pole of 0.1 kg, half a metre to its middle; cart of 1 kg
        bend = (9.8 * sin - cos * push) / (0.5 * (4.0 / 3.0 - 0.1 * cos**2 / 1.1))
        rate = np.stack([speed, push - 0.05 * bend * cos / 1.1, spin, bend], -1)
        after = s + self.dt * rate
        return np.where(np.isfinite(u), after, np.nan)

    def states(self, s: Array) -> Array:
        """Returns s, the cosine and the sine of the angle."""
        return np.concatenate([s, np.cos(s[..., 2:3]), np.sin(s[..., 2:3])], -1)

    def to_physical(self, x: Array) -> Array:
        """Returns s, without cosine and sine."""
        return x[..., :4].copy()

    def see(self, s: Array) -> Array:
        """Returns a copy of s."""
        return s.copy()


class MbblMountainCar(MountainCar):
    """Gymnasium's MountainCarContinuous without an end; the reward is the car's place."""

    name = "mbbl_mountain_car"
    env_id = None

    def __init__(self, conditions: Count = 1):
        super().__init__(conditions, horizon=201)
        self.cost = Quadratic(
            np.zeros((2, 2)), np.array([-1.0, 0.0]), ramp=before_each_step(self.horizon)
        )

    def project(self, x: Array) -> Array:
        """Returns the states x (..., 2) within the limits of place and speed."""
        return np.clip(x, [LEFT, -FASTEST], [RIGHT, FASTEST])

    def ended(self, x: Array) -> Array:
        """Returns that nobody has."""
        return np.zeros(x.shape[:-1], bool)

    def metrics(self, x: Array, u: Array) -> dict[str, Array]:
        """Returns the return, (N,)."""
        return {"return": -self.cost(x, u).sum(-1)}


class MbblAcrobot(Acrobot):
    """Gymnasium's Acrobot without an end; u below -1/3 is a torque of -1 Nm, above 1/3 of 1 Nm,
    else 0.

    x = [cos, sin of the upper link's angle to the vertical, cos, sin of the lower link's, speeds];
    the policy sees Gymnasium's observation. The reward is the tip's height.
    """

    name, dx, horizon = "mbbl_acrobot", 6, 201
    state_names = (
        *(f"{part} of the {link} angle" for link in ("upper", "lower") for part in ("cos", "sin")),
        *("shoulder speed (rad/s)", "elbow speed (rad/s)"),
    )
    action_names = ("sign of the torque",)

    def __init__(self, conditions: Count = 1):
        super().__init__(conditions)
        C, c = np.diag([1.0, 1, 1, 1, 0, 0]), np.array([1.0, 0, 1, 0, 0, 0])  # cos a + cos(a + b)
        self.cost = Quadratic(C, c, const=-1.0, ramp=before_each_step(self.horizon))

    def advance(self, s: Array, u: Array) -> Array:
        """Returns s one step later."""
        torque = np.where(np.isfinite(u), np.sign(u) * (np.abs(u) > 1.0 / 3.0), np.nan)
        return super().advance(s, torque)

    def states(self, s: Array) -> Array:
        """Returns cosines and sines of both links' angles, and the speeds."""
        upper, lower = s[..., 0], s[..., 0] + s[..., 1]
        return np.stack(
            [np.cos(upper), np.sin(upper), np.cos(lower), np.sin(lower), s[..., 2], s[..., 3]], -1
        )

    def to_physical(self, x: Array) -> Array:
        """Returns both angles and their speeds."""
        upper, lower = np.arctan2(x[..., 1], x[..., 0]), np.arctan2(x[..., 3], x[..., 2])
        return np.stack(
            [upper, (lower - upper + np.pi) % (2 * np.pi) - np.pi, x[..., 4], x[..., 5]], -1
        )

    def project(self, x: Array) -> Array:
        """Returns the states x (..., 6) with cosines and sines that belong together."""
        return self.states(self.to_physical(x))

    def metrics(self, x: Array, u: Array) -> dict[str, Array]:
        """Returns the return, (N,)."""
        return {"return": -self.cost(x, u).sum(-1)}
