"""Checks of a method's Config: each field has a rule, and a refusal says what was got and what was expected."""

import math
from typing import Any

from dynamics import PRIORS
from lqr import InputError


def positive(value: Any) -> str | None:
    """A finite number above 0."""
    return None if math.isfinite(value) and value > 0 else "a finite number above 0"


def not_negative(value: Any) -> str | None:
    """A finite number, 0 or above."""
    return None if math.isfinite(value) and value >= 0 else "a finite number, 0 or above"


def check(config: Any, **rules: Any) -> None:
    """Raises InputError for the first field that breaks its rule; `prior`, where there is one, must be a known word."""
    for name, rule in rules.items():
        value = getattr(config, name)
        expected = rule(value)
        if expected:
            raise InputError(f"{name} is {value!r}; expected {expected}")
    prior = getattr(config, "prior", None)
    if isinstance(prior, str) and prior not in PRIORS:
        raise InputError(f"prior is {prior!r}; expected one of {', '.join(PRIORS)}")
