"""Every method learns an environment of Gymnasium by the rewards that it pays alone, and goes on
after a stop to the same bits, with what it learned of the rewards.
"""

import numpy as np
import pytest
from every_method import METHODS, small

from agents.tasks.adapters.gymnasium_task import GymnasiumTask
from dynamics.storage.tree import load_tree, save_tree


def pendulum():
    """Returns a short episode of the pendulum from two starts."""
    return GymnasiumTask("Pendulum-v1", horizon=6, conditions=2)


@pytest.mark.parametrize("word", METHODS)
def test_a_run_by_rewards_resumes_to_the_same_bits(word, tmp_path):
    method, config = small(word)
    rng = np.random.default_rng(0)
    rows, at = [], []
    for row in method.train(pendulum(), config, rng):
        save_tree(tmp_path / str(row.number), row.state)  # as a policy goes on learning
        rows.append(row)
        at.append(rng.bit_generator.state)
    assert len(rows) == getattr(config, "iterations", len(rows)) > 1
    again = np.random.default_rng()
    for row, draws in zip(rows[:-1], at, strict=False):
        again.bit_generator.state = draws
        state, _ = load_tree(tmp_path / str(row.number))
        after = next(method.train(pendulum(), config, again, state))
        assert after.scalars == rows[row.number].scalars
        assert after.number == row.number + 1
