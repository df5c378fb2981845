"""The numbers of iterations arrive where Weights & Biases and trackio keep them offline."""

import json
import sqlite3
from types import SimpleNamespace

import pytest

from experiments.engine.tracker import Tracker
from lqr import InputError

ROWS = [
    SimpleNamespace(number=i, scalars={"cost": 1.0 / i, "env_steps": 50.0 * i, "odd": float("nan")})
    for i in (1, 2, 3)
]


@pytest.mark.filterwarnings("ignore")
def test_trackio_keeps_them(tmp_path, monkeypatch):
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path))
    pytest.importorskip("trackio", reason="trackio is not installed: pip install trackio")
    with Tracker("trackio", project="arm", config={"a": 1}) as tracker:
        for row in ROWS:
            tracker(row)
    (file,) = tmp_path.rglob("arm.db")
    with sqlite3.connect(file) as base:
        found = base.execute("select step, metrics from metrics order by step").fetchall()
    assert [step for step, _ in found] == [50, 100, 150]
    assert [json.loads(metrics)["cost"] for _, metrics in found] == [1.0, 0.5, 1.0 / 3]
    assert all("odd" not in json.loads(metrics) for _, metrics in found)


@pytest.mark.filterwarnings("ignore")
def test_weights_and_biases_keeps_them(tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "offline")
    wandb = pytest.importorskip("wandb", reason="wandb is not installed: pip install wandb")
    with Tracker("wandb", project="arm", dir=str(tmp_path), config={"a": 1}) as tracker:
        for row in ROWS:
            tracker(row)
        closed = dict(tracker.run.summary)  # a step is closed by the next one
    assert list(tmp_path.rglob("*.wandb"))
    assert (closed["cost"], closed["env_steps"]) == (0.5, 100)
    assert wandb.run is None


@pytest.mark.parametrize(("library", "said"), [("tensorbord", "expected wandb or trackio")])
def test_another_library_is_refused(library, said):
    with pytest.raises(InputError, match=said):
        Tracker(library)


def test_a_library_that_is_not_there_is_named_with_the_remedy(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "wandb", None)
    with pytest.raises(InputError, match="pip install wandb"):
        Tracker("wandb")
