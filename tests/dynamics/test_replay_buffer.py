"""A replay buffer is a list of episodes of bounded length: nothing else is ever lost, mixed or
changed.
"""

import numpy as np
import pytest
from scipy.stats import chisquare

from dynamics import Ensemble, Linearised, Network, ReplayBuffer
from dynamics.storage.tree import load_tree, save_tree
from lqr import CheckpointError, InputError


def rounds(sizes, seed=0):
    """Yields rounds of transitions of a point that is pushed; each first number is its own."""
    rng, count = np.random.default_rng(seed), 0
    for size in sizes:
        x = np.stack([count + np.arange(size, dtype=float), rng.standard_normal(size)], 1)
        u, count = rng.standard_normal((size, 1)), count + size
        yield x, u, np.stack([x[:, 0], x[:, 1] + 0.1 * u[:, 0]], 1)


def test_up_to_its_size_a_buffer_is_all_that_was_added():
    buffer, everything = ReplayBuffer(30), []
    for one in rounds([10, 0, 15, 5]):
        everything.append(one)
        assert buffer.add(*one) == 0
    for kept, parts in zip(buffer.transitions, zip(*everything, strict=True), strict=True):
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
    buffer, gone = ReplayBuffer(30), 0
    for one in rounds(sizes):
        gone += buffer.add(*one)
    assert buffer.lengths == kept
    assert buffer.total == sum(sizes)
    np.testing.assert_array_equal(
        buffer.transitions[0][:, 0], np.arange(sum(sizes) - sum(kept), sum(sizes))
    )
    assert all(a.flags.c_contiguous for a in buffer.transitions)


@pytest.mark.parametrize("made", [lambda: Network((4,), 1), lambda: Ensemble(3, (4,), 1)])
def test_a_transition_that_is_kept_stays_held_out_or_in_the_same_training_sets(made):
    model, buffer, rng = made(), ReplayBuffer(60), np.random.default_rng(1)
    held, drawn = {}, {}
    for one in rounds([20, 13, 20, 9, 20, 31, 20]):
        buffer.add_and_fit(model, *one, rng)
        name = buffer.transitions[0][:, 0]
        assert len(model.held) == len(name) <= 60
        for x, flag in zip(name, model.held, strict=True):
            assert held.setdefault(x, flag) == flag
        counts = np.stack([np.bincount(rows, minlength=len(name)) for rows in model.rows])
        assert not counts[:, model.held].any()
        for x, times in zip(name, counts.T, strict=True):
            assert tuple(times) == drawn.setdefault(x, tuple(times))
    assert buffer.total == 133
    assert len({flag for flag in held.values()}) == 2


def test_a_buffer_goes_on_from_its_state_to_the_same_bits():
    parts = list(rounds([10, 12, 9, 14, 11]))
    through, again = (Linearised(Network((4,), 20), window=30) for _ in range(2))
    for one in parts[:3]:
        through.update(*one)
    again.load_state(through.state())
    for one in parts[3:]:
        through.update(*one)
        again.update(*one)
    assert again.buffer.lengths == through.buffer.lengths == [14, 11]
    for mine, theirs in zip(again.buffer.transitions, through.buffer.transitions, strict=True):
        np.testing.assert_array_equal(mine, theirs)
    point = [a[None, :, None] for a in parts[-1]]
    for mine, theirs in zip(again.at(*point), through.at(*point), strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_a_buffer_of_no_size_and_a_damaged_one_are_refused():
    with pytest.raises(InputError, match="capacity is 0; expected a whole number from 1 on"):
        ReplayBuffer(0)
    buffer = ReplayBuffer(30)
    buffer.add(*next(rounds([10])))
    for sizes in ([9.0], [11.0], [5.5, 4.5], [10.0, 0.0]):
        with pytest.raises(CheckpointError, match="replay/lengths"):
            ReplayBuffer(30).load_state(buffer.state() | {"lengths": np.array(sizes)})
    with pytest.raises(CheckpointError, match="replay"):
        ReplayBuffer(30).load_state(buffer.state() | {"total": 9})


@pytest.mark.parametrize("made", [Network, Ensemble])
def test_rounds_that_were_fitted_together_may_go_one_by_one(made):
    model, buffer, rng = made(hidden=(4,), steps=2), ReplayBuffer(250), np.random.default_rng(0)
    for i, one in enumerate(rounds([100] * 6)):
        if i % 2:
            buffer.add(*one, model=model)
        else:
            buffer.add_and_fit(model, *one, rng)
        assert model.rows.min() >= 0
        assert model.rows.max() < len(model.held) <= len(buffer.transitions[0])
        used = np.bincount(model.rows.ravel(), minlength=len(model.held))
        assert used.max() <= 12 * max(used.mean(), 1)  # none stands in for all that are gone
        made(hidden=(4,), steps=2).load_state(model.state())


FIELDS = ("x", "u", "xnext", "o", "onext", "reward", "end")


def made(rng, count, count_before, images):
    """Returns transitions, each with a number of its own in every field, without ends."""
    name = count_before + np.arange(count, dtype=float)
    o = rng.integers(0, 256, (count, 3, 2), dtype=np.uint8) if images else name[:, None] + 0.25
    return {
        "x": np.stack([name, rng.standard_normal(count)], 1),
        "u": rng.standard_normal((count, 1)),
        "xnext": np.stack([name + 0.5, rng.standard_normal(count)], 1),
        "o": o,
        "onext": np.roll(o, 1, 0) if images else o.astype(float) + 1,
        "reward": -name,
        "end": np.zeros(count, bool),
    }


def cut(episodes, capacity):
    """The rule in plain Python: whole episodes go, the oldest first; the newest is cut short."""
    while len(episodes) > 1 and sum(len(e["x"]) for e in episodes) > capacity:
        episodes.pop(0)
    episodes[:] = [{k: a[-capacity:] for k, a in e.items()} for e in episodes]


def assert_is(buffer, episodes):
    assert buffer.lengths == [len(e["x"]) for e in episodes]
    assert len(buffer) == sum(buffer.lengths)
    for i, e in enumerate(episodes):
        for name in FIELDS:
            kept = getattr(buffer.episode(i), name)
            np.testing.assert_array_equal(kept, e[name])
            assert kept.dtype == e[name].dtype


@pytest.mark.parametrize("seed", range(30))
def test_it_equals_a_plain_list_of_episodes_whatever_is_added_saved_and_loaded(seed, tmp_path):
    rng = np.random.default_rng(seed)
    capacity, images = int(rng.integers(1, 60)), bool(seed % 2)
    buffer, episodes, total, views = ReplayBuffer(capacity), [], 0, []
    for move in range(40):
        new = made(rng, int(rng.integers(0, 25)), total, images)
        count = len(new["x"])
        first = rng.random(count) < rng.choice([0.0, 0.1, 0.5])
        if count and episodes and episodes[-1]["end"][-1]:
            first[0] = True
        ends = np.append(first[1:], False) if count else first
        new["end"] = ends & (rng.random(count) < 0.5)  # the others were cut off by a time limit
        before = sum(len(e["x"]) for e in episodes)
        for i in range(count):
            row = {k: a[i : i + 1] for k, a in new.items()}
            if first[i] or not episodes:
                episodes.append(row)
            else:
                episodes[-1] = {k: np.concatenate([a, row[k]]) for k, a in episodes[-1].items()}
        if episodes:
            cut(episodes, capacity)
        gone = buffer.add(**new, first=first)
        total += count
        assert gone == before + count - sum(len(e["x"]) for e in episodes)
        assert buffer.total == total
        assert_is(buffer, episodes)
        views.append((buffer.data.x, buffer.data.x.copy()))
        if move % 7 == 6:
            save_tree(tmp_path / "b", buffer.state())
            buffer = ReplayBuffer(capacity)
            buffer.load_state(load_tree(tmp_path / "b")[0])
            assert_is(buffer, episodes)
    for view, then in views:  # what was handed out does not change later
        np.testing.assert_array_equal(view, then)


def test_a_time_limit_is_the_last_transition_of_an_episode_without_an_end():
    new = made(np.random.default_rng(0), 7, 0, False)
    new["end"][2] = True
    first = np.array([1, 0, 0, 1, 0, 1, 0], bool)
    buffer = ReplayBuffer()
    buffer.add(**new, first=first)
    np.testing.assert_array_equal(buffer.last, [0, 0, 1, 0, 1, 0, 1])
    np.testing.assert_array_equal(buffer.last & ~buffer.data.end, [0, 0, 0, 0, 1, 0, 1])
    more = made(np.random.default_rng(1), 2, 7, False)
    buffer.add(**more, first=np.array([False, True]))  # the third episode goes on for one step
    assert buffer.lengths == [3, 2, 3, 1]


def test_an_episode_that_goes_on_after_its_end_is_refused():
    new = made(np.random.default_rng(0), 4, 0, False)
    new["end"][1] = True
    with pytest.raises(InputError, match="follows an end"):
        ReplayBuffer().add(**new)
    buffer = ReplayBuffer()
    buffer.add(**new, first=np.array([True, False, True, False]))
    assert buffer.lengths == [2, 2]
    new["end"] = np.array([False, False, False, True])
    buffer.add(**new)
    with pytest.raises(InputError, match="follows an end"):
        buffer.add(**new, first=np.zeros(4, bool))
    assert buffer.lengths == [2, 2, 4]
    assert buffer.total == len(buffer) == 8
    with pytest.raises(CheckpointError, match="damaged"):
        ReplayBuffer().load_state(buffer.state() | {"lengths": np.array([4.0, 4.0])})


def filled(lengths):
    new = made(np.random.default_rng(0), sum(lengths), 0, False)
    buffer = ReplayBuffer()
    first = np.isin(np.arange(sum(lengths)), np.cumsum([0, *lengths]))
    buffer.add(**new, first=first)
    return buffer


def test_each_transition_is_as_likely_as_any_other():
    buffer, rng = filled([3, 20, 1, 26]), np.random.default_rng(4)
    batch = buffer.sample(20_000, rng)
    counts = np.bincount(batch.x[:, 0].astype(int), minlength=50)
    assert chisquare(counts).pvalue > 0.01
    np.testing.assert_array_equal(batch.xnext[:, 0], batch.x[:, 0] + 0.5)  # rows stay together
    np.testing.assert_array_equal(batch.reward, -batch.x[:, 0])


def test_each_run_within_an_episode_is_as_likely_as_any_other():
    buffer, rng = filled([3, 20, 5, 4]), np.random.default_rng(5)
    runs = buffer.sample_sequences(20_000, 4, rng).x[..., 0].astype(int)
    assert (np.diff(runs, axis=1) == 1).all()
    begins = [*range(3, 20), 23, 24, 28]  # where 4 steps fit: none in the first episode
    assert set(runs[:, 0]) == set(begins)
    assert chisquare(np.bincount(runs[:, 0])[begins]).pvalue > 0.01
    with pytest.raises(InputError, match="expected 1 to 20"):
        buffer.sample_sequences(1, 21, rng)


def test_each_episode_is_as_likely_as_any_other_and_the_newest_come_last():
    buffer = filled([3, 20, 5, 4])
    drawn = [len(e.x) for e in buffer.sample_episodes(4000, np.random.default_rng(6))]
    assert chisquare([drawn.count(n) for n in (3, 20, 5, 4)]).pvalue > 0.01
    assert [len(e.x) for e in buffer.newest(2)] == [5, 4]
    assert len(buffer.newest(9)) == 4
    np.testing.assert_array_equal(buffer.episode(-1).x[:, 0], np.arange(28, 32))


def test_what_is_stored_is_decided_by_the_first_transitions():
    x, u, y = next(rounds([5]))
    buffer = ReplayBuffer()
    buffer.add(x, u, y)
    assert set(buffer.state()) == {"total", "lengths", "x", "u", "xnext"}
    assert buffer.sample(3, np.random.default_rng(0)).o is None
    with pytest.raises(InputError, match="as those before"):
        buffer.add(x, u, y, reward=np.zeros(5))
    with pytest.raises(InputError, match="as those before"):
        buffer.add(x[:, :1], u, y[:, :1])
    with pytest.raises(InputError, match="both, or neither"):
        ReplayBuffer().add(x, u, y, o=x)
    with pytest.raises(InputError, match="expected bool"):
        ReplayBuffer().add(x, u, y, end=np.zeros(5))
    with pytest.raises(InputError, match=r"reward and end \(M,\)"):
        ReplayBuffer().add(x, u, y, reward=np.zeros((5, 1)))
    with pytest.raises(InputError, match="empty"):
        ReplayBuffer().sample(1, np.random.default_rng(0))


def test_many_single_steps_cost_few_copies(monkeypatch):
    one, buffer = next(rounds([1])), ReplayBuffer(500)
    made_rows, empty = [], np.empty
    monkeypatch.setattr(
        np, "empty", lambda shape, *rest: made_rows.append(shape[0]) or empty(shape, *rest)
    )
    for step in range(5000):
        buffer.add(*one, first=np.array([step % 50 == 0]))
    assert 450 < len(buffer) <= 500
    assert sum(made_rows) / 3 < 5 * 5000  # rows written anew, per column and transition
