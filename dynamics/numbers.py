"""What constructors take: numbers of any kind, which are brought to Python's own, so that what was
made of NumPy's numbers can be saved, and what was saved can be loaded.

A truth value is no number. Each raises InputError, with the name of the argument.
"""

from typing import Any

import numpy as np

from lqr import InputError
from lqr.batching import number, whole


def count(name: str, given: Any, least: int = 1) -> int:
    """Returns a whole number, `least` or more."""
    return whole(name, given, least)


def counts(name: str, given: Any) -> tuple[int, ...]:
    """Returns whole numbers, each 1 or more, and one at least."""
    if not isinstance(given, tuple | list | np.ndarray) or np.ndim(given) != 1 or not len(given):
        raise InputError(f"{name} is {given!r}; expected several whole numbers, such as (64, 64)")
    return tuple(whole(f"each of {name}", one, 1) for one in given)


def above(name: str, given: Any, least: float = 0.0) -> float:
    """Returns a finite number above `least`."""
    found = number(name, given, -np.inf)
    if not found > least:
        raise InputError(f"{name} is {found:g}; expected a finite number above {least:g}")
    return found


def truth(name: str, given: Any) -> bool:
    """Returns a truth value, of True or False, or of 1 or 0, as files hold it."""
    if isinstance(given, bool | np.bool_ | int | np.integer) and given in (0, 1):
        return bool(given)
    raise InputError(f"{name} is {given!r}; expected True or False")
