"""What somebody else's code gives, brought to this library's kinds as new arrays, or refused by
name.
"""

from typing import Any

import numpy as np

from lqr import InputError

Array = np.ndarray
RESET = ("observation", "info")
STEP = ("observation", "reward", "terminated", "truncated", "info")


def vector(value: Any, what: str, size: int | None = None, finite: bool = True) -> Array:
    """Returns a new float array (d,). Raises InputError, which names `what`, for anything else."""
    found = numbers(value)
    if found is None:
        raise InputError(f"{what} is {_short(value)}; expected numbers{_hint(value)}")
    found = found.reshape(-1)
    if size not in (None, len(found)) or not len(found):
        raise InputError(
            f"{what} has {len(found)} numbers; expected {size or 'some'}: return the same vector everywhere"
        )
    if finite and not np.isfinite(found).all():
        raise InputError(f"{what} is {found}; expected finite numbers")
    return found


def numbers(value: Any) -> Array | None:
    """Returns a new array of floats; None where these are no real numbers."""
    try:
        found = np.asarray(value)
        return np.array(found, dtype=float) if found.dtype.kind in "fiub" else None
    except (TypeError, ValueError, RuntimeError):  # ragged, or a tensor that is no array
        return None


def number(value: Any, what: str) -> float:
    """Returns the one number that a value is, or holds. Raises InputError, which names `what`, for
    anything else.
    """
    found = numbers(value)
    if found is None or found.size != 1:
        raise InputError(f"{what} is {_short(value)}; expected one number")
    return float(found.reshape(-1)[0])


def truth(value: Any, what: str) -> bool:
    """Returns whether a value says yes. Raises InputError, which names `what`, for what is neither
    True nor False, nor 0 or 1, nor None.
    """
    if value is None:
        return False
    found = numbers(value)
    if found is None or found.size != 1 or float(found.reshape(-1)[0]) not in (0.0, 1.0):
        raise InputError(f"{what} is {_short(value)}; expected True or False")
    return bool(found.reshape(-1)[0])


def _short(value: Any) -> str:
    words = " ".join(repr(value).split())
    return words if len(words) <= 60 else f"{words[:57]}..."


def _hint(value: Any) -> str:
    if isinstance(value, tuple) and len(value) > 1:
        return (
            f": got {len(value)} values, so return x alone, and set self.reward and self.over; an environment of "
            "Gymnasium is made a task by GymnasiumTask"
        )
    return ": return x as a vector" if value is None else ""


def parts(said: Any, names: tuple[str, ...], what: str) -> tuple[Any, ...]:
    """Returns the values of a step or a reset of Gymnasium. Raises InputError, which names `what`,
    where there are more or fewer.
    """
    if isinstance(said, tuple | list) and len(said) == len(names):
        return tuple(said)
    got = f"{len(said)} values" if isinstance(said, tuple | list) else f"a {type(said).__name__}"
    old = ": it follows the old Gym, so return terminated and truncated in place of done"
    raise InputError(
        f"{what} gave {got}; expected {len(names)}, {', '.join(names)}"
        + (old if got == "4 values" else "")
    )


def observed(observation: Any, space: Any, name: str) -> Array:
    """Returns an observation as its space says. Raises InputError for another shape, or no numbers."""
    found = numbers(observation)
    if found is None or found.shape != space.shape:
        raise InputError(
            f"{name} observes {_short(observation) if found is None else f'shape {found.shape}'}; its observation "
            f"space says {space.shape}: mend one of the two"
        )
    return found.astype(space.dtype)
