"""Which tasks the suite `any_task` has, and which of them settings were chosen on.

Settings were chosen on half of the tasks: HalfCheetah-v5, Walker2d-v5, Hopper-v5, Swimmer-v5,
Pusher-v5, Reacher-v5 and Pendulum-v1, and none on the others, which are held out:
MountainCarContinuous-v0, InvertedPendulum-v5 (was looked at once), InvertedDoublePendulum-v5,
LunarLanderContinuous-v3, BipedalWalker-v3, the arm, the tasks of dm_control, the maze, the carts,
the joint and the layouts.
"""

from importlib.util import find_spec
from typing import NamedTuple

GYMNASIUM, OWN, OTHERS = "Gymnasium, unmodified", "own MuJoCo models", "carts and reachers"
CHOSEN, HELD_OUT, ONCE = "chosen on", "held out", "looked at once"
LAYOUTS = 10  # random ones, of four targets each
UNITS = (1e-3, 1e3)  # of the cart, in SI units
MARGIN = 0.15  # of a layout's cost over that of iLQR, within which it is learned
DM_CONTROL = "experiments.benchmarking.any_task.dm_suite"  # the module that registers dm/...


class Row(NamedTuple):
    """A task of the table, and the method that learns it with default settings."""

    name: str
    group: str
    kind: str  # gymnasium, arm, maze, cart, joint or layout
    task: str = ""  # an environment's id
    steps: int | None = None  # of an episode; None is the task's own number
    value: float = 0.0  # the arm's and the cart's unit, the layout's number
    method: str = "auto"
    settings: str = HELD_OUT  # were they chosen on it?
    module: str = ""  # that it needs
    remedy: str = ""  # how to get the module
    most: float | None = None  # the largest return that its rewards allow, where they tell one

    @property
    def missing(self) -> str:
        """What the row says where it cannot be run, else nothing."""
        if not self.module or find_spec(self.module):
            return ""
        return f"needs {self.module}: {self.remedy}"

    @property
    def local(self) -> bool:
        """Whether it is learned from its own conditions alone, in this process."""
        return self.kind in ("cart", "joint", "layout")


def _gymnasium(
    env_id: str,
    steps: int | None,
    settings: str = HELD_OUT,
    box: bool = False,
    most: float | None = None,
) -> Row:
    module, remedy = ("Box2D", 'pip install "gymnasium[box2d]"') if box else ("", "")
    return Row(env_id, GYMNASIUM, "gymnasium", env_id, steps, settings=settings,
               module=module, remedy=remedy, most=most)  # fmt: skip


def _dm(name: str, steps: int = 200) -> Row:
    return Row(name, OWN, "gymnasium", f"dm/{name}-v0", steps,
               module="dm_control", remedy="pip install dm_control",
               most=float(steps))  # fmt: skip


def _carts() -> tuple[Row, ...]:
    return tuple(
        Row(f"cart-{unit:g}-{method}", OTHERS, "cart", value=unit, method=method)
        for unit in UNITS
        for method in ("lqr_flm", "badmm")
    )


def _layouts() -> tuple[Row, ...]:
    numbers = range(LAYOUTS)
    return tuple(
        Row(f"layout-{i}", OTHERS, "layout", value=float(i), method="lqr_flm") for i in numbers
    )


ROWS = (
    _gymnasium("Pendulum-v1", 200, CHOSEN, most=0.0),
    _gymnasium("MountainCarContinuous-v0", 200, most=100.0),
    _gymnasium("InvertedPendulum-v5", 200, ONCE, most=200.0),
    _gymnasium("InvertedDoublePendulum-v5", 200, most=2000.0),
    _gymnasium("Reacher-v5", 50, CHOSEN),
    _gymnasium("Pusher-v5", 100, CHOSEN),
    _gymnasium("HalfCheetah-v5", 100, CHOSEN),
    _gymnasium("Hopper-v5", 100, CHOSEN),
    _gymnasium("Walker2d-v5", 100, CHOSEN),
    _gymnasium("Swimmer-v5", 200, CHOSEN),
    _gymnasium("LunarLanderContinuous-v3", 200, box=True),
    _gymnasium("BipedalWalker-v3", 200, box=True),
    Row("arm-100", OWN, "arm"),
    Row("arm-1", OWN, "arm", value=1.0),
    _dm("ball_in_cup-catch"),
    _dm("finger-spin"),
    _dm("cartpole-swingup"),
    _dm("acrobot-swingup"),
    _dm("fish-swim"),
    _dm("manipulator-bring_ball"),
    Row("maze", OWN, "maze"),
    *_carts(),
    Row("joint", OTHERS, "joint", method="lqr_flm"),
    *_layouts(),
)
