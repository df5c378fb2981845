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

from agents.tasks.capabilities import Camera, Plane, Rendered, capability, env_id_of

ROOT = Path(__file__).resolve().parents[2]
NAME, SIZE, EPISODES, SPEED = "policy", 320, 6, 25  # pixels, episodes, frames per second
FIRST_SEED = 2_000_000  # of the resets
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
    command = [sys.executable, str(Path(__file__).resolve()), str(path)]
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
    if process.returncode == 0:
        return None
    lines = lines or [f"its process ended with {process.returncode}; {ADVICE}"]
    return f"moving picture skipped: {lines[-1]}"


def _die_with_parent() -> None:
    """Asks the system to end this process when the run that started it is killed, and after LIMIT
    in any case.
    """
    signal.alarm(LIMIT)
    with contextlib.suppress(OSError, AttributeError):  # on Linux only
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


def main(path: Path) -> int:
    """Makes the moving picture of the run in `path`; returns an exit code, after a line on the
    standard error.
    """
    from agents.saving import load_policy
    from dynamics.storage.files import write_file
    from experiments.engine.overrides import saved_task
    from experiments.engine.run_folder import saved_config

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
    frames = list(_frames(task, policy))
    write_file(path / f"{NAME}.gif", _gif(frames))
    try:
        import av  # noqa: F401  (only looked for here)
    except ImportError:
        return 0
    _mp4(frames, path / f"{NAME}.mp4")
    return 0


def _frames(task: Any, policy: Any) -> Iterator[Any]:
    """Yields pictures (SIZE, SIZE, 3) of the episodes; every second step at 50 steps a second."""
    import mujoco
    import numpy as np

    every = max(1, round(1 / (SPEED * task.dt)))
    renderer = None
    for model, data, step in _scenes(task, policy):
        if renderer is None:
            # ten times faster in software
            model.vis.quality.shadowsize = model.vis.quality.offsamples = 0
            model.vis.global_.offwidth = model.vis.global_.offheight = SIZE * 2
            renderer = mujoco.Renderer(model, SIZE * 2, SIZE * 2)
            camera = camera_of(mujoco, model, task)
        if step % every == 0:
            renderer.update_scene(data, camera)
            picture = renderer.render().reshape(SIZE, 2, SIZE, 2, 3)
            yield picture.mean((1, 3)).astype(np.uint8)  # smooth edges, cheaper than multisampling


def _scenes(task: Any, policy: Any) -> Iterator[tuple[Any, Any, int]]:
    """Yields (model, data, step), live, through the episodes: in Gymnasium where the task is from
    there.
    """
    import numpy as np

    begin = getattr(policy, "reset", lambda: None)  # a policy with memory forgets
    sees_state = (
        getattr(policy, "sees", "o") == "x"
    )  # local controllers: only in their own conditions
    if (env_id := env_id_of(task)) and not sees_state:
        import gymnasium

        env = gymnasium.make(env_id)
        for i in range(EPISODES):
            observation, _ = env.reset(seed=FIRST_SEED + i)
            begin()
            for step in range(task.horizon):
                yield env.unwrapped.model, env.unwrapped.data, step  # type: ignore[attr-defined]
                observation, _, terminated, truncated, _ = env.step(policy.act(observation))
                if terminated or truncated:
                    break
        return
    rng = np.random.default_rng(FIRST_SEED)
    for c in range(min(EPISODES, task.conditions)):
        x = task.reset(np.array([c]), rng)
        begin()
        for step in range(task.horizon):
            yield task.model, task.data(0), step
            action = policy.act(x[0], step, c)[None] if sees_state else policy.act(task.observe())
            x = task.step(np.clip(action, task.action_low, task.action_high))


def camera_of(mujoco: Any, model: Any, task: Any) -> Any:
    """Returns the task's camera, or one that sees the whole model: from above where the task is in
    a plane.
    """
    camera = mujoco.MjvCamera()
    mujoco.mjv_defaultFreeCamera(model, camera)
    above = {"elevation": -90, "azimuth": 90} if capability(task, Plane) else {}
    told = capability(task, Camera)
    for key, value in {**above, **(told.camera if told else {})}.items():
        if key == "lookat":
            camera.lookat[:] = value
        else:
            setattr(camera, key, value)
    return camera


def _gif(frames: list[Any]) -> bytes:
    """Returns the frames as a GIF with one palette, in which small things keep their colours."""
    from PIL import Image

    pictures = [Image.fromarray(frame) for frame in frames]
    palette = pictures[0].quantize(128, method=Image.Quantize.MAXCOVERAGE)
    small = [picture.quantize(palette=palette, dither=Image.Dither.NONE) for picture in pictures]
    content = io.BytesIO()
    small[0].save(
        content,
        "GIF",
        save_all=True,
        append_images=small[1:],
        duration=1000 // SPEED,
        loop=0,
        optimize=False,
    )
    return content.getvalue()


def _mp4(frames: list[Any], path: Path) -> None:
    """Writes the frames as H.264."""
    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=SPEED)
        stream.width = stream.height = SIZE
        stream.pix_fmt = "yuv420p"
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())


if __name__ == "__main__":
    sys.path[0] = str(ROOT)
    if len(sys.argv) != 2:
        sys.exit("usage: python experiments/viewer/video.py RUN")
    _die_with_parent()
    sys.exit(main(Path(sys.argv[1])))
