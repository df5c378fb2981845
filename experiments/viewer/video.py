"""A moving picture of a run's policy on targets it never saw: `python experiments/viewer/video.py
RUN`.

A run makes it in a process of its own: a broken OpenGL library may end a process, and that must not
be the run's.
"""

import contextlib
import ctypes
import io
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from agents.tasks.capabilities import Rendered, capability, env_id_of

ROOT = Path(__file__).resolve().parents[2]
NAME, SIZE, EPISODES, SPEED = "policy", 280, 6, 25  # pixels, episodes, frames per second
FIRST_SEED = 2_000_000  # of the resets
VIVID = 80  # difference of a colour's parts, of 255, from which on it is kept with care
LIMIT = 180  # seconds that the making may take
ADVICE = "no OpenGL for off-screen pictures: apt-get install --no-install-recommends libegl1 libgl1"


def make_apart(path: Path, task: Any, stopped: Callable[[], int] = lambda: 0) -> str | None:
    """Makes policy.gif, and policy.mp4 where `av` is installed, in another process, until `stopped`
    says otherwise.

    Returns None, or in one line what was skipped and why.
    """
    if capability(task, Rendered) is None:
        return None
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    if not environment.get("MUJOCO_GL") and not {"DISPLAY", "WAYLAND_DISPLAY"} & set(environment):
        environment["MUJOCO_GL"] = "egl"  # read when mujoco is imported
    command = [sys.executable, str(Path(__file__).resolve()), str(path), str(os.getpid())]
    with tempfile.TemporaryFile("w+") as said:
        process = subprocess.Popen(  # a session of its own: Ctrl-C is not for it
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
            start_new_session=True,
        )
        end = time.monotonic() + LIMIT
        try:
            while process.poll() is None and time.monotonic() < end and not stopped():
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(0.1)
        finally:
            if unfinished := process.poll() is None:
                process.kill()
                process.wait()
        said.seek(0)
        lines = said.read().strip().splitlines()
    if unfinished:
        return (
            f"moving picture skipped: it took more than {LIMIT} s"
            if not stopped()
            else "moving picture skipped"
        )
    if process.returncode == 0 and (path / f"{NAME}.gif").exists():
        return None
    lines = lines or [f"its process ended with {process.returncode}; {ADVICE}"]
    return f"moving picture skipped: {lines[-1]}"


def _die_with_parent(parent: int) -> None:
    """Asks the system to end this process when the run that started it is killed, and after LIMIT
    in any case.
    """
    signal.alarm(LIMIT)
    with contextlib.suppress(OSError, AttributeError):  # on Linux only
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
    if os.getppid() != parent:  # it was killed before the system was asked
        os._exit(128 + signal.SIGKILL)


def main(path: Path) -> int:
    """Makes the moving picture of the run in `path`; returns an exit code, after a line on the
    standard error.
    """
    from agents.saving import load_policy
    from experiments.engine.overrides import saved_task
    from experiments.engine.saved_files import saved_config

    try:
        import mujoco

        mujoco.Renderer(mujoco.MjModel.from_xml_string("<mujoco/>"), 8, 8).close()
    except Exception as error:  # every OpenGL binding has exceptions of its own
        print(
            f"{ADVICE} ({type(error).__name__}: {' '.join(str(error).split())[:80]})",
            file=sys.stderr,
        )
        return 1
    policy = load_policy(path)
    task = saved_task(saved_config(path), path)
    write(path, list(frames_of(task, policy)))
    return 0


def write(path: Path, frames: list[Any]) -> None:
    """Writes the frames into a run's folder as GIF, and as H.264 where the package for it is there;
    each as a whole or not at all, in place of what has the name. Raises StorageError.
    """
    from dynamics.storage.files import write_file

    write_file(path / f"{NAME}.gif", gif(frames))
    try:
        import av  # noqa: F401  (only looked for here)
    except ImportError:
        return
    write_file(path / f"{NAME}.mp4", mp4(frames))


def frames_of(
    task: Any, policy: Any, size: int = SIZE, every: int | None = None, episodes: int | None = None
) -> Iterator[Any]:
    """Yields pictures (size, size, 3) of the episodes, of every so many steps: in real time, at
    SPEED a second, where `every` is not given.
    """
    from experiments.viewer.stage import Stage, camera_of

    every = every or max(1, round(1 / (SPEED * task.dt)))
    stage = None
    for model, data, step in _scenes(task, policy, episodes):
        if stage is None:
            stage = Stage(model, camera_of(model, task, data), size, task.dt)
        if step == 0:
            stage.begin()
        stage.see(data)
        if step % every == 0:
            yield stage.picture(data)


def _scenes(task: Any, policy: Any, episodes: int | None) -> Iterator[tuple[Any, Any, int]]:
    """Yields (model, data, step), live, through the episodes, by default EPISODES or one of each
    condition: in Gymnasium where the task is from there.
    """
    import numpy as np

    begin = getattr(policy, "reset", lambda: None)  # a policy with memory forgets
    sees_state = (
        getattr(policy, "input", "o") == "x"
    )  # local controllers: only in their own conditions
    if (env_id := env_id_of(task)) and not sees_state:
        import gymnasium

        from agents.tasks.base.mujoco_warnings import heed

        heed()
        env = gymnasium.make(env_id)
        for i in range(episodes or EPISODES):
            observation, _ = env.reset(seed=FIRST_SEED + i)
            begin()
            for step in range(task.horizon):
                yield env.unwrapped.model, env.unwrapped.data, step  # type: ignore[attr-defined]
                observation, _, terminated, truncated, _ = env.step(policy.act(observation))
                if terminated or truncated:
                    break
        return
    rng = np.random.default_rng(FIRST_SEED)
    for i in range(episodes or min(EPISODES, task.conditions)):
        c = i % task.conditions
        x = task.reset(np.array([c]), rng)
        begin()
        for step in range(task.horizon):
            yield task.model, task.data(0), step
            action = policy.act(x[0], step, c)[None] if sees_state else policy.act(task.observe())
            x = task.step(np.clip(action, task.action_low, task.action_high))


def gif(frames: list[Any], colours: int = 128, speed: int = SPEED) -> bytes:
    """Returns the frames as a GIF with one palette, in which small things keep their colours."""
    import numpy as np
    from PIL import Image

    pictures = [Image.fromarray(frame) for frame in frames]
    sample = np.concatenate(frames[:: max(1, len(frames) // 8)]).reshape(-1, 3)
    vivid = sample[np.ptp(sample, 1) > VIVID]
    if len(vivid):  # counts as much as all the rest
        sample = np.concatenate([sample, np.resize(vivid, sample.shape)])
    palette = Image.fromarray(sample[None]).quantize(colours, method=Image.Quantize.MEDIANCUT)
    small = [picture.quantize(palette=palette, dither=Image.Dither.NONE) for picture in pictures]
    content = io.BytesIO()
    small[0].save(
        content,
        "GIF",
        save_all=True,
        append_images=small[1:],
        duration=1000 // speed,
        loop=0,
        optimize=False,
    )
    return content.getvalue()


def mp4(frames: list[Any]) -> bytes:
    """Returns the frames as H.264."""
    import av

    content = io.BytesIO()
    with av.open(content, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=SPEED)
        stream.width = stream.height = SIZE
        stream.pix_fmt = "yuv420p"
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
    return content.getvalue()


if __name__ == "__main__":
    sys.path[0] = str(ROOT)
    if len(sys.argv) not in (2, 3):
        sys.exit("usage: python experiments/viewer/video.py RUN")
    if len(sys.argv) == 3:  # started by a run, which says its process
        _die_with_parent(int(sys.argv[2]))
    sys.exit(main(Path(sys.argv[1])))
