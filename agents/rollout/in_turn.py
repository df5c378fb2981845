"""Random numbers of episodes that run one after the other, where side by side each draws in its
turn in every step, any numbers in any way: planners do, and uniformly random actions.
"""

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import numpy as np

from ..interfaces import Array

DRAWS = [  # all methods of a generator that draw
    name
    for name in dir(np.random.Generator)
    if name[0] != "_" and name not in ("bit_generator", "spawn")
]
State = Any  # of a bit generator
Draw = Callable[[Array, Array, int, np.random.Generator], Array]  # x, o, t, rng -> u


class InTurn(np.random.Generator):
    """A generator that remembers which draws it was asked for since `begin`, to repeat them."""

    def __init__(self, rng: np.random.Generator):
        """Draws from the generator `rng`, and moves it on."""
        super().__init__(rng.bit_generator)
        self._rng = rng
        self.begin()

    def begin(self) -> None:
        """Forgets the draws."""
        self._asked: list[tuple[str, Any, Any]] = []

    def draw(self, name: str, args: Any, kwargs: Any) -> Any:
        """Returns draws of that kind."""
        self._asked.append((name, args, kwargs))
        return getattr(self._rng, name)(*args, **kwargs)

    def repeat(self, count: int) -> None:
        """Draws the same so many times more."""
        for name, args, kwargs in self._asked * count:  # what they write to is the caller's
            getattr(self._rng, name)(*deepcopy(args), **deepcopy(kwargs))


def _drawn(name: str) -> Any:
    def draw(self: InTurn, *args: Any, **kwargs: Any) -> Any:
        return self.draw(name, args, kwargs)

    return draw


for _name in DRAWS:
    setattr(InTurn, _name, _drawn(_name))


class Turns:
    """Where in the stream of numbers each of N episodes has its turn, in each step.

    That is known of episodes that have not run yet as long as each draws as many numbers as the
    first one does in that step, as planners do that look at a fixed number of plans; else the
    numbers are others, as random as ever. They are, too, where something else drew in between, as
    a random start does.
    """

    def __init__(self, rng: np.random.Generator, N: int):
        self._rng, self._own, self._N = rng, InTurn(rng), N
        self._turns: list[list[State]] = []  # by step, by episode: the generator before its turn
        self._known: set[str] = set()  # where an episode may begin
        self._end: State = None
        self._alone = False

    def act(self, draw: Draw, i: int, x: Array, o: Array, t: int) -> Array:
        """Returns draw(x, o, t, rng) with the numbers of episode i."""
        bits = self._rng.bit_generator
        if t == 0 and repr(bits.state) not in self._known:
            self._turns, self._end, self._alone = [], bits.state, i > 0
            self._known = set() if self._alone else {repr(self._end)}
        if self._alone:
            return draw(x, o, t, self._own)
        if t < len(self._turns):
            bits.state = self._turns[t][i]
            u = draw(x, o, t, self._own)
        else:
            row = [bits.state]
            self._own.begin()
            u = draw(x, o, t, self._own)
            for _ in range(1, self._N):
                row.append(bits.state)
                self._own.repeat(1)
            self._turns.append(row)
            self._end = bits.state
            self._known.add(repr(self._end))
        bits.state = self._end
        return u


def in_turn(draw: Draw, rng: np.random.Generator, N: int) -> list[Callable[..., Array]]:
    """Returns who acts in each of N episodes that run one after the other: `draw(x, o, t, rng)`."""
    turns = Turns(rng, N)

    def actor(i: int) -> Callable[..., Array]:
        return lambda x, o, t: turns.act(draw, i, x, o, t)

    return [actor(i) for i in range(N)]
