"""Q-learning with a normalised advantage function: the best action of a quadratic is its vertex.

    Q(o, a)  =  V(o) - 1/2 (a - mu(o))' L(o) L(o)' (a - mu(o)),      L lower triangular, its diagonal above 0
    y        =  r + gamma V'(o'),     0 after an end
    V, mu, L  <-  arg min E (Q(o, a) - y)^2

Gu, Lillicrap, Sutskever & Levine, Continuous Deep Q-Learning with Model-based Acceleration (2016),
section 4; one network has all three heads, the action is tanh(mu), and it is tried with noise.
"""

from typing import Any

import numpy as np

from dynamics.storage.tree import check_tree

from ..interfaces import Array, State
from ..policies.squashed import SquashedPolicy
from .relu_networks import ReluNetworks, follow
from .sac import Batch, Told, Units


class NAF:
    """The network and its target; `policy` acts by it as it is, with noise of a fixed size."""

    def __init__(
        self,
        low: Array,
        high: Array,
        units: Units,
        rng: np.random.Generator,
        hidden: tuple[int, ...] = (64, 64),
        discount: float = 0.99,
        rate: float = 1e-3,
        track: float = 0.005,
        noise: float = 0.3,
        dtype: Any = np.float32,
    ):
        """`noise` is the deviation of what is squashed."""
        do, du = len(units.o_mean), len(low)
        self.low, self.high, self.units = low, high, units
        self.discount, self.rate, self.track, self.dtype = discount, rate, track, dtype
        self.rows, self.columns = np.tril_indices(du)
        sizes = (do, *hidden, 1 + du + len(self.rows))
        self.networks = ReluNetworks(sizes, 1, rng, dtype=dtype)
        self.target = ReluNetworks(sizes, 1, rng, dtype=dtype)
        self.target.flat[:] = self.networks.flat
        self.noise, self.updates = noise, 0
        self.policy = self._policy()

    def _policy(self) -> SquashedPolicy:
        """Returns the policy of the head mu; it changes with the network but for its last layer."""
        (*W, last), (*b, offset) = self.networks.layers()
        du = len(self.low)
        W.append(np.concatenate([last[1 : 1 + du], 0 * last[1 : 1 + du]]))
        b.append(np.concatenate([offset[1 : 1 + du], np.full(du, np.log(self.noise), self.dtype)]))
        return SquashedPolicy(W, b, self.units.o_mean, self.units.o_std, self.low, self.high)

    def measure(self, units: Units) -> None:
        """Takes over other units, which the network has not seen yet."""
        self.units = units
        self.policy = self._policy()

    def batch(self, o: Array, u: Array, reward: Array, onext: Array, end: Array) -> Batch:
        """Returns transitions in the learner's units."""
        return self.units.batch(self.policy, o, u, reward, onext, end, self.dtype)

    def action_value(self, o: Array, a: Array) -> tuple[Array, Any]:
        """Returns Q (B,) and what `backward` needs."""
        out, du = self.networks.forward(o)[0], a.shape[1]
        mu, L = np.tanh(out[:, 1 : 1 + du]), np.zeros((len(a), du, du), self.dtype)
        L[:, self.rows, self.columns] = out[:, 1 + du :]
        diagonal = np.arange(du)
        L[:, diagonal, diagonal] = np.exp(np.clip(L[:, diagonal, diagonal], -10, 5))
        gap = a - mu
        d = np.einsum("bij,bi->bj", L, gap)
        return out[:, 0] - 0.5 * (d**2).sum(1), (mu, L, gap, d)

    def backward(self, known: Any, slope: Array) -> None:
        """Leaves the network's gradient in it, of a loss with these slopes with respect to Q (B,)."""
        mu, L, gap, d = known
        by_mu = np.einsum("bij,bj->bi", L, d) * (1 - mu**2)
        by_L = -gap[:, :, None] * d[:, None, :]
        diagonal = np.arange(gap.shape[1])
        by_L[:, diagonal, diagonal] *= L[:, diagonal, diagonal]
        parts = np.ones((len(mu), 1)), by_mu, by_L[:, self.rows, self.columns]
        slopes = slope[:, None] * np.concatenate(parts, 1)
        self.networks.backward(slopes[None].astype(self.dtype))

    def update(self, batch: Batch, rng: np.random.Generator) -> Told:
        """One update of the network, and of its target."""
        value = self.target.forward(batch.onext)[0, :, 0]
        ahead = np.where(batch.end > 0, self.dtype(self.units.end_value(self.discount)), value)
        y = batch.reward + self.dtype(self.discount) * ahead
        q, known = self.action_value(batch.o, batch.a)
        gap = q - y
        self.backward(known, gap / self.dtype(len(y)))
        self.networks.step(self.rate)
        follow(self.target.flat, self.networks.flat, self.dtype(self.track))
        self.updates += 1
        self.policy = self._policy()
        return Told(float((gap**2).mean()), 0.0, 0.0)

    def state(self) -> State:
        """Returns all that `load_state` needs."""
        return {
            "networks": self.networks.state(),
            "target": self.target.flat.astype(float),
            "updates": self.updates,
            "units": self.units._asdict(),
        }

    def load_state(self, state: State) -> None:
        """Takes over what `state` returned. Raises CheckpointError for anything else."""
        count, do = len(self.target.flat), len(self.units.o_mean)
        networks = {**dict.fromkeys(("flat", "mean", "square"), (count,)), "number": int}
        units = {"o_mean": (do,), "o_std": (do,), "r_mean": (), "r_std": ()}
        form = {"networks": networks, "target": (count,), "updates": int, "units": units}
        check_tree(state, form, "naf")
        self.networks.load_state(state["networks"])
        self.target.flat[:] = state["target"]
        self.units, self.updates = Units(**state["units"]), state["updates"]
        self.policy = self._policy()
