import base64
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from agents.tasks.mujoco.reacher import Reacher, ReacherFour
from experiments.reports.figures import FIGURES
from experiments.viewer import video

ROOT = Path(__file__).resolve().parents[2]
PROBE = "import mujoco; mujoco.Renderer(mujoco.MjModel.from_xml_string('<mujoco/>'), 8, 8).close()"


def can_render():
    environment = {**os.environ, "MUJOCO_GL": os.environ.get("MUJOCO_GL", "egl")}
    return (
        subprocess.run(
            [sys.executable, "-c", PROBE], env=environment, capture_output=True
        ).returncode
        == 0
    )


class Page(HTMLParser):
    """Collects the tags and where they point; fails where one is not closed."""

    def __init__(self):
        super().__init__()
        self.open, self.links = [], []

    def handle_starttag(self, tag, attributes):
        self.links += [value for key, value in attributes if key in ("src", "href")]
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_the_report_is_one_whole_page_that_points_to_nothing_outside(reference):
    text = (reference / "report.html").read_text()
    page = Page()
    page.feed(text)
    assert page.open == []
    others = {"predicted_cost", "open_loop", "planner"}  # nothing here is planned in a model
    others |= {"teachers", "pairwise", "sights"}  # nor learned from policies, or from pictures
    assert len(page.links) == len(set(FIGURES) - others)
    assert all(link.startswith("data:image/") for link in page.links)
    assert "http" not in text
    assert "<script" not in text


def test_the_pictures_in_the_report_are_the_figures(reference):
    inside = re.findall(r"data:image/png;base64,([^\"]+)", (reference / "report.html").read_text())
    files = {path.read_bytes() for path in (reference / "figures").iterdir()}
    assert {base64.b64decode(text) for text in inside} == files


def test_every_figure_shows_something(reference):
    for path in (reference / "figures").iterdir():
        picture = np.asarray(Image.open(path).convert("L"), float)
        assert picture.shape[0] > 200
        assert picture.std() > 10

    def act(self, observation):
        return np.full((*np.shape(observation)[:-1], 2), 0.1)


@pytest.mark.skipif(not can_render(), reason="there is no OpenGL for off-screen pictures here")
@pytest.mark.parametrize("task", [Reacher, ReacherFour])
def test_the_moving_picture_is_small_and_moves(task, monkeypatch):
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); import numpy as np; from experiments.viewer import video;"
        f"from agents.tasks.mujoco.reacher import {task.__name__} as task;"
        "act = lambda self, o: np.full((*np.shape(o)[:-1], 2), 0.1);"
        "sys.stdout.buffer.write(video.gif(list(video.frames_of(task(), type('P', (), {'act': act})(), episodes=3))))"
    )
    environment = {**os.environ, "MUJOCO_GL": os.environ.get("MUJOCO_GL", "egl")}
    done = subprocess.run(
        [sys.executable, "-c", code, str(ROOT)], env=environment, capture_output=True, check=True
    )
    assert 10_000 < len(done.stdout) < 1_000_000  # of three episodes
    import io

    picture = Image.open(io.BytesIO(done.stdout))
    assert picture.n_frames > 50
    assert picture.info["duration"] == 40
    frames = []
    for n in (0, 10):
        picture.seek(n)
        frames.append(np.asarray(picture.convert("L"), float))
    assert np.abs(frames[1] - frames[0]).max() > 30


def test_without_opengl_one_line_says_what_is_skipped_and_what_brings_it(tmp_path, monkeypatch):
    for name in ("libEGL.so.1", "libEGL.so", "libOpenGL.so.0", "libGL.so.1"):
        (tmp_path / name).touch()  # a library that cannot be loaded, found first
    monkeypatch.setenv("LD_LIBRARY_PATH", str(tmp_path))
    monkeypatch.setenv("MUJOCO_GL", "egl")
    reason = video.make_apart(tmp_path, Reacher())
    assert reason.startswith("moving picture skipped: no OpenGL")
    assert "libegl1 libgl1" in reason
    assert "\n" not in reason


def test_a_task_without_a_model_has_no_moving_picture_and_no_complaint(tmp_path):
    assert video.make_apart(tmp_path, object()) is None
