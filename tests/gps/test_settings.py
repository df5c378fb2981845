import dataclasses
from typing import Annotated, get_type_hints

import pytest

from dynamics import FlatPrior
from gps import badmm, lqr_flm, mdgps, pi2, pilqr
from gps.steps.settings import LocalSettings
from lqr import InputError

METHODS = (lqr_flm, badmm, mdgps, pi2, pilqr)
NUMBERS = [
    (method, field.name)
    for method in METHODS
    for field in dataclasses.fields(method.Config)
    if get_type_hints(method.Config)[field.name] in (int, float)
]

ZERO = ("between", "dual_rate", "dual_bound", "forecasts", "neighbours", "pretraining", "smoothing")
ZERO += ("std_share", "evaluate_every", "restarts")


@pytest.mark.parametrize(("method", "field"), NUMBERS, ids=lambda v: getattr(v, "__name__", v))
@pytest.mark.parametrize("value", [-1, float("nan"), float("inf")])
def test_a_number_out_of_range_is_refused_with_the_fields_name(method, field, value):
    with pytest.raises(
        InputError, match=rf"^{field} is {value}; expected a (finite|whole)? ?number"
    ):
        method.Config(**{field: value})


@pytest.mark.parametrize(("method", "field"), NUMBERS, ids=lambda v: getattr(v, "__name__", v))
def test_zero_is_taken_only_where_it_means_something(method, field):
    if field in ZERO:
        assert getattr(method.Config(**{field: 0}), field) == 0
    else:
        with pytest.raises(InputError, match=f"^{field} is 0"):
            method.Config(**{field: 0})


@pytest.mark.parametrize("method", METHODS)
def test_an_unknown_prior_is_refused_with_the_choices(method):
    with pytest.raises(InputError, match="prior is 'gm'; expected one of flat, gmm"):
        method.Config(prior="gm")


@pytest.mark.parametrize("method", METHODS)
def test_the_defaults_are_valid_and_frozen(method):
    config = method.Config()
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.samples = 3


def test_a_config_of_the_users_own_can_add_a_rule_of_its_own():
    @dataclasses.dataclass(frozen=True)
    class Mine(LocalSettings):
        width: Annotated[float, lambda value: "narrow" if value > 1 else None] = 0.5

    assert Mine(width=1).width == 1.0
    with pytest.raises(InputError, match=r"width is 2; expected narrow"):
        Mine(width=2)


@pytest.mark.parametrize("method", METHODS)
def test_a_prior_of_the_users_own_is_an_object_and_stays_itself(method):
    mine = FlatPrior()
    assert method.Config(prior=mine).prior is mine


@pytest.mark.parametrize("hidden", [(0,), (-4,), (64, 0)])
def test_a_layer_without_units_is_refused(hidden):
    with pytest.raises(InputError, match="hidden is"):
        badmm.Config(hidden=hidden)


@pytest.mark.parametrize("method", METHODS)
def test_a_first_step_above_the_largest_is_refused(method):
    with pytest.raises(InputError, match="kl_step is 50"):
        method.Config(kl_step=50.0, max_kl_step=1.0)


@pytest.mark.parametrize(
    ("field", "words"), [("sampling", "on, off"), ("step_rule", "classic, global")]
)
def test_an_unknown_word_is_refused_with_the_choices(field, words):
    with pytest.raises(InputError, match=f"{field} is 'both'; expected one of {words}"):
        mdgps.Config(**{field: "both"})


@pytest.mark.parametrize("method", [lqr_flm, badmm])
def test_the_strength_of_the_prior_is_a_number_above_zero_or_left_to_the_data(method):
    assert method.Config().prior_strength is None
    assert method.Config(prior_strength=3.5).prior_strength == 3.5
    for value in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(
            InputError,
            match=f"prior_strength is {value}; expected a finite number above 0 or None",
        ):
            method.Config(prior_strength=value)
