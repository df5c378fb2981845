"""Carts that are driven: one in the same process, with a clock of its own, and one at the end of a
serial line.
"""

import os
import pty
import threading
import time
import tty

import numpy as np

from agents.tasks.adapters.robot import RobotTask
from lqr.costs import Action, WeightedNorm

STARTS = ([1.0, 0.0], [-0.5, 0.0])
DT = 0.1  # s of the physics


def after(x, u):
    """Returns x = [position, velocity] one step later."""
    return x + DT * np.array([x[1], u - 0.5 * x[1]])


def cart(driver, put_back=None, **settings):
    """A task that stops the cart at 0."""
    settings = {"action_low": [-20], "action_high": [20], "horizon": 20, "dt": DT} | settings
    cost = WeightedNorm([1.0, 0.1], l2=2.0) + Action(0.01)
    return RobotTask(driver, cost, conditions=2, put_back=put_back or driver.place, **settings)


class Clock:
    """Time that passes only while somebody sleeps."""

    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now

    def sleep(self, seconds):
        self.now += seconds


class Cart:
    """Keeps account of all that it is told, with the time; `at` is what happens at a command, by
    its number since the start.
    """

    def __init__(self, at=None):
        self.clock = Clock()
        self.x, self.at = np.zeros(2), at or {}
        self.episodes, self.stops, self.count, self.moving = [], 0, 0, False

    def task(self, **settings):
        usual = {"clock": self.clock, "sleep": self.clock.sleep}
        usual["patience"] = 600.0  # s of the real clock: the machine may be busy
        return cart(self, **usual | settings)

    def place(self, condition):
        assert not self.moving, "put back while it moved"
        self.x = np.array(STARTS[condition])
        self.episodes.append([])

    def read(self):
        return self.x

    def command(self, u):
        self.moving, self.count = True, self.count + 1
        self.episodes[-1].append((self.clock.now, *u))
        self.x = after(self.x, u[0])
        if happens := self.at.get(self.count):
            happens(self)

    def stop(self):
        self.moving, self.stops = False, self.stops + 1

    @property
    def forces(self):
        """The commands of each episode, without those of no episode."""
        return [np.array([u for _, u in one]) for one in self.episodes if one]


class Device:
    """A cart at the end of a serial line. It speaks in lines: `?` asks for the sensors, `u FORCE`
    pushes for a step, `!` stops, `p CONDITION` puts it back.

    Its sensors are noisy and quantised, and it takes its time.
    """

    def __init__(self, noise=0.0, quantum=1e-6, latency=0.0):
        self.noise, self.quantum, self.latency = noise, quantum, latency
        self.rng, self.x, self.said = np.random.default_rng(0), np.zeros(2), []
        self._ours, theirs = pty.openpty()
        tty.setraw(theirs)
        self.path, self._keep = os.ttyname(theirs), theirs
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def close(self):
        os.write(self._keep, b"\nquit\n")
        self._thread.join()  # or else it would read from whatever file has the number next
        os.close(self._keep)
        os.close(self._ours)

    def _serve(self):
        rest = b""
        while "quit" not in self.said:
            *lines, rest = (rest + os.read(self._ours, 4096)).split(b"\n")
            for line in lines:
                self._do(line.decode())

    def _do(self, line):
        self.said.append(line)
        time.sleep(self.latency)
        if line == "?":
            seen = self.x + self.noise * self.rng.standard_normal(2)
            seen = self.quantum * np.round(seen / self.quantum)
            os.write(self._ours, b"%.9f %.9f\n" % tuple(seen))
        elif line.startswith("u"):
            self.x = after(self.x, float(line[1:]))
        elif line.startswith("p"):
            self.x = np.array(STARTS[int(line[1:])])


class SerialCart:
    """The driver of the device."""

    def __init__(self, path):
        self.port = open(path, "r+b", buffering=0)  # noqa: SIM115  as long as the robot is there

    def read(self):
        self.port.write(b"?\n")
        return [float(word) for word in self.port.readline().split()]

    def command(self, u):
        self.port.write(b"u %.6f\n" % u[0])

    def stop(self):
        self.port.write(b"\n!\n")

    def place(self, condition):
        self.port.write(b"p %d\n" % condition)
