"""The troubles of a run, by their words: how each is found, and what helps.

docs/symptoms.md explains each under the same word.
"""

import re
import warnings
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from . import remedies, signs
from .looked_at import Run


class Symptom(NamedTuple):
    """A trouble that a run shows."""

    word: str  # as docs/symptoms.md heads it
    line: str  # what was seen
    remedy: str  # what to try, in words that can be typed

    @property
    def first(self) -> str:
        """The first thing to type."""
        return next(iter(re.findall("`.*?`", self.remedy)), self.remedy)


class Trouble(NamedTuple):
    """How a trouble is found, and what helps."""

    find: Callable[[Run], str | None]  # -> what was seen; None where it is not there
    remedy: Callable[[Run], str]
    at_end: bool = False  # while a run is in progress it is no trouble


TROUBLES = {  # the word -> how it is found and what helps, causes before what follows from them
    "no exploration seen": Trouble(signs.no_exploration, remedies.more_noise),
    "exploration too small": Trouble(signs.small_exploration, remedies.more_noise),
    "flat cost": Trouble(signs.flat_cost, remedies.slope),
    "episodes end early": Trouble(signs.early_end, remedies.priced_end),
    'model no better than "nothing changes"': Trouble(signs.poor_model, remedies.better_model),
    "promises not kept": Trouble(signs.broken_promises, remedies.smaller_steps),
    "KL step at its floor": Trouble(signs.floor, remedies.smaller_steps),
    "KL step at its ceiling": Trouble(signs.ceiling, remedies.larger_steps, at_end=True),
    "policy does not follow": Trouble(signs.lagging_policy, remedies.longer_regression),
    "condition stuck": Trouble(signs.stuck_condition, remedies.restart),
    "no gain": Trouble(signs.no_gain, remedies.another_method),
}


def symptoms(run: Run) -> list[Symptom]:
    """Returns what is wrong with a run, causes first; nothing in its first iterations."""
    if len(run.columns.get("iteration", ())) < signs.LEAST:
        return []
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # what is not known is NaN here
        found = [(word, trouble, trouble.find(run)) for word, trouble in TROUBLES.items()]
    return [Symptom(word, line, trouble.remedy(run)) for word, trouble, line in found if line]
