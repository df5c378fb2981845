"""Settings: a field's type says which values it takes; a refusal says got and expected.

    @dataclass(frozen=True)
    class Config(Settings):
        horizon: Count = 25  # steps planned ahead
        smoothing: Share = 0.1  # of the old mean that is kept
        library: Literal["trpo", "ppo"] = "trpo"  # fine-tuning by
        hidden: Counts = (64, 64)  # units of the hidden layers

Numbers are brought to Python's own kinds when they come in: a NumPy integer, a list where a tuple
is meant. A truth value is no number, and a number is no truth value.
"""

import inspect
import math
import types
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields
from functools import cache, wraps
from numbers import Integral, Real
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import numpy as np

from lqr import InputError

Rule = Callable[[Any], str | None]  # None, or what was expected
Init = TypeVar("Init", bound=Callable[..., None])


LARGEST, SMALLEST = 1e18, 1e-18  # sizes of numbers whose squares and products stay numbers
MOST = 10**9  # of anything that is counted


def positive(value: Any) -> str | None:
    """A finite number above 0."""
    return size(value) if math.isfinite(value) and value > 0 else "a finite number above 0"


def not_negative(value: Any) -> str | None:
    """A finite number, 0 or above."""
    return size(value) if math.isfinite(value) and value >= 0 else "a finite number, 0 or above"


def finite(value: Any) -> str | None:
    """A finite number."""
    return size(value) if math.isfinite(value) else "a finite number"


def size(value: Any) -> str | None:
    """A number whose powers are neither infinite nor lost in rounding; or 0."""
    sound = value == 0 or SMALLEST <= abs(value) <= LARGEST
    return None if sound else f"0, or a number of a size from {SMALLEST} to {LARGEST}"


def share(value: Any) -> str | None:
    """A number from 0 to below 1."""
    return size(value) if 0 <= value < 1 else "a number from 0 to below 1"


def fraction(value: Any) -> str | None:
    """A number from 0 to 1."""
    return size(value) if 0 <= value <= 1 else "a number from 0 to 1"


def count(value: Any) -> str | None:
    """A whole number, 1 or more."""
    sound = isinstance(value, int) and value >= 1
    return few(value) if sound else "a whole number, 1 or more"


def whole(value: Any) -> str | None:
    """A whole number, 0 or more."""
    sound = isinstance(value, int) and value >= 0
    return few(value) if sound else "a whole number, 0 or more"


def few(value: int) -> str | None:
    """A number of things that a machine can hold or do."""
    return None if value <= MOST else f"{MOST} or less"


def counts(value: Any) -> str | None:
    """Whole numbers, each 1 or more."""
    return None if all(count(v) is None for v in value) else "whole numbers, each 1 or more"


def indices(value: Any) -> str | None:
    """Whole numbers, each 0 or more."""
    return None if all(whole(v) is None for v in value) else "whole numbers, each 0 or more"


def numbers(value: Any) -> str | None:
    """Finite numbers."""
    return None if all(finite(v) is None for v in value) else "finite numbers"


def word_of(table: Iterable[str]) -> Rule:
    """Returns the rule of a field that takes a word of a table, as the table is when it is
    asked.
    """
    return lambda value: None if value in table else f"one of {', '.join(table)}"


def or_object(value: Any) -> str | None:
    """Beside the rule of a word: an object of the user's own is taken as it is."""
    return None


class PartOf:
    """The rule of a field that takes a part with settings of its own: a member of a table of
    classes.

    The word of a member stands for it with its defaults.
    """

    def __init__(self, table: Mapping[str, type]):
        self.table = table

    def __call__(self, value: Any) -> str | None:
        """A member of the table."""
        if type(value) in self.table.values():
            return None
        return (
            f"one of {', '.join(self.table)}, or such an object; enter your own class in the table"
        )

    def made(self, value: Any) -> Any:
        """Returns the member that a word stands for; anything else as it is."""
        return self.table[value]() if isinstance(value, str) and value in self.table else value

    def word(self, part: Any) -> str:
        """Returns the word of a member."""
        return next(word for word, kind in self.table.items() if kind is type(part))


Positive = Annotated[float, positive]
NotNegative = Annotated[float, not_negative]
Finite = Annotated[float, finite]
Share = Annotated[float, share]
Fraction = Annotated[float, fraction]
Count = Annotated[int, count]
Whole = Annotated[int, whole]
Counts = Annotated[tuple[int, ...], counts]
Indices = Annotated[tuple[int, ...], indices]
Numbers = Annotated[tuple[float, ...], numbers]


class Settings:
    """A frozen dataclass whose fields are checked against their types when it is made."""

    def __post_init__(self) -> None:
        """Raises InputError for the first field whose value does not fit its type."""
        own: Any = type(self)
        hints = _hints_of(own)
        for field in fields(self):  # type: ignore[arg-type]  # subclasses are dataclasses
            value, expected = fitted(getattr(self, field.name), hints[field.name])
            if expected:
                got = getattr(self, field.name)
                raise InputError(f"{field.name} is {got!r}; expected {expected}")
            object.__setattr__(self, field.name, value)


@dataclass(frozen=True)
class EvaluationSettings(Settings):
    """Settings of episodes that are looked at and not learned from."""

    # iterations between noise-free evaluation episodes; the first and the last have them; 0: none
    evaluate_every: Whole = 1


def checked(name: str, value: Any, hint: Any) -> Any:
    """Returns an argument in the kind that a type asks for, such as Count. Raises InputError, which
    names it, for another.
    """
    found, expected = fitted(value, hint)
    if expected:
        raise InputError(f"{name} is {value!r}; expected {expected}")
    return found


def typed(init: Init) -> Init:
    """Returns a constructor whose arguments, where their types say numbers or truth values, are
    brought to Python's kinds before it sees them. It raises InputError, which names them, for others.
    """
    signature = inspect.signature(init)

    @wraps(init)
    def whole(self: Any, *given: Any, **named: Any) -> None:
        bound, hints = (
            signature.bind(self, *given, **named),
            get_type_hints(init, include_extras=True),
        )
        for name, value in bound.arguments.items():
            hint = hints.get(name, Any)
            if hint in (int, float, bool) or get_origin(hint) is Annotated:
                bound.arguments[name] = checked(name, value, hint)
        init(*bound.args, **bound.kwargs)

    return whole  # type: ignore[return-value]  # of the same signature


@cache  # a class is hashable
def _hints_of(cls: Any) -> dict[str, Any]:
    """Returns the types of a class's fields, rules included."""
    return get_type_hints(cls, include_extras=True)


def fitted(value: Any, hint: Any) -> tuple[Any, str | None]:
    """Returns the value in the kind that its type asks for, and None, or what was expected."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        if or_object in arguments and not isinstance(value, str):
            return value, None
        for rule in arguments[1:]:
            value = rule.made(value) if isinstance(rule, PartOf) else value
        value, expected = fitted(value, arguments[0])
        for rule in arguments[1:] if expected is None else ():
            expected = expected or (rule(value) if callable(rule) else None)
        return value, expected
    if origin in (Union, types.UnionType):
        tried = [fitted(value, argument) for argument in arguments]
        found = next(((v, None) for v, expected in tried if expected is None), None)
        return found or (value, " or ".join(filter(None, (expected for _, expected in tried))))
    if origin is Literal:
        words = ", ".join(map(str, arguments))
        sound = any(type(value) is type(word) and value == word for word in arguments)
        return value, None if sound else f"one of {words}"
    if origin is tuple and arguments[1:] == (...,):
        if not isinstance(value, (tuple, list, np.ndarray)) or np.ndim(value) != 1:
            return value, "several values, such as (64, 64)"
        parts = [fitted(item, arguments[0]) for item in value]
        return tuple(v for v, _ in parts), next((e for _, e in parts if e), None)
    return _plain(value, hint)


def parts_of(kind: Any) -> dict[str, PartOf]:
    """Returns the fields of a class of settings that take a part, with their tables."""
    return {
        name: rule
        for name, hint in _hints_of(kind).items()
        for rule in get_args(hint)[1:]
        if isinstance(rule, PartOf)
    }


def _plain(value: Any, kind: Any) -> tuple[Any, str | None]:
    if kind is Any:
        return value, None
    if kind is None or kind is type(None):
        return value, None if value is None else "None"
    truth = isinstance(value, (bool, np.bool_))
    if kind is bool:
        return (bool(value), None) if truth else (value, "True or False")
    if kind is int:
        sound = isinstance(value, Integral) and not truth
        return (int(value), None) if sound else (value, "a whole number")
    if kind is float:
        sound = isinstance(value, Real) and not truth
        return (float(value), None) if sound else (value, "a number")
    if isinstance(kind, type) and not isinstance(value, kind):
        return value, f"{kind.__name__}"
    return value, None
