"""Kills at random moments and at operations on the disk; `python -m tests.faults kill | processes`
do more.
"""

from collections import Counter

import pytest
from kill import kills_at_each_operation, random_kills
from processes import process_kills


def test_killed_at_any_moment_it_goes_on_to_the_same_bits(parent, place):
    assert random_kills(parent, place, 10)[0] == 10


def test_killed_at_any_operation_on_its_folder_it_goes_on_to_the_same_bits(parent, place):
    assert kills_at_each_operation(parent, place, stride=9) >= 15


@pytest.mark.slow
def test_real_runs_killed_as_processes_of_their_own_go_on_to_the_same_bits(parent, place):
    kills, ended = process_kills(parent, place, 8)
    assert Counter(kills).total() == 8
    assert ended >= 1
