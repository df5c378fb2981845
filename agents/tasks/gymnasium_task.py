"""Any environment of Gymnasium with continuous actions as a task: `make_task("gymnasium:ENV_ID")`.

x and o are both the environment's observation, as a vector. Condition c starts where the environment's reset with seed
`layout_seed + c` does, every time; `fresh_starts` draws another seed for every episode instead. A termination ends an
episode. The environment's own time limit does not apply, `horizon` does. Where no cost is given, one is learned from
the rewards (`agents.tasks.reward_cost`).
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from lqr import InputError

from ..interfaces import Cost
from .own import Metrics, OwnTask

Array = np.ndarray


class Environment:
    """One environment, as a simulator that resets by condition."""

    def __init__(self, env: Any, layout_seed: int, fresh_starts: bool):
        self.env, self.layout_seed, self.fresh = env, layout_seed, fresh_starts
        self.over, self.reward = False, 0.0

    def reset(self, condition: int, rng: np.random.Generator) -> Array:
        """Starts an episode; returns the observation."""
        seed = int(rng.integers(2**31)) if self.fresh else self.layout_seed + condition
        observation, _ = self.env.reset(seed=seed)
        self.over, self.reward = False, 0.0
        return np.asarray(observation, dtype=float).reshape(-1)

    def step(self, u: Array) -> Array:
        """Applies u; returns the observation."""
        space = self.env.action_space
        observation, reward, terminated, truncated, _ = self.env.step(u.astype(space.dtype).reshape(space.shape))
        self.over, self.reward = bool(terminated or truncated), float(reward)
        return np.asarray(observation, dtype=float).reshape(-1)


class GymnasiumTask(OwnTask):
    """An environment by its id, or by a function that makes one (for wrappers and settings of your own).

    `dt` is the environment's where it tells, else 1. An id "module:Name" makes Gymnasium import that module: it is
    refused unless `allow_import` is True, which only a person's own words may set, never a file.
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
                raise InputError(f"got the environment {env!r}; expected one that Gymnasium knows: {error}") from None
            horizon = horizon or spec.max_episode_steps
            make: Callable[[], Any] = lambda: gymnasium.make(env, max_episode_steps=10**9, disable_env_checker=True)  # noqa: E731
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
        made = [first]  # the one that was looked at is the first to be used
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
