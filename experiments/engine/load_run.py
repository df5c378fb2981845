"""A run that is there already, opened to be looked at: its words, its task and its policy."""

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from agents.saving import load_policy
from agents.tasks.capabilities import ModelSource, capability
from lqr import CheckpointError, InputError

from .cli import as_words
from .overrides import imports, saved_task, with_user_goal
from .parser import Parser
from .run_folder import MODEL
from .saved_files import saved_config


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


def open_run(path: Path | str, task: str | None = None, cost: str | None = None) -> Opened:
    """Returns the run in a folder; of an unfinished one the policy of its newest checkpoint.

    `task` and `cost` are those that the run was begun with, where they import a module. A planner
    plans by that cost. Raises CheckpointError.
    """
    path = Path(path)
    about = saved_config(path)
    try:
        found = saved_task(about, path, task, cost)
    except InputError as error:
        if not (path / MODEL).exists():
            raise
        raise CheckpointError(
            f"{error}; name where it lies now, --task mjcf:FILE: {path / MODEL} is how it was"
        ) from None
    source, before = capability(found, ModelSource), about["fingerprint"].get("model")
    if source and before and source.model_digest != before:
        warnings.warn(
            f"{found.name} was changed since the run of {path}, whose policy may not fit it: "
            f"{path / MODEL} is how it was",
            stacklevel=2,
        )
    try:
        return Opened(path, about, found, load_policy(path, found))
    except CheckpointError as error:
        needed = imports(about.get("chosen", {}))
        if cost is None and "cost" in needed:
            raise CheckpointError(
                f"{error}; it plans by another cost than the task's own: name it, {as_words(needed)}"
            ) from None
        raise


def open_for(path: Path | str, task: str | None, cost: str | None) -> Opened:
    """Returns the run in a folder; where it was begun without a cost of the user's, and one is given,
    its planner goes after that one.
    """
    if cost is None or "cost" in saved_config(Path(path)).get("chosen", {}):
        return open_run(path, task, cost)
    return with_goal(open_run(path, task), cost)


def with_weights(run: Opened, goal: Sequence[float]) -> Opened:
    """Returns a run whose policy wants these weights of what its task measures. Raises InputError
    for a policy that cannot be told, and for another number of them.
    """
    if not hasattr(run.policy, "with_goal"):
        raise InputError(
            f"got --goal for the policy of {run.path}, which wants what it learned to want; expected a run of dfp"
        )
    return run._replace(policy=run.policy.with_goal(goal))


def with_goal(run: Opened, cost: str) -> Opened:
    """Returns a run whose planner goes after another cost, FILE.py:FUNCTION, in its task with that
    cost. Raises InputError for a policy that does not plan.
    """
    if not hasattr(run.policy, "with_cost"):
        raise InputError(
            f"got --cost {cost} for the policy of {run.path}, which has learned its own cost; expected the run "
            "of a planner, which goes after any cost, or no --cost"
        )
    task = with_user_goal(run.task, cost)
    return run._replace(task=task, policy=run.policy.with_cost(task.cost))


def add_choices(parser: Parser) -> None:
    """Adds the options --task and --cost to a command that looks at a run."""
    parser.add_argument(
        "--task",
        help="that of the run, where it is gymnasium:MODULE:ENV_ID; or where mjcf:FILE lies now",
    )
    parser.add_argument("--cost", help="that of the run; a planner plans by it")
