"""Your own robot model as a task: a file in MuJoCo's MJCF, or a URDF, is enough.

    task = MjcfTask("arm.xml", goal={"tip": (0.3, 0.0, 0.2)})

brings the site `tip` there. x = [positions and velocities of all joints, activations, the sites'
vectors to their goals (m), the sensors that were asked for]; `state_names` and `action_names` say
which number is what, with its unit. The policy sees x, or what `observe` makes of it. Simulations
run side by side in C++ threads. Episodes start at the model's first keyframe, or else as its joints
are drawn. A free or a ball joint's orientation is a quaternion: states then lie on a manifold.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from lqr import InputError

from ...interfaces import Cost
from ..base.mujoco_batch import MujocoBatch, check_time_step
from ..base.mujoco_task import ModelTask
from ..costs.user_cost import UserCost
from .mjcf_cost import goal_cost
from .mjcf_fields import Fields
from .mjcf_goals import Goal, goals_of
from .mjcf_layout import Layout
from .mjcf_model import MARKER, ModelFile, ctrl_limits, digest, is_motor, joint_of
from .mjcf_physics import Physics, Simulator
from .mjcf_starts import Starts

Array = np.ndarray
RATE = 20.0  # Hz, of the control
DRAWN = 8  # conditions, where goals are drawn and nobody says how many
HELD_OUT = 16  # conditions that training does not see
STEPS = 100  # of an episode
MARKER_SIZE = 0.015  # radius of a marker, a share of the model's extent
PREFIX = "mjcf:"  # and the path of a model: the task's word


class MjcfTask(ModelTask):
    """A model file and what is to be done with it; all but the file has a default where it can.

    Raises InputError for a model that cannot be moved, and for words that do not fit it.
    """

    def __init__(
        self,
        file: str | Path,
        cost: Cost | Callable[..., Any] | None = None,
        *,
        goal: Any = None,
        start: Any = None,
        start_noise: float = 0.0,
        joint_target: Any = None,
        sensors: Sequence[str] = (),
        observe: Callable[[Array], Array] | None = None,
        conditions: int | None = None,
        horizon: int | None = None,
        seconds: float | None = None,
        frame_skip: int | None = None,
        fields: Mapping[str, Mapping[str, Any]] | None = None,
        motors: Mapping[str, float] | None = None,
        compensate_gravity: bool = False,
        tolerance: float | None = None,
        layout_seed: int = 20_000,
    ):
        """`cost` is a `Cost`, or a plain function of x (M, dx) and u (M, du), see `UserCost`; None
        is `goal_cost`, the way to the goals.

        `goal`: where sites belong, in one of the forms of `mjcf_goals`; the file may say it, too:
        <custom><text name="goal" data="tip:0.3,0,0.2"/></custom>.
        `start`: a keyframe's name, positions (nq,) or (C, nq), or a function of (condition, rng)
        that returns qpos, or qpos and qvel. `start_noise`: the standard deviation of the joints'
        positions, a share of their ranges. `joint_target`: a keyframe's name or positions, as of
        `start`, where the joints belong, for the initial controllers `pd` and `lqr`.
        `observe`: what a policy sees, a function of x (..., dx) to (..., do).
        `horizon` is in steps, or else `seconds`; 100 steps. `frame_skip` steps of the physics are
        one of the task; else as many as make 20 a second.
        `fields`: fields of the model that differ from condition to condition, see `mjcf_fields`.
        `motors`: torques (N m) or forces (N) by joint, for a model without actuators; a URDF's
        efforts are taken. `compensate_gravity` holds the links' weight. `tolerance`: the distance
        (m) of a success, a column of the metrics.
        """
        self._settings = {
            name: value for name, value in locals().items() if name not in ("self", "__class__")
        }
        source = ModelFile(file, motors, compensate_gravity)
        plain = source.compile()
        check_time_step(plain)
        goals = _goals(goal, source, plain, needed=cost is None)
        for one in goals:
            if one.other is None:
                source.add_marker(one.point.name, MARKER_SIZE * plain.stat.extent)
        model = source.compile()
        skip = frame_skip or max(1, round(1 / (RATE * plain.opt.timestep)))
        self._starts = Starts(model, start, start_noise)
        self._fields = Fields(model, fields or {})
        self._drawn_goals = any(callable(one.places) for one in goals)
        count = self._count(conditions, goals)
        super().__init__(
            str(source.path),
            skip,
            conditions=count,
            horizon=_steps(horizon, seconds, plain.opt.timestep * skip),
            sim=MujocoBatch(str(source.path), skip, model, current=True),
        )
        self.name = PREFIX + str(file)
        self.model_text, self.model_digest = source.text, digest(plain)
        self.action_low, self.action_high = ctrl_limits(model)
        self._layout = Layout(model, goals, sensors)
        self._places = _places(goals, count, np.random.default_rng(layout_seed))
        self._markers = [
            (3 * i, int(model.body_mocapid[model.body(MARKER + one.point.name).id]))
            for i, one in enumerate(goals)
            if one.other is None
        ]
        self.dx, self.du = self._layout.dx, model.nu
        self.state_names, self.action_names = self._layout.state_names, self._layout.action_names
        self.manifold = self._layout.manifold
        self.joints = _joints(model)
        self.joint_target = self._target(joint_target)
        self._tolerance, self._observe = tolerance, observe
        if not self._drawn_goals:
            self.held_out = None  # type: ignore[method-assign,assignment]
        if self._fields and count > 1:  # x does not tell the condition, nor so the physics
            self.to_physical = self.simulator = None  # type: ignore[method-assign,assignment]
        elif model.na:  # a step of the simulator starts without activations
            self.simulator = None  # type: ignore[assignment]
        first = self.reset(np.arange(count), np.random.default_rng(0))
        self.do = self._observed(first).shape[-1]
        self.cost = self._cost(cost, first)

    @cached_property
    def simulator(self) -> Simulator:
        """One step from any state, for the prior `simulator`."""
        return Simulator(self._alone(), self._physics, self._layout)

    @cached_property
    def _physics(self) -> Physics:
        return Physics(self._alone(), self._layout)

    def to_physical(self, x: Array) -> Array:
        """Returns physical states s (..., d) of x (..., dx): see `mjcf_physics`."""
        return self._physics.to_physical(x)

    def advance(self, s: Array, u: Array) -> Array:
        """Returns s (..., d) one step after s (..., d) under actions u (..., du)."""
        return self._physics.advance(s, u)

    def held_out(self) -> "MjcfTask":
        """Returns the task with goals that are drawn anew, and the same cost; offered where goals
        are drawn.
        """
        other = {
            "cost": self.cost,
            "conditions": self.conditions if self._listed else HELD_OUT,
            "layout_seed": self._settings["layout_seed"] + 1,
        }
        return MjcfTask(**(self._settings | other))

    def starts(self, conditions: Array, rng: np.random.Generator) -> tuple[Array, ...]:
        """Returns positions, velocities, and the conditions."""
        qpos, qvel = self._starts(conditions, rng)
        return qpos, qvel, conditions

    def start(self, qpos: Array, qvel: Array, conditions: Array | None = None) -> Array:
        """Starts simulations at positions (B, nq) and velocities (B, nv) in these conditions (B,),
        0 where none are told; returns x (B, dx).
        """
        where = np.zeros(len(qpos), int) if conditions is None else np.asarray(conditions)
        self._targets = self._places[where]
        self._sim.assign = lambda sim: self._arrange(sim, where)
        self._sim.start(qpos, qvel)
        self._over = np.zeros(len(qpos), bool)
        return self.states()

    def states(self, s: Array | None = None) -> Array:
        """Returns x (B, dx) of the simulations; or x (..., dx) of physical states s (..., d)."""
        return self._layout.read(self._sim, self._targets) if s is None else self._physics.states(s)

    def observe(self) -> Array:
        """Returns what a policy sees now, o (B, do)."""
        return self._observed(self.states())

    def observation_of(self, x: Array) -> Array:
        """Returns what a policy sees in states x (..., dx)."""
        return self._observed(np.array(x, dtype=float))

    def metrics(self, x: Array, u: Array) -> dict[str, Array]:
        """Returns the final distance to the goal (m), of several the largest, and whether it is
        within the tolerance, (N,) each.
        """
        goals = self._layout.goals
        if not goals:
            return {}
        gaps = x[:, -1, self._layout.gaps].reshape(len(x), len(goals), 3)
        each = np.linalg.norm(gaps, axis=-1)
        found = {"distance": each.max(1)}
        if len(goals) > 1:
            found |= {f"distance_{g.point.name}": each[:, i] for i, g in enumerate(goals)}
        if self._tolerance is not None:
            found["success"] = (found["distance"] < self._tolerance).astype(float)
        return found

    def _alone(self) -> MujocoBatch:
        """Returns simulations beside the episodes', of the only condition where fields differ from
        the file's.
        """
        sim = self._sim.another()
        if self._fields:
            sim.assign = lambda one: self._fields.put(one, np.zeros(1, int))
        return sim

    def _arrange(self, sim: MujocoBatch, where: Array) -> None:
        """Gives each simulation the fields and the markers of its condition (B,)."""
        self._fields.put(sim, where)
        for at, number in self._markers:
            sim.field("mocap_pos")[:, number] = self._places[where, at : at + 3]

    def _observed(self, x: Array) -> Array:
        if self._observe is None:
            return x
        try:
            seen = np.array(self._observe(x), dtype=float)
        except (TypeError, ValueError, IndexError) as error:
            raise InputError(
                f"observe failed on x of shape {x.shape} with {error}; expected (..., do) of (..., dx)"
            ) from error
        if seen.shape[:-1] != x.shape[:-1] or seen.ndim != x.ndim:
            raise InputError(
                f"observe returned shape {seen.shape} for x of shape {x.shape}; expected (..., do) of (..., dx)"
            )
        return seen

    def _count(self, conditions: int | None, goals: Sequence[Goal]) -> int:
        """Returns how many conditions there are. Raises InputError where those that are told do not
        agree.
        """
        told = {
            "fields": self._fields.count,
            "start": self._starts.count or 1,
            **{
                f"the goal of {one.point.name}": len(one.places)
                for one in goals
                if isinstance(one.places, np.ndarray)
            },
        }
        several = {name: count for name, count in told.items() if count > 1}
        self._listed = bool(several)  # starts, goals or fields one by one: there are no others
        if len(set(several.values())) > 1 or (
            several and conditions not in (None, *several.values())
        ):
            listed = ", ".join(f"{count} of {name}" for name, count in several.items())
            raise InputError(
                f"got {listed}, and conditions {conditions}; expected one number of conditions"
            )
        if several:
            return next(iter(several.values()))
        differ = self._drawn_goals or self._starts.count is None
        if conditions is not None and conditions > 1 and not differ:
            raise InputError(
                f"conditions is {conditions}, and all would be the same; expected goals, starts or fields for each, "
                "a start that is drawn, or a goal in a box, as SITE:LOW..HIGH,Y,Z"
            )
        return (DRAWN if self._drawn_goals else 1) if conditions is None else conditions

    def _target(self, said: Any) -> Array | None:
        """Returns where the driven joints belong, (C, du); None where it is not told."""
        if said is None:
            return None
        targets = Starts(self.model, said, 0.0)
        if self.joints is None or targets.count not in (1, self.conditions):
            raise InputError(
                f"got joint_target {said!r}; expected a keyframe, or positions of 1 or {self.conditions} "
                "conditions, in a model whose motors push a joint each"
            )
        qpos, _ = targets(np.arange(self.conditions), np.random.default_rng(0))
        return qpos[:, self.joints[0]]

    def _cost(self, cost: Any, first: Array) -> Cost:
        if cost is None:
            seconds = self.horizon * self.dt
            return goal_cost(
                self.model, self._layout, first, self.action_low, self.action_high, seconds
            )
        if hasattr(cost, "expand"):
            return cost
        return UserCost(cost, self.dx, self.du, f"the cost of {self.name}")


def _goals(said: Any, source: ModelFile, model: Any, needed: bool) -> list[Goal]:
    """Returns the goals that were given, or else those that the file says."""
    written = [str(text.data) for text in source.spec.texts if text.name == "goal"]
    said = next(iter(written), None) if said is None else said
    if said is None and needed:
        raise InputError(
            f"got no goal and no cost for {source.path}; expected one: goal={{SITE: PLACE}}, on the command line "
            "--goal-site SITE:X,Y,Z"
        )
    return [] if said is None else goals_of(said, model)


def _steps(horizon: int | None, seconds: float | None, dt: float) -> int:
    if horizon is not None and seconds is not None:
        raise InputError(f"got horizon {horizon} and seconds {seconds}; expected one of the two")
    if seconds is None:
        return STEPS if horizon is None else horizon
    if not dt <= seconds < np.inf:
        raise InputError(f"seconds is {seconds}; expected at least the {dt:g} s of a step")
    return round(seconds / dt)


def _places(goals: Sequence[Goal], count: int, rng: np.random.Generator) -> Array:
    """Returns where the points belong in each condition, (C, 3G), 0 where another point tells."""
    found = [np.zeros((count, 0))]
    for goal in goals:
        places = goal.places
        if places is None:
            found.append(np.zeros((count, 3)))
        elif callable(places):
            drawn = np.array([places(rng) for _ in range(count)], dtype=float)
            if drawn.shape != (count, 3) or not np.isfinite(drawn).all():
                raise InputError(
                    f"the goal of {goal.point.name} drew shape {drawn.shape[1:]}; expected 3 metres"
                )
            found.append(drawn)
        else:
            found.append(np.broadcast_to(places, (count, 3)))
    return np.concatenate(found, 1)


def _joints(model: Any) -> tuple[Array, Array] | None:
    """Returns the indices in x of the positions that the motors drive, and of their rates; None
    where not each action pushes a joint of its own.
    """
    import mujoco

    positions, rates = list[int](), list[int]()
    for i in range(model.nu):
        joint = joint_of(mujoco, model, i)
        push = model.actuator_gear[i, 0] * model.actuator_gainprm[i, 0]
        if joint is None or not is_motor(mujoco, model, i) or push <= 0:
            return None
        positions.append(int(model.jnt_qposadr[joint]))
        rates.append(int(model.nq + model.jnt_dofadr[joint]))
    if len(set(positions)) < len(positions):
        return None
    return np.array(positions), np.array(rates)
