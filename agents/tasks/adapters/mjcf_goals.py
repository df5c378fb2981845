"""Where sites belong: read from a person's words, or from what a program gives.

    {"tip": (0.3, 0, 0.2)}                      a place in the world (m)
    {"tip": [(0.3, 0, 0.2), (0.2, 0.1, 0.3)]}   one for each condition
    {"tip": Within((0.2, -0.2, 0.1), (0.4, 0.2, 0.3))}      drawn for each condition from a box
    {"tip": "socket"}                           at another site, or body, of the model
    "tip:0.3,0,0.2"  "tip:0.3,0,0.2/0.2,0.1,0.3"  "tip:0.2..0.4,-0.2..0.2,0.1..0.3"  "tip:socket"

Several sites are parted by ";" in such words.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from lqr import InputError

from .mjcf_model import names_of

Array = np.ndarray
FORMS = "SITE:X,Y,Z in metres, SITE:X,Y,Z/X,Y,Z for conditions, SITE:LOW..HIGH,Y,Z, or SITE:SITE"


@dataclass(frozen=True)
class Within:
    """Places that are drawn from a box, each as likely."""

    low: Any  # (3,), m
    high: Any  # (3,)

    def __post_init__(self) -> None:
        low, high = np.asarray(self.low, dtype=float), np.asarray(self.high, dtype=float)
        if low.shape != (3,) or high.shape != (3,) or not (low <= high).all():
            raise InputError(
                f"got Within({self.low}, {self.high}); expected 3 numbers each, low <= high"
            )
        if not np.isfinite([low, high]).all():
            raise InputError(f"got Within({self.low}, {self.high}); expected finite numbers")

    def __call__(self, rng: np.random.Generator) -> Array:
        """Returns a place, (3,)."""
        return rng.uniform(self.low, self.high)


class Point(NamedTuple):
    """A site or a body of a model."""

    name: str
    field: str  # of mjData: where such things are
    number: int


class Goal(NamedTuple):
    """Where one point belongs."""

    point: Point
    other: Point | None  # at this one; None, where places tell
    places: (
        Array | Callable[[np.random.Generator], Any] | None
    )  # (1, 3), (C, 3), or how to draw one


def goals_of(said: Any, model: Any) -> list[Goal]:
    """Returns the goals that were given in one of the forms above. Raises InputError."""
    if isinstance(said, str):
        said = _parsed(said)
    if not isinstance(said, Mapping) or not said:
        raise InputError(f"got the goal {said!r}; expected {{SITE: PLACE}}, or {FORMS}")
    return [_goal(name, where, model) for name, where in said.items()]


def point_of(name: str, model: Any) -> Point:
    """Returns the site of this name, or else the body. Raises InputError, with those that there
    are.
    """
    sites, bodies = names_of(model, "site", model.nsite), names_of(model, "body", model.nbody)
    for found, field in ((sites, "site_xpos"), (bodies, "xpos")):
        if name in found:
            return Point(name, field, found.index(name))
    raise InputError(
        f"got the site {name!r}; expected one of the model's sites ({', '.join(sites) or 'none'}) "
        f"or bodies ({', '.join(bodies[1:])})"
    )


def _goal(name: str, where: Any, model: Any) -> Goal:
    point = point_of(name, model)
    if isinstance(where, str):
        return Goal(point, point_of(where, model), None)
    if callable(where):
        return Goal(point, None, where)
    try:
        places = np.atleast_2d(np.array(where, dtype=float))
    except (TypeError, ValueError):
        places = np.zeros(0)
    if places.ndim != 2 or places.shape[1:] != (3,) or not np.isfinite(places).all():
        raise InputError(f"got the goal {where!r} of {name}; expected 3 metres, (3,) or (C, 3)")
    return Goal(point, None, places)


def _parsed(text: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for one in text.split(";"):
        name, colon, where = (part.strip() for part in one.partition(":"))
        if not (name and colon and where) or name in found:
            raise InputError(f"got the goal {text!r}; expected {FORMS}")
        found[name] = _place(where, text)
    return found


def _place(where: str, text: str) -> Any:
    if where[0] not in "+-.0123456789":
        return where
    try:
        if ".." not in where:
            return [[float(number) for number in place.split(",")] for place in where.split("/")]
        low, high = zip(*(_range(part) for part in where.split(",")), strict=True)
    except ValueError:
        raise InputError(f"got the goal {text!r}; expected {FORMS}") from None
    return Within(low, high)


def _range(part: str) -> tuple[float, float]:
    low, dots, high = part.partition("..")
    return float(low), float(high if dots else low)
