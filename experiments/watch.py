"""Plays a run's policy in MuJoCo's viewer in a browser: `python experiments/watch.py RUN --yes`.

A window there has buttons for a new target and a push, and a slider for noise. The viewer is
MuJoCo's own, mujoco.studio; it listens on ALL network interfaces WITHOUT authentication or
encryption: whoever reaches the port can look, steer and load models. So it starts only with --yes.
Where it cannot run, the run's moving picture is shown where it lies, or made.
"""

if __name__ == "__main__":
    import early  # of this folder, first  # noqa: F401

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from experiments.engine.load_run import Opened

OPEN = "the viewer is open to the network: anyone who reaches its port can look and steer, without authentication"


def main(words: Sequence[str]) -> int:
    """Opens the viewer for the run that the words name until Ctrl-C; returns the exit code."""
    from experiments.engine.load_run import add_choices, open_run
    from experiments.engine.parser import Parser
    from lqr import InputError

    parser = Parser("python experiments/watch.py", __doc__)
    parser.add_argument("run", type=Path, help="the folder of a run, as --out or runs/ has it")
    parser.add_argument("--yes", action="store_true", help=OPEN)
    parser.add_argument(
        "--port", type=int, default=0, help="of the viewer (default: the first free from 8080 on)"
    )
    parser.add_argument("--seconds", type=float, help="close it after so long (default: at Ctrl-C)")
    add_choices(parser)
    asked = parser.parse_args(words)
    run = open_run(asked.run, asked.task, asked.cost)
    if not 0 <= asked.port < 65536:
        raise InputError(f"--port is {asked.port}; expected 0 to 65535")
    if not hasattr(type(run.task), "model"):
        return fall_back(run, f"{run.task.name} is no MuJoCo model")
    if not asked.yes:
        raise InputError(f"{OPEN}; expected --yes if that is as you want it")
    return play(run, asked.port, asked.seconds)


def play(run: "Opened", port: int, seconds: float | None) -> int:
    """Opens the viewer; falls back to the moving picture where it cannot be opened."""
    import time

    from experiments.viewer.simulation import simulation_of

    try:
        from experiments.viewer.browser import launch

        handle, player = launch(simulation_of(run), port)
    except (ImportError, OSError, RuntimeError) as error:  # no such part in this MuJoCo, or no port
        return fall_back(run, " ".join(str(error).split()))
    print(f"careful: {OPEN}", flush=True)
    end = time.monotonic() + seconds if seconds else float("inf")
    with handle:
        while handle.is_running() and time.monotonic() < end:
            handle.sync()
    print(
        f"closed after {player.steps} steps and {player.simulation.number + 1} targets", flush=True
    )
    return 0


def fall_back(run: "Opened", reason: str) -> int:
    """Says where the moving picture of the policy lies, after making it if need be; else where the
    figures are.
    """
    from experiments.engine.progress import printable
    from experiments.viewer.video import NAME, make_apart

    picture = run.path / f"{NAME}.gif"
    why = None if picture.exists() else make_apart(run.path, run.task)
    print(printable(f"no viewer: {reason}"), flush=True)
    if why:
        print(printable(why), flush=True)
    look = picture if picture.exists() else run.path / "report.html"
    print(printable(f"look at {look}"), flush=True)
    return 0


if __name__ == "__main__":
    from launcher import launch  # of this folder

    launch(main)
