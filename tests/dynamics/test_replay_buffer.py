"""A bounded history: up to its size nothing is lost, then the oldest rounds go, and nothing else
changes.
"""

import numpy as np
import pytest

from dynamics import Ensemble, History, Linearised, Network
from lqr import CheckpointError, InputError


def rounds(sizes, seed=0):
    """Yields rounds of transitions of a point that is pushed; each first number is its own."""
    rng, count = np.random.default_rng(seed), 0
    for size in sizes:
        x = np.stack([count + np.arange(size, dtype=float), rng.standard_normal(size)], 1)
        u, count = rng.standard_normal((size, 1)), count + size
        yield x, u, np.stack([x[:, 0], x[:, 1] + 0.1 * u[:, 0]], 1)


def test_up_to_its_size_a_history_is_all_that_was_added():
    history, everything = History(30), []
    for one in rounds([10, 0, 15, 5]):
        everything.append(one)
        assert history.add(*one) == 0
    for kept, parts in zip(history.seen, zip(*everything, strict=True), strict=True):
        np.testing.assert_array_equal(kept, np.concatenate(parts))


@pytest.mark.parametrize(
    ("sizes", "kept"),
    [
        ([10, 15, 5, 6], [15, 5, 6]),
        ([10, 20, 40], [30]),
        ([20, 20, 20], [20]),
        ([1] * 50, [1] * 30),
    ],
)
def test_beyond_it_the_oldest_rounds_go(sizes, kept):
    history, gone = History(30), 0
    for one in rounds(sizes):
        gone += history.add(*one)
    assert history.sizes == kept
    assert history.total == sum(sizes)
    np.testing.assert_array_equal(
        history.seen[0][:, 0], np.arange(sum(sizes) - sum(kept), sum(sizes))
    )
    assert all(a.flags.c_contiguous for a in history.seen)


@pytest.mark.parametrize("made", [lambda: Network((4,), 1), lambda: Ensemble(3, (4,), 1)])
def test_a_transition_that_is_kept_stays_held_out_or_in_the_same_training_sets(made):
    model, history, rng = made(), History(60), np.random.default_rng(1)
    held, drawn = {}, {}
    for one in rounds([20, 13, 20, 9, 20, 31, 20]):
        history.teach(model, *one, rng)
        name = history.seen[0][:, 0]
        assert len(model.held) == len(name) <= 60
        for x, flag in zip(name, model.held, strict=True):
            assert held.setdefault(x, flag) == flag
        counts = np.stack([np.bincount(rows, minlength=len(name)) for rows in model.rows])
        assert not counts[:, model.held].any()
        for x, times in zip(name, counts.T, strict=True):
            assert tuple(times) == drawn.setdefault(x, tuple(times))
    assert history.total == 133
    assert len({flag for flag in held.values()}) == 2


def test_a_history_goes_on_from_its_state_to_the_same_bits():
    parts = list(rounds([10, 12, 9, 14, 11]))
    through, again = (Linearised(Network((4,), 20), window=30) for _ in range(2))
    for one in parts[:3]:
        through.update(*one)
    again.load_state(through.state())
    for one in parts[3:]:
        through.update(*one)
        again.update(*one)
    assert again.history.sizes == through.history.sizes == [14, 11]
    for mine, theirs in zip(again.history.seen, through.history.seen, strict=True):
        np.testing.assert_array_equal(mine, theirs)
    point = [a[None, :, None] for a in parts[-1]]
    for mine, theirs in zip(again.at(*point), through.at(*point), strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_a_history_of_no_size_and_a_damaged_one_are_refused():
    with pytest.raises(InputError, match="1 or more"):
        History(0)
    history = History(30)
    history.add(*next(rounds([10])))
    for sizes in ([9.0], [11.0], [5.5, 4.5], [10.0, 0.0]):
        with pytest.raises(CheckpointError, match="history/sizes"):
            History(30).load_state(history.state() | {"sizes": np.array(sizes)})
    with pytest.raises(CheckpointError, match="history"):
        History(30).load_state(history.state() | {"total": 9})


@pytest.mark.parametrize("made", [Network, Ensemble])
def test_rounds_that_were_fitted_together_may_go_one_by_one(made):
    model, history, rng = made(hidden=(4,), steps=2), History(250), np.random.default_rng(0)
    for i, one in enumerate(rounds([100] * 6)):
        if i % 2:
            history.keep(model, *one)
        else:
            history.teach(model, *one, rng)
        assert model.rows.min() >= 0
        assert model.rows.max() < len(model.held) <= len(history.states)
        used = np.bincount(model.rows.ravel(), minlength=len(model.held))
        assert used.max() <= 12 * max(used.mean(), 1)  # none stands in for all that are gone
        made(hidden=(4,), steps=2).load_state(model.state())
