import math

import numpy as np
import pytest

from agents.tasks import make_task
from experiments.engine.evaluation import evaluate_in_task
from experiments.engine.gains import gain, gains
from experiments.engine.summary import spike, summarise, verdict

EVALUATION = {
    "episodes": 100,
    "mean_return": -5.0,
    "standard_error": 0.2,
    "final_distance": 0.012,
    "spread": 2.0,
}
RANDOM = {
    "episodes": 20,
    "mean_return": -43.0,
    "standard_error": 0.9,
    "final_distance": None,
    "spread": 4.0,
}
STILL = RANDOM | {"mean_return": -10.0, "spread": 3.0, "standard_error": 0.7}


def result(error=0.5, pairs=20, **changes):
    """Returns what is known of a run, where differences to random actions and none have that error."""
    got = EVALUATION | changes
    base = {"evaluation": got, "random": RANDOM, "idle": STILL}
    found = {
        name: {
            "mean": got["mean_return"] - base[name]["mean_return"],
            "error": error,
            "pairs": pairs,
        }
        for name in ("random", "idle")
    }
    return {"env_id": "Reacher-v5", "gains": found, **base}


def evaluated(**changes):
    return verdict(result(**changes))


def test_a_spike_is_the_worst_cost_after_the_fourth_over_the_best_before_it():
    assert spike([10, 8, 6, 5, 5, 12.5, 4]) == 2.5
    assert spike([10, 20, 6, 5, 4]) == 0.8
    assert spike([10, 8, 6, 5]) is None
    assert spike([math.nan] * 6) is None


def test_a_return_far_above_doing_nothing_is_learned_and_says_how_far_it_ends():
    assert evaluated().startswith("It learned: ")
    assert "12 mm" in evaluated()
    assert "-5.00" in evaluated()


def test_a_return_a_little_above_doing_nothing_is_learned_a_little():
    assert evaluated(mean_return=-8.0).startswith("It learned a little")


def test_the_same_episodes_decide_however_much_these_differ_among_themselves():
    told = evaluated(mean_return=-9.5, error=0.1, standard_error=4.5)
    assert told.startswith("It learned a little")
    assert "in the same 20 episodes it gets 0.5 ± 0.1 more than no action" in told
    assert "0.5 ± 0.1 less than no action" in evaluated(mean_return=-10.5, error=0.1)
    one = evaluated(mean_return=-9.5, error=0.0, pairs=1, episodes=1)
    assert "over one fresh episode of Reacher-v5" in one
    assert "in the same episode it gets 0.5 ± 0 more" in one


def test_a_gain_is_the_mean_of_the_differences_of_pairs_with_their_error():
    rng = np.random.default_rng(0)
    hard, luck = 10 * rng.standard_normal((2, 20_000))
    found = gain(hard + 1.0 + 0.1 * luck, hard)
    assert found.mean == pytest.approx(1.0, abs=4 * found.error)
    assert found.error == pytest.approx(1.0 / np.sqrt(20_000), rel=0.03)  # 0.1 * 10
    assert gain([3.0, 1.0, 7.0], [1.0, 2.0]) == pytest.approx(
        (0.5, 1.5, 2)
    )  # of pairs that both ran


def test_starts_that_were_gone_through_again_are_one_pair_each():
    assert gain([5.0, 8.0], [1.0, 2.0, 3.0, 6.0]) == (3.5, 0.5, 2)
    one = gain([5.0], [1.0, 3.0])  # of one start the error is that of what was drawn
    assert one == (3.0, 1.0, 1)
    assert gain([5.0], [1.0]) == (4.0, 0.0, 1)


def test_a_policy_that_does_nothing_gains_nothing_over_doing_nothing():
    """Starts are drawn anew, differently in each condition: the pairs are the same ones."""
    task = make_task("reacher_reset_free")
    found = evaluate_in_task(task, Still(), least=8)
    told = gains({name: one._asdict() for name, one in found.items()})
    assert told["idle"] == {"mean": 0.0, "error": 0.0, "pairs": task.conditions}
    assert told["random"]["mean"] > told["random"]["error"] > 0.0


class Still:
    input = "o"

    def sample(self, o, t, rng):
        return np.zeros((len(o), 2))


@pytest.mark.parametrize("value", [-43.0, -10.0, -9.5, -60.0])
def test_a_return_no_better_than_doing_nothing_is_not_learned(value):
    assert evaluated(mean_return=value).startswith("It did not learn")


@pytest.mark.parametrize(
    ("last", "words"),
    [
        (2.0, "It learned: "),
        (7.0, "It improved: the cost went from 10 in the first iteration to 7"),
        (12.0, "It did not learn"),
    ],
)
def test_without_an_environment_the_cost_decides(last, words):
    assert words in verdict({"costs": {"first": 10.0, "last": last}, "iterations": 5})


@pytest.mark.parametrize(("last", "words"), [(-23.0, "It improved"), (-4.0, "It did not")])
def test_a_cost_below_zero_as_of_positive_rewards_is_a_cost_too(last, words):
    assert words in verdict({"costs": {"first": -5.0, "last": last}, "iterations": 5})


@pytest.mark.parametrize(
    ("value", "words"),
    [(-5.0, "It learned: "), (-8.0, "It learned a little"), (-11.0, "It did not")],
)
def test_a_run_from_its_own_starts_is_held_against_what_random_actions_differ_by(value, words):
    own = result(mean_return=value, spread=9.0, standard_error=4.5, pairs=4)
    told = verdict(own | {"input": "x"})
    assert words in told
    assert "from its own starts" in told


def test_where_there_is_no_cost_it_says_so():
    assert "no cost" in verdict({"costs": {}, "iterations": 5})


@pytest.mark.parametrize(
    ("success", "words"),
    [(1.0, "It learned: 100%"), (0.5, "It learned a little: 50%"), (0.0, "It did not learn: 0%")],
)
def test_where_a_task_tells_success_that_decides_and_the_unseen_conditions_are_named(
    success, words
):
    costs = {"first": -3.0, "last": -33.0}
    assert words in verdict({"costs": costs, "iterations": 5, "success": success})
    unseen = {"conditions": 16.0, "success": 0.75}
    assert "75% of 16 that" in verdict(
        {"costs": costs, "iterations": 5, "success": success, "held_out": unseen}
    )


def test_the_only_policys_cost_is_called_so(tmp_path):
    (tmp_path / "metrics.csv").write_text(
        "iteration,cost,distance,policy_loss\n1,3.0,0.2,0.5\n2,2.0,0.1,0.4\n"
    )
    assert summarise(tmp_path)["figures"] == {"policy's cost": 2.0, "policy's distance": 0.1}
