"""No checkpoint that was announced is lost to a power cut; `python -m tests.faults power` tries
more states.
"""

import os

import pytest
from power import cuts

import dynamics.storage.files


def test_no_announced_checkpoint_is_lost_to_a_power_cut(place):
    assert cuts(place, per_state=1) > 200


@pytest.mark.parametrize("left_out", ["files", "folders"])
def test_without_a_flush_the_model_finds_the_loss(place, monkeypatch, left_out):
    """The test itself is tested: what is left out is what a writer that forgets it would lose."""
    if left_out == "folders":
        monkeypatch.setattr(dynamics.storage.files, "flush_folder", lambda folder: None)
    else:
        real = dynamics.storage.files._write

        def write(path, content):
            with monkeypatch.context() as patch:
                patch.setattr(os, "fsync", lambda handle: None)
                real(path, content)

        monkeypatch.setattr(dynamics.storage.files, "_write", write)
    with pytest.raises(AssertionError):
        cuts(place, per_state=1)
