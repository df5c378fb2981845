"""What a user writes for a robot, and what a person is asked before an episode."""

import sys
from collections.abc import Callable
from typing import Any, Literal, NoReturn, Protocol

import numpy as np

from lqr import GPSError, InputError

from ...interfaces import Array

Answer = Literal["go", "repeat", "stop"]
PutBack = Callable[[int], Answer | None]


class EmergencyStop(GPSError):
    """A driver raises it, in any method: the episode ends, and is discarded."""


class Driver(Protocol):
    """What talks to the robot. It may also have `observe()`, what a policy sees where that is not
    x, `over`, True once an episode has ended by itself, and `emergency`, True while a switch is
    pressed.
    """

    def read(self) -> Any:
        """Returns x (dx,), as the sensors tell it now."""
        ...

    def command(self, u: Array) -> None:
        """Sends the action u (du,), which holds until the next one."""
        ...

    def stop(self) -> None:
        """Makes the robot safe. It may be called at any time, also twice, and between two methods."""
        ...


def prompt(condition: int) -> Answer:
    """Asks on the terminal whether the robot is where it is to start; no terminal says stop."""
    words: dict[str, Answer] = {"": "go", "go": "go", "r": "repeat", "repeat": "repeat"}
    words |= {"s": "stop", "stop": "stop"}
    while True:
        print(f"put the robot back to condition {condition}, then press Enter", file=sys.stderr)
        print("(r: repeat the last episode, s: stop and save)", file=sys.stderr, flush=True)
        line = sys.stdin.readline() if sys.stdin else ""
        if not line:
            return "stop"
        if (word := line.strip().lower()) in words:
            return words[word]


class Sensors:
    """The driver's sensors, as `OwnTask` asks for them before the first episode."""

    def __init__(self, driver: Driver):
        self._driver = driver
        if hasattr(driver, "observe"):
            self.observe = driver.observe

    def reset(self, condition: int, rng: np.random.Generator) -> Any:
        """Returns x (dx,) as it is."""
        return self._driver.read()

    def step(self, u: Array) -> NoReturn:
        """Raises an error: the task moves the robot itself."""
        raise InputError(f"got the action {u} past the robot's task; expected its own step")
