"""What a policy gains over actions that need no learning, random ones or none, in the same
episodes: what makes an episode hard for both is no error of the difference.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

BASES = {"random": "random actions", "idle": "no action"}


class Gain(NamedTuple):
    """A difference of returns, in pairs."""

    mean: float  # the policy's return less the other's
    error: float  # standard error; 0 where all there is was compared, one start and nothing drawn
    pairs: int  # episodes that both ran


def gains(result: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    """Returns the gains over random actions and over none, by the names of a result."""
    own = result["evaluation"]["returns"]
    return {name: gain(own, result[name]["returns"])._asdict() for name in BASES}


def gain(own: Sequence[float], other: Sequence[float]) -> Gain:
    """Returns what the returns `own` (N,) gain over `other` (M,), which began as they did, in order.

    Where there are several times as many others, they went through the same starts again and again:
    each start is a pair, of its own return and their mean. Of a single start the error is theirs.
    """
    a, b = np.asarray(own, float), np.asarray(other, float)
    rounds = max(len(b) // len(a), 1)
    pairs = min(len(a), len(b))
    again = b[: rounds * pairs].reshape(rounds, pairs)
    found = a[:pairs] - again.mean(0)
    drawn = found if pairs > 1 else again[:, 0]
    error = drawn.std(ddof=1) / np.sqrt(len(drawn)) if len(drawn) > 1 else 0.0
    return Gain(float(found.mean()), float(error), pairs)


def least(result: Mapping[str, Any]) -> str:
    """Returns the name of the better of the two: the one over which least is gained."""
    return min(BASES, key=lambda name: result["gains"][name]["mean"])
