"""Intervals hold as often as they say; those of several seeds know that all were graded in the same
episodes.
"""

import numpy as np
import pytest

from agents.tasks.mujoco.reacher import Reacher
from experiments.engine import evaluated, intervals
from experiments.engine.episodes import Episode
from experiments.reports import comparison
from lqr import InputError

TRUE = -4.0


def draws(rng, seeds, episodes, shared, seed_spread, rest):
    """Returns (S, E): what a method pays, an own part of each seed, one of each episode, a rest."""
    own = seed_spread * rng.standard_normal((seeds, 1))
    return TRUE + own + shared + rest * rng.standard_normal((seeds, episodes))


@pytest.mark.parametrize(
    ("seeds", "episodes", "of_seeds", "of_episodes", "rest"),
    [(5, 30, 0.3, 2.0, 1.0), (5, 20, 0.0, 2.0, 0.3), (5, 30, 0, 0, 1)],
)
def test_the_interval_of_a_mean_over_seeds_holds_as_often_as_it_says(
    seeds, episodes, of_seeds, of_episodes, rest
):
    rng, count = np.random.default_rng(0), 200
    inside, by_seeds, difference = 0, 0, 0
    for _ in range(count):
        shared = of_episodes * rng.standard_normal(episodes)
        a, b = (draws(rng, seeds, episodes, shared, of_seeds, rest) for _ in range(2))
        found = intervals.over_seeds(a).interval
        inside += found.low <= TRUE <= found.high
        alone = intervals.mean_interval(a.mean(1))  # what a spread over seeds would say
        by_seeds += alone.low <= TRUE <= alone.high
        gap = intervals.paired(a, b).interval
        difference += gap.low <= 0 <= gap.high
    assert 0.89 < inside / count <= 1
    assert 0.89 < difference / count <= 1
    if of_episodes > 2 * rest:
        assert by_seeds / count < 0.5


def test_the_errors_are_those_of_a_table_by_hand():
    # seeds' means 2 and 6, episodes' means 2, 4, 6: standard deviations sqrt(8) and 2; no rest
    x = np.array([[0.0, 2.0, 4.0], [4.0, 6.0, 8.0]])
    found = intervals.over_seeds(x)
    assert (found.value, found.seeds, found.episodes) == pytest.approx((4, 2, 2 / np.sqrt(3)))
    assert found.error == pytest.approx(np.hypot(2, 2 / np.sqrt(3)))
    often = intervals.over_seeds(np.tile(x, 25))  # from fixed starts: still three episodes
    assert often[1:] == pytest.approx(found[1:])
    one = intervals.over_seeds(x[:1])
    assert (one.value, one.error) == pytest.approx((2, 2 / np.sqrt(3)))
    assert np.isnan(one.seeds)


def test_in_pairs_what_makes_an_episode_hard_is_no_error_of_a_difference():
    rng = np.random.default_rng(1)
    hard = 5 * rng.standard_normal(100)
    a, b = draws(rng, 1, 100, hard, 0, 0.1) + 0.2, draws(rng, 1, 100, hard, 0, 0.1)
    assert intervals.paired(a, b).chance < 1e-6
    assert intervals.paired(a, b).value == pytest.approx(0.2, abs=0.06)
    told = comparison.verdict([group("x", a), group("y", b)])
    assert "paired over the same 100 episodes: more than chance" in told
    assert "of one seed it cannot be said" in told
    several = [group(n, v + s) for n, v in (("x", a), ("y", b)) for s in [SPREAD]]
    told = comparison.verdict(several)
    assert "over 3 and 3 seeds" in told
    assert "paired over the same 100 episodes" in told
    assert "not more than chance" in told  # the seeds differ by ten times as much


SPREAD = np.array([[0.0], [2.0], [4.0]])


def group(name, returns):
    about = {"experiment": name, "chosen": {}, "config": {}, "seed": 0, "actor": "controllers"}
    runs = [
        comparison.Run(None, about, [], {"mean_return": r.mean()}, True, tuple(r), "Some-v0")
        for r in returns
    ]
    return comparison.Group(name, runs)


def test_a_mean_over_seeds_is_told_with_both_errors():
    x = np.array([[0.0, 2.0, 4.0], [4.0, 6.0, 8.0]])
    text = comparison.told(group("x", x), "mean_return")
    assert text.startswith(
        "4 ± 2.8 (2 to 6); standard errors 2 of the seeds, 1.2 of the 3 episodes"
    )
    assert "of this policy" in comparison.told(group("x", x[:1]), "mean_return")


def episode(x, y, distance, total=0.0):
    start = np.zeros(10)
    start[4:6] = x, y
    return Episode(0, total, 50, distance, None, f"{x} {y} {distance}", start)


def test_success_by_the_angle_of_the_target():
    found = [episode(-0.1, 0.01, 0.2), episode(-0.1, -0.03, 0.01), episode(0.1, 0.0, 0.01)]
    found += [episode(0.0, 0.1, 0.01), episode(0.0, -0.1, 0.2)]
    measure = evaluated.measure_of(Reacher(2), "angle")
    behind = np.array([-1.0, 0.0])
    expected = [
        np.degrees(np.arccos(e.start[4:6] @ behind / np.linalg.norm(e.start[4:6]))) for e in found
    ]
    np.testing.assert_allclose(evaluated.values_of(measure, found), expected, atol=1e-6)
    told = dict(evaluated.by(measure, found * 2, within=0.05))  # repeated: counted once
    assert told["  0 to 20"].startswith("50%")
    assert told["  0 to 20"].endswith("of 2")
    assert told["  80 to 100"].endswith("of 2")
    assert told["  20 to 40"] == "none, of 0"
    with pytest.raises(InputError, match="angle"):
        evaluated.measure_of(Reacher(2), "angel")


def test_another_policy_is_compared_in_pairs():
    hard = np.linspace(-9, 0, 12)
    mine = [episode(i, 0, 0.01, v + 0.5 + 0.01 * i) for i, v in enumerate(hard)]
    theirs = [episode(i, 1, 0.01 if i > 8 else 0.2, v) for i, v in enumerate(hard)]
    told = dict(evaluated.against(mine * 3, theirs * 3, 0.05))
    # 0.5 + 0.01 i, i = 0..11: mean 0.555, Student's half-width 2.201 * 0.03606 / sqrt(12)
    assert told["difference"].startswith("0.555 (95 %: 0.5321 to 0.5779), paired over the same 12")
    assert "9 succeed here alone and 0 there alone (p = 0.0039)" in told["the other's rate"]
    # McNemar, exactly: 2 / 2^9
