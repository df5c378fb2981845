"""Checks of a method's Config: each field has a rule, and a refusal says what was got and what was expected."""

import math
from typing import Any

from dynamics import PRIORS
from lqr import InputError


def positive(value: Any) -> str | None:
    """A finite number above 0."""
    return None if math.isfinite(value) and value > 0 else "a finite number above 0"


def count(value: Any) -> str | None:
    """A whole number, 1 or more."""
    return None if isinstance(value, int) and value >= 1 else "a whole number, 1 or more"


def counts(value: Any) -> str | None:
    """Whole numbers, each 1 or more."""
    return None if all(count(v) is None for v in value) else "whole numbers, each 1 or more"


def not_negative(value: Any) -> str | None:
    """A finite number, 0 or above."""
    return None if math.isfinite(value) and value >= 0 else "a finite number, 0 or above"


def check(config: Any, **rules: Any) -> None:
    """Raises InputError for the first field that breaks its rule, kl_step above max_kl_step, or an unknown prior."""
    for name, rule in rules.items():
        value = getattr(config, name)
        expected = rule(value)
        if expected:
            raise InputError(f"{name} is {value!r}; expected {expected}")
    if config.kl_step > config.max_kl_step:
        raise InputError(f"kl_step is {config.kl_step!r}; expected at most max_kl_step = {config.max_kl_step!r}")
    prior = getattr(config, "prior", None)
    if isinstance(prior, str) and prior not in PRIORS:
        raise InputError(f"prior is {prior!r}; expected one of {', '.join(PRIORS)}")
