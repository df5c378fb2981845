import json

import pytest
from harness import PLAIN, fresh

from experiments.engine.guard import guarded
from experiments.verify import main as verify


def main(words):
    return guarded(verify, words)


@pytest.fixture(scope="module")
def runs(parent, tmp_path_factory):
    place = tmp_path_factory.mktemp("verify") / "x"
    fresh(place)
    assert parent.run(place, PLAIN) == 0
    return place


def test_a_whole_run_says_its_progress_and_equal_runs_have_equal_digests(runs, capsys):
    assert main([str(runs / "r")]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["progress"], found["finished"], found["seed"]) == (6, True, 3)
    assert set(found["checkpoints"]) == {"step_5", "step_6"}


@pytest.mark.parametrize(
    "name",
    ["metrics.csv", "timing.csv", "result.json", "trajectories/meta.json", "policy/meta.json"],
)
def test_damage_beside_the_checkpoints_is_named(runs, name, capsys):
    content = (runs / "r" / name).read_bytes()
    try:
        (runs / "r" / name).write_bytes(content[:-2])
        assert main([str(runs / "r")]) == 3
        assert name in capsys.readouterr().err
    finally:
        (runs / "r" / name).write_bytes(content)


def test_damage_is_named_and_the_whole_one_counts(runs, capsys):
    for number, code in ((6, 3), (5, 3)):
        arrays = runs / "r" / "checkpoints" / f"step_{number}" / "arrays.safetensors"
        arrays.write_bytes(arrays.read_bytes()[:-1])
        assert main([str(runs / "r")]) == code
        shown = capsys.readouterr()
        if number == 6:
            found = json.loads(shown.out)
            assert found["progress"] == 5
            assert "step_6/arrays.safetensors" in found["checkpoints"]["step_6"]
        else:
            assert shown.err.startswith("error: ")


@pytest.mark.parametrize(("words", "code"), [([], 2), (["a", "b"], 2), (["nowhere"], 3)])
def test_what_is_no_run_is_refused(words, code, capsys):
    assert main(words) == code
    assert len(capsys.readouterr().err.splitlines()) == 1
