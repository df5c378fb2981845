"""What a graph network dreams: swimmers over each other, true and dreamed, and a film of a shot.

python -m benchmarks.structure_figure swimmers docs/pictures/structure_swimmers.png
python -m benchmarks.structure_figure shot docs/pictures/structure_shot.gif
"""

import io
import sys
from pathlib import Path
from typing import Any

import numpy as np

from agents.tasks.classic.billiards import RADIUS, Billiards
from agents.tasks.mujoco.links import middles_of, shape_of
from benchmarks.structure import (
    Array,
    apart,
    disks_model,
    found_push,
    open_loop,
    places,
    search,
    swimmer_model,
    swum,
)
from dynamics.storage.files import write_file
from experiments.reports.style import BLUE, ORANGE, STYLE

SHOWN = (0, 20, 50, 80)  # steps
RED, GREEN, GREY = (0.85, 0.25, 0.2), (0.2, 0.6, 0.3), (0.55, 0.58, 0.62)


def swimmers(plt: Any) -> bytes:
    """Returns shapes of swimmers of 3, 6 and 8 links, of which only the first were seen, and errors
    over steps, by the network of seed 0.
    """
    model = swimmer_model(np.random.default_rng(0))
    figure, axes = plt.subplots(3, 5, figsize=(10, 5.4), layout="constrained")
    for row, n in zip(axes, (3, 6, 8), strict=True):
        task, found = swum(n, 30, 101, np.random.default_rng([0, n]))
        x, u = found.x[:, 20:101], found.u[:, 20:100]
        told = open_loop(model.on(task.graph).mean, x[:, 0], u)
        for axis, k in zip(row, SHOWN, strict=False):
            for states, colour, width in ((x, BLUE, 5), (told, ORANGE, 1.8)):
                axis.plot(*shape_of(states[0, k]).T, "-o", color=colour, lw=width, ms=3)
            middle = x[0, 0, :2]
            axis.set(xlim=middle[0] + [-n / 2 - 0.6, n / 2 + 0.6], xticks=[], yticks=[])
            axis.set(ylim=middle[1] + [-n / 4 - 0.3, n / 4 + 0.3], aspect="equal")
            axis.set_title(f"{n} links, {k} steps", loc="left", fontsize=9)
        true, before = middles_of(x), middles_of(found.x[:, 19:20])
        ahead = true[:, :1] + np.arange(81)[:, None, None] * (true[:, :1] - before)
        row[4].plot(apart(true[:, :1], true), color="0.5", ls="--", label="standing still")
        row[4].plot(apart(ahead, true), color="0.5", ls=":", label="constant velocity")
        row[4].plot(apart(middles_of(told), true), color=ORANGE, label="graph network")
        row[4].set(ylim=(0, 0.5), xlabel="steps", ylabel="error (m)")
    axes[0, 4].legend(fontsize=7, frameon=False)
    return png(figure)


def png(figure: Any) -> bytes:
    """Returns a figure as a PNG."""
    picture = io.BytesIO()
    figure.savefig(picture, format="png", bbox_inches="tight")
    return picture.getvalue()


def shot(plt: Any) -> bytes:
    """Returns a film of pushes that were found in the network of seed 0, in two layouts of three
    disks and two of six, dreamed (rings) and true (disks).
    """
    from PIL import Image

    model, rng, steps = (
        disks_model(Billiards(3), np.random.default_rng(0)),
        np.random.default_rng(0),
        25,
    )
    films = []
    for balls, first in ((3, 2), (3, 5), (6, 1), (6, 4)):
        task = Billiards(balls, still=True)
        s = task.layouts(first + 1, np.random.default_rng([0, balls]))[-1:]
        U = np.zeros((1, steps, 2))
        U[:, 0] = found_push(search(), model.on(task.graph).mean, task, s[0], steps, rng)
        films.append([places(open_loop(f, s, U))[0]
                      for f in (task.advance, model.on(task.graph).mean)])  # fmt: skip
    frames = [
        Image.fromarray(np.concatenate([drawn(a[t], b[t]) for a, b in films], 1))
        for t in range(steps)
    ]
    film, first_frame = io.BytesIO(), frames[0].convert("P", palette=Image.Palette.ADAPTIVE)
    rest = [frame.quantize(palette=first_frame) for frame in frames[1:]]
    length = [600, *[70] * (steps - 2), 900]
    first_frame.save(film, format="GIF", save_all=True, append_images=rest, duration=length, loop=0)
    return film.getvalue()


def drawn(true: Array, told: Array, side: int = 150) -> Array:
    """Returns a picture (side, side + 6, 3) of true disks and rings where they were dreamed."""
    line = (np.arange(side) + 0.5) / side
    picture = np.full((side, side, 3), 0.96)
    for i in range(len(true)):
        colour = (RED, GREEN)[i] if i < 2 else GREY
        for place, inner in ((true[i], 0.0), (told[i], RADIUS - 0.012)):
            far = np.hypot(line[None] - place[0], line[::-1, None] - place[1])
            cover = np.clip((RADIUS - far) * side + 0.5, 0, 1) * np.clip(
                (far - inner) * side + 0.5, 0, 1
            )
            tone = np.array(colour if not inner else (0.1, 0.1, 0.1))
            picture = picture + cover[..., None] * (tone - picture)
    return np.rint(255 * np.pad(picture, ((0, 0), (3, 3), (0, 0)), constant_values=0.6)).astype(
        np.uint8
    )


def main(what: str, path: str) -> None:
    """Draws the figure, or the film."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    with plt.rc_context(STYLE):
        write_file(Path(path), {"swimmers": swimmers, "shot": shot}[what](plt))


if __name__ == "__main__":
    main(*sys.argv[1:])
