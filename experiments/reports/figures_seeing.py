"""The picture of what a policy sees: the points that it finds in pictures."""

from collections.abc import Mapping
from typing import Any

import numpy as np

ROW = 4  # pictures of an episode


def sights(plt: Any, last: Mapping[str, Any], task: Any) -> Any:
    """Pictures along the policy's episodes, with the points that it finds: the larger, the surer."""
    if "seen_pictures" not in last or not np.isfinite(last["seen_points"]).all():
        return None
    pictures, points = (np.asarray(last[f"seen_{name}"]) for name in ("pictures", "points"))
    lines = -(-len(pictures) // ROW)
    figure, axes = plt.subplots(lines, ROW, figsize=(1.9 * ROW, 2.0 * lines), squeeze=False)
    height, width = pictures.shape[1:3]
    for axis in axes.ravel():
        axis.set_axis_off()
    for axis, picture, found in zip(axes.ravel(), pictures, points, strict=False):
        axis.imshow(np.clip(picture if picture.shape[-1] == 3 else picture[..., 0], 0, 1))
        x, y = (found[:, 0] + 1) / 2 * (width - 1), (found[:, 1] + 1) / 2 * (height - 1)
        size = 6 + 60 * np.clip(found[:, 2], 0, 1)
        axis.scatter(x, y, size, c=np.arange(len(found)), cmap="tab20", edgecolors="w", lw=0.5)
    figure.tight_layout(pad=0.3)
    return figure
