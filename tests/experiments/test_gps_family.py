"""The learning curves of the methods: every experiment that is drawn exists, and seeds that are not
finished wait.
"""

import numpy as np

from benchmarks import gps_family
from experiments.engine import registry


def written(folder, seed, costs):
    """Writes the metrics of a run as the runner does."""
    (folder / f"seed_{seed}").mkdir(parents=True)
    lines = [f"{i + 1},{20.0 * (i + 1)},{cost}" for i, cost in enumerate(costs)]
    (folder / f"seed_{seed}" / "metrics.csv").write_text(
        "\n".join(["iteration,episodes,policy_cost", *lines]) + "\n"
    )


def test_every_panel_is_of_an_experiment():
    assert set(gps_family.panels()) <= set(registry.names())


def test_the_curves_are_those_of_the_seeds_that_have_got_as_far_as_any(tmp_path):
    for seed, costs in ((0, [3.0, 2.0]), (1, [5.0]), (2, [4.0, 1.0])):
        written(tmp_path / "reacher_four", seed, costs)
    episodes, found = gps_family.curves(tmp_path / "reacher_four", "policy_cost")
    assert episodes.tolist() == [20, 40]
    assert {seed: list(costs) for seed, costs in found.items()} == {0: [3.0, 2.0], 2: [4.0, 1.0]}
    assert gps_family.curves(tmp_path / "none", "policy_cost")[1] == {}


def test_a_picture_is_drawn_of_what_is_there(tmp_path):
    written(tmp_path / "reacher_four", 0, [3.0, 2.0])
    panels = {name: gps_family.panels()[name] for name in ("reacher_four", "disc_pigps")}
    picture = gps_family.draw(panels, tmp_path)
    assert picture.startswith(b"\x89PNG")
    assert len(np.frombuffer(picture, np.uint8)) > 5000
