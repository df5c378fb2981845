"""The policies, by their word: one table for what is trained, saved and loaded.

The networks are one family: `create`, `mean`, `covariance`, `sample`, `act`, `predict`, `fit`,
`state`, `from_state`, and `jacobian` where the mean has a derivative by the present observation
alone. Each is imported, and its libraries loaded, when it is asked for.
"""

import sys
from importlib import import_module
from typing import Any

import numpy as np

from lqr import InputError

from ..interfaces import Array, Task
from ..tasks.capabilities import Image, capability

POLICIES: dict[str, str | type] = {
    "mlp": "agents.policies.mlp:NeuralPolicy",
    "mlp_std": "agents.policies.mlp_std:StdPolicy",
    "recurrent": "agents.policies.recurrent:RecurrentPolicy",
    "convolutional": "agents.policies.convolutional:ConvolutionalPolicy",
    "keypoints": "agents.policies.keypoints:KeypointPolicy",
    "rbf": "agents.policies.rbf:RBFPolicy",
    "squashed": "agents.policies.squashed:SquashedPolicy",
    "tabular": "agents.policies.tabular:TabularPolicy",
    "future": "agents.policies.future:FuturePolicy",
    "linear": "agents.policies.linear:LinearPolicy",
    "linear_gaussian": "agents.policies.linear_gaussian:ControllerPolicy",
    "mpc": "agents.mpc.steps.saving:TaskMPC",
}
"""The word -> the class, or where that is, "module:Class". A user may add to this, a file cannot.

A class with `create` is trained by its word; one with `state` and `from_state`, or a NamedTuple, is
saved and loaded under it.
"""


def policy_class(word: str) -> Any:
    """Returns the class of a word. Raises InputError for an unknown word, or where it is not."""
    if word not in POLICIES:
        raise InputError(f"policy is {word!r}; expected one of {', '.join(POLICIES)}")
    entry = POLICIES[word]
    if not isinstance(entry, str):
        return entry
    module, _, name = entry.partition(":")
    try:
        return getattr(import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise InputError(
            f"the policy {word!r} is not there ({error}); expected its place as 'module:Class', got {entry!r}"
        ) from error


def word_of_policy(policy: Any) -> str | None:
    """Returns the word under which a policy's class stands in the table; None where it does not.

    Nothing is imported for it: the class of an object is there already.
    """
    own = type(policy)
    for word, entry in reversed(POLICIES.items()):  # a user's own word first
        if entry is own or (isinstance(entry, str) and _imported(entry) is own):
            return word
    return None


def _imported(entry: str) -> Any:
    """Returns what "module:Class" names, None where the module is not imported."""
    module, _, name = entry.partition(":")
    return getattr(sys.modules.get(module), name, None)


def trained_words() -> list[str]:
    """Returns the words of the policies that are trained; their modules are imported."""
    return [word for word in POLICIES if hasattr(policy_class(word), "create")]


def make_policy(
    word: str, task: Task, hidden: tuple[int, ...], std: Array, rng: np.random.Generator
) -> Any:
    """Returns a policy of that word for a task, with the task's limits; `std` (du,) is its
    exploration.

    Raises InputError for an unknown word, for one that is not trained, and for a convolutional
    policy where the task has no `image`.
    """
    kind = policy_class(word)
    if not hasattr(kind, "create"):
        raise InputError(
            f"policy is {word!r}, which is not trained; expected one of {', '.join(trained_words())}"
        )
    low, high = task.action_low, task.action_high
    if getattr(kind, "needs_image", False):
        told = capability(task, Image)
        image = told and told.image
        return kind.create(task.do, task.du, hidden, std, rng, low, high, image=image)
    return kind.create(task.do, task.du, hidden, std, rng, low, high)
