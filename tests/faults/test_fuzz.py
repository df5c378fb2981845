"""Some hundred damaged checkpoints; `python -m tests.faults fuzz --count 10000` does more."""

from fuzz import POLICIES as FUZZED
from fuzz import run_all

from agents.policies import POLICIES


def test_damaged_and_hostile_checkpoints_give_the_documented_error_and_nothing_else():
    assert set(FUZZED) == set(POLICIES)
    outcomes = run_all({**dict.fromkeys(POLICIES, 30), "run": 60, "state": 20}, seed=1)
    for target, found in outcomes.items():
        assert set(found) <= {
            "CheckpointError",
            "as it was saved",
            "signed, of the same form",
            "signed: a named error later",
        }
        assert found["CheckpointError"] > 0.8 * sum(found.values()), target
