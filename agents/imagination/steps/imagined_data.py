"""A replay buffer of what was imagined, filled anew at each fit of the model.

    every `fit_every` steps:  fit the model;  roll it out for k steps from `rollouts` states
    an update's minibatch:    a share of real transitions, the rest imagined

How far a row goes is one function of the members' disagreement (`until`):

    always                   MBPO: k steps, as its schedule says
    d <= trust * level       MACURA (Frauenknecht et al. 2024): below a level, the running mean of
                             the 95th percentile of d at the first step of the rollouts
    d <= its (1 - mask)-quantile    M2AC (Pan et al. 2020): the worst rows of each step are left out

and `bonus * d` on the reward is SOMBRL's optimism (Sukhija et al. 2025), or below 0 a penalty.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from dynamics import ReplayBuffer
from dynamics.replay_buffer import Transitions
from dynamics.storage.tree import check_tree
from lqr import InputError

from ...interfaces import Array, Task
from ...learners.off_policy import OffPolicy, in_units, stacked
from ...learners.sac import Batch
from ...settings import Count, Counts, Finite, Fraction, NotNegative, Share
from .environment_model import EnvironmentModel, ModelSettings

PERCENTILE, MEMORY = 95.0, 0.9  # of MACURA's level: of disagreement; of its running mean


@dataclass(frozen=True)
class ImaginedSettings(ModelSettings):
    """Settings of the data that are imagined."""

    rollouts: Count = 20_000  # imagined rows begun at each fit
    # steps of a row: k, or four numbers: k at first, k at last, and the steps between which it grows
    rollout_length: Counts = (1,)
    retain: Count = 4  # fits whose imagined rows are kept
    real_share: Fraction = 0.05  # of an update's transitions; 1: the model is not used
    # states that rows begin in: all that were seen, or the initial ones of episodes
    starts: Literal["all", "initial"] = "all"
    # how far members may disagree for a row to go on, times a running level; 0: always
    trust: NotNegative = 0.0
    mask: Share = 0.0  # share of each step's rows that is left out, those of most disagreement
    bonus: Finite = 0.0  # added to a step's reward for a unit of disagreement; a penalty below 0


def check_rollout_length(length: tuple[int, ...]) -> None:
    """Raises InputError for a schedule that is none."""
    if len(length) not in (1, 4) or (len(length) == 4 and length[3] <= length[2]):
        raise InputError(
            f"rollout_length is {length}; expected one number, or four: steps at first, steps at last, "
            "and the environment steps between which they grow"
        )


class ImaginedData:
    """The model, and what was imagined by it; a part of a run's state."""

    def __init__(self, task: Task, c: Any):
        """`c` are `ImaginedSettings`."""
        check_rollout_length(c.rollout_length)
        self.task, self.c = task, c
        self.env_model = EnvironmentModel(task, c)
        longest = max(c.rollout_length[:2])
        self.buffer = ReplayBuffer(c.rollouts * longest * c.retain)
        self.level = 0.0  # of disagreement, MACURA's
        self.numbers = {"model_error": 0.0, "rollout_length": 0.0, "kept": 1.0}

    def prepare(self, run: OffPolicy) -> None:
        """Comes after each step: fits the model, and imagines, when it is time to."""
        after = run.env_steps - self.c.warm_up
        if self.c.real_share < 1 and (run.offline or after % self.c.fit_every == 0):
            self.refill(run)

    def refill(self, run: OffPolicy) -> None:
        """Fits the model to all that was seen, and rolls it out under the policy of now."""
        error = self.env_model.fit(run.buffer, run.rng)
        k = self.length(run.env_steps)
        found = self.env_model.rollouts(
            run.learner.policy,
            self.starts(run),
            k,
            run.rng,
            until=self.until(),
            bonus=self.c.bonus * float(run.learner.units.r_std),
        )
        rows = self.env_model.rows(found)
        count = len(rows.x)
        self.buffer.add(**rows._asdict(), first=np.ones(count, bool))
        kept = count / (len(found.length) * k)
        self.numbers = {"model_error": error, "rollout_length": float(k), "kept": kept}

    def length(self, steps: int) -> int:
        """Returns how many steps a row has, by MBPO's schedule."""
        if len(self.c.rollout_length) == 1:
            return int(self.c.rollout_length[0])
        first, last, begin, end = self.c.rollout_length
        way = np.clip((steps - begin) / (end - begin), 0.0, 1.0)
        return int(first + way * (last - first))

    def starts(self, run: OffPolicy) -> Array:
        """Returns the states that rows begin in, (rollouts, dx)."""
        x = run.buffer.data.x
        if self.c.starts == "initial":
            lengths = np.array(run.buffer.lengths)
            x = x[np.cumsum(lengths) - lengths]
        return x[run.rng.integers(len(x), size=self.c.rollouts)]

    def until(self) -> Callable[[Array], Array] | None:
        """Returns which rows go on, by how far members disagree about them; None for all."""
        c, first = self.c, True

        def goes_on(d: Array) -> Array:
            nonlocal first
            if first and c.trust:
                now = float(np.percentile(d, PERCENTILE))
                self.level = MEMORY * self.level + (1 - MEMORY) * now if self.level else now
            first = False
            inside = d <= c.trust * self.level if c.trust else np.ones(d.shape, bool)
            return inside & (d <= np.quantile(d, 1 - c.mask)) if c.mask else inside

        return goes_on if c.trust or c.mask else None

    def batch(self, run: OffPolicy) -> Batch:
        """Returns an update's minibatch: a share of it is real, the rest imagined."""
        return self.states_and_batch(run)[1]

    def states_and_batch(self, run: OffPolicy) -> tuple[Array, Batch]:
        """Returns the states (batch, dx) of an update's minibatch, and the minibatch."""
        real = round(self.c.real_share * self.c.batch) if len(self.buffer) else self.c.batch
        rows = []
        if real:
            rows.append(run.buffer.sample(real, run.rng))
        if real < self.c.batch:
            rows.append(self.observed(self.buffer.sample(self.c.batch - real, run.rng)))
        x = np.concatenate([part.x for part in rows])
        return x, stacked([in_units(run.learner, part) for part in rows])

    def observed(self, rows: Transitions) -> Transitions:
        """Returns imagined rows with what a policy sees of them."""
        see = self.env_model.observation_of
        return rows._replace(o=see(rows.x), onext=see(rows.xnext))

    def state(self) -> dict[str, Any]:
        """Returns all that `load_state` needs."""
        numbers = {name: float(value) for name, value in self.numbers.items()}
        return {
            "env_model": self.env_model.state(),
            "rows": self.buffer.state(),
            "level": self.level,
            "numbers": numbers,
        }

    def load_state(self, state: dict[str, Any]) -> None:
        """Takes over what `state` returned. Raises CheckpointError for anything else."""
        numbers = dict.fromkeys(self.numbers, float)
        check_tree(
            state, {"env_model": dict, "rows": dict, "level": float, "numbers": numbers}, "imagined"
        )
        self.env_model.load_state(state["env_model"])
        self.buffer.load_state(state["rows"])
        self.level, self.numbers = state["level"], dict(state["numbers"])
