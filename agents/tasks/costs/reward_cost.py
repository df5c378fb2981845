"""A cost that nobody wrote down: minus the rewards that came, and a local quadratic fitted to those
nearby.

Where (x, u) took place the cost is what was measured there; anywhere else, and for derivatives, the
nearest transitions in the memory are fitted by ridge regression,

    minimise over (H, g, b)   sum_i w_i (1/2 d_i' H d_i + g' d_i + b + reward_i)^2 + ridge |(H, g)|^2,  d_i = xu_i - xu

in units of the spread of the memory, weighted by distance (locally weighted regression: Cleveland
1979). H is full where the memory can afford that, else diagonal. The step after the last action
costs nothing.
"""

import numpy as np
from scipy.spatial import cKDTree

from dynamics.numbers import count, number
from dynamics.storage.tree import check_tree
from lqr import QuadraticCost
from lqr.expansion import stack

Array = np.ndarray

FULL = 150  # most coefficients of a quadratic whose H is fitted in full


class RewardCost:
    """Learns from `add`; then it is a `Cost`."""

    careful = True  # it writes to nothing that it gets

    def __init__(self, dx: int, du: int, memory: int = 20_000, ridge: float = 1e-4):
        self.dx = count("dx", dx)
        self.du = count("du", du)
        self.ridge = number("ridge", ridge)
        self.memory = count("memory", memory)  # transitions
        n = self.dx + self.du
        full = 1 + n + n * (n + 1) // 2 <= FULL
        self._pairs = np.triu_indices(n) if full else (np.arange(n), np.arange(n))
        self.clear()

    def clear(self) -> None:
        """Forgets everything."""
        self._xu, self._cost = np.zeros((0, self.dx + self.du)), np.zeros(0)
        self._fresh: list[tuple[Array, Array]] = []
        self._known: dict[bytes, float] = {}
        self._tree: cKDTree | None = None

    def add(self, x: Array, u: Array, reward: Array) -> None:
        """Takes the transitions x (M, dx), u (M, du) with their rewards (M,)."""
        xu = np.concatenate([x, u], -1)
        self._fresh.append((xu, -np.asarray(reward, dtype=float)))
        self._known.update((row.tobytes(), -float(r)) for row, r in zip(xu, reward, strict=True))
        self._tree = None

    def end(self, x: Array) -> None:
        """Takes states (M, dx) in which episodes ended: resting there costs nothing, as a rollout
        records it.
        """
        rest = np.concatenate([x, np.zeros((len(x), self.du))], -1)
        self._known.update((row.tobytes(), 0.0) for row in rest)

    def __call__(self, X: Array, U: Array) -> Array:
        """Returns the cost of each step, (..., T+1)."""
        xu = np.ascontiguousarray(stack(X, U))
        flat = xu[..., :-1, :].reshape(-1, xu.shape[-1])
        cost = np.array([self._known.get(row.tobytes(), np.nan) for row in flat])
        unknown = np.isnan(cost)
        if unknown.any():
            cost[unknown] = self._fit(flat[unknown])[0]
        out = np.zeros(xu.shape[:-1])
        out[..., :-1] = cost.reshape(out[..., :-1].shape)
        return out

    def expand(self, X: Array, U: Array) -> QuadraticCost:
        """Returns the fitted quadratics around each trajectory, in absolute coordinates xu."""
        xu = stack(X, U)
        n = xu.shape[-1]
        value, g, H = np.zeros(xu.shape[:-1]), np.zeros(xu.shape), np.zeros((*xu.shape, n))
        b, slope, curvature = self._fit(xu[..., :-1, :].reshape(-1, n))
        value[..., :-1] = b.reshape(value[..., :-1].shape)
        g[..., :-1, :] = slope.reshape(g[..., :-1, :].shape)
        H[..., :-1, :, :] = curvature.reshape(H[..., :-1, :, :].shape)
        Hz = (H @ xu[..., None])[..., 0]
        const = value - (g * xu).sum(-1) + 0.5 * (Hz * xu).sum(-1)
        return QuadraticCost(H, g - Hz, const)

    def state(self) -> dict[str, Array]:
        """Returns all that `load_state` needs."""
        self._gather()
        rows = np.array([np.frombuffer(row) for row in self._known]).reshape(-1, self.dx + self.du)
        return {
            "xu": self._xu,
            "cost": self._cost,
            "known": rows,
            "value": np.array(list(self._known.values())),
        }

    def load_state(self, state: dict[str, Array]) -> None:
        """Takes over what `state` returned. Raises CheckpointError for anything else."""
        n = self.dx + self.du
        check_tree(
            state, {"xu": ("M", n), "cost": ("M",), "known": ("K", n), "value": ("K",)}, "rewards"
        )
        self.clear()
        self._xu, self._cost = state["xu"], state["cost"]
        self._known = {
            row.tobytes(): float(c) for row, c in zip(state["known"], state["value"], strict=True)
        }

    def _gather(self) -> cKDTree | None:
        """Returns the nearest-neighbour structure of the memory, in units of its spread; None while
        it is empty.
        """
        if self._fresh:
            xu, cost = (np.concatenate(parts) for parts in zip(*self._fresh, strict=True))
            self._xu = np.concatenate([self._xu, xu])[-self.memory :]
            self._cost = np.concatenate([self._cost, cost])[-self.memory :]
            self._fresh = []
            if len(self._known) > 2 * self.memory:
                self._known = {
                    row.tobytes(): float(c) for row, c in zip(self._xu, self._cost, strict=True)
                }
        if self._tree is None and len(self._xu):
            self._scale = np.maximum(self._xu.std(0), 1e-6 * (1 + np.abs(self._xu).max(0)))
            self._tree = cKDTree(self._xu / self._scale)
        return self._tree

    def _fit(self, at: Array) -> tuple[Array, Array, Array]:
        """Returns value (M,), gradient (M, n) and Hessian (M, n, n) at each point of `at` (M,
        n).
        """
        M, n = at.shape
        tree = self._gather()
        if tree is None:
            return np.zeros(M), np.zeros((M, n)), np.zeros((M, n, n))
        i, j = self._pairs
        size = 1 + n + len(i)
        value, g, H = np.empty(M), np.empty((M, n)), np.zeros((M, n, n))
        k = min(3 * size, len(self._xu))
        for part in np.array_split(
            np.arange(M), -(-M * k * size // 4_000_000)
        ):  # bounds the memory that is used
            distance, nearest = tree.query(at[part] / self._scale, k=k)
            distance, nearest = distance.reshape(-1, k), nearest.reshape(-1, k)
            d = self._xu[nearest] / self._scale - (at[part] / self._scale)[:, None]
            w = (
                1 - np.minimum(distance / (1.001 * distance[:, -1:] + 1e-300), 1.0) ** 3
            ) ** 3  # tricube
            products = d[..., i] * d[..., j] * np.where(i == j, 0.5, 1.0)
            features = np.concatenate([np.ones((*d.shape[:-1], 1)), d, products], -1)
            cost = self._cost[nearest]
            centre = (w * cost).sum(1) / w.sum(1)
            weighted = features * w[..., None]
            size_of = np.einsum("mka,mka->ma", weighted, features)
            gram = np.swapaxes(weighted, -1, -2) @ features
            penalty = (
                self.ridge * np.r_[1e-6, np.ones(size - 1)]
            )  # the value itself is hardly shrunk
            gram[:, range(size), range(size)] += penalty * size_of.max(-1, keepdims=True)
            rhs = (np.swapaxes(weighted, -1, -2) @ (cost - centre[:, None])[..., None])[..., 0]
            b = np.linalg.solve(gram, rhs[..., None])[..., 0]
            value[part], g[part] = b[:, 0] + centre, b[:, 1 : n + 1] / self._scale
            H[part[:, None], i, j] = H[part[:, None], j, i] = b[:, n + 1 :] / (
                self._scale[i] * self._scale[j]
            )
        return value, g, H
