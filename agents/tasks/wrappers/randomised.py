"""A MuJoCo task whose physics is drawn anew for each episode, so that what is learned works where
the physics is off.

Peng, Andrychowicz, Zaremba and Abbeel, Sim-to-Real Transfer of Robotic Control with Dynamics
Randomization (2018). The masses (with their inertias), the rotors' inertias, the friction, the
joints' damping and the motors' gains are those of the model times factors; commands arrive some
steps late; the policy's observation is noisy. All of it is drawn at the reset, for each simulation
on its own, and follows from the generator that `reset` is given.

    task = Randomised(Pusher(), mass=LogUniform(0.5, 2.0), delay=Uniform(0, 2), noise=0.01)

The state x, which local models see in training, stays exact.
"""

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from lqr import InputError

from ..base.mujoco_batch import MujocoBatch
from ..base.wrapper import Wrapper
from ..capabilities import Simulations, capability

Array = np.ndarray
FIELDS: dict[
    str, tuple[str, ...]
] = {  # what is drawn -> the arrays of mjModel that the factors multiply
    "mass": ("body_mass", "body_inertia"),  # a factor for each body
    "rotor": ("dof_armature",),  # for each degree of freedom
    "damping": ("dof_damping",),
    "gain": ("actuator_gainprm", "actuator_biasprm"),  # for each motor
    "friction": ("geom_friction",),  # one for all, since a contact takes the larger of two
}


class Distribution(Protocol):
    """Where a number of an episode's physics comes from."""

    def draw(self, rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
        """Returns draws of this shape."""
        ...


@dataclass(frozen=True)
class Uniform:
    """Any number between two, each as likely."""

    low: float
    high: float

    def __post_init__(self) -> None:
        if not (np.isfinite([self.low, self.high]).all() and self.low <= self.high):
            raise InputError(
                f"got Uniform({self.low}, {self.high}); expected finite numbers, low <= high"
            )

    def draw(self, rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
        """Returns draws of this shape."""
        return rng.uniform(self.low, self.high, shape)


@dataclass(frozen=True)
class LogUniform:
    """A factor between two, whose logarithm is uniform: halving is as likely as doubling."""

    low: float
    high: float

    def __post_init__(self) -> None:
        if not 0 < self.low <= self.high < np.inf:
            raise InputError(f"got LogUniform({self.low}, {self.high}); expected 0 < low <= high")

    def draw(self, rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
        """Returns draws of this shape."""
        return np.exp(rng.uniform(np.log(self.low), np.log(self.high), shape))


@dataclass(frozen=True)
class LogNormal:
    """A factor about 1 whose logarithm is normal with this standard deviation."""

    spread: float

    def __post_init__(self) -> None:
        if not 0 <= self.spread < np.inf:
            raise InputError(
                f"got LogNormal({self.spread}); expected a standard deviation, 0 or above"
            )

    def draw(self, rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
        """Returns draws of this shape."""
        return np.exp(self.spread * rng.standard_normal(shape))


class Randomised(Wrapper):
    """The task with other physics in each episode; None leaves a thing as the model has it.

    `delay` is in steps of the task, rounded; before the first command arrives the controls are 0.
    `noise` is the standard deviation of each observed number, a number or (do,). Raises InputError
    for a task that is not MuJoCo's, or draws that no physics has.
    """

    def __init__(
        self,
        task: Any,
        mass: Distribution | None = LogUniform(0.5, 2.0),
        rotor: Distribution | None = LogUniform(0.5, 2.0),
        damping: Distribution | None = LogUniform(0.5, 2.0),
        gain: Distribution | None = LogUniform(0.8, 1.25),
        friction: Distribution | None = LogUniform(0.5, 2.0),
        delay: Distribution | None = None,
        noise: Any = 0.0,
    ):
        super().__init__(task)
        if capability(task, Simulations) is None:
            raise InputError(
                f"got the task {task.name}; expected one of MuJoCo, whose masses and frictions are known"
            )
        self.name = f"randomised:{task.name}"
        given = {
            "mass": mass,
            "rotor": rotor,
            "damping": damping,
            "gain": gain,
            "friction": friction,
        }
        self.drawn = {
            name: distribution for name, distribution in given.items() if distribution is not None
        }
        self.delay, self.noise = delay, np.asarray(noise, dtype=float)
        if self.noise.shape not in ((), (task.do,)) or not (
            np.isfinite(self.noise).all() and (self.noise >= 0).all()
        ):
            raise InputError(f"noise is {noise}; expected one number or {task.do}, 0 or above")
        self.factors: dict[str, Array] = {}  # of this episode, (B, parts)
        task.simulations.vary = self._vary

    def reset(self, conditions: Array, rng: np.random.Generator) -> Array:
        """Draws the physics of simulation i, and starts it in condition conditions[i]; returns x
        (B, dx).
        """
        B, self._rng = len(conditions), np.random.default_rng(int(rng.integers(2**63)))
        self.factors = {name: self._factors(name, B) for name in self.drawn}
        late = np.zeros(B) if self.delay is None else np.rint(self.delay.draw(self._rng, (B,)))
        if not (np.isfinite(late).all() and (late >= 0).all()):
            raise InputError(f"delay gave {late.min()} steps; expected 0 or more")
        self.late = late.astype(int)
        self._commands = np.zeros(
            (self.late.max(initial=0) + 1, B, self.task.du)
        )  # the latest first
        x = self.task.reset(conditions, rng)
        self._draw_noise(B)
        return x

    def step(self, u: Array) -> Array:
        """Sends the commands u (B, du), and applies those that have arrived; returns x (B, dx)."""
        self._commands = np.concatenate([u[None], self._commands[:-1]])
        self._draw_noise(len(u))
        return self.task.step(self._commands[self.late, np.arange(len(u))])

    def observe(self) -> Array:
        """Returns what a policy sees now, o (B, do); the same until the next step."""
        return self.task.observe() + self._error

    def _draw_noise(self, B: int) -> None:
        shape = (B, self.task.do)
        self._error = (
            self.noise * self._rng.standard_normal(shape) if self.noise.any() else np.zeros(shape)
        )

    def _factors(self, name: str, B: int) -> Array:
        parts = 1 if name == "friction" else len(getattr(self.task.model, FIELDS[name][0]))
        factors = self.drawn[name].draw(self._rng, (B, parts))
        if not (np.isfinite(factors).all() and (factors > 0).all()):
            raise InputError(
                f"{name} gave the factor {factors.min()}; expected finite ones above 0: take LogUniform"
            )
        return factors

    def _vary(self, simulations: MujocoBatch) -> None:
        for name, factors in self.factors.items():
            for field in FIELDS[name]:
                simulations.scale(
                    field, slice(None), factors[:, 0] if name == "friction" else factors
                )
        simulations.follow()
