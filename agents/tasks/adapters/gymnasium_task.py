"""Any environment of Gymnasium with continuous actions as a task: `make_task("gymnasium:ENV_ID")`.

x and o are both the environment's observation, as a vector. Condition c starts where the
environment's reset with seed `layout_seed + c` does, every time; `fresh_starts` draws another seed
for every episode instead. A termination ends an episode. The environment's own time limit does not
apply, `horizon` does. Where no cost is given, one is learned from the rewards
(`agents.tasks.costs.reward_cost`). Environments are stepped one after another or, with `processes`,
side by side.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from lqr import InputError

from ...interfaces import Cost
from .subprocesses import Processes
from .user_task import Metrics, OwnTask

Array = np.ndarray


class Environment:
    """One environment, as a simulator that resets by condition."""

    def __init__(self, env: Any, layout_seed: int, fresh_starts: bool):
        self.env, self.layout_seed, self.fresh = env, layout_seed, fresh_starts
        self.over, self.reward = False, 0.0

    def reset(self, condition: int, rng: np.random.Generator) -> Array:
        """Starts an episode; returns the observation."""
        observation, _ = self.env.reset(seed=self.seed(condition, rng))
        self.over, self.reward = False, 0.0
        return self._read(observation)

    def seed(self, condition: int, rng: np.random.Generator) -> int:
        """Returns what the environment is reset with in a condition."""
        return int(rng.integers(2**31)) if self.fresh else self.layout_seed + condition

    def step(self, u: Array) -> Array:
        """Applies u; returns the observation."""
        observation, reward, terminated, truncated, _ = self.env.step(self.command(u))
        self.over, self.reward = bool(terminated or truncated), float(reward)
        return self._read(observation)

    def command(self, u: Array) -> Array:
        """Returns actions (..., du) as the environment takes them."""
        space = self.env.action_space
        return u.astype(space.dtype).reshape(*u.shape[:-1], *space.shape)

    def _read(self, observation: Any) -> Array:
        return np.asarray(observation, dtype=self.env.observation_space.dtype).reshape(-1)


class GymnasiumTask(OwnTask):
    """An environment by its id, or by a function that makes one (for wrappers and settings of your
    own).

    With `processes` each episode's environment runs in a process of its own, which pays where a
    step takes more than a millisecond (see `agents.tasks.adapters.subprocesses`); the numbers are
    the same. `dt` is the environment's where it tells, else 1. An id "module:Name" makes Gymnasium
    import that module: it is refused unless `allow_import` is True, which only a person's own words
    may set, never a file.
    """

    def __init__(
        self,
        env: str | Callable[[], Any],
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
                    f"got the environment {env!r}; expected one that Gymnasium knows: {error}"
                ) from None
            horizon = horizon or spec.max_episode_steps
            make: Callable[[], Any] = partial(
                gymnasium.make, spec, max_episode_steps=10**9, disable_env_checker=True
            )
            self.env_id: str | None = env
        else:
            make, self.env_id = env, None
        first = make()
        if self.env_id is None and first.spec is not None:
            horizon = horizon or first.spec.max_episode_steps
        name = f"gymnasium:{self.env_id or getattr(first.spec, 'id', None) or type(first.unwrapped).__name__}"
        check(first, name)
        if horizon is None:
            raise InputError(f"{name} has no time limit of its own; expected horizon=, in steps")
        self._processes = Processes(make) if processes else None
        made = [first]  # the one that was looked at is the first to be used
        self._pattern = Environment(first, layout_seed, fresh_starts)
        super().__init__(
            lambda: Environment(made.pop() if made else make(), layout_seed, fresh_starts),
            cost,
            action_low=first.action_space.low,
            action_high=first.action_space.high,
            horizon=horizon,
            dt=float(getattr(first.unwrapped, "dt", 1.0)),
            conditions=conditions,
            name=name,
            metrics=metrics,
        )

    def begin(self, conditions: Array, rng: np.random.Generator) -> Sequence[Any]:
        """Starts an environment in each condition (B,); returns the observations."""
        if self._processes is None:
            return super().begin(conditions, rng)
        return list(self._processes.reset([self._pattern.seed(int(c), rng) for c in conditions]))

    def advance(self, u: Array, which: Array) -> tuple[Sequence[Any], Array, Array]:
        """Applies u (B, du) in the environments `which` (A,); returns observations, rewards (A,),
        and ends (A,).
        """
        if self._processes is None:
            return super().advance(u, which)
        still = np.zeros_like(u)
        still[which] = u[which]  # the others have ended, or their actions are no numbers
        seen, reward, over = self._processes.step(self._pattern.command(still))
        return list(seen[which]), reward[which], over[which]


def check(env: Any, name: str) -> None:
    """Raises InputError, with what to do, where the spaces are not boxes of numbers."""
    from gymnasium.spaces import Box, Dict, Discrete, MultiDiscrete, Tuple

    actions, seen = env.action_space, env.observation_space
    if isinstance(actions, (Discrete, MultiDiscrete)):
        raise InputError(
            f"{name} has discrete actions, {actions}; expected continuous ones: wrap it in a gymnasium.ActionWrapper "
            "that maps numbers to its actions (by their sign, say), and pass the function that makes it"
        )
    if isinstance(seen, (Dict, Tuple, Discrete, MultiDiscrete)):
        raise InputError(
            f"{name} observes {type(seen).__name__}; expected a Box: pass "
            "lambda: gymnasium.wrappers.FlattenObservation(gymnasium.make(...))"
        )
    for what, space in (("actions", actions), ("observations", seen)):
        if not isinstance(space, Box) or not np.issubdtype(space.dtype, np.floating):
            raise InputError(f"{name} has {what} {space}; expected a Box of floating-point numbers")
