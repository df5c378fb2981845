from importlib import import_module
from typing import NamedTuple

import numpy as np
import pytest

from agents import load_policy, save_policy
from agents.policies import POLICIES, make_policy
from agents.policies.mlp import NeuralPolicy
from agents.saving import state_of
from agents.tasks import make_task
from dynamics.storage.tree import save_tree
from lqr import CheckpointError, InputError

THEIRS = """
from typing import NamedTuple
import numpy as np
from agents.policies.mlp import NeuralPolicy

class Gains(NamedTuple):
    gain: np.ndarray
    def act(self, o):
        return o @ self.gain

class Scaled:
    def __init__(self, scale):
        self.scale = scale
    def act(self, o):
        return self.scale * o
    def state(self):
        return {"scale": self.scale}
    @classmethod
    def from_state(cls, state):
        return cls(state["scale"])

class Wide(NeuralPolicy):
    pass
"""


class Unknown:
    def state(self):
        return {"command": "true"}


def test_a_folder_without_a_policy_is_an_error_that_says_what_was_expected(tmp_path):
    with pytest.raises(CheckpointError, match="expected the folder of a run"):
        load_policy(tmp_path)


def test_a_policy_of_an_unknown_kind_is_refused_when_it_is_saved(tmp_path):
    with pytest.raises(InputError, match="class Unknown; expected one of mlp,"):
        save_policy(tmp_path / "p", Unknown())


class Tuple(NamedTuple):
    gain: np.ndarray

    def sample(self, o, t, rng):
        return o @ self.gain


def test_a_tuple_of_arrays_is_kept_by_its_fields(tmp_path, monkeypatch):
    policy = Tuple(np.arange(6.0).reshape(3, 2))
    with pytest.raises(InputError, match=r"class Tuple.*POLICIES\['a name'\] = Tuple"):
        save_policy(tmp_path / "p", policy)
    monkeypatch.setitem(POLICIES, "mine", Tuple)
    save_policy(tmp_path / "p", policy)
    found = load_policy(tmp_path / "p")
    assert type(found) is Tuple
    np.testing.assert_array_equal(found.gain, policy.gain)
    save_tree(tmp_path / "q", {"kind": "mine", "gian": policy.gain})
    with pytest.raises(CheckpointError, match="gian"):
        load_policy(tmp_path / "q")


def test_a_users_class_is_saved_and_loaded_by_its_lazy_name(tmp_path, monkeypatch):
    (tmp_path / "their_policies.py").write_text(THEIRS)
    monkeypatch.syspath_prepend(tmp_path)
    for word, name in (("gains", "Gains"), ("scaled", "Scaled"), ("wide", "Wide")):
        monkeypatch.setitem(POLICIES, word, f"their_policies:{name}")
    theirs = import_module("their_policies")
    rng = np.random.default_rng(0)
    gains = theirs.Gains(np.arange(6.0).reshape(3, 2))
    scaled = theirs.Scaled(2.5)
    wide = theirs.Wide.create(3, 2, (4,), np.ones(2), rng)
    for word, policy in (("gains", gains), ("scaled", scaled), ("wide", wide)):
        assert state_of(policy)["kind"] == word  # of a subclass, its own
        save_policy(tmp_path / word, policy)
        again = load_policy(tmp_path / word)
        assert type(again) is type(policy)
        np.testing.assert_array_equal(again.act(np.ones(3)), policy.act(np.ones(3)))
    task = make_task("pendulum")
    assert type(make_policy("wide", task, (4,), np.ones(task.du), rng)) is theirs.Wide
    monkeypatch.setitem(POLICIES, "gone", "their_policies:Gone")
    with pytest.raises(
        InputError, match=r"'gone' is not there.*expected its place as 'module:Class'"
    ):
        make_policy("gone", task, (4,), np.ones(task.du), rng)


@pytest.mark.parametrize("kind", ["os:system", "subprocess.Popen", None, 3, "Neural"])
def test_a_kind_in_a_file_names_nothing_that_is_not_in_the_table(tmp_path, kind):
    save_tree(tmp_path / "p", {"kind": kind, "command": "true"})
    with pytest.raises(CheckpointError, match=", ".join(POLICIES)):
        load_policy(tmp_path / "p")


@pytest.mark.parametrize("kind", POLICIES)
def test_a_state_that_does_not_fit_its_kind_is_an_error_that_names_the_folder(tmp_path, kind):
    save_tree(tmp_path / "p", {"kind": kind, "K": np.ones(3), "layers": {"0": 1}})
    with pytest.raises(CheckpointError, match=str(tmp_path)):
        load_policy(tmp_path / "p")


def test_a_damaged_newest_checkpoint_gives_way_to_the_one_before(tmp_path):
    policy = NeuralPolicy.create(3, 2, (4,), np.ones(2), np.random.default_rng(0))
    for step in (1, 2):
        save_tree(tmp_path / "checkpoints" / f"step_{step}", {"policy": state_of(policy)})
    newest = max(
        (tmp_path / "checkpoints" / "step_2").iterdir(), key=lambda path: path.stat().st_size
    )
    newest.write_bytes(newest.read_bytes()[:-8])
    np.testing.assert_array_equal(load_policy(tmp_path).act(np.ones(3)), policy.act(np.ones(3)))
    older = max(
        (tmp_path / "checkpoints" / "step_1").iterdir(), key=lambda path: path.stat().st_size
    )
    older.write_bytes(b"")
    with pytest.raises(CheckpointError, match="step_2"):
        load_policy(tmp_path)
