"""Filters that are learned before the policy: from pictures whose labels are known, or from pictures
alone.

The task shows itself in random states, each with a goal of its own (`ShowsViews`). An encoder of
`dynamics.vision` learns from that; the policy takes its filters and colours, and a linear reading
of its points: the labels themselves where they are known (Levine, Finn, Darrell and Abbeel 2016,
section 5.3), else the principal components of the points.
"""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from agents.interfaces import Task
from agents.rollout import Trajectories
from agents.settings import Count, Settings
from agents.tasks.capabilities import ShowsViews, capability
from dynamics.networks.modules import part
from dynamics.vision.encoder import Clips
from dynamics.vision.encoders import make_encoder
from dynamics.vision.judgement import principal, read_out
from lqr import InputError

Array = np.ndarray
SHOWN, ALONG = 2, 4  # episodes of which a figure is drawn, and pictures of each


@dataclass(frozen=True)
class SeeingSettings(Settings):
    """Settings of what a policy that sees a picture learns before it acts."""

    # what its filters are learned for beforehand: none (nothing), points (to paint the picture,
    # without labels), poses (to tell the labels that the task knows in training)
    filters: Literal["none", "points", "poses"] = "none"
    fixed_filters: bool = False  # filters that were learned beforehand stay as they are
    views: Count = 3000  # pictures that they are learned from
    filter_steps: Count = 700  # minibatch steps of that


def with_filters(policy: Any, task: Task, config: SeeingSettings, rng: np.random.Generator) -> Any:
    """Returns the policy with the filters that the config asks for.

    Raises InputError for a policy without such filters, and for a task that does not show itself.
    """
    if config.filters == "none":
        if config.fixed_filters:
            raise InputError(
                "got fixed filters that nothing was learned for; expected --filters points or poses"
            )
        return policy
    if not hasattr(policy, "see_with"):
        raise InputError(
            f"filters are {config.filters}, for a {type(policy).__name__}; expected --policy keypoints"
        )
    shows = capability(task, ShowsViews)
    if shows is None:
        raise InputError(
            f"filters are {config.filters}, for {task.name}, which has no `views`; expected --filters none"
        )
    views = shows.views(config.views, rng)
    clips = Clips(views.pictures[:, None], labels=views.labels[:, None])
    settings = {"labels": views.labels.shape[1]} if config.filters == "poses" else {}
    encoder = make_encoder(config.filters, policy.image, steps=config.filter_steps, **settings)
    encoder.fit(clips, rng)
    codes = encoder(views.pictures)
    reading = read_out(codes, views.labels) if config.filters == "poses" else principal(codes)
    assert encoder.colours is not None
    return policy.see_with(
        part(encoder.params, "network"), encoder.colours, reading, config.fixed_filters
    )


def sights(policy: Any, shown: Trajectories) -> dict[str, Array]:
    """Returns, for a figure, what a policy that finds points saw in its evaluation episodes: pictures
    of the first `SHOWN` of them along the way (M, h, w, c), and the points (M, K, 3), see there; NaN
    where no episode was made, and nothing for any other policy.
    """
    if not hasattr(policy, "sights"):
        return {}
    steps = np.linspace(0, shown.o.shape[1] - 1, ALONG).round().astype(int)
    o = shown.o[:SHOWN, steps].reshape(-1, policy.do)
    known = np.isfinite(o).all()
    pictures, points = policy.sights(o if known else np.zeros_like(o))
    unknown = 0.0 if known else np.nan
    return {"seen_pictures": pictures + unknown, "seen_points": points + unknown}
