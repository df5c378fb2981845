"""What is made with NumPy's numbers, single precision or lists is what is made with Python's own:
it can be saved, and what was saved can be loaded. A truth value is no number.
"""

import inspect
import json
from dataclasses import asdict, fields, is_dataclass

import gymnasium
import numpy as np
import pytest
from every_method import METHODS, small

from agents.planners import PLANNERS
from agents.policies import policy_class, trained_words
from agents.saving import load_policy, save_policy
from agents.settings import Settings
from agents.tasks import TASKS
from agents.tasks.adapters.gymnasium_task import GymnasiumTask
from agents.tasks.adapters.robot import RobotTask
from agents.tasks.adapters.user_task import OwnTask
from agents.tasks.costs.reward_cost import RewardCost
from dynamics import MODELS, ReplayBuffer
from dynamics.priors.linearised import Linearised
from dynamics.priors.mixture import GaussianMixturePrior
from dynamics.priors.recent import PreviousPrior
from dynamics.priors.simulator import SimulatorPrior
from lqr import InputError, WeightedNorm


def others(value):
    """Returns the same value in the kinds of NumPy, or as a list; none of what is no number."""
    if isinstance(value, bool):
        return [np.bool_(value)]
    if isinstance(value, int):
        return [np.int64(value), np.int32(value), np.array(value)[()]]
    if isinstance(value, float):
        return [np.float64(value), np.float32(value)]
    if isinstance(value, tuple) and all(type(v) is int for v in value) and value:
        return [list(value), np.array(value), tuple(map(np.int64, value))]
    return []


def wrong(value):
    """Returns what is no such value: a truth value for a number, a number for a truth value."""
    if isinstance(value, bool):
        return [2.5]
    if isinstance(value, int | float):
        return [True, np.bool_(True)]
    if isinstance(value, tuple) and all(type(v) is int for v in value) and value:
        return [(True,), True]
    return []


def near(found, value):
    """Whether a number is that, to single precision, and of Python's own kind."""
    if isinstance(value, float):
        return type(found) is float and found == pytest.approx(value, rel=1e-6)
    return type(found) is type(value) and found == value


def settings_of(config):
    """Yields the settings themselves, and those of their parts."""
    yield config
    for field in fields(config):
        if is_dataclass(part := getattr(config, field.name)):
            yield from settings_of(part)


CONFIGS = {f"{word}: Config": small(word)[1] for word in METHODS}
CONFIGS |= {f"{word}: planner": kind() for word, kind in PLANNERS.items()}


@pytest.mark.parametrize("name", CONFIGS)
def test_settings_take_any_kind_of_number_and_no_truth_value_for_one(name):
    for config in settings_of(CONFIGS[name]):
        assert isinstance(config, Settings)
        kind = type(config)
        given = {field.name: getattr(config, field.name) for field in fields(config)}
        for field, value in given.items():
            for other in others(value):
                assert near(getattr(kind(**given | {field: other}), field), value), field
            for other in wrong(value):
                with pytest.raises(InputError, match=field):
                    kind(**given | {field: other})
    json.dumps(asdict(CONFIGS[name]))


PARTS = {f"model: {word}": kind for word, kind in MODELS.items()}
PARTS |= {
    f"prior: {kind.__name__}": kind
    for kind in (GaussianMixturePrior, PreviousPrior, SimulatorPrior)
}
PARTS |= {
    "prior: Linearised": lambda seed=0, max_strength=10.0, window=50: Linearised(
        MODELS["nn"](), seed, max_strength, window
    ),
    "buffer": ReplayBuffer,
    "learned cost": lambda memory=100, ridge=1e-4: RewardCost(2, 1, memory, ridge),
}


def numbers_of(made):
    """Returns the numbers that an object keeps, its model's too."""
    inner = [getattr(made, name) for name in ("model", "buffer") if hasattr(made, name)]
    kinds = bool | int | float | tuple | np.generic
    own = [v for name, v in vars(made).items() if name != "_pairs" and isinstance(v, kinds)]
    return own + [number for part in inner for number in numbers_of(part)]


@pytest.mark.parametrize("name", PARTS)
def test_parts_take_any_kind_of_number_and_no_truth_value_for_one(name, tmp_path):
    defaults = {n: p.default for n, p in inspect.signature(PARTS[name]).parameters.items()}
    plain = numbers_of(PARTS[name]())
    for argument, value in defaults.items():
        for other in others(value):
            made = PARTS[name](**{argument: other})
            found = numbers_of(made)
            assert len(found) == len(plain)
            assert all(near(a, b) for a, b in zip(found, plain, strict=True)), argument
            if hasattr(made, "save"):
                made.save(tmp_path / "model")
                kept = type(made).load(tmp_path / "model")
                assert kept.settings == made.settings
        for other in wrong(value):
            if isinstance(value, bool):
                continue  # files hold 1 and 0
            with pytest.raises(InputError, match=argument):
                PARTS[name](**{argument: other})


KINDS = {
    "plain": lambda a: a,
    "a list": lambda a: a.tolist(),
    "single precision": lambda a: a.astype(np.float32),
    "one number": lambda a: float(a[0]),
    "one number of NumPy": lambda a: np.float32(a[0]),
    "whole": lambda a: 1,
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("word", trained_words())
def test_a_policy_of_any_kind_of_number_is_saved_and_loaded(word, kind, tmp_path):
    of = KINDS[kind]
    size = np.int64(16 * 16 if word in ("convolutional", "keypoints") else 2)
    more = {"image": (np.int64(16), 16, 1)} if word in ("convolutional", "keypoints") else {}
    made = policy_class(word).create(
        size,
        np.int64(1),
        [np.int32(4)],
        of(np.array([0.25])),
        np.random.default_rng(0),
        of(np.array([1.0])) if kind == "whole" else of(np.array([-1.0])),
        3 if kind == "whole" else of(np.array([1.0])),
        **more,
    )
    o = np.random.default_rng(1).uniform(size=size)
    save_policy(tmp_path / "policy", made)
    kept = load_policy(tmp_path / "policy")
    np.testing.assert_array_equal(kept.act(o), made.act(o))
    assert made.act(o).dtype == float


@pytest.mark.parametrize("word", trained_words())
@pytest.mark.parametrize("argument", ["hidden", "std", "low", "do"])
def test_a_policy_takes_no_truth_value_for_a_number(word, argument):
    good = {"do": 16 * 16, "du": 1, "hidden": (4,), "std": np.ones(1), "low": -1.0, "high": 2.0}
    more = {"image": (16, 16, 1)} if word in ("convolutional", "keypoints") else {}
    bad = {"hidden": (True,), "std": True, "low": False, "do": True}[argument]
    kind = policy_class(word)
    with pytest.raises(InputError, match=argument):
        kind.create(rng=np.random.default_rng(0), **{**good, argument: bad}, **more)


def builders():
    """Returns a class for each constructor of the library's tasks."""
    from importlib import import_module

    found = {}
    for place in TASKS.values():
        module, name = place.split(":")
        kind = getattr(import_module(module), name)
        if inspect.isclass(kind) and inspect.signature(kind).parameters:
            found.setdefault(kind.__init__.__qualname__, kind)
    return found


BUILDERS = builders()


@pytest.mark.parametrize("name", BUILDERS)
def test_a_task_takes_any_kind_of_number_and_no_truth_value_for_one(name):
    kind = BUILDERS[name]
    defaults = {n: p.default for n, p in inspect.signature(kind).parameters.items()}
    numbers = {
        n: v for n, v in defaults.items() if isinstance(v, int | float) and not isinstance(v, bool)
    }
    for argument in numbers:
        for other in (True, np.bool_(True), "3", None):
            with pytest.raises(InputError, match=argument):
                kind(**{argument: other})
    if numbers and kind.name not in (
        "reacher_images",
        "dm_peg",
    ):  # these need a renderer, or a library
        made = kind(**{n: others(v)[0] for n, v in numbers.items()})
        for told in {"conditions", "horizon"} & set(numbers):
            assert type(getattr(made, told)) is int


class Still(gymnasium.Env):
    action_space = gymnasium.spaces.Box(-1.0, 1.0, (1,), np.float64)
    observation_space = gymnasium.spaces.Box(-1.0, 1.0, (2,), np.float64)
    independent = True

    def reset(self, *given, seed=None, options=None):
        return (np.zeros(2), {}) if not given else np.zeros(2)

    def step(self, u):
        return np.zeros(2)

    def read(self):
        return np.zeros(2)

    def command(self, u):
        pass

    def stop(self):
        pass


ADAPTERS = {
    "own": lambda **more: OwnTask(
        Still, WeightedNorm([1.0, 1.0]), action_low=[-1], action_high=[1], **more
    ),
    "environment": lambda dt, **more: GymnasiumTask(Still, **more),
    "robot": lambda **more: RobotTask(
        Still(), WeightedNorm([1.0, 1.0]), action_low=-1, action_high=1, put_back=None, **more
    ),
}


@pytest.mark.parametrize("word", ADAPTERS)
def test_an_adapter_takes_any_kind_of_number_and_no_truth_value_for_one(word):
    good = {"horizon": 4, "conditions": 2, "dt": 0.5}
    if word == "environment":
        good["layout_seed"] = 7
    if word == "robot":
        good |= {"attempts": 3, "patience": 0.25, "lead": 0.5, "rate_limit": 0.5, "rest": 0.25}
    ADAPTERS[word](**good)
    for argument, value in good.items():
        for other in others(value):
            made = ADAPTERS[word](**good | {argument: other})
            for told in ("horizon", "conditions"):
                assert type(getattr(made, told)) is int
        for other in (*wrong(value), None, "much"):
            if (word, argument) == ("environment", "dt") or (argument, other) == ("horizon", None):
                continue
            with pytest.raises(InputError, match=argument):
                ADAPTERS[word](**good | {argument: other})
