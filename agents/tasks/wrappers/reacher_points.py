"""The four targets of `reacher_four`, each given as a picture, seen through an encoder."""

from typing import Any

import numpy as np

from dynamics.vision.encoder import Clips
from dynamics.vision.encoders import make_encoder
from dynamics.vision.filters import FILTERS, Reduced
from dynamics.vision.judgement import principal, untrained

from .partial import ReacherFourImages
from .pictured import Pictured


def reacher_points(
    encoder: Any = "points",
    components: int = 6,
    views: int = 3000,
    steps: int = 700,
    seed: int = 0,
    learned: bool = True,
    memory: str = "still",
    **pictured: Any,
) -> Pictured:
    """Returns the task, after an encoder has learned from pictures of random states, for about half
    a CPU minute; no label is used.

    `encoder` is a word, or an encoder that has learned. Its codes are their first principal
    components. Without `learned` the encoder is left as it is drawn. `memory` is a word of FILTERS,
    and `pictured` the settings of `Pictured`.
    """
    task, rng = ReacherFourImages(), np.random.default_rng(seed)
    pictures = task.views(views, rng).pictures
    made, clips = encoder, Clips(pictures[:, None])
    if isinstance(encoder, str):
        made = make_encoder(encoder, task.image, steps=steps)
        if learned:
            made.fit(clips, rng)
        else:
            made = untrained(made, clips, rng)
    codes = Reduced(made, principal(made(pictures), count=components))
    return Pictured(task, FILTERS[memory](codes), **pictured)
