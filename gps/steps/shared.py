"""Episodes that one candidate made and another learns from, too: those who learn from single steps
can use what anybody tried.

What was made waits here until it is asked for, and is saved with the run.
"""

from typing import Any

import numpy as np

from agents.interfaces import State
from agents.rollout import Trajectories
from agents.tasks.base.wrapper import Wrapper


class Shared:
    """The episodes that wait, the oldest first."""

    def __init__(self, state: State | None = None):
        """Begins, or restores what `state` holds."""
        self.waiting: list[Trajectories] = []
        if state:
            parts = {name: state[name] for name in Trajectories._fields}
            parts["length"] = parts["length"].astype(int)
            self.waiting = [Trajectories(**parts)]

    def add(self, found: Trajectories) -> None:
        """Takes episodes (N,) for whoever asks next."""
        self.waiting.append(found)

    def take(self) -> list[Trajectories]:
        """Returns all that wait, which then no longer do."""
        found, self.waiting = self.waiting, []
        return found

    def state(self) -> dict[str, Any]:
        """Returns what a new one needs to go on; nothing where nothing waits."""
        if not self.waiting:
            return {}
        columns = zip(Trajectories._fields, zip(*self.waiting, strict=True), strict=True)
        return {name: np.concatenate(parts) for name, parts in columns}


class Sharing(Wrapper):
    """The task of who makes episodes for others as well."""

    def __init__(self, task: Any, shared: Shared):
        super().__init__(task)
        self.share = shared.add


class Sharer(Wrapper):
    """The task of who learns from the others' episodes, too."""

    def __init__(self, task: Any, shared: Shared):
        super().__init__(task)
        self.others = shared.take
