"""Episodes of an iteration that is not finished, on the disk: what a robot did is not lost in a crash.

A run that goes on makes the same decisions again, from the same random numbers, up to the crash.
So the journal need not know what they are for: it answers each reset and each action with what the
robot answered, as long as the condition and the actions are the same to the last bit.
"""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from dynamics.storage.files import clean_up, discard, folders_by_number, make_folder
from dynamics.storage.tree import check_tree, load_tree, save_tree
from lqr import CheckpointError

from ...interfaces import Array

ITERATION, EPISODE = "iteration_", "episode_"  # how the names of folders begin


class Entry(NamedTuple):
    """One episode; a start that was only looked at has no steps."""

    condition: int
    x: Array  # (t+1, dx)
    o: Array  # (t+1, do)
    asked: Array  # (t, du), what the actor wanted
    applied: Array  # (t, du), within the limits of the rates, too
    over: bool  # it ended by itself
    timing: Array  # (4,), see `RobotTask.metrics`


class Journal:
    """Keeps the episodes of one iteration, in order, and gives them back in that order."""

    def __init__(self, folder: str | Path | None = None):
        """With a `folder`, episodes are kept there, whichever folder a run would have them in."""
        self._chosen = None if folder is None else Path(folder)
        self._folder, self._next = self._chosen and self._chosen / f"{ITERATION}1", 0

    def begin(self, number: int, folder: Path | None = None) -> None:
        """Begins, or goes on with, iteration `number`, and drops the others. Raises StorageError."""
        parent, self._next = self._chosen or folder, 0
        self._folder = parent and parent / f"{ITERATION}{number}"
        if parent and parent.is_dir():
            clean_up(parent)
            for _, other in list(folders_by_number(parent, ITERATION)):
                if other != self._folder:
                    discard(other)
            if self._folder and self._folder.is_dir():
                clean_up(self._folder)

    @property
    def kept(self) -> str:
        """Where how many episodes are kept, for a person."""
        if self._folder is None:
            return "without a journal, this iteration's episodes are lost"
        return f"{self._next} episodes of this iteration are kept in {self._folder}"

    def take(self, condition: int) -> Entry | None:
        """Returns the next episode; None where there is none, and the robot has to do it.

        Raises CheckpointError where it is damaged, or was of another condition.
        """
        place = self._place(self._next)
        if place is None or not place.exists():
            return None
        tree, _ = load_tree(place)
        check_tree(tree, _FORM, str(place))
        entry = Entry(**tree)
        if entry.condition != condition:
            raise self.unfit(f"condition {condition}, where it was {entry.condition}")
        self._next += 1
        return entry

    def add(self, entry: Entry) -> None:
        """Keeps an episode. Raises StorageError."""
        if place := self._place(self._next):
            make_folder(place.parent)
            save_tree(place, entry._asdict())
        self._next += 1

    def drop(self) -> None:
        """Removes the last episode, which is to be repeated. Raises StorageError."""
        self._next -= 1
        if place := self._place(self._next):
            discard(place)

    def unfit(self, what: str) -> CheckpointError:
        """Returns the error for an episode that is not the one that the method asks for."""
        return CheckpointError(
            f"{self._folder}: episode {self._next} was asked for {what}; expected the run that wrote it, with its "
            "seed, settings and version: go on with that one, or remove this folder to do these episodes anew"
        )

    def _place(self, number: int) -> Path | None:
        return self._folder and self._folder / f"{EPISODE}{number}"


class Record:
    """What happened so far in an episode."""

    def __init__(self, condition: int, x: Array, o: Array):
        self.condition = condition
        self.x, self.o = [x], [o]
        self.asked: list[Array] = []
        self.applied: list[Array] = []

    def add(self, asked: Array, u: Array, x: Array, o: Array) -> None:
        """Adds a step."""
        self.asked.append(asked)
        self.applied.append(u)
        self.x.append(x)
        self.o.append(o)

    def entry(self, over: bool, timing: Array, du: int) -> Entry:
        """Returns it as the journal keeps it."""
        asked, u = (np.array(a, dtype=float).reshape(-1, du) for a in (self.asked, self.applied))
        return Entry(self.condition, np.array(self.x), np.array(self.o), asked, u, over, timing)


_FORM: dict[str, Any] = {
    "condition": int,
    "x": ("states", "dx"),
    "o": ("states", "do"),
    "asked": ("steps", "du"),
    "applied": ("steps", "du"),
    "over": bool,
    "timing": (4,),
}
