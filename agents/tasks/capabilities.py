"""What a task may offer beyond `agents.interfaces.Task`: one Protocol each, asked for by
`capability(task, Protocol)`.

A task has the attributes, and inherits nothing; one that is None is not offered, so that a wrapper
or a subclass can take back what no longer holds. Here B simulations live side by side, x (..., dx)
is any number of states, and C is `task.conditions`.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np

from dynamics.capabilities import HasGraph, HasManifold, HasSimulator, capability, manifold_of

from ..interfaces import Array, Cost, Task


class ObservationOf(Protocol):
    """What a policy sees is a function of x: policies can be taught in states that were planned, or
    imagined.

    Used by `ilqg_gps` and `ilqg_mf`.
    """

    def observation_of(self, x: Array) -> Array:
        """Returns the observations o (..., do) in states x (..., dx)."""
        ...


class Projected(Protocol):
    """Not every vector is a state: a cosine and its sine, for one, lie on a circle.

    Used by planning in learned models, which may leave the possible states.
    """

    def project(self, x: Array) -> Array:
        """Returns the possible states (..., dx) that vectors x (..., dx) are taken for."""
        ...


class PhysicalState(Protocol):
    """The task's physics is a function of physical states s (..., d), which follow from x.

    Used to plan in the ground-truth dynamics.
    """

    def to_physical(self, x: Array) -> Array:
        """Returns s (..., d) of states x (..., dx)."""
        ...

    def advance(self, s: Array, u: Array) -> Array:
        """Returns s (..., d) one step after s (..., d) under actions u (..., du)."""
        ...

    def states(self, s: Array) -> Array:
        """Returns x (..., dx) of s (..., d)."""
        ...


class MujocoState(Protocol):
    """The task's MuJoCo simulations can be started in any state x.

    Used to plan in the ground-truth dynamics.
    """

    def to_qpos_qvel(self, x: Array) -> tuple[Array, Array]:
        """Returns positions (B, nq) and velocities (B, nv) in states x (B, dx)."""
        ...

    def start(self, qpos: Array, qvel: Array) -> Array:
        """Starts B simulations there; returns x (B, dx)."""
        ...

    def copy(self) -> Any:
        """Returns the same task with simulations of its own, beside an episode that goes on."""
        ...


class Divergence(Protocol):
    """The simulator says itself where it diverged. Used by `run` and `TaskEnv`."""

    diverged: Array  # (B,) bool, since the start


class Rewarded(Protocol):
    """The world pays each step. Episodes then cost what was paid in them, whatever is learned of
    it.
    """

    reward: Array  # (B,), of the last step, 0 for episodes that had ended


class Serial(Protocol):
    """There is one robot: episodes are run one after the other where `serial` is True."""

    serial: bool


class AppliedAction(Protocol):
    """The world may apply another action than it is asked for: a rate limit, for one. Episodes
    record what was applied.
    """

    applied: Array  # (B, du), in the last step


class FormedActions(Protocol):
    """There is an environment that takes actions of a shape and type of its own. Policies that were
    trained here hand out such actions.
    """

    action_form: Any  # an `agents.tasks.action_form.ActionForm`


class Interruptible(Protocol):
    """An episode can be stopped in its middle: there is something that moves.

    Used by `run`, which runs an episode again where `step` or `reset` raises `EpisodeDiscarded`.
    """

    def repeatable(self, count: int) -> None:
        """Says how many of the last episodes `reset` may ask to repeat: nobody has used them
        yet.
        """
        ...

    def abort(self) -> None:
        """Stops whatever moves: nobody goes on with this episode."""
        ...


class Journaled(Protocol):
    """The task keeps the episodes of an unfinished iteration on the disk, and gives them back when
    that is run again. Used by `run.py`.
    """

    def begin_iteration(self, number: int, folder: Path | None = None) -> None:
        """Says that all before iteration `number` is saved; `folder` is for episodes of this
        one.
        """
        ...


class Ends(Protocol):
    """Whether an episode ends in a state is a function of the state, which holds for imagined ones
    as well. Used by methods that learn from imagined data; without it the ends are learned.
    """

    def ended(self, x: Array) -> Array:
        """Returns in which states x (..., dx) an episode terminates, (...) bool."""
        ...


class Moves(Protocol):
    """There are a few moves. Used by methods that choose among them."""

    moves: Array  # (A, du), the actions


class Tabular(Moves, Protocol):
    """Observations are cells of a grid, and there are a few moves. Used by methods on tables."""

    cells: Array  # (3, do): the grid's lower end, its upper end, and how many cells it has


class Measured(Protocol):
    """What can be wanted is measured in each state. Used by methods that are told goals as weights of
    measurements.
    """

    measurements: tuple[str, ...]  # their names

    def measure(self, x: Array) -> Array:
        """Returns the measurements (..., M) in states x (..., dx)."""
        ...


class LearnedCost(Protocol):
    """The cost is learned from rewards, and is part of a run's state.

    Used by methods, to save it; planners learn the rewards by a network of their own
    (`agents.learners.learned_reward`).
    """

    learned: Any  # an `agents.tasks.costs.reward_cost.RewardCost`


class Angles(Protocol):
    """Coordinates of x that are angles in radians, and go beyond full turns: the same place again.

    Used by Bayesian policy search, whose models and policies see cosines and sines.
    """

    angles: tuple[int, ...]  # indices in x


class PaysNear(Protocol):
    """The task is known for a saturating reward, in which only closeness to a goal counts.

    Used by Bayesian policy search in place of the cost, and told by `metrics` as "reward".
    """

    saturating: Any  # an `agents.tasks.costs.saturating.Saturating`


class PlanningCost(Protocol):
    """MPC plans by another cost than `cost`, by which all are judged."""

    planning_cost: Cost


class TuningCost(Protocol):
    """Model-free fine-tuning learns from another cost than `cost`, by which all are judged."""

    tuning_cost: Cost


class Joints(Protocol):
    """Which positions the actions drive. Used by the first controllers `hold`, `pd` and `lqr`."""

    joints: tuple[Sequence[int], Sequence[int]]  # indices in x of positions and rates, (du,) each


class JointTarget(Protocol):
    """Where the joints belong. Used by the first controllers `pd` and `lqr`."""

    joint_target: Any  # (du,) or (C, du), in the units of x


class StartMeasure(NamedTuple):
    """A number of an episode's start, by which its end may be told apart."""

    text: str  # what it is, with its unit
    of: Callable[[Array], Array]  # first observations (N, do) -> (N,)
    width: float  # of a group, in that unit


class StartMeasures(Protocol):
    """What makes an episode of this task easy or hard. Used by `evaluate.py --by`."""

    start_measures: Mapping[str, StartMeasure]


class Image(Protocol):
    """An observation begins with a picture. Used by convolutional policies."""

    image: tuple[int, int, int]  # height, width, channels


class Views(NamedTuple):
    """Pictures of a task, and what is known of each."""

    pictures: Array  # (M, h, w, c), uint8
    labels: Array  # (M, dl), such as places in m


class ShowsViews(Protocol):
    """The task shows itself in random states, each with a goal of its own. Used to train encoders."""

    label_names: Sequence[str]  # dl, each with its unit

    def views(self, count: int, rng: np.random.Generator) -> Views:
        """Returns so many pictures."""
        ...


class ShowsGoals(Protocol):
    """The task shows what it sees, and what each condition's goal looks like. Used by `Pictured`."""

    def pictures(self) -> Array:
        """Returns what is seen now, (B, h, w, c), uint8."""
        ...

    def goal_pictures(self) -> Array:
        """Returns each condition's goal, (C, h, w, c), uint8."""
        ...


class HeldOut(Protocol):
    """The task knows conditions that training does not see. A run's policy is graded in them."""

    def held_out(self) -> Task:
        """Returns the task in those conditions."""
        ...


class MoreStarts(Protocol):
    """Every number is a condition: from `conditions` on they are starts that training does not see.
    `auto` judges its candidates there, and lets those learn from more that learn from single steps.
    """

    def with_starts(self, count: int) -> Task:
        """Returns the same task with so many conditions."""
        ...


class SharesEpisodes(Protocol):
    """Somebody else learns from its episodes, too, and is told of all that a method learns from."""

    def share(self, found: Any) -> None:
        """Takes `Trajectories` that were made."""
        ...


class OthersEpisodes(Protocol):
    """Others try things in the same world. Methods that learn from single steps learn from those
    as well.
    """

    def others(self) -> Sequence[Any]:
        """Returns the `Trajectories` since the last time."""
        ...


class GymnasiumTwin(Protocol):
    """An environment of Gymnasium has the same physics, observations and rewards. A run's policy is
    graded and shown in it.
    """

    env_id: str


class Simulations(Protocol):
    """The task runs in MuJoCo, and its model's fields may be drawn anew at each start.

    Used by `Randomised`.
    """

    simulations: Any  # an `agents.tasks.base.mujoco_batch.MujocoBatch`


class Rendered(Protocol):
    """The task can be shown, as MuJoCo renders it. Used by pictures, videos and the viewer."""

    model: Any  # mujoco.MjModel

    def data(self, i: int) -> Any:
        """Returns simulation i as a mujoco.MjData."""
        ...


class Camera(Protocol):
    """Where it is best seen from. Used by pictures, videos and the viewer."""

    camera: Mapping[str, Any]  # fields of mujoco.MjvCamera


class ModelSource(Protocol):
    """The task stands on a model file of the user's own. A run's folder keeps it, and says where it
    was changed.
    """

    model_text: str  # what the file says, and what it includes
    model_digest: str  # of the model that was compiled of it


class Named(Protocol):
    """The numbers of states and actions have names. Used by figures and reports."""

    state_names: Sequence[str]  # dx, each with its unit: "elbow (rad)"
    action_names: Sequence[str]  # du


class Plane(Protocol):
    """Two numbers of x are a place in a plane. Used by figures, and by the camera, which looks from
    above.
    """

    plane: tuple[int, int]  # indices in x


class Targets(Protocol):
    """Each condition has a target in that plane. Used by figures."""

    targets: Array  # (C, 2)


def state_names(task: Any) -> list[str]:
    """Returns what to call each number of x, (dx,): its name and unit, else "x[0]" and so on."""
    named = capability(task, Named)
    return [f"x[{i}]" for i in range(task.dx)] if named is None else list(named.state_names)


def diverged(task: Any, count: int) -> Array:
    """Returns which of `count` simulations diverged, (B,); none where the task does not say."""
    told = capability(task, Divergence)
    return np.zeros(count, bool) if told is None else told.diverged


def applied(task: Any, u: Array) -> Array:
    """Returns what was applied in the last step, (B, du), where u (B, du) was asked for."""
    told = capability(task, AppliedAction)
    return u if told is None else told.applied


def action_form_of(task: Any) -> Any:
    """Returns the form in which a task's environment takes actions; None where it has none."""
    told = capability(task, FormedActions)
    return None if told is None else told.action_form


def begin_iteration(task: Any, number: int, folder: Path | None = None) -> None:
    """Tells a task with a journal that an iteration begins."""
    if told := capability(task, Journaled):
        told.begin_iteration(number, folder)


def runs_serially(task: Any) -> bool:
    """Returns whether the task's episodes have to be run one after the other."""
    told = capability(task, Serial)
    return told is not None and told.serial


def env_id_of(task: Any) -> str | None:
    """Returns the id of the environment in Gymnasium that the task mirrors; None where there is
    none.
    """
    twin = capability(task, GymnasiumTwin)
    return None if twin is None else twin.env_id


def pixels_of(task: Any) -> int:
    """Returns how many numbers of an observation are a picture's; 0 where the task shows none."""
    told = capability(task, Image)
    return 0 if told is None else int(np.prod(told.image))


def angles_of(task: Any) -> tuple[int, ...]:
    """Returns which coordinates of x are angles; none where the task does not say."""
    told = capability(task, Angles)
    return () if told is None else told.angles


__all__ = [
    "Angles",
    "AppliedAction",
    "Camera",
    "Divergence",
    "Ends",
    "FormedActions",
    "GymnasiumTwin",
    "HasGraph",
    "HasManifold",
    "HasSimulator",
    "HeldOut",
    "Image",
    "Interruptible",
    "JointTarget",
    "Joints",
    "Journaled",
    "LearnedCost",
    "ModelSource",
    "MoreStarts",
    "MujocoState",
    "Named",
    "ObservationOf",
    "OthersEpisodes",
    "PaysNear",
    "PhysicalState",
    "Plane",
    "PlanningCost",
    "Projected",
    "Rendered",
    "Rewarded",
    "Serial",
    "SharesEpisodes",
    "ShowsGoals",
    "ShowsViews",
    "Simulations",
    "StartMeasure",
    "StartMeasures",
    "Tabular",
    "Targets",
    "TuningCost",
    "Views",
    "action_form_of",
    "angles_of",
    "applied",
    "begin_iteration",
    "capability",
    "diverged",
    "env_id_of",
    "manifold_of",
    "pixels_of",
    "runs_serially",
    "state_names",
]
