"""A run with the deterministic device at the end of a serial line, as a process: `crash.py FOLDER
COMMAND` kills itself at that command; 0 is none. A third word resumes it.
"""

import os
import signal
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parents[2]), str(HERE)]

from carts import Clock, Device, SerialCart, cart  # noqa: E402

from experiments.engine.registry import Experiment  # noqa: E402
from experiments.engine.training import Kept, run  # noqa: E402
from gps import lqr_flm  # noqa: E402

KEPT = Kept(columns=("cost", "kl"), by_condition=("x",), whole=())
CONFIG = lqr_flm.Config(iterations=3, samples=2, initial_std=0.02)


class Deadly(SerialCart):
    """Kills the process at a command, or interrupts it as Ctrl-C does."""

    sent, kills, kind = 0, 0, signal.SIGKILL

    def command(self, u):
        self.sent += 1
        super().command(u)
        if self.sent == self.kills:
            os.kill(os.getpid(), self.kind)


def start(folder, kills=0, resume=False, seed=3, kind=signal.SIGKILL):
    """Runs the experiment in a folder; returns the exit code, and how many commands were sent."""
    device, clock = Device(), Clock()
    driver = Deadly(device.path)
    driver.kills, driver.kind = kills, kind

    def task():
        settings = {"clock": clock, "sleep": clock.sleep, "patience": 600.0}
        return cart(driver, rate_limit=8.0, **settings)

    experiment = Experiment("cart", "A cart.", task, lqr_flm, CONFIG)
    try:
        code = run(
            experiment,
            CONFIG,
            seed,
            Path(folder),
            finalise=lambda *_: None,
            kept=KEPT,
            resume=resume,
        )
        return code, driver.sent
    finally:
        driver.port.close()
        device.close()


if __name__ == "__main__":
    start(sys.argv[1], int(sys.argv[2]), len(sys.argv) > 3)
