"""The MuJoCo bodies of Benchmarking Model-Based Reinforcement Learning (Wang et al. 2019), with its
rewards.

The physics and the resets are those of Gymnasium's models as they are now, which differ a little
from those of 2019. A reward is that of the state and the action that a step starts from: forward
speed, less 0.1 |u|^2 and, for those that walk, less 3 (height - aim)^2, plus 1. x = o = [positions
without the place in the world, velocities]. Where the benchmark's table says "-ET", here `_et`, a
fall ends the episode; elsewhere nothing does.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from lqr.cost_terms import Parts, Term
from lqr.costs import Action, Quadratic

from ...settings import Count
from ..base.mujoco_task import ModelTask
from ..mujoco.inverted import InvertedPendulum
from ..mujoco.reacher import (
    ExactCost,
    gymnasium_xml,
    sample_layout,
    state_of,
    tip_cost,
    to_qpos_qvel,
    view_of,
)
from ..mujoco.walkers import Ant, HalfCheetah, Hopper, Swimmer, Walker, Walker2d
from .mbbl import before_each_step

Array = np.ndarray


class MbblBody(Walker):
    """One of the bodies; a subclass gives its numbers."""

    aim: float | None = None  # height that is wanted (m)
    standing = (-np.inf, np.inf)  # heights between which it has not fallen (m)
    lean = np.inf  # angle at which it has fallen (rad)
    ends = False  # whether a fall ends the episode
    effort = 0.1

    def __init__(self, conditions: Count = 1, horizon: Count = 1000):
        super().__init__(conditions, horizon)
        self.env_id = None  # the rewards are others than Gymnasium's
        C, c, const = np.zeros((self.dx, self.dx)), np.zeros(self.dx), 0.0
        c[self.model.nq - self.hidden] = -1.0  # the first velocity is the forward one
        if self.aim is not None:
            C[0, 0], c[0], const = 6.0, -6.0 * self.aim, 3.0 * self.aim**2 - 1.0
        self.cost = Quadratic(C, c, const=const, ramp=before_each_step(horizon)) + Action(
            2 * self.effort
        )

    def states(self) -> Array:
        """Returns x (B, dx)."""
        return super().states()[:, :-1]

    def observe(self) -> Array:
        """Returns x (B, dx)."""
        return self.states()

    def observation_of(self, x: Array) -> Array:
        """Returns a copy of x (..., dx)."""
        return x.copy()

    def to_qpos_qvel(self, x: Array) -> tuple[Array, Array]:
        """Returns positions and velocities of x (B, dx)."""
        return super().to_qpos_qvel(np.pad(x, ((0, 0), (0, 1))))

    def healthy(self, x: Array) -> Array:
        """Returns whether the body has not fallen, of x (..., dx)."""
        low, high = self.standing
        return (x[..., 0] > low) & (x[..., 0] < high) & (np.abs(x[..., 1]) < self.lean)

    def ended(self, x: Array) -> Array:
        """Returns which episodes a fall ends, (...)."""
        return super().ended(x) if self.ends else np.zeros(x.shape[:-1], bool)

    def metrics(self, x: Array, u: Array) -> dict[str, Array]:
        """Returns the return up to the end, (N,)."""
        alive = np.ones((len(x), self.horizon), bool)
        if self.ends:
            alive[:, 1:] = np.cumprod(self.healthy(x[:, 1:-1]), axis=1)
        return {"return": -(alive * self.cost(x, u)[:, :-1]).sum(-1)}


class MbblHalfCheetah(MbblBody, HalfCheetah):
    """Two legs and a trunk in the plane."""

    name, dx, do = "mbbl_half_cheetah", 17, 17


class MbblHopper(MbblBody, Hopper):
    """One leg in the plane."""

    name, dx, do, aim, standing, lean = "mbbl_hopper", 11, 11, 1.3, (0.7, np.inf), 0.2


class MbblHopperEt(MbblHopper):
    """The same until it falls."""

    name, ends = "mbbl_hopper_et", True


class MbblWalker2d(MbblBody, Walker2d):
    """Two legs in the plane."""

    name, dx, do, aim, standing, lean = "mbbl_walker2d", 17, 17, 1.3, (0.8, 2.0), 1.0


class MbblWalker2dEt(MbblWalker2d):
    """The same until it falls."""

    name, ends = "mbbl_walker2d_et", True


class MbblAnt(MbblBody, Ant):
    """Four legs, free in space."""

    name, dx, do, aim, standing = "mbbl_ant", 27, 27, 0.57, (0.2, 1.0)


class MbblAntEt(MbblAnt):
    """The same until it falls."""

    name, ends = "mbbl_ant_et", True


class MbblSwimmer(MbblBody, Swimmer):
    """Three links in a viscous fluid, the table's Swimmer-v0: the speed is that of the joint behind
    the head.
    """

    name, dx, effort = "mbbl_swimmer", 8, 1e-4


class MbblFixedSwimmer(Swimmer):
    """The table's Swimmer: the speed is that of the tip of the head over the last step, which is
    seen as well.
    """

    name, do = "mbbl_fixed_swimmer", 9

    def __init__(self, conditions: Count = 1, horizon: Count = 1000):
        super().__init__(conditions, horizon)
        self.env_id = None  # type: ignore[assignment]  # its reward is another
        speed = Quadratic(np.zeros((9, 9)), -np.eye(9)[-1], ramp=before_each_step(horizon))
        self.cost = speed + Action(2e-4)

    def place(self) -> Array:
        """Returns where the tip is along x, 1.5 m from the joint that the body turns about,
        (B,).
        """
        q = self._sim.field("qpos")
        return q[:, 0] + 1.5 * np.cos(q[:, 2])

    def observe(self) -> Array:
        """Returns x (B, 9)."""
        return self.states()

    def observation_of(self, x: Array) -> Array:
        """Returns a copy of x (..., 9)."""
        return x.copy()

    def metrics(self, x: Array, u: Array) -> dict[str, Array]:
        """Returns the return, (N,)."""
        return {"return": -self.cost(x, u).sum(-1)}


@dataclass(frozen=True)
class Standing(Term):
    """Minus `bonus` where x_0 lies between `low` and `high`: a step, whose expansion is flat."""

    bonus: float
    low: float
    high: float
    ramp: Any = "constant"
    _least = (("bonus", None),)

    def _value(self, X: Array, U: Array) -> Array:
        return -self.bonus * ((X[..., 0] >= self.low) & (X[..., 0] <= self.high))

    def _parts(self, X: Array, U: Array) -> Parts:
        n = X.shape[-1] + U.shape[-1]
        return self._value(X, U), np.zeros((*X.shape[:-1], n)), np.zeros((*X.shape[:-1], n, n))


class MbblSlimHumanoid(MbblBody):
    """A body of 17 motors; it sees positions and velocities. The reward is 0.25 / 0.015 times the
    forward speed, less 0.1 |u|^2, plus 5 while it stands. Contact forces are neither seen nor
    charged for."""

    name, xml, frame_skip = "mbbl_slim_humanoid", "humanoid.xml", 5
    dx, du, do, hidden = 45, 17, 45, 2
    noise, control_weight, standing = 0.01, 0.1, (1.0, 2.0)

    def __init__(self, conditions: Count = 1, horizon: Count = 1000):
        super().__init__(conditions, horizon)
        speed, ramp = np.zeros(self.dx), before_each_step(horizon)
        speed[22] = -0.25 / 0.015
        self.cost = Quadratic(np.zeros((self.dx, self.dx)), speed, ramp=ramp) + Action(
            2 * self.effort
        )
        self.cost = self.cost + Standing(5.0, *self.standing, ramp)


class MbblSlimHumanoidEt(MbblSlimHumanoid):
    """The same until it falls."""

    name, ends = "mbbl_slim_humanoid_et", True


class MbblInvertedPendulum(InvertedPendulum):
    """Gymnasium's InvertedPendulum without an end, pushed by at most a third of its motor; the
    reward is -angle^2.
    """

    name = "mbbl_inverted_pendulum"

    def __init__(self, conditions: Count = 1):
        super().__init__(conditions, 101)
        self.env_id = None  # type: ignore[assignment]  # its reward is another
        self.action_low, self.action_high = -np.ones(1), np.ones(1)
        self.cost = Quadratic(np.diag([0.0, 2.0, 0.0, 0.0]), ramp=before_each_step(self.horizon))

    def observation_of(self, x: Array) -> Array:
        """Returns a copy of x (..., 4)."""
        return x.copy()

    def ended(self, x: Array) -> Array:
        """Returns that nobody has fallen, (...)."""
        return np.zeros(x.shape[:-1], bool)

    def metrics(self, x: Array, u: Array) -> dict[str, Array]:
        """Returns the return, (N,)."""
        return {"return": -self.cost(x, u).sum(-1)}


class MbblReacher(ModelTask):
    """The reacher with a new target at each reset; the reward is -|fingertip - target| - |u|^2.

    x = [2 joint angles, 2 velocities, fingertip - target (2)], o = Gymnasium's observation.
    """

    name = "mbbl_reacher"
    dx, du, do = 6, 2, 10

    def __init__(self, conditions: Count = 1):
        super().__init__(gymnasium_xml("reacher.xml"), 2, conditions, 50)
        self.cost = ExactCost(
            *(tip_cost(1.0, alpha, first=1.0, last=0.0) for alpha in (1e-40, 1e-5))
        )

    def starts(self, conditions: Array, rng: np.random.Generator) -> tuple[Array, Array]:
        """Returns angles, targets and velocities of Reacher-v5's reset distribution."""
        angles, targets = sample_layout(len(conditions), rng)
        speeds = rng.uniform(-0.005, 0.005, size=(len(conditions), 2))
        return np.concatenate([angles, targets], 1), np.concatenate(
            [speeds, np.zeros_like(speeds)], 1
        )

    def states(self) -> Array:
        """Returns x (B, 6)."""
        return state_of(self._sim)

    def to_qpos_qvel(self, x: Array) -> tuple[Array, Array]:
        """Returns positions and velocities of x (B, 6)."""
        return to_qpos_qvel(x)

    def observe(self) -> Array:
        """Returns Gymnasium's observation, (B, 10)."""
        q, x = self._sim.field("qpos"), self.states()
        return np.concatenate([np.cos(q[:, :2]), np.sin(q[:, :2]), q[:, 2:], x[:, 2:]], 1)

    def observation_of(self, x: Array) -> Array:
        """Returns Gymnasium's observation (..., 10) in states x (..., 6)."""
        return view_of(x)

    def metrics(self, x: Array, u: Array) -> dict[str, Array]:
        """Returns the return, and the final distance of the fingertip to the target (m), (N,)
        each.
        """
        return {
            "return": -self.cost(x, u).sum(-1),
            "distance": np.linalg.norm(x[:, -1, 4:], axis=-1),
        }
