"""Who fits and who improves, each by itself: they know of each other what they are sent.

    fit       transitions                 ->  the model's state
    improve   transitions, model's state  ->  the policy's state

A worker keeps its own replay buffer. All that it is sent and sends are trees of arrays, so that it
may work here, in another process or on another machine.
"""

from typing import Any, Protocol

import numpy as np

from dynamics import ReplayBuffer

from ...interfaces import State, Task
from ...policies.mlp import NeuralPolicy
from .environment_model import EnvironmentModel
from .on_policy import Improved, Update, improve, with_units_of


class Worker(Protocol):
    """Takes turns."""

    def turn(self, mail: State, rng: np.random.Generator) -> State:
        """Returns what a turn made of what it was sent."""
        ...


class Fitter:
    """Fits the model to all transitions so far."""

    def __init__(self, task: Task, c: Any, begun: State):
        """`begun` has the `buffer` and, where it was fitted, the `model`."""
        self.buffer, self.env_model = ReplayBuffer(c.capacity), EnvironmentModel(task, c)
        self.buffer.load_state(begun["buffer"])
        if "model" in begun:
            self.env_model.load_state(begun["model"])

    def turn(self, mail: State, rng: np.random.Generator) -> State:
        """Returns the `model` after a fit to what is known and the new `rows`, its `error` on these,
        and how many `steps` it is of.
        """
        add(self.buffer, mail)
        error = self.env_model.fit(self.buffer, rng)
        return {"model": self.env_model.state(), "error": error, "steps": self.buffer.total}


class Improver:
    """Improves the policy in the newest model."""

    def __init__(self, task: Task, c: Any, begun: State, update: Update):
        """`begun` has the `buffer`, the `policy` and, where it was fitted, the `model`."""
        self.c, self.update = c, update
        self.buffer, self.env_model = ReplayBuffer(c.capacity), EnvironmentModel(task, c)
        self.buffer.load_state(begun["buffer"])
        self.policy = NeuralPolicy.from_state(begun["policy"])
        self.steps = 0
        self.turn_of(begun)

    def turn_of(self, mail: State) -> None:
        """Takes in the newest `model`, and how many `steps` it is of."""
        if "model" in mail:
            self.env_model.load_state(mail["model"])
            self.steps = mail.get("steps", self.buffer.total)

    def turn(self, mail: State, rng: np.random.Generator) -> State:
        """Returns the improved `policy`, what it `told`, and how many `steps` its model was of."""
        add(self.buffer, mail)
        self.turn_of(mail)
        policy = with_units_of(self.policy, self.buffer)
        found = improve(policy, self.env_model, self.buffer, self.update, self.c, rng)
        self.policy = found.policy
        told = {
            name: np.asarray(value) for name, value in found._asdict().items() if name != "policy"
        }
        return {"policy": found.policy.state(), "told": told, "steps": self.steps}


def told_of(sent: State) -> Improved:
    """Returns what an `Improver` sent as what it was."""
    told, policy = sent["told"], NeuralPolicy.from_state(sent["policy"])
    return Improved(policy, int(told["updates"]), told["first"], told["last"], told["trace"])


def rows_of(buffer: ReplayBuffer, count: int) -> State:
    """Returns the newest transitions of a buffer, whole episodes of them, as a worker is sent them."""
    if not count:
        return {}
    data, begins = buffer.data, np.cumsum([0, *buffer.lengths[:-1]])
    first = np.zeros(len(buffer), bool)
    first[begins] = True
    rows = {name: part[-count:] for name, part in data._asdict().items() if part is not None}
    return {"rows": {**rows, "first": first[-count:]}}


def add(buffer: ReplayBuffer, mail: State) -> None:
    """Adds the transitions that were sent."""
    if "rows" in mail:
        buffer.add(**mail["rows"])
