"""Gymnasium's Reacher-v5: a two-link arm in the plane brings its fingertip to a target.

The physics is that of the XML in the installed gymnasium package. x = [2 joint angles (rad), 2
joint velocities (rad/s), fingertip - target (2, m)]; the policy sees Gymnasium's observation:
cosines and sines of the angles, the target's position, the velocities, and fingertip - target (10
numbers).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from lqr import InputError, QuadraticCost, window
from lqr.costs import Action, WeightedNorm

from ...interfaces import Cost
from ...settings import Count, Whole, typed
from ..base.mujoco_batch import MujocoBatch, OneStep
from ..capabilities import StartMeasure

Array = np.ndarray

FINGERTIP, TARGET = 3, 4  # body numbers in reacher.xml
REACH = 0.2  # m, radius of the disc of targets
LINKS = (0.1, 0.11)  # m, in reacher.xml
PARAMETERS: dict[
    str, list[tuple[str, Any]]
] = {  # what may be wrong in a model of the arm; the motors' gear is left out, since only ratios to it matter
    "mass of link 0": [("body_mass", 1), ("body_inertia", 1)],
    "mass of link 1": [("body_mass", [2, 3]), ("body_inertia", [2, 3])],
    "rotor inertia": [("dof_armature", [0, 1])],
    "damping": [("dof_damping", [0, 1])],
}
FOUR_ANGLES = np.array([[0.05, -0.05], [-0.05, 0.05], [0.08, 0.02], [0.0, 0.0]])  # rad
FOUR_TARGETS = np.array([[0.10, 0.11], [-0.11, 0.10], [-0.09, -0.12], [0.12, -0.09]])  # m


def gymnasium_xml(name: str) -> str:
    """Returns the path of a model file of the installed gymnasium package, without importing it."""
    spec = find_spec("gymnasium")
    if spec is None or spec.origin is None:
        raise InputError(
            "gymnasium is not installed; expected it for its model files: pip install 'gymnasium[mujoco]'"
        )
    return str(Path(spec.origin).parent / "envs" / "mujoco" / "assets" / name)


@dataclass(frozen=True)
class ExactCost:
    """One cost to be judged by, and a smooth one, close to it, to be expanded."""

    exact: Cost
    smooth: Cost

    def __call__(self, X: Array, U: Array) -> Array:
        """Returns the exact cost of each step, (..., T+1)."""
        return self.exact(X, U)

    def expand(self, X: Array, U: Array) -> QuadraticCost:
        """Returns the expansion of the smooth cost."""
        return self.smooth.expand(X, U)

    def window(self, t: int, count: int, T: int) -> "ExactCost":
        """Returns the cost of the steps t..t+count of an episode of T, for `lqr.window`."""
        return ExactCost(window(self.exact, t, count, T), window(self.smooth, t, count, T))


def angle_behind(o: Array) -> Array:
    """Returns the angle (degrees, 0 to 180) between a target in observations (N, 10) and straight
    behind the base: where the arm, which starts stretched forward, must turn around.
    """
    return 180.0 - np.abs(np.degrees(np.arctan2(o[:, 5], o[:, 4])))


def reach(o: Array) -> Array:
    """Returns the distance (m) of a target in observations (N, 10) from the base."""
    return np.linalg.norm(o[:, 4:6], axis=1)


class Reacher:
    """Reacher-v5 with its own reward, observation and reset distribution; each condition is one
    sampled target.

    The cost is the negated reward, |fingertip - target| + |u|^2 after each step. Targets and start
    angles of the `conditions` are drawn once, from `layout_seed`, by Gymnasium's own distribution;
    velocities at each reset.
    """

    name = "reacher"
    env_id: str | None = "Reacher-v5"
    horizon, dt = 50, 0.02
    dx, du, do = 6, 2, 10
    plane = (4, 5)
    joints = (range(2), range(2, 4))
    state_names = (
        "joint 0 (rad)",
        "joint 1 (rad)",
        "joint 0 speed (rad/s)",
        "joint 1 speed (rad/s)",
        "fingertip - target x (m)",
        "fingertip - target y (m)",
    )
    action_names = ("motor 0", "motor 1")
    camera: ClassVar[dict[str, float]] = {"distance": 0.54}  # m above the plane, for pictures
    start_measures: ClassVar[dict[str, StartMeasure]] = {
        "angle": StartMeasure("target's degrees from straight behind the base", angle_behind, 20.0),
        "reach": StartMeasure("target's distance from the base, m", reach, 0.05),
    }

    @typed
    def __init__(
        self,
        conditions: Count = 40,
        layout_seed: Whole = 20_000,
        believed: Mapping[str, float] | None = None,
        covering: bool = False,
    ):
        """`believed` are the factors by which the arm's parameters are wrong in what `simulator`
        believes. With `covering` the targets are spread evenly over the disc that they are drawn
        from, so that none of it is far from all of them.
        """
        if conditions < 1:
            raise InputError(f"conditions is {conditions}; expected at least 1")
        self.conditions = conditions
        rng = np.random.default_rng(layout_seed)
        self.angles, self.targets = sample_layout(conditions, rng)
        if covering:
            self.targets = covering_targets(conditions, rng)
        self.action_low, self.action_high = -np.ones(2), np.ones(2)
        self._sim = MujocoBatch(gymnasium_xml("reacher.xml"), frame_skip=2)
        self._believed = believed
        self.cost: Cost = ExactCost(tip_cost(1.0, 1e-40, first=0.0), tip_cost(1.0, 1e-5, first=0.0))

    @property
    def simulations(self) -> MujocoBatch:
        """What runs the physics."""
        return self._sim

    @property
    def model(self) -> Any:
        """The mujoco.MjModel, for rendering."""
        return self._sim.model

    @cached_property
    def simulator(self) -> OneStep:
        """One step from any state, for the prior `simulator`."""
        sim = MujocoBatch(self._sim.xml, self._sim.frame_skip)
        return OneStep(sim, to_qpos_qvel, state_of, PARAMETERS, self._believed)

    def data(self, i: int) -> Any:
        """Returns simulation i as an MjData, for rendering."""
        return self._sim.data(i)

    def reset(self, conditions: Array, rng: np.random.Generator) -> Array:
        """Starts simulation i with the angles and target of conditions[i]; returns x (B, 6)."""
        speeds = rng.uniform(-0.005, 0.005, size=(len(conditions), 2))
        return self.start(self.angles[conditions], speeds, self.targets[conditions])

    def start(self, angles: Array, speeds: Array, targets: Array) -> Array:
        """Starts simulations at joint angles (B, 2), velocities (B, 2) and targets (B, 2); returns
        x (B, 6).
        """
        self._sim.start(
            np.concatenate([angles, targets], 1), np.concatenate([speeds, np.zeros_like(speeds)], 1)
        )
        return state_of(self._sim)

    def step(self, u: Array) -> Array:
        """Applies torques u (B, 2) in [-1, 1] for 0.02 s; returns x (B, 6)."""
        self._sim.advance(u)
        return state_of(self._sim)

    def observe(self) -> Array:
        """Returns Gymnasium's observation, (B, 10)."""
        q, v = self._sim.field("qpos"), self._sim.field("qvel")
        return np.concatenate(
            [np.cos(q[:, :2]), np.sin(q[:, :2]), q[:, 2:], v[:, :2], _gap(self._sim)], 1
        )

    def observation_of(self, x: Array) -> Array:
        """Returns Gymnasium's observation (..., 10) in states x (..., 6)."""
        return view_of(x)

    @property
    def diverged(self) -> Array:
        """Which simulations have diverged since their start, (B,)."""
        return self._sim.diverged

    def done(self) -> Array:
        """Returns which simulations have diverged, (B,); nothing else ends an episode."""
        return self.diverged

    def metrics(self, x: Array, u: Array) -> dict[str, Array]:
        """Returns the final distance of the fingertip to the target (m), (N,)."""
        return {"distance": np.linalg.norm(x[:, -1, 4:6], axis=-1)}


class ReacherFour(Reacher):
    """Four fixed targets, a comparison task: cost sqrt(1e-5 + |fingertip - target|^2) + 0.1 |u|^2
    per step.
    """

    name = "reacher_four"
    env_id = None

    def __init__(self, believed: Mapping[str, float] | None = None) -> None:
        super().__init__(conditions=4, believed=believed)
        self.angles, self.targets = FOUR_ANGLES.copy(), FOUR_TARGETS.copy()
        self.cost = tip_cost(0.1, 1e-5, first=1.0, last=0.0)  # of x and u at steps 0..T-1

    def reset(self, conditions: Array, rng: np.random.Generator) -> Array:
        """Starts simulation i at rest, in condition conditions[i]."""
        return self.start(
            self.angles[conditions], np.zeros((len(conditions), 2)), self.targets[conditions]
        )


class ReacherResetFree(Reacher):
    """No start comes twice: every reset draws angles, velocities and target anew, as if the last
    episode's end decided.

    The cost is that of ReacherFour, where an action costs a tenth of what it does in Reacher-v5.
    `conditions` is how many episodes a round has.
    """

    name = "reacher_reset_free"
    plane = None  # type: ignore[assignment]  # no picture of one start over the iterations: there is none

    def __init__(self, conditions: Count = 40) -> None:
        super().__init__(conditions)
        self.cost = tip_cost(0.1, 1e-5, first=1.0, last=0.0)

    def reset(self, conditions: Array, rng: np.random.Generator) -> Array:
        """Starts simulations at angles, velocities and targets that are drawn now; returns x (B,
        6).
        """
        self.angles, self.targets = sample_layout(len(conditions), rng)
        return self.start(
            self.angles, rng.uniform(-0.005, 0.005, size=(len(conditions), 2)), self.targets
        )


def sample_layout(count: int, rng: np.random.Generator) -> tuple[Array, Array]:
    """Returns start angles and targets, (count, 2) each, by the reset distribution of
    Reacher-v5.
    """
    angles = rng.uniform(-0.1, 0.1, size=(count, 2))
    targets = np.empty((0, 2))
    while len(targets) < count:
        draw = rng.uniform(-REACH, REACH, size=(count, 2))
        targets = np.concatenate([targets, draw[np.linalg.norm(draw, axis=1) < REACH]])
    return angles, targets[:count]


def covering_targets(count: int, rng: np.random.Generator) -> Array:
    """Returns targets (count, 2) spread evenly over the disc of Reacher-v5's, on a spiral that is
    turned by chance: golden angles from one to the next, and the same area to each (Vogel, A better
    way to construct the sunflower head, 1979).
    """
    i = np.arange(count)
    radius, angle = REACH * np.sqrt((i + 0.5) / count), i * np.pi * (3 - np.sqrt(5))
    angle = angle + rng.uniform(0, 2 * np.pi)
    return radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], -1)


def _gap(sim: MujocoBatch) -> Array:
    place = sim.field("xpos")
    return (place[:, FINGERTIP] - place[:, TARGET])[:, :2]


def state_of(sim: MujocoBatch) -> Array:
    """Returns x (B, 6) of the simulations as they are now."""
    return np.concatenate([sim.field("qpos")[:, :2], sim.field("qvel")[:, :2], _gap(sim)], 1)


def tip_of(angles: Array) -> Array:
    """Returns where the fingertip is (..., 2) at joint angles (..., 2)."""
    total = np.cumsum(angles, -1)
    return np.stack([np.cos(total) @ LINKS, np.sin(total) @ LINKS], -1)


def view_of(x: Array) -> Array:
    """Returns Gymnasium's observation (..., 10) in states x (..., 6)."""
    angles, target = x[..., :2], tip_of(x[..., :2]) - x[..., 4:]
    return np.concatenate([np.cos(angles), np.sin(angles), target, x[..., 2:]], -1)


def to_qpos_qvel(x: Array) -> tuple[Array, Array]:
    """Returns qpos and qvel of states x (M, 6)."""
    angles, speeds, gap = x[:, :2], x[:, 2:4], x[:, 4:]
    return np.concatenate([angles, tip_of(angles) - gap], 1), np.concatenate(
        [speeds, np.zeros_like(speeds)], 1
    )


def tip_cost(
    control_weight: float, smoothing: float, first: float = 1.0, last: float = 1.0
) -> Cost:
    """Returns |fingertip - target|, smoothed, + control_weight |u|^2; `first` and `last` weigh
    states 0 and T.
    """
    ramp = np.ones(Reacher.horizon + 1)
    ramp[0], ramp[-1] = first, last
    gap = np.array([0.0, 0.0, 0.0, 0.0, 1.0, 1.0])
    effort = Action(2 * control_weight)  # it halves the square
    return WeightedNorm(gap, l1=1.0, l2=0.0, alpha=smoothing, ramp=ramp) + effort
