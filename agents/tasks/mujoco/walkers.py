"""Gymnasium's HalfCheetah-v5, Hopper-v5, Swimmer-v5, Walker2d-v5 and Ant-v5: run forward, spend
little, do not fall.

The physics is that of the XML in the installed gymnasium package, and so are the resets, the
observations and the episode's end. x = [positions without the place in the world, velocities,
forward speed over the last step (m/s)]: the last is what the reward counts. The cost is the negated
reward of the steps in which the body is healthy, control_weight |u|^2 - speed - bonus; the bonus
that the step of a fall loses is the only part of the reward that is not smooth, and `metrics`
counts it.

Contact forces, which Ant-v5 by default shows and charges for, are left out here: it is
gymnasium.make("Ant-v5", include_cfrc_ext_in_observation=False, contact_cost_weight=0).
"""

import numpy as np

from lqr.costs import Action, Quadratic

from ...settings import Count
from ..base.mujoco_task import ModelTask
from .reacher import gymnasium_xml

Array = np.ndarray


class Walker(ModelTask):
    """One of the five; a subclass gives its numbers."""

    xml: str
    frame_skip: int
    hidden = 1  # root coordinates that nothing depends on
    control_weight: float
    bonus = 0.0  # reward of a step in good health
    noise: float  # of the start, uniform in positions
    gaussian = False  # whether the velocities of the start are normal instead of uniform
    speed_limit = np.inf  # of the velocities that are observed

    def __init__(self, conditions: Count = 1, horizon: Count = 1000):
        super().__init__(gymnasium_xml(self.xml), self.frame_skip, conditions, horizon)
        first = np.r_[0.0, np.ones(horizon)]  # no action has made the speed of step 0
        motion = Quadratic(
            np.zeros((self.dx, self.dx)), -np.eye(self.dx)[-1], const=-self.bonus, ramp=first
        )
        self.cost = motion + Action(2 * self.control_weight)  # it halves the square

    def starts(self, conditions: Array, rng: np.random.Generator) -> tuple[Array, Array]:
        """Returns positions and velocities of Gymnasium's reset distribution."""
        B, nq, nv = len(conditions), self.model.nq, self.model.nv
        qpos = self.model.qpos0 + rng.uniform(-self.noise, self.noise, size=(B, nq))
        if self.gaussian:
            return qpos, self.noise * rng.standard_normal((B, nv))
        return qpos, rng.uniform(-self.noise, self.noise, size=(B, nv))

    def place(self) -> Array:
        """Returns how far forward each body is (m), (B,), a live array."""
        return self._sim.field("qpos")[:, 0]

    def start(self, qpos: Array, qvel: Array) -> Array:
        """Starts simulations at these positions and velocities; returns x (B, dx)."""
        self._sim.start(qpos, qvel)
        self._over = np.zeros(len(qpos), bool)
        self._speed = np.zeros(len(qpos))
        return self.states()

    def step(self, u: Array) -> Array:
        """Applies controls u (B, du); returns x (B, dx)."""
        before = self.place().copy()
        self._sim.advance(u)
        self._speed = (self.place() - before) / self.dt
        self._over = self._over | self.terminated()
        return self.states()

    def states(self) -> Array:
        """Returns x (B, dx)."""
        q, v = self._sim.field("qpos"), self._sim.field("qvel")
        return np.concatenate([q[:, self.hidden :], v, self._speed[:, None]], 1)

    def to_qpos_qvel(self, x: Array) -> tuple[Array, Array]:
        """Returns positions, of which those that nothing depends on are 0, and velocities, of x (B,
        dx).
        """
        rest = self.model.nq - self.hidden
        return np.concatenate([np.zeros((len(x), self.hidden)), x[:, :rest]], 1), x[:, rest:-1]

    def observe(self) -> Array:
        """Returns Gymnasium's observation, (B, do)."""
        q, v = self._sim.field("qpos"), self._sim.field("qvel")
        return np.concatenate(
            [q[:, self.hidden :], np.clip(v, -self.speed_limit, self.speed_limit)], 1
        )

    def observation_of(self, x: Array) -> Array:
        """Returns Gymnasium's observation (..., do) in states x (..., dx)."""
        rest = self.model.nq - self.hidden
        v = np.clip(x[..., rest:-1], -self.speed_limit, self.speed_limit)
        return np.concatenate([x[..., :rest], v], -1)

    def ended(self, x: Array) -> Array:
        """Returns which bodies are not healthy, (...)."""
        return ~self.healthy(x)

    def healthy(self, x: Array) -> Array:
        """Returns whether the body has not fallen, of x (..., dx)."""
        return np.ones(x.shape[:-1], bool)

    def rewards(self, x: Array, u: Array) -> Array:
        """Returns Gymnasium's reward of each step, (N, T), from x (N, T+1, dx) and u (N, T, du)."""
        after = x[:, 1:]
        alive = self.bonus * self.healthy(after)
        return after[..., -1] + alive - self.control_weight * (u**2).sum(-1)

    def metrics(self, x: Array, u: Array) -> dict[str, Array]:
        """Returns Gymnasium's return up to the fall, and the mean forward speed (m/s), (N,)
        each.
        """
        fallen = np.cumsum(~self.healthy(x[:, 1:]), axis=1) > 0
        counted = np.concatenate(
            [np.ones((len(x), 1), bool), ~fallen[:, :-1]], 1
        )  # the step of the fall counts
        speed = (counted * x[:, 1:, -1]).sum(1) / counted.sum(1)
        return {"return": (counted * self.rewards(x, u)).sum(1), "speed": speed}


class HalfCheetah(Walker):
    """Two legs and a trunk in the plane; it cannot fall."""

    name, env_id, xml, frame_skip = "half_cheetah", "HalfCheetah-v5", "half_cheetah.xml", 5
    dx, du, do = 18, 6, 17
    control_weight, noise, gaussian = 0.1, 0.1, True


class Swimmer(Walker):
    """Three links in a viscous fluid."""

    name, env_id, xml, frame_skip = "swimmer", "Swimmer-v5", "swimmer.xml", 4
    dx, du, do, hidden = 9, 2, 8, 2
    control_weight, noise = 1e-4, 0.1


class Hopper(Walker):
    """One leg in the plane; it ends when the trunk sinks below 0.7 m or leans by 0.2 rad."""

    name, env_id, xml, frame_skip = "hopper", "Hopper-v5", "hopper.xml", 4
    dx, du, do = 12, 3, 11
    control_weight, bonus, noise, speed_limit = 1e-3, 1.0, 5e-3, 10.0

    def healthy(self, x: Array) -> Array:
        """Returns whether it stands, and no coordinate is beyond 100."""
        return (x[..., 0] > 0.7) & (np.abs(x[..., 1]) < 0.2) & (np.abs(x[..., 1:-1]) < 100).all(-1)


class Walker2d(Walker):
    """Two legs in the plane; it ends when the trunk leaves 0.8 to 2 m or leans by 1 rad."""

    name, env_id, xml, frame_skip = "walker2d", "Walker2d-v5", "walker2d_v5.xml", 4
    dx, du, do = 18, 6, 17
    control_weight, bonus, noise, speed_limit = 1e-3, 1.0, 5e-3, 10.0

    def healthy(self, x: Array) -> Array:
        """Returns whether it stands."""
        return (x[..., 0] > 0.8) & (x[..., 0] < 2.0) & (np.abs(x[..., 1]) < 1.0)


class Ant(Walker):
    """Four legs, free in space; it ends when the trunk leaves 0.2 to 1 m. Without contact forces,
    see above.
    """

    name, env_id, xml, frame_skip = "ant", None, "ant.xml", 5
    dx, du, do, hidden = 28, 8, 27, 2
    control_weight, bonus, noise, gaussian = 0.5, 1.0, 0.1, True

    def place(self) -> Array:
        """Returns how far forward the trunk is, which Gymnasium reads one substep late, (B,)."""
        return self._sim.field("xpos")[:, 1, 0]

    def healthy(self, x: Array) -> Array:
        """Returns whether it is between floor and sky."""
        return (x[..., 0] >= 0.2) & (x[..., 0] <= 1.0)
