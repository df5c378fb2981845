"""Imagined rollouts in time-varying linear models, fitted around the last episodes of each
condition.

    [x'; r]  =  F_c,t [x; r_before; u] + f_c,t + noise,     from the newest episodes of condition c
    rows     =  l steps of the policy from states of these episodes, (c, t), (c, t + 1) ...

The reward is one more coordinate of the state, so that nobody has to tell it.
"""

from typing import Any

import numpy as np

from dynamics import ReplayBuffer
from dynamics.local import fit_linear_gaussian
from dynamics.priors.flat import FlatPrior
from dynamics.replay_buffer import Transitions
from lqr import InputError

from ...interfaces import Array, Task
from ...learners.off_policy import OffPolicy, in_units, stacked
from ...learners.sac import Batch
from ...tasks.capabilities import Ends, ObservationOf, capability


class LocalData:
    """The local models, and what was imagined by them; a part of a run's state."""

    def __init__(self, task: Task, c: Any):
        """`c` has history, rollouts, rollout_length, imagination_episodes and batch."""
        self.task, self.c = task, c
        self.seen, self.ends = capability(task, ObservationOf), capability(task, Ends)
        self.buffer = ReplayBuffer(c.rollouts * c.rollout_length * c.history * task.conditions)
        self.episodes = 0  # that are complete

    @property
    def used(self) -> bool:
        """Whether imagined rows are learned from."""
        return len(self.buffer) > 0 and self.episodes <= self.c.imagination_episodes

    def prepare(self, run: OffPolicy) -> None:
        """Comes after each step: where an episode has just begun, those before are complete."""
        begun = len(run.buffer.lengths)
        if run.buffer.lengths[-1] != 1 or begun < 2:
            return
        self.episodes = run.training.episodes + begun - 1 - self._before(run)
        C, h = self.task.conditions, self.c.history
        if C < self.episodes <= self.c.imagination_episodes:
            found = run.buffer.newest(C * h + 1)[:-1]
            number = self.episodes - len(found) + np.arange(len(found))
            self.imagine(found, number % C, run.learner.policy, run.rng)

    def _before(self, run: OffPolicy) -> int:
        """Returns how many kept episodes the training had counted before this iteration."""
        gone = run.buffer.total - len(run.buffer)
        ends = gone + np.cumsum(run.buffer.lengths)
        return int(np.searchsorted(ends, run.training.steps, "right"))

    def imagine(
        self, found: list[Transitions], condition: Array, policy: Any, rng: np.random.Generator
    ) -> None:
        """Fits the models to whole episodes, and rolls the policy out in them."""
        paid = np.concatenate([np.asarray(rows.reward) for rows in found])
        usual = float(paid.mean())
        found = [rows._replace(reward=np.asarray(rows.reward) - usual) for rows in found]
        x, u, weight = self.arrays(found, condition)
        prior, some = FlatPrior(), weight > 0
        prior.update(x[:, :, :-1][some], u[some], x[:, :, 1:][some])
        local = fit_linear_gaussian(x, u, prior, weight).dynamics
        root = np.linalg.cholesky(local.cov)
        starts = np.argwhere(weight > 0)[
            rng.integers(int((weight > 0).sum()), size=self.c.rollouts)
        ]
        c, t = starts[:, 0], starts[:, 2]
        now = x[c, starts[:, 1], t]
        for _ in range(self.c.rollout_length):
            act = policy.sample(self.observation_of(now[:, :-1]), 0, rng)
            act = np.clip(act, self.task.action_low, self.task.action_high)
            mean = np.einsum("nij,nj->ni", local.F[c, t], np.concatenate([now, act], 1))
            noise = np.einsum("nij,nj->ni", root[c, t], rng.standard_normal(now.shape))
            after = mean + local.f[c, t] + noise
            sound = np.isfinite(after).all(1)
            end = self.ends.ended(after[:, :-1]) if self.ends else np.zeros(len(now), bool)
            rows = now[:, :-1], act, after[:, :-1]
            a, b, to, r, over = (part[sound] for part in (*rows, after[:, -1], end))
            self.buffer.add(a, b, to, reward=r + usual, end=over, first=np.ones(len(a), bool))
            on = sound & ~end & (t + 1 < x.shape[2] - 1)
            c, t, now = c[on], t[on] + 1, after[on]
            if not len(now):
                return

    def arrays(self, found: list[Transitions], condition: Array) -> tuple[Array, Array, Array]:
        """Returns x (C, N, T+1, dx + 1), with the reward that led to it, u (C, N, T, du) and the
        weight (C, N, T) of whole episodes, by condition.
        """
        C, T, dx = self.task.conditions, self.task.horizon, self.task.dx
        N = max(int((condition == c).sum()) for c in range(C))
        x, u = np.zeros((C, N, T + 1, dx + 1)), np.zeros((C, N, T, self.task.du))
        weight, count = np.zeros((C, N, T)), np.zeros(C, int)
        for rows, c in zip(found, condition, strict=True):
            i, n = count[c], len(rows.x)
            x[c, i, :n, :-1], x[c, i, n, :-1], u[c, i, :n] = rows.x, rows.xnext[-1], rows.u
            x[c, i, 1 : n + 1, -1], weight[c, i, :n] = rows.reward, 1.0
            count[c] += 1
        return x, u, weight

    def observation_of(self, x: Array) -> Array:
        """Returns what a policy sees, (..., do)."""
        if self.seen is None and self.task.do != self.task.dx:
            raise InputError(
                f"what a policy sees of {self.task.name} is not told as a function of x; expected observation_of(x)"
            )
        return self.seen.observation_of(x) if self.seen else x

    def batch(self, run: OffPolicy) -> Batch:
        """Returns an update's minibatch: half of it imagined, while imagination is used."""
        half = self.c.batch // 2 if self.used else 0
        parts = [in_units(run.learner, run.buffer.sample(self.c.batch - half, run.rng))]
        if half:
            rows, see = self.buffer.sample(half, run.rng), self.observation_of
            parts.append(in_units(run.learner, rows._replace(o=see(rows.x), onext=see(rows.xnext))))
        return stacked(parts)

    def state(self) -> dict[str, Any]:
        """Returns all that `load_state` needs."""
        return {"rows": self.buffer.state(), "episodes": self.episodes}

    def load_state(self, state: dict[str, Any]) -> None:
        """Takes over what `state` returned."""
        self.buffer.load_state(state["rows"])
        self.episodes = state["episodes"]
