"""Your own robot or simulator as a task: an object that resets and steps one episode at a time is
enough.

    class Tank:                                      # x = [level (m), inflow (m^3/s)], u = valve
        def reset(self, condition, rng):
            self.x = np.array([1.0, 0.0])
            return self.x

        def step(self, u):
            level, inflow = self.x
            self.x = self.x + 0.1 * np.array([inflow - 0.5 * np.sqrt(level), u[0] - inflow])
            return self.x

    task = OwnTask(Tank, cost, action_low=[0], action_high=[2], horizon=50, dt=0.1)

The object may also have `over` (True once its episode has ended), `reward` (of the last step: then
no cost is needed, one is learned from the rewards), and `observe()`, what the policy sees where
that is not x. There is one robot unless its class says `independent = True`, that what `make()`
builds shares nothing: then episodes run side by side.
"""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np

from lqr import InputError
from lqr.cost_terms import careful

from ...interfaces import Cost
from ...settings import Count, Positive, checked
from ..action_limits import UNLIMITED, resting
from ..base.mujoco_warnings import heed
from ..costs.derivatives import check_expansion
from ..costs.reward_cost import RewardCost
from ..costs.user_cost import UserCost
from .answers import number, numbers, truth, vector
from .blaming import blaming

Array = np.ndarray
Metrics = Callable[[Array, Array], dict[str, Array]]


class Simulator(Protocol):
    """One simulation, or one robot."""

    def reset(self, condition: int, rng: np.random.Generator) -> Any:
        """Starts an episode in this condition, and returns x (dx,)."""
        ...

    def step(self, u: Array) -> Any:
        """Applies u (du,), already within the limits, and returns x (dx,)."""
        ...


class OwnTask:
    """One simulator, built by `make()`, which runs its episodes one after the other; or, where its
    class says that copies are `independent`, as many side by side as there are episodes.

    `conditions` is how many different starts there are. `cost` is a `Cost` (see `lqr.costs`), or a
    plain function of x (M, dx) and u (M, du), see `UserCost`; None
    learns one from the simulators' `reward`. `metrics(x, u)` returns numbers to judge by, (N,)
    each. `state_names` and `action_names` are what figures call the numbers of x and u, with their
    units: "level (m)". One simulator is started at once, to see what its x is like. Raises InputError for what
    does not fit.
    """

    def __init__(
        self,
        make: Callable[[], Simulator],
        cost: Cost | None = None,
        *,
        action_low: Sequence[float] | Array,
        action_high: Sequence[float] | Array,
        horizon: int,
        dt: float = 1.0,
        conditions: int = 1,
        name: str = "own",
        metrics: Metrics | None = None,
        state_names: Sequence[str] | None = None,
        action_names: Sequence[str] | None = None,
    ):
        if not isinstance(name, str):
            raise InputError(f"name is {name!r}; expected a word")
        if metrics is not None and not callable(metrics):
            raise InputError(f"metrics is {metrics!r}; expected a function of x and u, or None")
        self.name = name
        self.horizon = checked("horizon", horizon, Count)
        self.dt = checked("dt", dt, Positive)  # s
        self.conditions = checked("conditions", conditions, Count)
        self.action_low = limits(action_low, -np.inf)
        self.action_high = limits(action_high, np.inf)
        self.du = len(self.action_low)
        if self.action_high.shape != (self.du,) or not (self.action_low < self.action_high).all():
            raise InputError(
                f"action_low is {action_low}, action_high {action_high}; expected low < high, one shape: "
                "leave out an actuator that cannot move"
            )
        self._make, self._metrics = make, metrics
        heed(load=False)
        self._sims = [self._made()]
        with blaming(name, "reset"):
            start = self._sims[0].reset(0, np.random.default_rng(0))
        x = vector(start, f"the x of {name} after reset")
        self.dx = len(x)
        self.state_names = named("state_names", state_names, self.dx)
        self.action_names = named("action_names", action_names, self.du)
        self.do = 0  # unknown
        self.do = len(self._seen(self._sims[0], np.zeros(self.dx)))
        if hasattr(self._sims[0], "observe"):
            self.observation_of = None  # type: ignore[assignment]  # it may see anything
        self.serial = not getattr(self._sims[0], "independent", False)
        self.learned = RewardCost(self.dx, self.du) if cost is None else None
        if cost is not None and not hasattr(cost, "expand"):  # a plain function of x and u
            cost = UserCost(cost, self.dx, self.du, f"the cost of {name}")
        elif cost is not None and (asked := careful(cost, f"the cost of {name}")) is not cost:
            rest = resting(self.action_low, self.action_high)
            check_expansion(asked, x, rest, self.horizon, f"the cost of {name}")
        self.reward: Array | None = None  # (B,), of the last step, where nobody gave a cost
        self.cost: Cost = cost or self.learned  # type: ignore[assignment]

    def reset(self, conditions: Array, rng: np.random.Generator) -> Array:
        """Starts simulation i in condition conditions[i]; returns x (B, dx)."""
        B = len(conditions)
        self.diverged, self._over = np.zeros(B, bool), np.zeros(B, bool)
        self.reward = np.zeros(B) if self.learned else None
        self._x = rows(
            self.begin(np.asarray(conditions), rng), f"the x of {self.name} after reset", self.dx
        )
        return self._x.copy()

    def begin(self, conditions: Array, rng: np.random.Generator) -> Sequence[Any]:
        """Starts a simulator in each condition (B,); returns what they say of x."""
        while len(self._sims) < len(conditions) and not self.serial:
            self._sims.append(self._made())
        self._now = self._sims[: len(conditions)]
        if self.serial:  # starts can be looked at one by one; only one can be gone on from
            self._now = self._sims * len(conditions)
        with blaming(self.name, "reset"):
            return [
                _kept(sim.reset(int(c), rng)) for sim, c in zip(self._now, conditions, strict=True)
            ]

    def advance(self, u: Array, which: Array) -> tuple[Sequence[Any], Array, Array]:
        """Applies u (B, du) in the simulators `which` (A,); returns what these say of x, rewards
        and ends (A,).
        """
        sims = [self._now[i] for i in which]
        with blaming(self.name, "step"):
            after = [_kept(sim.step(u[i].copy())) for sim, i in zip(sims, which, strict=True)]
            over = [getattr(sim, "over", False) for sim in sims]
            paid = [getattr(sim, "reward", np.nan) for sim in sims] if self.learned else []
        rewards = [number(r, f"the reward of {self.name} after a step") for r in paid]
        ends = [truth(value, f"the `over` of {self.name}") for value in over]
        return after, np.array(rewards or np.zeros(len(sims))), np.array(ends, dtype=bool)

    def step(self, u: Array) -> Array:
        """Applies u (B, du), or of the environment's own shape; returns x (B, dx). Whoever is at its
        end stays there and is not asked again.
        """
        if self.serial and len(u) > 1:
            raise InputError(
                f"{self.name}: got {len(u)} episodes at once of one robot; expected one after the other "
                "(agents.rollout does that), or a class that says `independent = True`"
            )
        before, u = self._x.copy(), np.array(u, dtype=float).reshape(len(u), -1)
        reward = np.zeros(len(u))
        self.diverged = self.diverged | ~np.isfinite(u).all(-1)
        active = ~self.done()
        if (which := np.flatnonzero(active)).size:
            said, reward[which], self._over[which] = self.advance(u, which)
            after = rows(said, f"the x of {self.name} after step", self.dx, finite=False)
            sound = np.isfinite(after).all(1)
            self._x[which[sound]], self.diverged[which[~sound]] = after[sound], True
        if self.learned:
            if not np.isfinite(reward).all():
                raise InputError(
                    f"{self.name}: got no finite reward; expected a cost, or a `reward` after each step"
                )
            keep = active & ~self.diverged
            self.reward = np.where(keep, reward, 0.0)
            self.learned.add(before[keep], u[keep], reward[keep])
            self.learned.end(self._x[active & self.done()])
        return self._x.copy()

    def observe(self) -> Array:
        """Returns what a policy sees now, o (B, do)."""
        if not hasattr(self._sims[0], "observe"):
            return self._x.copy()
        return np.stack([self._seen(sim, x) for sim, x in zip(self._now, self._x, strict=True)])

    def done(self) -> Array:
        """Returns which episodes have ended or diverged, (B,)."""
        return self.diverged | self._over

    def metrics(self, x: Array, u: Array) -> dict[str, Array]:
        """Returns the numbers that were asked for, (N,) each."""
        if not self._metrics:
            return {}
        with blaming(self.name, "metrics"):
            told = self._metrics(x.copy(), u.copy())
        if not isinstance(told, dict):
            raise InputError(
                f"the metrics of {self.name} gave a {type(told).__name__}; expected a dict of arrays, a number per "
                "episode each"
            )
        for key, value in told.items():
            vector(value, f"the metric {key!r} of {self.name}", len(x), finite=False)
        return {str(key): np.array(value).reshape(-1) for key, value in told.items()}

    def observation_of(self, x: Array) -> Array:
        """Returns what a policy sees in states x (..., dx): the states."""
        return np.array(x, dtype=float)

    def _made(self) -> Any:
        """Returns a new simulator. Raises InputError for what cannot be reset and stepped."""
        with blaming(self.name, "make"):
            made = self._make()
        if not callable(getattr(made, "reset", None)) or not callable(getattr(made, "step", None)):
            raise InputError(
                f"{self.name}: make() gave a {type(made).__name__}; expected an object with reset(condition, rng) and "
                "step(u)"
            )
        return made

    def _seen(self, sim: Any, x: Array) -> Array:
        observe = getattr(sim, "observe", None)
        if not observe:
            return x.copy()
        with blaming(self.name, "observe"):
            seen = observe()
        return vector(seen, f"the observation of {self.name}", self.do or None)


def _kept(value: Any) -> Any:
    """Returns a copy of what a simulator gave, which it may write to; what is no array as it is."""
    found = numbers(value)
    return value if found is None else found


def named(what: str, names: Sequence[str] | None, count: int) -> tuple[str, ...] | None:
    """Returns as many names as there are numbers; None where none were given. Raises InputError."""
    if names is None:
        return None
    if isinstance(names, str) or len(names) != count or not all(isinstance(n, str) for n in names):
        raise InputError(f"{what} is {names!r}; expected {count} names")
    return tuple(names)


def limits(values: Any, none: float) -> Array:
    """Returns action limits (du,); those that are as good as none are `none`. Raises InputError
    for what are no numbers.
    """
    found = numbers(values)
    if found is None or np.asarray(values).dtype.kind == "b":
        raise InputError(f"action limits are {values!r}; expected numbers, one per action")
    found = found.reshape(-1)
    return np.where(np.abs(found) >= UNLIMITED, none, found)


def rows(values: Sequence[Any], what: str, size: int, finite: bool = True) -> Array:
    """Returns one vector (size,) of each value as a new array (B, size). Raises InputError as
    `vector` does.
    """
    given = numbers(values)
    found = np.zeros((0, 0)) if given is None else given.reshape(len(values), -1)
    if found.shape != (len(values), size) or (
        finite and not np.isfinite(found).all()
    ):  # one of them is to blame
        found = np.stack([vector(value, what, size, finite) for value in values])
    return found
