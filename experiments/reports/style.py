"""Colours and style of every picture."""

from typing import Any

BLUE, ORANGE, GREEN, GREY = "#2166ac", "#d6604d", "#1b9e77", "#777777"
STYLE: dict[Any, Any] = {
    "figure.dpi": 110,
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.25,
    "legend.frameon": False,
}
