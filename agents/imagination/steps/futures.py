"""Steps of episodes, and how what is measured changes some steps after them; what predicts that."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from dynamics.storage.tree import check_tree

from ...interfaces import Array, State, Task
from ...learners.cells import moves_of
from ...learners.relu_networks import ReluNetworks
from ...policies.future import FuturePolicy, futures
from ...rollout import Trajectories
from ...tasks.capabilities import Measured, capability

UNITS = ("centre", "scale", "middle", "unit")  # of a predictor
STORED = (np.dtype(np.float32), np.dtype(np.int64))  # of what is remembered
FIELDS = ("o", "move", "goal", "change", "within")


def changes(task: Task, found: Trajectories, ahead: Array) -> tuple[Array, Array]:
    """Returns how what is measured changes within `ahead` (J,) steps of each step, (N, T, J, K), and
    which of these lie within the episode, (N, T, J). Where a task measures nothing, it is what the
    step itself and all up to that one earn, their costs.
    """
    N, T = found.u.shape[:2]
    later = np.arange(T)[:, None] + ahead  # (T, J)
    within = (later <= found.length[:, None, None]) & found.mask[..., None]
    later = np.minimum(later, T)
    if told := capability(task, Measured):
        m = told.measure(found.x)
        return m[:, later] - m[:, :T, None], within
    total = np.concatenate([np.zeros((N, 1)), np.cumsum(found.cost, 1)], 1)
    return (total[:, :T, None] - total[:, later + 1])[..., None], within


class Memory:
    """The newest steps that were tried, at most `capacity` of them; `state` as a model's."""

    def __init__(self, capacity: int):
        self.capacity, self.rows = capacity, dict[str, Array]()

    def add(self, **rows: Array) -> None:
        """Adds rows (M, ...) of all FIELDS."""
        kept = self.rows or {name: a[:0] for name, a in rows.items()}
        self.rows = {
            name: np.concatenate([kept[name], rows[name]])[-self.capacity :] for name in FIELDS
        }

    def draw(self, count: int, rng: np.random.Generator) -> dict[str, Array]:
        """Returns so many rows, each drawn by itself."""
        i = rng.integers(len(self.rows["move"]), size=count)
        return {name: a[i] for name, a in self.rows.items()}

    def state(self) -> State:
        """Returns all rows."""
        return dict(self.rows)

    def load_state(self, state: State) -> None:
        """Takes over what `state` returned. Raises CheckpointError for anything else."""
        form: dict[str, Any] = {"o": ("M", "do"), "move": ("M",), "goal": ("M", "K")}
        form |= {"change": ("M", "J", "K"), "within": ("M", "J")}
        if state:
            single = {k: a.astype(float) if dtype_of(a) in STORED else a for k, a in state.items()}
            check_tree(single, form, "memory")
        self.rows = dict(state)


def dtype_of(a: Any) -> Any:
    """Returns the type of an array's numbers; None for anything else."""
    return a.dtype if isinstance(a, np.ndarray) else None


@dataclass(frozen=True)
class Sizes:
    """What a predictor is made of."""

    hidden: tuple[int, ...]
    ahead: tuple[int, ...]  # steps
    weights: tuple[float, ...]  # of these, in a choice
    levels: int  # of each action, where a task does not tell its moves


class Predictor:
    """A network that predicts changes of what is measured; `state` and `load_state` as a model's."""

    def __init__(self, task: Task, sizes: Sizes, goal: tuple[float, ...], rng: np.random.Generator):
        """Its policy wants `goal`, or where this is empty the first measurement."""
        told = capability(task, Measured)
        K, A, J = len(told.measurements) if told else 1, 0, len(sizes.ahead)
        self.moves, self.ahead = moves_of(task, sizes.levels, ends=False), np.array(sizes.ahead)
        A = len(self.moves)
        widths = (task.do + K, *sizes.hidden, (1 + A) * J * K)
        self.network = ReluNetworks(widths, 1, rng)
        self.centre, self.scale, self.unit = np.zeros(task.do), np.ones(task.do), np.ones((J, K))
        self.goals, self.middle, self.known = K, np.zeros((J, K)), False
        self.policy = FuturePolicy(
            self.network.layers(), self.centre, self.scale, np.array(sizes.weights), np.eye(K)[0],
            self.moves, task.action_low, task.action_high,
        )  # fmt: skip
        if goal:
            self.policy.goal = self.policy.with_goal(goal).goal

    def rows(self, task: Task, found: Trajectories, moves: Array, goals: Array) -> dict[str, Array]:
        """Returns the rows of the steps that were taken, of the numbers of moves (N, T) and goals
        (N, K); the first ones set the units.
        """
        mask = found.mask
        change, within = changes(task, found, self.ahead)
        if not self.known:
            self.known = True
            self._measure(found.o[:, :-1][mask], change[mask], within[mask])
        o = (found.o[:, :-1][mask] - self.centre) / self.scale
        goal = np.broadcast_to(goals[:, None], (*mask.shape, self.goals))[mask]
        return {
            "o": o.astype(np.float32),
            "move": moves[mask].astype(np.int64),
            "goal": goal.astype(np.float32),
            "change": ((change[mask] - self.middle) / self.unit).astype(np.float32),
            "within": within[mask].astype(np.float32),
        }

    def update(self, rows: dict[str, Array], rate: float) -> float:
        """Moves the network against the gradient of the mean squared error over the changes that
        are within their episodes; returns it.
        """
        out = self.network.forward(np.concatenate([rows["o"], rows["goal"]], -1))[0]
        count = max(float(rows["within"].sum()) * self.goals, 1.0)
        slope, loss = slope_of(out, rows, len(self.moves), count)
        self.network.backward(slope[None])
        self.network.step(rate)
        return loss

    def state(self) -> State:
        """Returns all that `load_state` needs."""
        units = {name: getattr(self, name) for name in UNITS}
        return {"network": self.network.state(), "known": self.known, **units}

    def load_state(self, state: State) -> None:
        """Takes over what `state` returned. Raises CheckpointError for anything else."""
        P = len(self.network.flat)
        form: dict[str, Any] = {"centre": (len(self.centre),), "scale": (len(self.scale),)}
        form |= dict.fromkeys(("unit", "middle"), self.unit.shape) | {
            "network": dict,
            "known": bool,
        }
        check_tree(state, form, "predictor")
        net = dict.fromkeys(("flat", "mean", "square"), (P,)) | {"number": int}
        check_tree(state["network"], net, "predictor's network")
        self.network.load_state(state["network"])
        self.known = state["known"]
        for name in UNITS:
            getattr(self, name)[:] = state[name]

    def _measure(self, o: Array, change: Array, within: Array) -> None:
        """Takes the units: observations (M, do) go from -1 to 1 at most; changes (M, J, K) have mean
        0 and deviation 1 after each number of steps.
        """
        self.centre[:] = o.mean(0)
        reach = np.abs(o - self.centre).max(0)
        self.scale[:] = np.where(reach > 1e-12 * np.abs(o).max(0), reach, 1.0)
        for j, known in enumerate(within.T):
            if known.any():
                self.middle[j], spread = change[known, j].mean(0), change[known, j].std(0)
                least = 1e-9 * np.abs(change[known, j]).max(0)
                self.unit[j] = np.where(spread > least, spread, 1.0)


def slope_of(out: Array, rows: dict[str, Array], moves: int, count: float) -> tuple[Array, float]:
    """Returns the slope with respect to outputs (M, (1 + A) J K) of the squared errors' sum over
    `count`, and that.
    """
    M, K = rows["goal"].shape
    F = futures(out, moves, K)[np.arange(M), rows["move"]]
    error = (F - rows["change"]) * rows["within"][..., None]
    one = 2 * error / count
    slope = np.repeat((-one / moves)[:, None], 1 + moves, 1)
    slope[:, 0] = one
    slope[np.arange(M), 1 + rows["move"]] += one
    return slope.reshape(out.shape).astype(out.dtype), float((error**2).sum() / count)
