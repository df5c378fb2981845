"""The rules that a Config's fields keep: a refusal says got and expected."""

import math
from collections.abc import Callable
from typing import Any

Rule = Callable[[Any], str | None]  # None, or what was expected


def positive(value: Any) -> str | None:
    """A finite number above 0."""
    return None if math.isfinite(value) and value > 0 else "a finite number above 0"


def positive_or_none(value: Any) -> str | None:
    """A finite number above 0, or None."""
    return None if value is None or positive(value) is None else "a finite number above 0, or None"


def count(value: Any) -> str | None:
    """A whole number, 1 or more."""
    return None if isinstance(value, int) and value >= 1 else "a whole number, 1 or more"


def whole(value: Any) -> str | None:
    """A whole number, 0 or more."""
    return None if isinstance(value, int) and value >= 0 else "a whole number, 0 or more"


def counts(value: Any) -> str | None:
    """Whole numbers, each 1 or more."""
    return None if all(count(v) is None for v in value) else "whole numbers, each 1 or more"


def zero(value: Any) -> str | None:
    """Of a setting that a method has no use for: 0."""
    return None if value == 0 else "0: this method has no use for it"


def not_negative(value: Any) -> str | None:
    """A finite number, 0 or above."""
    return None if math.isfinite(value) and value >= 0 else "a finite number, 0 or above"


def share(value: Any) -> str | None:
    """A number from 0 to below 1."""
    return None if 0 <= value < 1 else "a number from 0 to below 1"


def one_of(*words: str) -> Rule:
    """Returns the rule for a field that takes one of these words."""
    return lambda value: None if value in words else f"one of {', '.join(words)}"


def or_none(rule: Rule) -> Rule:
    """Returns the rule for a field that keeps this one, or is None."""

    def either(value: Any) -> str | None:
        expected = None if value is None else rule(value)
        return expected and f"{expected}, or None"

    return either
