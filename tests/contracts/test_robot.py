"""On a real robot no method passes the limits, and each goes on where a crash cut it off."""

import sys
from pathlib import Path

import numpy as np
import pytest
from every_method import METHODS, learned

from lqr import SimulationError

sys.path.append(str(Path(__file__).parents[1] / "agents" / "robots"))
from carts import Cart

STEPS, RATE, REST = 6, 0.5, 0.2
LOW, HIGH = -1.0, 1.5


def learn(word, driver, **journal):
    """Returns what a method tells of each iteration on the robot."""
    limits = {"action_low": [LOW], "action_high": [HIGH], "rate_limit": RATE, "rest": REST}
    task = driver.task(horizon=STEPS, **limits, **journal)
    return [row.scalars for row in learned(word, task)]


def die(driver):
    raise SystemExit


@pytest.mark.parametrize("word", METHODS)
def test_no_method_passes_the_limits_and_each_goes_on_where_its_journal_ends(word, tmp_path):
    whole = Cart()
    expected = learn(word, whole)
    assert len(whole.forces) > 2
    for u in whole.forces:
        assert ((u >= LOW) & (u <= HIGH)).all()
        assert np.abs(np.diff(u, prepend=REST)).max() <= RATE + 1e-12
    at = whole.count // 2 + STEPS // 2
    dying = Cart({at: die})
    with pytest.raises(SimulationError, match="ended the program"):
        learn(word, dying, journal=tmp_path)
    assert not dying.moving
    resumed = Cart()
    assert learn(word, resumed, journal=tmp_path) == expected
    assert resumed.count == whole.count - STEPS * ((at - 1) // STEPS)
