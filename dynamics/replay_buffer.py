"""What was tried: the newest transitions, whole episodes of them, for models and learners alike.

A run that goes on and on must not hold, nor write into each checkpoint, all that it ever saw. Once
there are more than `capacity` transitions, whole episodes are let go, the oldest first; up to there
nothing is lost. A model needs x, u and x' alone; observations, rewards and ends are stored where
the first transitions bring them.
"""

from typing import Any, NamedTuple

import numpy as np

from lqr import CheckpointError, InputError

from .asking import fit
from .numbers import count
from .storage.tree import check_tree

Array = np.ndarray
CAPACITY = 50_000  # transitions; 12 MB for 10 states and 8 actions
KEPT_DTYPES = (np.dtype(np.uint8), np.dtype(np.float32))  # of observations; others become float64


class Transitions(NamedTuple):
    """Transitions with any leading axes; what was not stored is None."""

    x: Array  # (..., dx)
    u: Array  # (..., du)
    xnext: Array  # (..., dx)
    o: Array | None = None  # (..., *shape), float64, float32 or uint8
    onext: Array | None = None  # (..., *shape)
    reward: Array | None = None  # (...), a cost with its sign changed
    end: Array | None = None  # (...) bool: a true end, after which nothing comes; no time limit


class ReplayBuffer:
    """Transitions (x, u, x'), and what else is stored of them, the oldest first."""

    def __init__(self, capacity: int = CAPACITY):
        self.capacity = count("capacity", capacity)  # transitions
        self.total = 0  # transitions that were ever added
        self.lengths: list[int] = []  # of each episode that is kept
        self._columns: dict[str, Array] = {}  # rows _first.._last of these count
        self._first = self._last = 0

    def __len__(self) -> int:
        return self._last - self._first

    @property
    def data(self) -> Transitions:
        """All transitions that are kept, (M, ...). Raises InputError before the first are added."""
        if not self._columns:
            raise InputError("the replay buffer is empty; add transitions first")
        return Transitions(**{k: a[self._first : self._last] for k, a in self._columns.items()})

    @property
    def transitions(self) -> tuple[Array, Array, Array]:
        """x (M, dx), u (M, du) and x' (M, dx) of all that are kept, as a model is fitted to."""
        return self.data[:3]

    @property
    def width(self) -> int:
        """How many numbers a transition has: 2 dx + du; 0 where none was added."""
        return sum(a.shape[1] for a in self.transitions) if self._columns else 0

    @property
    def last(self) -> Array:
        """Which transitions are the last of their episodes so far, (M,) bool.

        Where `end` is False there, a time limit cut the episode off, or it still goes on: a value
        of x' counts. Where it is True, nothing comes after.
        """
        last = np.zeros(len(self), bool)
        last[np.cumsum(self.lengths, dtype=int) - 1] = True
        return last

    def add(
        self,
        x: Array,
        u: Array,
        xnext: Array,
        o: Array | None = None,
        onext: Array | None = None,
        reward: Array | None = None,
        end: Array | None = None,
        first: Array | None = None,
        model: Any = None,
    ) -> int:
        """Adds transitions, (M, .) each; returns how many of the oldest were let go for them.

        `first` (M,) bool says which of them begin an episode; where its first entry is False, the
        newest episode goes on. Without it they are one episode, or one round where only a model
        asks. Of an episode longer than the capacity, the last transitions are kept. A `model` that
        remembers something of each transition has a method `forget`, and is told how many are gone.
        Raises InputError where shapes, or what is stored, differ from before.
        """
        new = _columns(Transitions(x, u, xnext, o, onext, reward, end))
        count = len(new["x"])
        self._compare(new)
        starts = self._starts(count, first)
        goes_on = count > 0 and not starts[0]
        ended = goes_on and "end" in new and bool(self._columns["end"][self._last - 1])
        _check_ends(new.get("end"), starts, ended)
        self.total += count
        cuts = [*np.flatnonzero(starts).tolist(), count]
        if goes_on:
            self.lengths[-1] += cuts[0]
        self.lengths += np.diff(cuts).tolist()
        gone = self._let_go(len(self) + count - self.capacity)
        self._append(new, gone)
        if gone and hasattr(model, "forget"):
            model.forget(gone)
        return gone

    def add_and_fit(
        self, model: Any, x: Array, u: Array, xnext: Array, rng: np.random.Generator
    ) -> None:
        """Adds a round of transitions, and fits the model to all that are kept."""
        self.add(x, u, xnext, model=model)
        fit(model, *self.transitions, rng)

    def sample(self, count: int, rng: np.random.Generator) -> Transitions:
        """Returns a minibatch (count, ...), each transition as likely as any other, with
        replacement.
        """
        return self._rows(rng.integers(len(self.data.x), size=count))

    def sample_sequences(self, count: int, length: int, rng: np.random.Generator) -> Transitions:
        """Returns runs of `length` transitions out of one episode each, (count, length, ...).

        Each such run is as likely as any other. Raises InputError where all episodes are shorter.
        """
        lengths = np.array(self.lengths, int)
        runs = np.cumsum(np.maximum(lengths - length + 1, 0))
        if length < 1 or not len(runs) or not runs[-1]:
            longest = max(self.lengths, default=0)
            raise InputError(
                f"got a length of {length} steps; expected 1 to {longest}, the longest"
            )
        which = rng.integers(runs[-1], size=count)
        episode = np.searchsorted(runs, which, side="right")
        from_end = runs[episode] - which + length - 1  # from the end of the episode
        return self._rows((np.cumsum(lengths)[episode] - from_end)[:, None] + np.arange(length))

    def sample_episodes(self, count: int, rng: np.random.Generator) -> list[Transitions]:
        """Returns whole episodes, each as likely as any other, with replacement."""
        if not self.lengths:
            raise InputError("the replay buffer is empty; add transitions first")
        return [self.episode(int(i)) for i in rng.integers(len(self.lengths), size=count)]

    def newest(self, count: int) -> list[Transitions]:
        """Returns the newest episodes, at most so many, the oldest of them first."""
        episodes = len(self.lengths)
        return [self.episode(i) for i in range(max(episodes - count, 0), episodes)]

    def episode(self, i: int) -> Transitions:
        """Returns one episode, (length, ...), 0 the oldest that is kept, -1 the newest."""
        if not -len(self.lengths) <= i < len(self.lengths):
            raise InputError(f"got episode {i}; {len(self.lengths)} are kept")
        i %= len(self.lengths)
        start = sum(self.lengths[:i])
        return self._rows(slice(start, start + self.lengths[i]))

    def state(self) -> dict[str, Any]:
        """Returns all that `load_state` needs, as a tree; empty where nothing was added."""
        if not self._columns:
            return {}
        data = {k: a for k, a in self.data._asdict().items() if a is not None}
        return {"total": self.total, "lengths": np.array(self.lengths, float), **data}

    def load_state(self, state: dict[str, Any]) -> None:
        """Takes over what `state` returned. Raises CheckpointError for anything else."""
        form: dict[str, Any] = {"total": int, "lengths": ("R",)}
        form |= {"x": ("M", "dx"), "u": ("M", "du"), "xnext": ("M", "dx")}
        others = [k for k in Transitions._fields[3:] if isinstance(state, dict) and k in state]
        form |= dict.fromkeys(others, np.ndarray)
        check_tree(state, form if state else {}, "replay")
        if not state:
            self.__init__(self.capacity)  # type: ignore[misc]
            return
        lengths, columns = state["lengths"], {k: state[k] for k in ("x", "u", "xnext", *others)}
        whole = ((lengths >= 1) & (lengths % 1 == 0)).all()
        if not whole or lengths.sum() != len(state["x"]) or state["total"] < lengths.sum():
            found = f"got episodes of {str(lengths)[:80]} in {state['total']} transitions"
            raise CheckpointError(
                f"replay/lengths: {found}, expected {len(state['x'])} in all; it is damaged"
            )
        lengths = [int(length) for length in lengths]
        starts = np.zeros(len(state["x"]), bool)
        starts[np.cumsum(lengths) - lengths] = True
        try:
            again = _columns(Transitions(**columns))
            _check_ends(again.get("end"), starts)
        except InputError as error:
            raise CheckpointError(f"replay: {error}; it is damaged") from None
        for name, value in again.items():
            if value.dtype != state[name].dtype:
                raise CheckpointError(
                    f"replay/{name}: got {state[name].dtype}, expected {value.dtype}; it is damaged"
                )
        self.total, self.lengths, self._columns = state["total"], lengths, again
        self._first, self._last = 0, len(again["x"])

    def _rows(self, rows: Any) -> Transitions:
        data = {k: a[rows] for k, a in self.data._asdict().items() if a is not None}
        return Transitions(**data)

    def _compare(self, new: dict[str, Array]) -> None:
        """Raises InputError where the new columns are not like those before."""
        forms = [
            {k: f"{a.shape[1:]} of {a.dtype}" for k, a in columns.items()}
            for columns in (new, self._columns or new)
        ]
        if forms[0] != forms[1]:
            raise InputError(f"got transitions of {forms[0]}; expected {forms[1]}, as those before")

    def _starts(self, count: int, first: Array | None) -> Array:
        """Returns which of `count` new transitions begin an episode, (count,) bool."""
        if first is None:
            return np.arange(count) == 0
        starts = np.array(first)
        if starts.shape != (count,) or starts.dtype != bool:
            raise InputError(
                f"got first of shape {starts.shape}, {starts.dtype}; expected ({count},) bool"
            )
        if count and not self.lengths:
            starts[0] = True
        return starts

    def _let_go(self, excess: int) -> int:
        """Takes the oldest episodes off until `excess` transitions are gone; returns how many are.

        The newest episode is cut short, as it alone is longer than the capacity.
        """
        gone = episodes = 0
        while gone < excess and episodes < len(self.lengths) - 1:
            gone, episodes = gone + self.lengths[episodes], episodes + 1
        del self.lengths[:episodes]
        if gone < excess:
            self.lengths[0] -= excess - gone
        return max(gone, excess, 0)

    def _append(self, new: dict[str, Array], gone: int) -> None:
        """Writes new rows behind the others, of which the first `gone` are let go.

        Rows that were handed out are never written again: where there is no room, the columns move.
        """
        kept = max(len(self) - gone, 0)
        new = {k: a[max(gone - len(self), 0) :] for k, a in new.items()}
        count, begin = len(new["x"]), self._last - kept
        if not self._columns or self._last + count > len(self._columns["x"]):
            room = kept + count + kept // 2
            for name, a in new.items():
                column = np.empty((room, *a.shape[1:]), a.dtype)
                if kept:
                    column[:kept] = self._columns[name][begin : self._last]
                self._columns[name] = column
            begin, self._last = 0, kept
        for name, a in new.items():
            self._columns[name][self._last : self._last + count] = a
        self._first, self._last = begin, self._last + count


def _check_ends(end: Array | None, starts: Array, ended: bool = False) -> None:
    """Raises InputError where an episode goes on after its end; `ended` is that of the row
    before.
    """
    if end is not None and (ended or (end[:-1] & ~starts[1:]).any()):
        raise InputError(
            "a transition follows an end in its episode; say with `first` where episodes begin"
        )


def _columns(given: Transitions) -> dict[str, Array]:
    """Returns what is given as arrays of the dtypes that are stored. Raises InputError."""
    if (given.o is None) != (given.onext is None):
        raise InputError("got one of o and onext; expected both, or neither")
    columns = {}
    for name, value in given._asdict().items():
        if value is None:
            continue
        a = np.asarray(value)
        keeps = name == "end" if a.dtype == bool else name[0] == "o" and a.dtype in KEPT_DTYPES
        if name == "end" and a.dtype != bool:
            raise InputError(f"end is of {a.dtype}; expected bool: True where an episode ended")
        columns[name] = np.ascontiguousarray(a, dtype=a.dtype if keeps else float)
    shapes = {name: a.shape for name, a in columns.items()}
    x, u = shapes["x"], shapes["u"]
    alike = shapes["xnext"] == x and shapes.get("o") == shapes.get("onext")
    flat = all(shapes.get(name, x[:1]) == x[:1] for name in ("reward", "end"))
    whole = all(shape[:1] == x[:1] for shape in shapes.values())
    if len(x) != 2 or len(u) != 2 or not (alike and flat and whole):
        raise InputError(
            f"got shapes {shapes}; expected x, xnext (M, dx), u (M, du), o, onext (M, ...), "
            "reward and end (M,)"
        )
    return columns
