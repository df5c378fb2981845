"""Command lines and config files made of anything: one line, the right code, no folder and no
import.
"""

import json
import os
import shutil

import pytest
from harness import PLAIN, fresh
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from experiments.engine import registry
from experiments.engine.cli import parse
from lqr import GPSError

VALUES = st.one_of(
    st.sampled_from(
        [
            "",
            "nan",
            "inf",
            "-1",
            "0",
            "1e999",
            "1e3",
            "[]",
            "None",
            "true",
            "-",
            "--",
            "os:system",
            "9" * 400,
        ]
    ),
    st.text(max_size=8).filter(lambda text: "\x00" not in text),
    st.integers().map(str),
    st.floats().map(str),
)
OPTIONS = [
    "--iterations",
    "--prior",
    "--kl-step",
    "--hidden",
    "--samples",
    "--out",
    "--seed",
    "--seeds",
    "--",
    "--resum",
]


@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(st.lists(st.tuples(st.sampled_from(OPTIONS), VALUES), max_size=3))
def test_any_command_line_is_understood_or_refused(capsys, pairs):
    words = ["reacher", *(word for pair in pairs for word in pair)]
    try:
        request = parse(
            words, lambda path, experiment: (experiment.config, 0), lambda path: "reacher"
        )
    except GPSError as error:
        assert str(error)  # noqa: PT017
    else:
        assert request is None or request.config is not None
    capsys.readouterr()


@pytest.mark.parametrize(
    "name",
    [
        "os:system",
        "../run",
        "experiments.run",
        "",
        "reacher.py",
        "evilmod:Foo-v0",
        "__init__",
        "run",
    ],
)
def test_a_name_that_is_no_experiment_is_never_imported(name):
    with pytest.raises(GPSError):
        registry.load(name)


CHANGES = {
    "no JSON": lambda config: b"{",
    "a list": lambda config: b"[]",
    "a key twice": lambda config: b'{"seed": 1, "seed": 2}',
    "NaN": lambda config: json.dumps(config | {"seed": float("nan")}).encode(),
    "deep": lambda config: b'{"a":' * 100_000,
    "another seed": lambda config: json.dumps(config | {"seed": 4}).encode(),
    "a class": lambda config: json.dumps(config | {"experiment": "evilmod:Foo-v0"}).encode(),
    "a target": lambda config: json.dumps(
        config | {"config": config["config"] | {"_target_": "os.system"}}
    ).encode(),
    "a setting less": lambda config: json.dumps(config | {"config": {"iterations": 6}}).encode(),
    "another setting": lambda config: json.dumps(
        config | {"config": config["config"] | {"tries": 9}}
    ).encode(),
    "an absurd setting": lambda config: json.dumps(
        config | {"config": config["config"] | {"tries": [[1]]}}
    ).encode(),
    "no setting": lambda config: json.dumps(
        config | {"config": config["config"] | {"spread": None}}
    ).encode(),
    "empty": lambda config: b"",
}


@pytest.fixture(scope="module")
def stopped(parent, tmp_path_factory):
    place = tmp_path_factory.mktemp("stopped") / "x"
    fresh(place)
    assert parent.run(place, [*PLAIN, "--fail-at", 4]) == 6
    return place


@pytest.mark.parametrize("change", CHANGES)
def test_a_config_of_something_else_is_refused_in_one_line(parent, stopped, place, change):
    fresh(place)
    shutil.copytree(stopped / "r", place / "r")
    path = place / "r" / "config.json"
    path.write_bytes(CHANGES[change](json.loads(path.read_text())))
    before = sorted(os.listdir(place / "r"))
    assert parent.run(place, ["--resume", "r"]) in (2, 3)
    (line,) = (place / "err").read_text().splitlines()
    assert line.startswith("error: ")
    assert sorted(os.listdir(place / "r")) == before
