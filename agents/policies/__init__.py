"""The policies that can be trained, by name; each is built, and its libraries loaded, when it is
asked for.

They are one family: `create`, `mean`, `covariance`, `sample`, `act`, `predict`, `fit`, `state`,
`from_state`, and `jacobian` where the mean has a derivative by the present observation alone.
"""

from importlib import import_module
from typing import Any

import numpy as np

from lqr import InputError

from ..interfaces import Array, Task
from ..tasks.capabilities import Image, capability

POLICIES = {  # the word -> the class; a user may add to this
    "mlp": "agents.policies.mlp:NeuralPolicy",
    "mlp_std": "agents.policies.mlp_std:StdPolicy",
    "recurrent": "agents.policies.recurrent:RecurrentPolicy",
    "convolutional": "agents.policies.convolutional:ConvolutionalPolicy",
}


def make_policy(
    word: str, task: Task, hidden: tuple[int, ...], std: Array, rng: np.random.Generator
) -> Any:
    """Returns a policy of that word for a task, with the task's limits; `std` (du,) is its
    exploration.

    Raises InputError for an unknown word, and for a convolutional policy where the task has no
    `image`.
    """
    if word not in POLICIES:
        raise InputError(f"policy is {word!r}; expected one of {', '.join(POLICIES)}")
    module, name = POLICIES[word].split(":")
    told = capability(task, Image)
    how = {"image": told and told.image} if word == "convolutional" else {}
    kind = getattr(import_module(module), name)
    return kind.create(task.do, task.du, hidden, std, rng, task.action_low, task.action_high, **how)
