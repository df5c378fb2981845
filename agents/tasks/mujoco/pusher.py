"""Gymnasium's Pusher-v5: a 7-joint arm pushes a cylinder along a table to a goal.

The physics is that of the XML in the installed gymnasium package. x = [7 joint angles (rad), 7
velocities (rad/s), object's place on the table (2, m), its velocity (2, m/s), object - tip (3, m),
object - goal (3, m)]; the policy sees Gymnasium's observation: angles, velocities, and the places
of tip, object and goal (23 numbers). The cost is the negated reward, distance of object to goal +
0.5 distance of object to tip + 0.1 |u|^2 after each step; each condition is one place of the
object.
"""

import numpy as np

from lqr.costs import Action, WeightedNorm

from ...interfaces import Cost
from ...settings import Count, Positive, Whole
from ..base.mujoco_task import ModelTask
from .reacher import ExactCost, gymnasium_xml

Array = np.ndarray

OBJECT, GOAL = "object", "goal"
NEAR, FAR = np.eye(24)[18:21].sum(0), np.eye(24)[21:].sum(0)  # of x: object - tip, object - goal


class Pusher(ModelTask):
    """Pusher-v5 with its own reward, observation and reset distribution; each condition is one
    sampled object.
    """

    name, env_id = "pusher", "Pusher-v5"
    dx, du, do = 24, 7, 23
    plane = (14, 15)

    def __init__(
        self,
        conditions: Count = 8,
        horizon: Count = 100,
        layout_seed: Whole = 20_000,
        weight: Positive = 1.0,
    ):
        """`weight` is that of the object's distance to the goal in the cost that fine-tuning learns
        from.
        """
        super().__init__(gymnasium_xml("pusher_v5.xml"), 5, conditions, horizon)
        self.objects = sample_objects(conditions, np.random.default_rng(layout_seed))
        self.find_bodies()
        self.cost: Cost = ExactCost(_cost(horizon, 1e-40), _cost(horizon, 1e-4))
        self.tuning_cost: Cost = _cost(horizon, 1e-40, weight)

    def find_bodies(self) -> None:
        """Looks up the bodies whose places are seen."""
        self._body = {name: self.model.body(name).id for name in ("tips_arm", OBJECT, GOAL)}

    def starts(self, conditions: Array, rng: np.random.Generator) -> tuple[Array, Array]:
        """Returns the arm at rest but for small velocities, and each condition's object."""
        B = len(conditions)
        qpos = np.tile(self.model.qpos0, (B, 1))
        qpos[:, -4:-2], qpos[:, -2:] = self.objects[conditions], 0.0
        qvel = rng.uniform(-0.005, 0.005, size=(B, self.model.nv))
        qvel[:, -4:] = 0.0
        return qpos, qvel

    def place(self, name: str) -> Array:
        """Returns where a body is, (B, 3), a live array."""
        return self._sim.field("xpos")[:, self._body[name]]

    def states(self) -> Array:
        """Returns x (B, 24)."""
        q, v = self._sim.field("qpos"), self._sim.field("qvel")
        here = self.place(OBJECT)
        gaps = [here - self.place("tips_arm"), here - self.place(GOAL)]
        return np.concatenate([q[:, :7], v[:, :7], q[:, 7:9], v[:, 7:9], *gaps], 1)

    def to_qpos_qvel(self, x: Array) -> tuple[Array, Array]:
        """Returns positions and velocities of x (B, 24), with the goal where it always is."""
        goal = np.zeros((len(x), 2))
        return np.concatenate([x[:, :7], x[:, 14:16], goal], 1), np.concatenate(
            [x[:, 7:14], x[:, 16:18], goal], 1
        )

    def observe(self) -> Array:
        """Returns Gymnasium's observation, (B, 23)."""
        q, v = self._sim.field("qpos"), self._sim.field("qvel")
        places = [self.place(name) for name in ("tips_arm", OBJECT, GOAL)]
        return np.concatenate([q[:, :7], v[:, :7], *places], 1)

    def observation_of(self, x: Array) -> Array:
        """Returns Gymnasium's observation (..., 23) in states x (..., 24)."""
        goal = np.broadcast_to(self.model.body(GOAL).pos, (*x.shape[:-1], 3))
        here = goal + x[..., 21:]
        return np.concatenate([x[..., :14], here - x[..., 18:21], here, goal], -1)

    def metrics(self, x: Array, u: Array) -> dict[str, Array]:
        """Returns the object's final distance to the goal (m) and Gymnasium's return, (N,) each."""
        return {
            "distance": np.linalg.norm(x[:, -1, 21:], axis=-1),
            "return": -self.cost(x, u).sum(-1),
        }


def sample_objects(count: int, rng: np.random.Generator) -> Array:
    """Returns places of the object (count, 2) of Gymnasium's reset distribution: not within 0.17 m
    of the goal.
    """
    places = np.empty((0, 2))
    while len(places) < count:
        draw = rng.uniform([-0.3, -0.2], [0.0, 0.2], size=(count, 2))
        places = np.concatenate([places, draw[np.linalg.norm(draw, axis=1) > 0.17]])
    return places[:count]


def _cost(horizon: int, smoothing: float, weight: float = 1.0) -> Cost:
    ramp = np.r_[0.0, np.ones(horizon)]
    terms = WeightedNorm(FAR, l1=weight, l2=0.0, alpha=smoothing, ramp=ramp)
    return terms + WeightedNorm(NEAR, l1=0.5, l2=0.0, alpha=smoothing, ramp=ramp) + Action(0.2)
