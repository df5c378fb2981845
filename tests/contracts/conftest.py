"""Makes the contracts' table and tasks importable from their tests."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(autouse=True)
def small_rewards(monkeypatch):
    """The network that learns what is paid is small: a contract does not judge what it learned."""
    from agents.learners.learned_reward import LearnedReward

    monkeypatch.setattr(LearnedReward.__init__, "__defaults__", ((4,), 20, 200))
