"""What all policies that are trained here have in common: one contract for each word of
POLICIES.
"""

import copy

import numpy as np
import pytest

from agents import load_policy, save_policy
from agents.policies import make_policy, trained_words
from agents.saving import state_of
from lqr import CheckpointError, InputError, NumericalError

T, DU, REST, IMAGE = 6, 2, 3, (10, 9, 1)
STD = np.array([0.3, 0.5])
WORDS = trained_words()
SEEING = ("convolutional", "keypoints")  # a picture


class World:
    """What a policy is made for."""

    du, image = DU, IMAGE
    action_low, action_high = np.array([-1.0, -np.inf]), np.array([0.5, 2.0])

    def __init__(self, word):
        self.do = REST + int(np.prod(IMAGE)) * (word in SEEING)


def seen(world, N=7, seed=1):
    """Whole episodes (N, T, do); a picture's numbers are in [0, 1]."""
    o = np.random.default_rng(seed).normal(size=(N, T, world.do))
    o[..., : world.do - REST] = 1 / (1 + np.exp(-o[..., : world.do - REST]))
    return o


def lesson(world, N=7, seed=2):
    """Observations, targets and precisions, such that every parameter moves."""
    rng, o = np.random.default_rng(seed), seen(world, N)
    root = rng.normal(size=(N, T, DU, DU))
    return o, np.sin(o[..., -2:]) + o[..., :1], root @ root.swapaxes(-1, -2) + np.eye(DU)


def made(word, fitted=True):
    world, rng = World(word), np.random.default_rng(0)
    policy = make_policy(word, world, (8, 7), STD, rng)
    if fitted:
        policy.fit(*lesson(world), rng, steps=20, rate=0.02)
    return world, policy


@pytest.mark.parametrize("word", WORDS)
def test_it_starts_near_no_action_with_the_spread_it_was_asked_for(word):
    world, policy = made(word, fitted=False)
    o = seen(world)
    assert np.abs(policy.mean(o)).max() < 0.2
    np.testing.assert_allclose(
        policy.covariance(o), np.tile(np.diag(STD**2), (7, T, 1, 1)), rtol=0.25, atol=1e-12
    )


@pytest.mark.parametrize("word", WORDS)
def test_fitting_comes_closer_to_the_targets_and_the_same_generator_gives_the_same_policy(word):
    world, policy = made(word, fitted=False)
    _, again = made(word, fitted=False)
    o, target, precision = lesson(world)
    before = ((policy.mean(o) - target) ** 2).mean()
    for each in (policy, again):
        loss = each.fit(o, target, precision, np.random.default_rng(3), steps=150, rate=0.02)
    assert np.isfinite(loss)
    assert ((policy.mean(o) - target) ** 2).mean() < 0.5 * before
    assert np.array_equal(policy.mean(o), again.mean(o))


@pytest.mark.parametrize("word", WORDS)
def test_it_is_saved_and_read_to_the_last_bit_with_its_units_and_limits(word, tmp_path):
    world, policy = made(word)
    assert state_of(policy)["kind"] == word
    assert not np.array_equal(policy.centre, np.zeros_like(policy.centre))
    save_policy(tmp_path / "p", policy)
    again, o = load_policy(tmp_path / "p"), seen(world)
    for name in ("mean", "covariance"):
        assert np.array_equal(getattr(again, name)(o), getattr(policy, name)(o))
    for name in ("centre", "scale", "low", "high"):
        assert np.array_equal(getattr(again, name), getattr(policy, name))
    assert np.array_equal(again.predict(o[:, 0])[0], policy.predict(o[:, 0])[0])


@pytest.mark.parametrize("word", WORDS)
def test_episodes_side_by_side_are_each_as_if_alone(word):
    world, policy = made(word)
    o = seen(world)
    whole = policy.mean(o)
    np.testing.assert_allclose(policy.mean(o[2]), whole[2], atol=1e-12)
    for _ in range(2):  # the second time, what was remembered is forgotten at step 0
        together = np.stack([policy.sample(o[:, t], t, None) for t in range(T)], 1)
        np.testing.assert_allclose(together, whole, atol=1e-12)
    policy.reset()
    alone = np.array([policy.act(o[4, t]) for t in range(T)])
    np.testing.assert_allclose(
        alone, np.clip(whole[4], world.action_low, world.action_high), atol=1e-12
    )


@pytest.mark.parametrize("word", WORDS)
def test_predict_is_what_stable_baselines_expects(word):
    world, policy = made(word)
    o, limits = seen(world, N=3), (world.action_low, world.action_high)
    state, start, got = None, np.ones(3, bool), []
    for t in range(T):
        if t == 3:
            start = np.array(
                [False, True, False]
            )  # the second environment has begun another episode
        action, state = policy.predict(
            o[:, t], state=state, episode_start=start, deterministic=True
        )
        start = np.zeros(3, bool)
        assert action.shape == (3, DU)
        assert action.dtype == np.float32
        got.append(action)
    expected = policy.mean(o)
    expected[1, 3:] = policy.mean(o[1, 3:])
    np.testing.assert_allclose(np.stack(got, 1), np.clip(expected, *limits), atol=1e-6)
    one, _ = policy.predict(o[0, 0])
    assert one.shape == (DU,)
    np.testing.assert_allclose(one, got[0][0], atol=1e-6)


@pytest.mark.parametrize("word", WORDS)
def test_what_is_handed_out_keeps_the_limits_and_samples_have_the_covariance(word):
    world, policy = made(word)
    o = np.repeat(seen(world)[:1, 0], 20_000 if word not in SEEING else 4000, 0)
    draws = policy.sample(o, 0, np.random.default_rng(5))
    cov = policy.covariance(o[:1])[0]
    np.testing.assert_allclose(np.cov(draws.T), cov, atol=0.08 * np.diag(cov).max())
    np.testing.assert_allclose(
        draws.mean(0), policy.sample(o[:1], 0, None)[0], atol=0.05 * np.sqrt(np.diag(cov).max())
    )
    handed, _ = policy.predict(o, deterministic=False)
    assert (handed >= world.action_low - 1e-6).all()
    assert (handed <= world.action_high + 1e-6).all()
    assert handed.std(0).min() > 0


@pytest.mark.parametrize("word", WORDS)
def test_what_weighs_nothing_teaches_nothing(word):
    world, policy = made(word)
    _, other = made(word)
    o, target, precision = lesson(world)
    weight = np.random.default_rng(6).uniform(0.5, 2, size=(7, T))
    weight[4:] = 0
    poison = np.where(weight[..., None] > 0, target, 1e6)
    policy.fit(o, poison, precision, np.random.default_rng(7), steps=20, weight=weight)
    other.fit(
        o[:4], target[:4], precision[:4], np.random.default_rng(7), steps=20, weight=weight[:4]
    )
    np.testing.assert_allclose(policy.mean(o), other.mean(o), atol=1e-9)
    with pytest.raises(InputError, match="weight 0; expected some"):
        policy.fit(o, target, precision, np.random.default_rng(7), steps=2, weight=0 * weight)


@pytest.mark.parametrize("word", WORDS)
def test_a_loss_that_is_no_number_is_refused_and_the_policy_stays_as_it_was(word):
    world, policy = made(word)
    o, target, precision = lesson(world)
    before = policy.mean(o)
    with pytest.raises(NumericalError, match="learning rate"):
        policy.fit(o, target * np.nan, precision, np.random.default_rng(0), steps=3)
    np.testing.assert_allclose(policy.mean(o), before, atol=1e-9)


@pytest.mark.parametrize("word", WORDS)
def test_what_was_returned_before_is_not_changed_by_training(word):
    world, policy = made(word)
    state = policy.state()
    kept = copy.deepcopy(state)
    policy.fit(*lesson(world), np.random.default_rng(1), steps=3)

    def leaves(tree):
        return [x for v in tree.values() for x in (leaves(v) if isinstance(v, dict) else [v])]

    assert all(np.array_equal(a, b) for a, b in zip(leaves(state), leaves(kept), strict=True))


@pytest.mark.parametrize("word", WORDS)
def test_derivatives_are_exact_where_there_are_any(word):
    world, policy = made(word)
    if word not in ("mlp", "mlp_std"):
        assert not hasattr(policy, "jacobian")
        return
    o, h = seen(world), 1e-6
    numeric = np.stack(
        [(policy.mean(o + e) - policy.mean(o - e)) / (2 * h) for e in h * np.eye(world.do)], -1
    )
    np.testing.assert_allclose(policy.jacobian(o), numeric, atol=1e-7)


@pytest.mark.parametrize("word", WORDS)
def test_an_observation_or_a_state_of_another_size_is_refused(word):
    world, policy = made(word)
    with pytest.raises(InputError, match=rf"shape \({world.do + 1},\); expected \({world.do},\)"):
        policy.act(np.zeros(world.do + 1))
    state = policy.state()
    state["layers"]["layer1"]["W"] = np.zeros((7, 3))
    with pytest.raises(CheckpointError, match=r"\(7, 3\)"):
        type(policy).from_state(state)


@pytest.mark.parametrize("word", WORDS)
@pytest.mark.parametrize(("low", "high"), [(-1, 1), (np.array([-1, -2]), [1, np.inf])])
@pytest.mark.parametrize("std", [1, np.float32(0.5), [1, 2]])
def test_what_is_made_of_any_kind_of_numbers_is_saved_and_loaded(word, low, high, std, tmp_path):
    world = World(word)
    world.action_low, world.action_high = low, high
    policy = make_policy(word, world, [np.int64(8), 7], std, np.random.default_rng(0))
    assert policy.low.dtype == policy.high.dtype == float
    assert policy.low.shape == policy.high.shape == (DU,)
    policy.fit(*lesson(world), np.random.default_rng(1), steps=2)
    save_policy(tmp_path / "p", policy)
    o = seen(world)
    assert np.array_equal(load_policy(tmp_path / "p").mean(o), policy.mean(o))


@pytest.mark.parametrize("word", WORDS)
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_an_observation_that_is_not_finite_is_refused_by_name(word, bad):
    world, policy = made(word)
    o = np.zeros(world.do)
    o[1] = bad
    for ask in (policy.act, policy.predict):
        with pytest.raises(
            InputError, match="observation has numbers that are not finite, at index 1"
        ):
            ask(o)


def test_a_word_that_is_not_trained_is_refused_with_those_that_are():
    with pytest.raises(
        InputError,
        match="'mpc', which is not trained; expected one of mlp, mlp_std, recurrent, conv",
    ):
        make_policy("mpc", World("mlp"), (4,), STD, np.random.default_rng(0))


def test_an_unknown_word_is_refused_with_the_choices():
    with pytest.raises(InputError, match="expected one of mlp, mlp_std, recurrent, convolutional"):
        make_policy("perceptron", World("mlp"), (4,), STD, np.random.default_rng(0))


@pytest.mark.parametrize("word", [word for word in trained_words() if word != "recurrent"])
def test_before_it_has_learned_a_policy_acts_on_each_observation_as_on_many(word):
    torch = pytest.importorskip("torch")
    world, rng = World(word), np.random.default_rng(0)
    policy = make_policy(word, world, (5,), np.ones(world.du), rng)
    o = rng.uniform(size=(4, world.do))
    together = policy.mean(o)
    alone = np.concatenate([policy.mean(row[None]) for row in o])
    np.testing.assert_allclose(alone, together, atol=1e-6)
    program = policy.program()(torch.as_tensor(o)).numpy()
    np.testing.assert_allclose(program, np.clip(together, policy.low, policy.high), atol=1e-6)
