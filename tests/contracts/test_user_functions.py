"""Wherever the library calls a function of a user, what comes out is right, or an error that names
the function: never a silently wrong number, and never a bare error of Python.
"""

import re
from functools import cache

import numpy as np
import pytest
from misbehaviours import HARMLESS, KINDS, LATER, WRONG, rounded
from user_functions import PLACES

from lqr import GPSError


def flat(found):
    """Returns what came out as one vector."""
    parts = found if isinstance(found, tuple | list) else [found]
    return np.concatenate([np.ravel(np.asarray(a, dtype=float)) for a in parts])


@cache
def right(place, word):
    """Returns what the good function gives; None where that is refused."""
    good, use = PLACES[place].good, PLACES[place].use
    try:
        return flat(use(rounded(good) if word == "integers" else good))
    except GPSError:
        assert word == "integers"
        return None


@pytest.mark.parametrize("word", [*HARMLESS, *KINDS, *WRONG, *LATER])
@pytest.mark.parametrize("place", PLACES)
def test_a_function_that_misbehaves_is_named_or_changes_nothing(place, word, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tried = PLACES[place]
    expected = right(place, word)
    bad = (HARMLESS | KINDS | WRONG | LATER)[word](tried.good)
    try:
        found = flat(tried.use(bad))
    except GPSError as error:
        told = str(error)
        assert word not in HARMLESS or "it to read only" in told

        assert re.search(tried.culprit, told), told
        assert "\n" not in told
        return
    if word in tried.fine:
        return
    assert word not in WRONG
    loose = word == "float32"
    np.testing.assert_allclose(
        found, expected, rtol=1e-2 if loose else 1e-9, atol=1e-2 if loose else 1e-12
    )
