import math

import pytest

from experiments.tables import Table, read
from lqr import CheckpointError, InputError


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


def test_a_table_that_lost_rows_since_the_checkpoint_is_refused(tmp_path):
    (tmp_path / "t.csv").write_text("a\n1\n")
    with pytest.raises(CheckpointError, match="expected 10"):
        Table(tmp_path / "t.csv").cut(10)


def test_a_row_with_other_keys_is_refused_with_their_names(tmp_path):
    table = Table(tmp_path / "t.csv")
    table.append({"a": 1})
    with pytest.raises(InputError, match="b"):
        table.append({"a": 1, "b": 2})


def test_a_table_that_is_not_there_has_no_rows(tmp_path):
    assert read(tmp_path / "t.csv") == []
