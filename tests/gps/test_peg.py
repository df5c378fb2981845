"""Peg insertion: one network learns to put the peg into all holes, and holds it there."""

from dataclasses import replace

import numpy as np
import pytest

from agents.rollout import rollout
from agents.tasks.mujoco.peg import Peg
from experiments.configs import peg


@pytest.mark.slow
def test_one_policy_of_the_dual_update_puts_the_peg_into_four_holes_after_80_episodes():
    task, config = Peg(), replace(peg.config, iterations=4)
    *_, last = peg.method.train(task, config, np.random.default_rng(10))
    episode = rollout(task, last.policy, np.arange(4), 1, np.random.default_rng(0), noise=0.0)
    far = np.linalg.norm(episode.x[:, :, 14:17], axis=-1)
    assert far[:, 0].min() > 0.2
    assert far[:, -20:].max() < 0.06  # in for the last second, not just at its end
    assert np.abs(episode.u[:, -20:]).max() < 0.2  # at ease, and not pressed against a wall
