"""Kills at random moments and at operations on the disk; `python -m tests.faults kill` does more."""

from kill import kills_at_each_operation, process_kills, random_kills


def test_killed_at_any_moment_it_goes_on_to_the_same_bits(parent, place):
    assert random_kills(parent, place, 20)[0] == 20


def test_killed_at_any_operation_on_its_folder_it_goes_on_to_the_same_bits(parent, place):
    assert kills_at_each_operation(parent, place, stride=9) >= 15


def test_killed_as_a_process_of_its_own_it_goes_on_to_the_same_bits(place):
    assert process_kills(place, 2)[0] == 2
