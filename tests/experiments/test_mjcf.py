"""A robot model of the user's own from the command line: learned with, kept, gone on with, and looked
at; and where its file was moved or changed.
"""

import json
import warnings
from pathlib import Path

import mujoco
import numpy as np
import pytest

from experiments.engine.cli import command, parse
from experiments.engine.load_run import open_run
from experiments.engine.overrides import choose
from experiments.engine.resume import restore
from experiments.engine.saved_files import saved_config
from experiments.engine.training import run
from experiments.reports.figures import kept
from experiments.reports.figures_trajectories import states
from lqr import CheckpointError, InputError

CART = """
<mujoco>
  <option timestep="0.05"/>
  <worldbody>
    <body name="cart">
      <joint name="rail" type="slide" axis="1 0 0"/>
      <inertial pos="0 0 0" mass="1" diaginertia="1 1 1"/>
      <site name="nose"/>
    </body>
  </worldbody>
  <actuator><motor name="push" joint="rail" ctrllimited="true" ctrlrange="-9 9"/></actuator>
  <keyframe><key name="left" qpos="-1"/><key name="right" qpos="1"/></keyframe>
</mujoco>
"""
WORDS = "lqr_flm --mjcf cart.xml --goal-site nose:0.5,0,0 --task-start right --task-horizon 8"
WORDS += " --iterations 2 --samples 3"


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty folder to stand in, with the user's model in it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "cart.xml").write_text(CART)
    return tmp_path


def begin(words, out=None, **more):
    """Runs what the words ask for, without pictures; returns the folder."""
    request = parse(words.split(), restore, lambda path: str(saved_config(path)["experiment"]))
    experiment, config, options = request
    out = out or options.resume
    saved = saved_config(out) if options.resume else None
    experiment = choose(experiment, options, saved)
    nothing = lambda task, folder, stop: None  # noqa: E731
    resume = options.resume is not None
    assert run(experiment, config, options.seed, out, nothing, kept(), resume=resume, **more) == 0
    return out


def test_a_model_is_learned_with_kept_and_looked_at_from_anywhere(here, monkeypatch):
    out = begin(WORDS, here / "run")
    about = saved_config(out)
    assert about["chosen"]["task"] == f"mjcf:{here / 'cart.xml'}"
    assert "--goal-site nose:0.5,0,0 --task-start right" in command(about)
    own = mujoco.MjModel.from_xml_path(str(out / "model.xml"))
    assert own.body("cart").mass == 1
    monkeypatch.chdir(Path("/"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        opened = open_run(out)
        begin(f"--resume {out}")
    x = opened.task.reset(np.zeros(1, int), np.random.default_rng(0))
    np.testing.assert_allclose(x, [[1, 0, 0.5, 0, 0]])
    assert opened.task.horizon == 8


def test_a_model_that_lies_elsewhere_is_named_again(here):
    out = begin(WORDS, here / "run")
    (here / "cart.xml").rename(here / "moved.xml")
    with pytest.raises(CheckpointError, match=r"not there.*--task mjcf:FILE.*model\.xml"):
        open_run(out)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert open_run(out, task=f"mjcf:{here / 'moved.xml'}").task.dx == 5
        begin(f"--resume {out} --mjcf {here / 'moved.xml'}")
        open_run(out, task=f"mjcf:{out / 'model.xml'}")  # the copy is as good


def test_a_model_that_was_changed_is_said_to_be(here):
    out = begin(WORDS, here / "run")
    (here / "cart.xml").write_text(CART.replace('mass="1"', 'mass="2"'))
    with pytest.warns(UserWarning, match=r"was changed since the run .*model\.xml is how it was"):
        open_run(out)
    with pytest.raises(CheckpointError, match="model differ"):
        begin(f"--resume {out}", strict=True)
    with pytest.warns(UserWarning, match="model differ"):
        begin(f"--resume {out}")


def test_words_that_do_not_go_together_are_refused(here):
    for words, told in (
        ("lqr_flm --task pendulum --goal-site a:0,0,0", "--goal-site without a model"),
        ("lqr_flm --task pendulum --compensate-gravity", "--compensate-gravity without a model"),
        ("lqr_flm --task pendulum --mjcf cart.xml", "expected one of them"),
        ("lqr_flm --mjcf cart.xml", "--goal-site SITE:X,Y,Z"),
    ):
        with pytest.raises(InputError, match=told):
            begin(words, here / "run")
    assert not (here / "run").exists()


def test_figures_call_states_by_their_names(here):
    import matplotlib.pyplot as plt

    experiment, _, options = parse(WORDS.split(), restore, str)
    task = choose(experiment, options).task()
    last = {"mean": np.zeros((1, 9, 6)), "x": np.zeros((1, 2, 9, 5))}
    figure = states(plt, last, task)
    titles = [axis.get_title(loc="left") for axis in figure.axes[:5]]
    assert titles == ["rail (m)", "rail rate (m/s)", *(f"nose - goal {a} (m)" for a in "xyz")]
    plt.close(figure)
    assert json.loads(json.dumps(list(task.action_names))) == ["push (N)"]
