"""Whatever kind of policy is trained: a run that is stopped and resumed has the bits of one that
was not.
"""

import numpy as np
import pytest
from test_numbers import World

from agents.policies import trained_words
from dynamics.storage.tree import load_tree, save_tree
from gps import badmm, mdgps

SEEING = ("convolutional", "keypoints")


class Watched(World):
    """A linear world that shows a picture of a bright spot, and its state beside it."""

    image = (9, 9, 1)

    def __init__(self):
        super().__init__(2, 5, 2, 1)
        self.do = 81 + self.dx

    def observe(self):
        place = np.linspace(-2, 2, 9)
        near = (place[:, None] - self.x[:, :1, None]) ** 2 + (place - self.x[:, 1:, None]) ** 2
        return np.concatenate([np.exp(-near).reshape(len(self.x), -1), self.x], 1)


@pytest.mark.parametrize("word", trained_words())
@pytest.mark.parametrize("method", [badmm, mdgps], ids=["badmm", "mdgps"])
def test_a_run_with_any_kind_of_policy_resumes_to_the_same_bits(method, word, tmp_path):
    task = Watched() if word in SEEING else World(2, 5, 2, 1)
    settings = {"forecasts": 0} if method is mdgps and word in (*SEEING, "recurrent") else {}
    config = method.Config(
        iterations=3,
        samples=2,
        policy_steps=10,
        hidden=(4,),
        replay=2,
        policy=word,
        policy_kl_limit=1e9,
        **settings,
    )
    rng = np.random.default_rng(5)
    training = method.train(task, config, rng)
    save_tree(tmp_path / "state", next(training).state)
    after_one = rng.bit_generator.state
    whole = list(training)
    rng.bit_generator.state = after_one
    rest = list(method.train(task, config, rng, state=load_tree(tmp_path / "state")[0]))
    assert [one.scalars for one in rest] == [one.scalars for one in whole]
    for name, last in (("a", rest[-1]), ("b", whole[-1])):
        save_tree(tmp_path / name, last.policy.state())
    assert (tmp_path / "a" / "arrays.safetensors").read_bytes() == (
        tmp_path / "b" / "arrays.safetensors"
    ).read_bytes()
