"""Any environment of Gymnasium with continuous actions as a task: `make_task("gymnasium:ENV_ID")`.

x and o are both the environment's observation, as a vector. Condition c starts where the
environment's reset with seed `layout_seed + c` does, every time; `fresh_starts` draws another seed
for every episode instead. A termination ends an episode. The environment's own time limit does not
apply, `horizon` does. Where no cost is given, one is learned from the rewards
(`agents.tasks.costs.reward_cost`). Environments are stepped one after another or, with `processes`,
side by side.
"""

import inspect
import math
from collections.abc import Callable, Iterator, Sequence
from copy import copy, deepcopy
from functools import partial
from typing import Any

import numpy as np

from lqr import InputError

from ...interfaces import Cost
from ...settings import Count, Whole, checked
from ..action_form import ActionForm
from ..base.mujoco_warnings import heed
from .answers import RESET, STEP, number, observed, parts, truth
from .blaming import blaming
from .subprocesses import Processes
from .user_task import Metrics, OwnTask

Array = np.ndarray


class Environment:
    """One environment, as a simulator that resets by condition."""

    independent = True  # each is made anew

    def __init__(self, env: Any, layout_seed: int, fresh_starts: bool, name: str = "environment"):
        self.env, self.layout_seed, self.fresh, self.name = env, layout_seed, fresh_starts, name
        self.over, self.cut, self.reward = False, False, 0.0

    def reset(self, condition: int, rng: np.random.Generator) -> Array:
        """Starts an episode; returns the observation."""
        with blaming(self.name, "reset"):
            observation, _ = parts(
                self.env.reset(seed=self.seed(condition, rng)), RESET, f"{self.name}, reset,"
            )
        self.over, self.cut, self.reward = False, False, 0.0
        return self._read(observation)

    def seed(self, condition: int, rng: np.random.Generator) -> int:
        """Returns what the environment is reset with in a condition."""
        return int(rng.integers(2**31)) if self.fresh else self.layout_seed + condition

    def step(self, u: Array) -> Array:
        """Applies u; returns the observation."""
        with blaming(self.name, "step"):
            said = self.env.step(self.command(u))
        observation, reward, terminated, truncated, _ = parts(said, STEP, f"{self.name}, a step,")
        self.reward = number(reward, f"the reward of {self.name} after a step")
        self.over = truth(terminated, f"what {self.name} says of terminated")
        self.cut = truth(truncated, f"what {self.name} says of truncated") and not self.over
        return self._read(observation)

    def command(self, u: Array) -> Array:
        """Returns actions (..., du) as the environment takes them."""
        return ActionForm.of(self.env.action_space).fitted(u)

    def _read(self, observation: Any) -> Array:
        return observed(observation, self.env.observation_space, self.name).reshape(-1)


class GymnasiumTask(OwnTask):
    """An environment by its id, by a function that makes one (for wrappers and settings of your
    own), or one that is there: others are then made as `gymnasium.make` made it, or are copies.

    With `processes` each episode's environment runs in a process of its own, which pays where a
    step takes more than a millisecond (see `agents.tasks.adapters.subprocesses`); the numbers are
    the same. `dt` is the environment's where it tells, else 1. An id "module:Name" makes Gymnasium
    import that module: it is refused unless `allow_import` is True, which only a person's own words
    may set, never a file.
    """

    def __init__(
        self,
        env: Any,
        cost: Cost | None = None,
        *,
        horizon: int | None = None,
        conditions: int = 1,
        layout_seed: int = 20_000,
        fresh_starts: bool = False,
        metrics: Metrics | None = None,
        allow_import: bool = False,
        processes: bool = False,
    ):
        import gymnasium

        horizon = checked("horizon", horizon, Count | None)
        layout_seed = checked("layout_seed", layout_seed, Whole)
        if isinstance(env, str):
            if ":" in env and not allow_import:
                raise InputError(
                    f"got the environment {env!r}, which would import the module {env.split(':')[0]!r}; "
                    "expected an id without ':'; import the module yourself first, then name the id alone"
                )
            try:
                spec = gymnasium.spec(env)
            except gymnasium.error.Error as error:
                raise InputError(
                    f"got the environment {env!r}; expected one that Gymnasium knows, or gymnasium:MODULE:ID where "
                    f"MODULE registers it: {error}"
                ) from None
            horizon = spec.max_episode_steps if horizon is None else horizon
            make: Callable[[], Any] = partial(
                gymnasium.make, spec, max_episode_steps=10**9, disable_env_checker=True
            )
            self.env_id: str | None = env
        elif isinstance(env, gymnasium.Env):
            make, self.env_id = maker(env), None
        elif callable(env):
            make, self.env_id = env, None
        else:
            raise InputError(
                f"got {type(env).__name__}, no function; expected an id, or what makes an environment, as its class "
                "or `lambda: MyEnv(3)`: episodes side by side need several"
            )
        called = getattr(env, "__qualname__", type(env).__name__)
        heed()  # it may be one of MuJoCo
        with blaming(env if isinstance(env, str) else called, "make"):
            first: Any = make()
        if not isinstance(first, gymnasium.Env):
            raise InputError(
                f"{called} gave a {type(first).__name__}; expected a gymnasium.Env: return one, and see OwnTask for "
                "objects of other kinds"
            )
        if self.env_id is None:
            limit = time_limit(first)
            horizon = limit if horizon is None else horizon
            if limit and horizon is not None and horizon > limit:
                make = partial(lifted, make, horizon)
                lift(first, horizon)
        name = f"gymnasium:{self.env_id or getattr(first.spec, 'id', None) or type(first.unwrapped).__name__}"
        check(first, name)
        space: Any = first.action_space
        self.action_form = ActionForm.of(space)
        if horizon is None:
            raise InputError(f"{name} has no time limit of its own; expected horizon=, in steps")
        self._processes = Processes(make, name) if processes else None
        made = [first]  # the one that was looked at is the first to be used
        self._pattern = Environment(first, layout_seed, fresh_starts, name)
        super().__init__(
            lambda: Environment(made.pop() if made else make(), layout_seed, fresh_starts, name),
            cost,
            action_low=space.low,
            action_high=space.high,
            horizon=horizon,
            dt=seconds(first),
            conditions=conditions,
            name=name,
            metrics=metrics,
        )

    def with_starts(self, count: int) -> "GymnasiumTask":
        """Returns the same task, in the same environments, with so many conditions: each is the seed
        of a reset.
        """
        other = copy(self)
        other.conditions = checked("count", count, Count)
        return other

    def begin(self, conditions: Array, rng: np.random.Generator) -> Sequence[Any]:
        """Starts an environment in each condition (B,); returns the observations."""
        self._steps = 0
        if self._processes is None:
            return super().begin(conditions, rng)
        return list(self._processes.reset([self._pattern.seed(int(c), rng) for c in conditions]))

    def advance(self, u: Array, which: Array) -> tuple[Sequence[Any], Array, Array]:
        """Applies u (B, du) in the environments `which` (A,); returns observations, rewards (A,),
        and ends (A,).
        """
        self._steps += 1
        if self._processes is None:
            said = super().advance(u, which)
            cut = np.array([self._now[i].cut for i in which], dtype=bool)
        else:
            still = np.zeros_like(u)
            still[which] = u[which]  # the others have ended, or their actions are no numbers
            seen, reward, over, truncated = self._processes.step(self._pattern.command(still))
            said = list(seen[which]), reward[which], over[which]
            cut = (truncated & ~over)[which]
        if cut.any() and self._steps < self.horizon:
            raise InputError(
                f"{self.name} cut an episode short after {self._steps} steps by a time limit of its own, which is no "
                f"end; expected {self.horizon} steps, the horizon: take the limit off, or set horizon={self._steps}"
            )
        return said


def maker(env: Any) -> Callable[[], Any]:
    """Returns what makes environments like this one. Raises InputError where nothing can."""
    import gymnasium

    if env.spec is not None:
        return partial(gymnasium.make, env.spec, disable_env_checker=True)
    try:
        return partial(deepcopy, deepcopy(env))
    except Exception as error:
        raise InputError(
            f"got the environment {type(env).__name__}, which gymnasium.make did not make and which cannot be copied "
            f"({type(error).__name__}: {error}); expected a function that makes one: episodes side by side need several"
        ) from None


def time_limit(env: Any) -> int | None:
    """Returns the steps after which some wrapper of an environment cuts an episode short; None
    where none does.
    """
    found = [
        int(layer._max_episode_steps)
        for layer in layers(env)
        if hasattr(layer, "_max_episode_steps")
    ]
    return min(found) if found else getattr(env.spec, "max_episode_steps", None)


def lift(env: Any, horizon: int) -> None:
    """Lifts the time limits of an environment to the horizon."""
    for layer in layers(env):
        if hasattr(layer, "_max_episode_steps"):
            layer._max_episode_steps = max(layer._max_episode_steps, horizon)


def lifted(make: Callable[[], Any], horizon: int) -> Any:
    """Returns a new environment whose time limits are lifted to the horizon."""
    env = make()
    lift(env, horizon)
    return env


def seconds(env: Any) -> float:
    """Returns the length of a step that an environment tells, else 1."""
    told = getattr(env.unwrapped, "dt", None)
    return float(told) if isinstance(told, (int, float, np.number)) and 0 < told < np.inf else 1.0


def layers(env: Any) -> Iterator[Any]:
    """Yields the wrappers of an environment, from the outside."""
    while env is not env.unwrapped:
        yield env
        env = env.env


def check(env: Any, name: str) -> None:
    """Raises InputError, with what to do, where the spaces are not boxes of numbers."""
    import gymnasium
    from gymnasium.spaces import Box, Dict, Discrete, MultiDiscrete, Tuple

    actions, seen = env.action_space, env.observation_space
    if isinstance(actions, (Discrete, MultiDiscrete)):
        continuous = name.split("-")[0] + "Continuous"
        known = [id for id in gymnasium.registry if f"gymnasium:{id}".startswith(continuous)]
        hint = f"; there is {', '.join(f'gymnasium:{id}' for id in known)}" if known else ""
        if "continuous" in inspect.signature(type(env.unwrapped).__init__).parameters:
            hint += "; its constructor takes continuous=True"
        raise InputError(
            f"{name} has discrete actions, {actions}; expected continuous ones: wrap it in a gymnasium.ActionWrapper "
            f"that maps numbers to its actions (by their sign, say), register it, and name gymnasium:MODULE:ID{hint}"
        )
    if isinstance(seen, (Dict, Tuple, Discrete, MultiDiscrete)):
        raise InputError(
            f"{name} observes {type(seen).__name__}; expected a Box: "
            "wrap it in gymnasium.wrappers.FlattenObservation, register that, and name gymnasium:MODULE:ID"
        )
    for what, space in (("actions", actions), ("observations", seen)):
        if not isinstance(space, Box) or not np.issubdtype(space.dtype, np.floating):
            kind = "ActionWrapper" if what == "actions" else "ObservationWrapper"
            wrapper = f"a gymnasium.{kind} whose {what[:-1]}_space is one"
            if what == "observations" and isinstance(space, Box):
                wrapper = "gymnasium.wrappers.DtypeObservation(env, np.float32)"
            raise InputError(
                f"{name} has {what} {space}; expected a Box of floating-point numbers: wrap it in {wrapper}, "
                "register that, and name gymnasium:MODULE:ID"
            )
    if math.prod(actions.shape) == 0:
        raise InputError(f"{name} has no actions, {actions}; expected one or more")
