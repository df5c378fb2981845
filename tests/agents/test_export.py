"""A policy that was exported acts as it did, in a process that does not know this library."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from agents.policies import make_policy, trained_words
from agents.policies.export import export, named
from agents.policies.linear_gaussian import ControllerPolicy
from lqr import InputError, LinearGaussianController, StorageError

ALONE = """
import os
import sys
import numpy as np
sys.path[:] = [p for p in sys.path if not os.path.isdir(os.path.join(p, "lqr"))]
sys.meta_path[:] = [f for f in sys.meta_path if "editable" not in repr(f).lower()]
for name in ("agents", "gps", "lqr", "dynamics"):
    try:
        __import__(name)
        raise SystemExit(f"{name} is here")
    except ImportError:
        pass
format, *words = sys.argv[1:]
def loaded(file):
    if format == "torch":
        import torch
        program = torch.export.load(file + ".pt2").module()
        def step(*inputs):
            got = program(*map(torch.as_tensor, inputs))
            return [a.numpy() for a in (got if isinstance(got, tuple) else (got,))]
    else:
        import onnxruntime
        program = onnxruntime.InferenceSession(file + ".onnx")
        def step(*inputs):
            return program.run(None, dict(zip([i.name for i in program.get_inputs()], inputs)))
    return step
for word, size in zip(words[::2], words[1::2]):
    step, o = loaded(word), np.load(word + "_o.npy")
    h, out = np.zeros((o.shape[0], int(size))), []
    for t in range(o.shape[1]):
        got = step(o[:, t], h) if h.size else step(o[:, t])
        out.append(got[0])
        h = got[1] if h.size else h
    np.save(word + "_u.npy", np.stack(out, 1))
"""

SEEING = ("convolutional", "keypoints")  # a picture


class World:
    """What a policy is made for."""

    du, image = 2, (12, 10, 3)
    action_low, action_high = np.array([-0.4, -np.inf]), np.array([0.5, 0.9])

    def __init__(self, word):
        self.do = 3 + 360 * (word in SEEING)


def trained(word):
    """A policy whose units and parameters are not those of the start, and observations beyond its
    limits.
    """
    rng, world = np.random.default_rng(0), World(word)
    policy = make_policy(word, world, (7, 6), np.ones(2), rng)
    o = rng.uniform(size=(5, 4, world.do)) * 3 - 1
    policy.fit(o, 4 * o[..., -2:], np.tile(np.eye(2), (5, 4, 1, 1)), rng, steps=40, rate=0.03)
    return policy, o


@pytest.fixture(scope="module", params=["torch", "onnx"])
def exported(request, tmp_path_factory):
    """A folder with the actions of all exported policies, which another process that has no way to
    this library computed.
    """
    if request.param == "onnx":
        pytest.importorskip("onnxscript")
        pytest.importorskip("onnxruntime")
    folder, code = tmp_path_factory.mktemp("alone"), [sys.executable, "-I", "-c", ALONE]
    code.append(request.param)
    for word in trained_words():
        policy, o = trained(word)
        export(policy, folder / word, request.param)
        np.save(folder / f"{word}_o.npy", o)
        code += [word, str(getattr(policy, "size", 0))]
    done = subprocess.run(code, cwd=folder, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr + done.stdout
    return folder


@pytest.mark.parametrize("word", trained_words())
def test_the_program_acts_as_the_policy_does_with_its_units_and_limits(word, exported):
    policy, o = trained(word)
    expected = np.clip(policy.mean(o), policy.low, policy.high)
    assert (expected == policy.high).any()  # the limits count
    assert (expected < policy.high).any()
    np.testing.assert_allclose(np.load(exported / f"{word}_u.npy"), expected, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("pol_v1.2", "pol_v1.2.pt2"),
        ("policy", "policy.pt2"),
        ("a.b/p.pt2", "a.b/p.pt2"),
        ("policy.onnx", "policy.pt2"),
    ],
)
def test_a_programs_name_is_kept_whatever_dots_are_in_it(name, expected):
    assert named(Path(name), ".pt2") == Path(expected)


def test_what_cannot_be_exported_is_refused(tmp_path):
    policy, _ = trained("mlp")
    with pytest.raises(InputError, match="expected one of torch, onnx"):
        export(policy, tmp_path / "p", "pickle")
    controller = LinearGaussianController(
        np.zeros((1, 2, 1, 3)), np.zeros((1, 2, 1)), np.ones((1, 2, 1, 1))
    )
    with pytest.raises(
        InputError, match="which is no network; expected the run of a method that trains one"
    ):
        export(ControllerPolicy(controller), tmp_path / "p")
    with pytest.raises(StorageError, match="cannot write"):
        export(policy, tmp_path / "nowhere" / "p")
