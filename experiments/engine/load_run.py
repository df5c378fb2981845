"""A run that is there already, opened to be looked at: its words, its task and its policy."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from agents.saving import load_policy

from .overrides import saved_task
from .run_folder import saved_config


class Opened(NamedTuple):
    """A run's folder, read."""

    path: Path
    about: Mapping[str, Any]  # config.json
    task: Any
    policy: Any

    @property
    def sees_state(self) -> bool:
        """Whether the policy sees x, as local controllers and planners do: it acts in the task
        only.
        """
        return getattr(self.policy, "input", "o") == "x"


def open_run(path: Path) -> Opened:
    """Returns the run in a folder; of an unfinished one the policy of its newest checkpoint. Raises
    CheckpointError.
    """
    about = saved_config(path)
    return Opened(path, about, saved_task(about, path), load_policy(path))
