"""Opens the viewer, asks for its page, presses its buttons: `python viewing.py ROOT`."""

import socket
import sys
import time
from pathlib import Path
from urllib.request import urlopen

sys.path.insert(0, sys.argv[1])

import numpy as np

from agents.neural_policy import NeuralPolicy
from agents.tasks.reacher import Reacher
from experiments.opened import Opened
from experiments.studio import Pressed, launch
from experiments.worlds import world_of


def served(url):
    """Returns what a server answers that may still be starting."""
    for _ in range(100):
        try:
            return urlopen(url).read()
        except OSError:
            time.sleep(0.1)
    raise AssertionError(f"{url} does not answer")


with socket.socket() as probe:
    probe.bind(("127.0.0.1", 0))
    port = probe.getsockname()[1]
policy = NeuralPolicy.create(10, 2, (8,), np.full(2, 0.1), np.random.default_rng(3), -np.ones(2), np.ones(2))
handle, player = launch(world_of(Opened(Path("nowhere"), {}, Reacher(conditions=2), policy)), port)
with handle:
    end = time.monotonic() + 60
    while player.steps < 5 and time.monotonic() < end:
        handle.sync()
    assert player.steps >= 5
    assert b"<html" in served(f"http://127.0.0.1:{port}/").lower()
    number = player.world.number
    for word, value in (("target", 0.0), ("noise", 0.25), ("push", 0.0), ("repeat", 0.0)):
        handle.dispatch(Pressed(word, value))
    assert (player.world.number, player.world.noise, player.repeat) == (number + 1, 0.25, False)
    assert player.world.push_left == 10  # 0.2 s
