"""A cost that nobody wrote down, for plans in a learned model: minus a reward that a network learns
from what was paid.

    [r, e]  ~  f(x, u)        the reward of a step, and whether the episode ended with it (0 or 1)
    cost    =  -f_r + clip(f_e, 0, 1) * (mean reward) * (steps that are planned)

An end costs what the planned steps pay on the average: an episode that goes on would have been paid
that. Where no episode ever ended, the second term is 0. f_r goes no further beyond the rewards that
were paid than these differ, so that no plan is drawn to where the network knows nothing. The
network is one of `dynamics`, whose state never leaves 0 and whose actions are [x; u]: its change is
what is learned.
"""

from typing import Any

import numpy as np

from dynamics import Network, ReplayBuffer
from dynamics.replay_buffer import CAPACITY
from dynamics.storage.tree import check_tree
from lqr import QuadraticCost
from lqr.expansion import absolute, stack

from ..interfaces import Array, Task
from ..rollout import Trajectories
from ..tasks.capabilities import LearnedCost, capability
from ..tasks.costs.user_cost import WithCost

DIFFERENCE = 0.01  # of the network's exact gradient, in spreads of x and u
AT_ONCE = 2**15  # rows that are differentiated together


def by_reward(task: Task, reward: "LearnedReward | None") -> Task:
    """Returns the task with the learned reward as its cost, to plan by; the task itself without."""
    return WithCost(task, reward) if reward else task


class LearnedReward:
    """Learns from `fit`; then it is a `Cost`, of any window of an episode."""

    careful = True  # it writes to nothing that it gets

    def __init__(
        self, hidden: tuple[int, ...] = (64, 64), steps: int = 1000, capacity: int = CAPACITY
    ):
        """A network of these hidden layers, whose fits take so many minibatch steps (twice as many
        at first), of the newest `capacity` transitions.
        """
        self.model = Network(hidden=hidden, steps=steps, reject_outliers=False)
        self.buffer = ReplayBuffer(capacity)
        self.believed = np.array([-np.inf, np.inf])  # the least and the largest reward

    @staticmethod
    def of(task: Task, *args: Any) -> "LearnedReward | None":
        """Returns a new one where the task pays rewards and has no cost of its own, else None."""
        return LearnedReward(*args) if capability(task, LearnedCost) else None

    @property
    def ready(self) -> bool:
        """Whether anything was learned."""
        return self.model.normaliser is not None

    def fit(self, found: Trajectories, rng: np.random.Generator) -> None:
        """Learns from all episodes so far, and from these, that cost what was paid in them."""
        self.add(found)
        if len(self.buffer):
            zeros, xu, y = self.buffer.transitions
            self.model.fit(zeros, xu, y, rng)
            least, most = y[:, 0].min(), y[:, 0].max()
            self.believed = np.array([2 * least - most, 2 * most - least])

    def add(self, found: Trajectories) -> None:
        """Takes in episodes for the next fit."""
        T = found.u.shape[1]
        end = np.arange(1, T + 1) == np.where(found.length < T, found.length, 0)[:, None]
        xu = np.concatenate([found.x[:, :-1], found.u], -1)[found.mask]
        y = np.stack([-found.cost[:, :-1], end], -1)[found.mask]
        if len(xu):
            self.buffer.add(np.zeros(y.shape), xu, y, model=self.model)

    def __call__(self, X: Array, U: Array) -> Array:
        """Returns the cost of each step, (..., T+1), 0 at the last."""
        xu = stack(X, U)[..., :-1, :]
        said = self.model.mean(np.zeros((*xu.shape[:-1], 2)), xu)
        out = np.zeros((*xu.shape[:-2], xu.shape[-2] + 1))
        finite = np.isfinite(said[..., 0])
        out[..., :-1] = np.where(finite, -np.clip(said[..., 0], *self.believed), np.nan)
        if loss := self._loss(U):
            out[..., :-1] += loss * np.clip(said[..., 1], 0.0, 1.0)
        return out

    def expand(self, X: Array, U: Array) -> QuadraticCost:
        """Returns the second-order expansion around each trajectory, in absolute coordinates xu:
        exact gradients, and their differences.
        """
        xu, loss = stack(X, U), self._loss(U)
        n = xu.shape[-1]
        flat = xu[..., :-1, :].reshape(-1, n)
        g, H = np.zeros(xu.shape), np.zeros((*xu.shape, n))
        parts = np.array_split(flat, max(-(-len(flat) // AT_ONCE), 1))
        slope, curve = zip(*(self._derivatives(part, loss) for part in parts), strict=True)
        g[..., :-1, :] = np.concatenate(slope).reshape(g[..., :-1, :].shape)
        H[..., :-1, :, :] = np.concatenate(curve).reshape(H[..., :-1, :, :].shape)
        return absolute(self(X, U), g, H, xu)

    def window(self, t: int, count: int, T: int) -> "LearnedReward":
        """Returns the cost of the steps t..t+count of an episode: the same at any step."""
        return self

    def state(self) -> dict[str, Any]:
        """Returns all that `load_state` needs."""
        return {"seen": self.buffer.state(), "known": self.known()}

    def known(self) -> dict[str, Any]:
        """Returns what `load_known` needs: the network, without what it learned from."""
        return {"believed": self.believed, "model": self.model.state()} if self.ready else {}

    def load_state(self, state: dict[str, Any]) -> None:
        """Takes over what `state` returned. Raises CheckpointError for anything else."""
        check_tree(state, {"seen": dict, "known": dict}, "reward")
        self.buffer.load_state(state["seen"])
        self.load_known(state["known"])

    def load_known(self, known: dict[str, Any]) -> None:
        """Takes over what `known` returned. Raises CheckpointError for anything else."""
        if known:
            check_tree(known, {"believed": (2,), "model": dict}, "reward")
            self.believed = known["believed"]
            self.model.load_state(known["model"])

    def _loss(self, U: Array) -> float:
        """Returns what an end costs within so many steps; 0 where no episode ended."""
        reward, end = self.model.normaliser.change_mean if self.model.normaliser else (0.0, 0.0)
        return float(reward) * U.shape[-2] if end else 0.0

    def _gradient(self, xu: Array, loss: float) -> Array:
        """Returns the derivatives of the cost of each row, (M, n)."""
        still, (least, most) = np.zeros((len(xu), 2)), self.believed
        J, said = self.model.jacobian(still, xu)[..., 2:], self.model.mean(still, xu)
        paid, ends = said.T
        believed = (paid > least) & (paid < most), (ends > 0) & (ends < 1)
        return loss * believed[1][:, None] * J[:, 1] - believed[0][:, None] * J[:, 0]

    def _derivatives(self, xu: Array, loss: float) -> tuple[Array, Array]:
        """Returns gradients (M, n) and Hessians (M, n, n) of the cost of each row."""
        assert self.model.normaliser is not None
        rate = self.model.normaliser.inverse_std[2:]
        h = DIFFERENCE / np.where(rate > 0, rate, 1.0)
        H = np.empty((*xu.shape, xu.shape[1]))
        for i, step in enumerate(h):
            move = step * (np.arange(len(h)) == i)
            sides = self._gradient(xu + move, loss), self._gradient(xu - move, loss)
            H[:, i] = (sides[0] - sides[1]) / (2 * step)
        return self._gradient(xu, loss), 0.5 * (H + np.swapaxes(H, 1, 2))
