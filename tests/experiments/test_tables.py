import math
import os

import numpy as np
import pytest

from experiments.engine import tables
from experiments.engine.tables import Table, read
from experiments.engine.training import last_arrays, not_drawn
from experiments.reports.figures import kept
from lqr import CheckpointError, InputError, StorageError


def test_numbers_come_back_to_the_last_bit(tmp_path):
    table = Table(tmp_path / "t.csv")
    values = [0.1, 1 / 3, 1e-300, -(2.0**60), math.pi]
    table.append(*({"iteration": i, "value": value} for i, value in enumerate(values)))
    assert [row["value"] for row in read(tmp_path / "t.csv")] == values


def test_a_table_is_cut_back_to_where_it_was_and_goes_on(tmp_path):
    table = Table(tmp_path / "t.csv")
    table.append({"a": 1, "b": 2.0})
    size = table.flush()
    table.append({"a": 2, "b": 3.0})
    again = Table(tmp_path / "t.csv")
    again.cut(size)
    again.append({"b": 5.0, "a": 4})
    assert (tmp_path / "t.csv").read_text() == "a,b\n1,2.0\n4,5.0\n"


@pytest.mark.parametrize("change", ["lost", "other", "link", "pipe"])
def test_a_table_that_was_changed_before_the_mark_is_refused(tmp_path, change):
    path, kept = tmp_path / "t.csv", tmp_path / "kept.csv"
    table = Table(path)
    table.append({"a": 1}, {"a": 2})
    mark = table.flush()
    kept.write_bytes(path.read_bytes() + b"years of work")
    if change == "lost":
        path.write_text("a\n1\n")
    elif change == "other":
        path.write_text("a\n1\n3\n")
    else:
        path.unlink()
        path.symlink_to(kept) if change == "link" else os.mkfifo(path)
    with pytest.raises((CheckpointError, StorageError), match=r"t\.csv"):
        Table(path).cut(mark)
    assert kept.read_bytes().endswith(b"years of work")


def test_a_table_of_words_is_refused(tmp_path):
    (tmp_path / "t.csv").write_text("a,b\n1,two\n")
    with pytest.raises(CheckpointError, match="two"):
        read(tmp_path / "t.csv")


def test_rows_that_somebody_else_appends_are_seen_at_the_next_checkpoint(tmp_path):
    table = Table(tmp_path / "t.csv")
    table.append({"a": 1})
    with open(tmp_path / "t.csv", "a") as file:
        file.write("2\n")
    with pytest.raises(StorageError, match="another program"):
        table.flush()


def test_a_row_with_other_keys_is_refused_with_their_names(tmp_path):
    table = Table(tmp_path / "t.csv")
    table.append({"a": 1})
    with pytest.raises(InputError, match="b"):
        table.append({"a": 1, "b": 2})


def test_a_table_that_is_not_there_has_no_rows(tmp_path):
    assert read(tmp_path / "t.csv") == []


@pytest.mark.parametrize(
    ("declared", "told"),
    [("planner", "planner"), ("episodes", "episodes"), (None, "policy"), (3, "policy")],
)
def test_a_method_says_whose_its_cost_is_and_is_taken_for_a_policy_where_it_does_not(
    declared, told
):
    assert tables.actor(declared) == told


def test_an_array_of_a_method_is_in_a_figure_or_for_tables_alone_or_named():
    names = ["x", "cost", "lambda", "plan_trace", "attention"]
    assert not_drawn(dict.fromkeys(names), kept(), ["lambda"]) == ["attention"]
    arrays = {name: np.zeros((9, 2)) for name in names}
    found = last_arrays(arrays, kept(), ["lambda"])
    assert {name: len(value) for name, value in found.items()} == {
        "x": 6,
        "plan_trace": 9,
        "lambda": 9,
    }
