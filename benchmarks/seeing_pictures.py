# ruff: noqa: E402 (thread limits must be set before numpy is imported)
"""Draws what encoders see: `python -m benchmarks.seeing_pictures points points.png`.

`points`: pictures of the arm with the points that were found on them, and what is painted from
them: in raw colours, in white ones, and where rare ones weigh more. `map RUN`: the final distance of
a run's policy to targets all over the plane.
"""

import argparse
import os

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")

import numpy as np

from agents import load_policy
from agents.rollout import rollout
from agents.tasks.mujoco.reacher import REACH
from agents.tasks.wrappers.partial import ReacherImages
from dynamics.networks.modules import part, to_tensors
from dynamics.vision.encoder import Clips, Trained
from dynamics.vision.encoders import make_encoder

Array = np.ndarray
VARIANTS = {
    "raw colours": {"whiten": False, "rare": False},
    "white colours": {"rare": False},
    "rare ones weigh more": {},
}
SHOWN = 5  # pictures
SIDE = 9  # targets along a side of the map


def seen(encoder: Trained, pictures: Array) -> tuple[Array, Array, Array]:
    """Returns the points (M, K, 2) in [-1, 1], how sure they are (M, K), the peak of their share,
    and what is painted from them, (M, h, w, c) in [0, 1].
    """
    import torch

    assert encoder.colours is not None
    codes = encoder(pictures)
    peaks = encoder.apply(lambda p, white: encoder.network.shares(p, white).amax((2, 3)), pictures)
    own = to_tensors(part(encoder.params, "objective"))
    with torch.inference_mode():
        white = encoder.objective.decoder(own, torch.as_tensor(codes, dtype=torch.float32)).numpy()
    mean = encoder.colours.mean
    small = mean.reshape(mean.shape[0] // 2, 2, mean.shape[1] // 2, 2, -1).mean((1, 3))
    painted = white @ np.linalg.inv(encoder.colours.whiten).T + small
    return codes.reshape(len(codes), -1, 2), peaks, np.clip(painted, 0, 1)


def points(path: str, seed: int, pictures: int, steps: int) -> None:
    """Trains the three encoders, and draws what they see."""
    import matplotlib.pyplot as plt

    rng = np.random.default_rng(seed)
    views = ReacherImages(1).views(pictures + SHOWN, rng).pictures
    learn, test = views[:pictures], views[pictures:]
    figure, axes = plt.subplots(1 + len(VARIANTS), SHOWN, figsize=(1.7 * SHOWN, 7.4))
    for axis in axes.ravel():
        axis.set_xticks([])
        axis.set_yticks([])
    for row, (name, settings) in enumerate(VARIANTS.items(), 1):
        encoder = make_encoder("points", test.shape[1:], steps=steps, **settings)
        encoder.fit(Clips(learn[:, None]), rng)
        where, sure, painted = seen(encoder, test)
        for i in range(SHOWN):
            axes[row, i].imshow(painted[i])
        axes[row, 0].set_ylabel(name)
    for i in range(SHOWN):  # of the last, which finds them all
        axes[0, i].imshow(test[i])
        x, y = ((where[i] + 1) / 2 * (test.shape[1] - 1)).T
        axes[0, i].scatter(
            x, y, 8 + 60 * sure[i], c=np.arange(len(x)), cmap="tab20", lw=0.5, ec="w"
        )
    axes[0, 0].set_ylabel("seen, and points")
    figure.tight_layout(pad=0.4)
    figure.savefig(path, dpi=80)


def distances(run: str) -> tuple[Array, Array]:
    """Returns targets (M, 2) all over the plane, and how far a run's policy ends from them (m)."""
    line = np.linspace(-0.95, 0.95, SIDE) * REACH
    targets = np.stack(np.meshgrid(line, line), -1).reshape(-1, 2)
    targets = targets[np.linalg.norm(targets, axis=1) < REACH]
    task = ReacherImages(len(targets))
    task.angles, task.targets = np.zeros_like(targets), targets
    rng = np.random.default_rng(0)
    shown = rollout(task, load_policy(run), np.arange(len(targets)), 1, rng, noise=0.0)
    return targets, task.metrics(shown.x, shown.u)["distance"]


def draw_map(path: str, run: str) -> None:
    """Draws the final distance of a run's policy to targets all over the plane."""
    import matplotlib.pyplot as plt

    targets, far = distances(run)
    figure, axis = plt.subplots(figsize=(5, 4))
    size = 100 * targets.T
    dots = axis.scatter(*size, c=1000 * far, s=160, cmap="viridis_r", vmin=0, vmax=150)
    taught = ReacherImages(40, covering=True).targets
    axis.scatter(*(100 * taught.T), c="k", marker="x", s=14, label="taught")
    figure.colorbar(dots, label="final distance (mm)")
    axis.set(xlabel="target x (cm)", ylabel="target y (cm)", aspect="equal")
    axis.legend(loc="upper right", fontsize=8)
    figure.tight_layout()
    figure.savefig(path, dpi=80)


def main() -> None:
    """Draws what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["points", "map"])
    parser.add_argument("path", help="of the picture, a PNG")
    parser.add_argument("--run", help="the folder of a run of reacher_images")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--pictures", type=int, default=3000, help="that are learned from")
    parser.add_argument("--steps", type=int, default=700, help="updates of each encoder")
    options = parser.parse_args()
    if options.what == "map":
        if not options.run:
            parser.error("expected --run, a folder of a run of reacher_images")
        draw_map(options.path, options.run)
    else:
        points(options.path, options.seed, options.pictures, options.steps)


if __name__ == "__main__":
    main()
