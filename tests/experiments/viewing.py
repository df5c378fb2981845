"""Opens the viewer and presses its buttons: `python viewing.py ROOT`, or `... ROOT chromium` with a
browser's mouse.
"""

import socket
import sys
import threading
import time
from pathlib import Path
from urllib.request import urlopen

sys.path.insert(0, sys.argv[1])

import numpy as np

from agents.policies.mlp import NeuralPolicy
from agents.tasks.mujoco.reacher import Reacher
from experiments.engine.load_run import Opened
from experiments.viewer import browser as studio
from experiments.viewer.browser import Pressed, launch
from experiments.viewer.simulation import simulation_of

WIDTH, HEIGHT = 620, 360  # px, little to draw: without a graphics card a frame takes a while
TARGET, PUSH, NOISE, REPEAT = (
    (458, 163),
    (510, 163),
    (500, 189),
    (437, 215),
)  # where the window has its buttons, px
CLOSE, VIEW, POLICY = (573, 132), (109, 13), (116, 246)  # its X, and the way back by the menu


WINDOWS = []


class Buttons(studio.Buttons):
    """The window, which can be asked whether it is open."""

    def __init__(self):
        super().__init__()
        WINDOWS.append(self)


studio.Buttons = Buttons


def opened():
    """Returns an untrained arm's viewer, what plays it, and the port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    policy = NeuralPolicy.create(
        10, 2, (8,), np.full(2, 0.1), np.random.default_rng(3), -np.ones(2), np.ones(2)
    )
    handle, player = launch(
        simulation_of(Opened(Path("nowhere"), {}, Reacher(conditions=2), policy)), port
    )
    return handle, player, port


def served(url):
    """Returns what a server answers that may still be starting."""
    for _ in range(100):
        try:
            return urlopen(url).read()
        except OSError:
            time.sleep(0.1)
    raise AssertionError(f"{url} does not answer")


def from_the_simulations_side(handle, player, port):
    """Asks for the page, and sends what the buttons send."""
    end = time.monotonic() + 600
    while player.steps < 5 and time.monotonic() < end:
        handle.sync()
    assert player.steps >= 5
    assert b"<html" in served(f"http://127.0.0.1:{port}/").lower()
    number = player.simulation.number
    for word, value in (("target", 0.0), ("noise", 0.25), ("push", 0.0), ("repeat", 0.0)):
        handle.dispatch(Pressed(word, value))
    assert (player.simulation.number, player.simulation.noise, player.repeat) == (
        number + 1,
        0.25,
        False,
    )
    assert player.simulation.push_left == 10  # 0.2 s


def click(browser, at, answered):
    """Presses until there is an answer: a press shorter than a frame of the page is lost."""
    for hold in (1, 2, 4, 8):
        for kind, wait in (("mouseMoved", hold), ("mousePressed", hold), ("mouseReleased", 0)):
            button = "none" if kind == "mouseMoved" else "left"
            down = int(kind == "mousePressed")
            browser.call(
                "Input.dispatchMouseEvent",
                type=kind,
                x=at[0],
                y=at[1],
                button=button,
                buttons=down,
                clickCount=1,
            )
            time.sleep(wait)
        end = time.monotonic() + 10
        while time.monotonic() < end:
            if answered():
                return
            time.sleep(0.01)
    raise AssertionError(f"no answer to a click at {at}")


def from_a_browser(handle, player, port):
    """Clicks each button in Chromium, and looks at what became of the simulation."""
    from browser import Chromium

    seen, pushed, failed = [], [], []

    def person():
        try:
            with Chromium() as browser:
                browser.open(f"http://127.0.0.1:{port}/", WIDTH, HEIGHT)
                click(browser, REPEAT, lambda: not player.repeat)
                number, target = player.simulation.number, player.simulation.data.qpos[2:].copy()
                click(browser, TARGET, lambda: player.simulation.number > number)
                assert not np.array_equal(player.simulation.data.qpos[2:], target)
                click(browser, PUSH, lambda: bool(pushed))
                click(
                    browser, NOISE, lambda: 0.5 < player.simulation.noise < 0.9
                )  # right of the slider's middle
                click(browser, CLOSE, lambda: not WINDOWS[0].open)
                click(browser, VIEW, lambda: True)
                time.sleep(2)
                click(browser, POLICY, lambda: WINDOWS[0].open)
                seen.append(browser)
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=person)
    thread.start()
    while thread.is_alive():
        handle.sync()
        if player.simulation.push_left:
            pushed.append(True)
    if failed:
        raise failed[0]
    assert seen


if __name__ == "__main__":
    handle, player, port = opened()
    with handle:
        (from_a_browser if sys.argv[2:] == ["chromium"] else from_the_simulations_side)(
            handle, player, port
        )
