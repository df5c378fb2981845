"""A model that learns from what is tried: when an episode is over, or every so many steps within
it.

Within an episode: Chua et al. (2018) fit once per episode; what is then known helps only the next.
Where a policy goes where the model has never been, fitting anew on the way saves an episode
(Nagabandi et al. 2018, algorithm 1).
"""

from typing import Any

import numpy as np

from dynamics import ReplayBuffer
from dynamics.asking import predict
from dynamics.replay_buffer import CAPACITY
from dynamics.storage.tree import check_tree

from ...interfaces import Array
from ...rollout import Trajectories


class OnlineModel:
    """A model, the transitions that it was fitted to, and how wrong it was about each before
    that.
    """

    def __init__(
        self, model: Any, fit_every: int, rng: np.random.Generator, capacity: int = CAPACITY
    ):
        """Fits after every `fit_every` steps of an episode, and at its end; with 0, at its end
        alone.

        The model is fitted to the newest `capacity` transitions, at most.
        """
        self.model, self.fit_every, self.rng = model, fit_every, rng
        self.buffer = ReplayBuffer(capacity)
        self._known = 0  # steps of the present episodes that were learned from
        self._gaps: list[Array] = []
        self._moves: list[Array] = []

    @property
    def ready(self) -> bool:
        """Whether the model has been fitted."""
        return self.model.normaliser is not None

    def watch(self, episodes: Trajectories) -> None:
        """Sees the first t steps of episodes that go on."""
        t = episodes.u.shape[1]
        if self.fit_every and t % self.fit_every == 0:
            self._learn(episodes)

    def finish(self, episodes: Trajectories) -> float:
        """Sees whole episodes; returns the model's error on what was new to it in them, 0 where it
        knew nothing.

        It is the mean error of x', in units of the changes' spread, of the coordinates that
        changed.
        """
        self._learn(episodes)
        self._known = 0
        if not self._gaps:
            return 0.0
        gap, spread = np.concatenate(self._gaps).mean(0), np.concatenate(self._moves).std(0)
        self._gaps, self._moves = [], []
        moved = spread > 1e-9  # an object that was not touched
        return float((gap[moved] / spread[moved]).mean()) if moved.any() else 0.0

    def _learn(self, episodes: Trajectories) -> None:
        t = episodes.u.shape[1]
        new, self._known = episodes.between(self._known, t).transitions, t
        if not len(new[0]):
            return
        if self.ready:
            self._gaps.append(np.abs(predict(self.model, *new[:2]).mean - new[2]))
            self._moves.append(new[2] - new[0])
        self.buffer.add_and_fit(self.model, *new, self.rng)

    def state(self) -> dict[str, Any]:
        """Returns all that `load_state` needs between episodes."""
        return {"seen": self.buffer.state(), "model": self.model.state()}

    def load_state(self, state: dict[str, Any]) -> None:
        """Takes over what `state` returned, of a tree that may hold more. Raises CheckpointError
        for anything else.
        """
        names = ("seen", "model")
        check_tree({name: state.get(name) for name in names}, dict.fromkeys(names, dict), "state")
        self.buffer.load_state(state["seen"])
        self.model.load_state(state["model"])
