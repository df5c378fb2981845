# ruff: noqa: E402 (thread limits must be set before numpy is imported)
"""How well encoders see: `python -m benchmarks.seeing read_out --seeds 5`.

`read_out`: pictures of the reaching arm at random angles, each with a target of its own; encoders
learn from 3000 of them, and a linear read-out of their codes tells where tip, elbow and target are
in 1000 others (root mean square of the distance). Labels are used for the read-out alone, but for
`poses`.
"""

import argparse
import os
import time
from typing import Any

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")

import numpy as np

from agents.tasks.wrappers.partial import ReacherImages
from dynamics.vision.encoder import Clips
from dynamics.vision.encoders import make_encoder
from dynamics.vision.judgement import explained, neighbours_error, read_out, spread, untrained

Array = np.ndarray
TRAIN, TEST = 3000, 1000  # pictures
ENCODERS: dict[str, tuple[str, dict[str, Any]]] = {
    "points": ("points", {}),
    "raw colours": ("points", {"whiten": False, "rare": False}),
    "whitened, all colours alike": ("points", {"rare": False}),
    "8 points": ("points", {"points": 8}),
    "autoencoder": ("autoencoder", {"slow": 0.0}),
    "poses": ("poses", {}),
    "poses, raw colours": ("poses", {"whiten": False}),
}


def errors(codes: Array, labels: Array) -> Array:
    """Returns the errors (mm) of tip, elbow and target, read from codes of all pictures."""
    reading = read_out(codes[:TRAIN], labels[:TRAIN])
    gap = (reading(codes[TRAIN:]) - labels[TRAIN:]).reshape(TEST, -1, 2)
    return 1000 * np.sqrt((gap**2).sum(-1).mean(0))


def row(name: str, seed: int) -> str:
    """Returns what an encoder comes to, in a line."""
    word, settings = ENCODERS[name]
    rng = np.random.default_rng(seed)
    views = ReacherImages(1).views(TRAIN + TEST, rng)
    clips = Clips(views.pictures[:TRAIN, None], labels=views.labels[:TRAIN, None])
    encoder = make_encoder(word, views.pictures.shape[1:], **settings)
    first = errors(untrained(encoder, clips, rng)(views.pictures), views.labels)
    begun = time.process_time()
    encoder.fit(clips, rng)
    took = time.process_time() - begun
    codes, test = encoder(views.pictures), views.pictures[TRAIN:]
    told = errors(codes, views.labels)
    line = f"{name:28} {seed:4} " + " ".join(f"{e:6.1f}" for e in told)
    line += "  " + " ".join(f"{e:4.0f}" for e in first)
    if word == "poses":
        line += f"{'':31}"
    else:
        e = explained(encoder, test)
        line += f"  {e.plain:5.2f} {e.weighted:5.2f}  " + " ".join(f"{c:.2f}" for c in e.by_colour)
    near = neighbours_error(codes[TRAIN:], views.labels[TRAIN:])
    return f"{line}  {spread(codes)[1]:5.1f}  {near:5.2f}  {took:5.1f}"


def main() -> None:
    """Prints a line for each encoder and seed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["read_out"])
    parser.add_argument("--seeds", type=int, default=5, help="seeds 0, 1, ...")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument(
        "--encoders", nargs="+", choices=list(ENCODERS), default=["points", "raw colours"]
    )
    options = parser.parse_args()
    print(
        f"{'encoder':28} {'seed':>4} {'tip':>6} {'elbow':>6} {'target':>6} mm, untrained mm "
        "explained plain, weighted, by colour; dimension, neighbours, CPU s"
    )
    for name in options.encoders:
        for seed in range(options.first, options.first + options.seeds):
            print(row(name, seed), flush=True)


if __name__ == "__main__":
    main()
