"""The signs of each trouble: functions of a run's columns that return what was seen in a line, or
None.

They compare costs with costs and errors with errors: neither a constant in the cost nor any unit
changes what they find. What a method does not report, they do not judge.
"""

import math
from collections.abc import Callable

import numpy as np

from .looked_at import Array, Run

LEAST = 4  # iterations before anything is said
CHANCE = 10.0  # F statistic of the actions' effect below which it may be chance
REACH = 0.02  # share of the cost's variation that a step should be able to change
TINY = 1e-4  # share of half the action range that noise should have
FLAT = 1e-3  # share of the cost's variation that depends on more than the actions
AS_BAD = 0.9  # error of a model, where 1 is the error of "nothing changes"
PROMISE = 0.02  # share of the cost's variation from which on a promised improvement is one
KEPT = 0.1  # share of what was promised that should have come
FLOOR = 0.03  # share of the first KL step below which it has collapsed
AT_BOUND = 0.9  # share of the largest KL step from which on it is at its ceiling
MOST = 0.5  # share of the last iterations that makes a habit
MOST_OF_ALL = 0.75  # share of the last iterations in which a model has to be bad
FOLLOWS = 0.3  # share of the controllers' gain by which the policy may cost more than they
BESIDE = 1.0  # typical gains by which a condition may cost more than the typical one
STANDSTILL = 0.1  # share of the typical gain that a condition should have gained lately
GAIN = 0.02  # share of the cost's variation that counts as an improvement
EARLY = 0.5  # share of the horizon that episodes should reach


def no_exploration(run: Run) -> str | None:
    """The noise of the actions does nothing that is seen in the states."""
    effect = run.first("action_effect")
    if not len(effect) or np.median(effect) >= CHANCE:
        return None
    seen = f"F = {np.median(effect):.2g}, where {CHANCE:g} would be clear"
    return f"what the actions do to the states cannot be told from what happens anyway ({seen})"


def small_exploration(run: Run) -> str | None:
    """The noise is seen, but a step within its KL bound cannot change the cost."""
    std = max(run.setting("initial_std"), run.setting("min_std"))
    if std < TINY and not run.settings.get("probe"):
        return f"the noise of the actions is {std:g} of half their range"
    names = ("epsilon", "cost_spread", "cost_variation")
    epsilon, spread, variation = (run.columns.get(name, np.zeros(0)) for name in names)
    if not len(epsilon) == len(spread) == len(variation) > 0:
        return None
    reach = np.sqrt(2 * epsilon) * spread / variation
    reach = reach[: max(3, len(reach) // 3)]
    reach = reach[np.isfinite(reach)]
    if not len(reach) or np.max(reach) >= REACH:
        return None
    return f"a KL step can change the cost by about {np.max(reach):.1g} of its variation, so small is the noise"


def flat_cost(run: Run) -> str | None:
    """The cost is the same in all states seen."""
    found = run.columns.get("cost_by_state", np.zeros(0))
    found = found[np.isfinite(found)]
    if not len(found) or found.max() >= FLAT:
        return None
    return (
        "beside what the actions cost, the cost (or reward) was the same in all states that were "
        "seen: there is no slope to follow"
    )


def poor_model(run: Run) -> str | None:
    """The model is no better than x' = x."""
    for name in ("one_step_error", "open_loop_error"):
        error = run.last(name, 5)
        error = error[error > 0]  # 0: not known yet
        if len(error) >= 3 and np.quantile(error, 1 - MOST_OF_ALL) > AS_BAD:
            return (
                f"the model's forecasts of new episodes are {np.median(error):.2g} times as wrong "
                'as "nothing changes"'
            )
    return None


def broken_promises(run: Run) -> str | None:
    """Improvement is predicted, and does not come, in most conditions."""
    broken = _broken(run)
    if not len(broken) or broken.mean() <= MOST:
        return None
    where = f"in {broken.sum()} of {len(broken)} conditions " if len(broken) > 1 else ""
    return f"{where}less than {KEPT:.0%} of the improvements that the models promised came"


def floor(run: Run) -> str | None:
    """The KL step has collapsed."""
    share = _share_of_steps(run, lambda step, first, _: step <= FLOOR * first)
    if share is None:
        return None
    return f"in {share:.0%} of the last iterations the KL step was below {FLOOR:.0%} of --kl-step: nothing moves"


def ceiling(run: Run) -> str | None:
    """The KL step is as large as it may be, and is used up."""
    kl, epsilon = run.conditions.get("kl"), run.conditions.get("epsilon")
    if kl is None or epsilon is None:
        return None
    used = kl >= AT_BOUND * epsilon
    n = max(3, len(kl) // 3)
    share = _share_of_steps(run, lambda step, _, most: step >= AT_BOUND * most)
    if share is None or min(share, used[-n:].mean()) < AT_BOUND or not _still_falls(run):
        return None
    return f"in {share:.0%} of the last iterations the KL step was at --max-kl-step, used up, and the cost still fell"


def lagging_policy(run: Run) -> str | None:
    """The policy costs much more than its controllers."""
    policy, cost = run.last("policy_cost"), run.last("cost")
    if run.settings.get("policy_steps") is None or not len(policy) or not len(cost):
        return None
    gap, gain = float(np.median(policy) - np.median(cost)), _start(run) - float(np.median(cost))
    if not gain > GAIN * run.variation or gap <= FOLLOWS * gain:
        return None
    return f"the policy costs {gap:.3g} more than its controllers, which have gained {gain:.3g}"


def stuck_condition(run: Run) -> str | None:
    """A condition stays far above the others."""
    cost = run.conditions.get("cost")
    if cost is None or cost.shape[1] < 3 or len(cost) < 2 * LEAST:
        return None
    n = max(3, len(cost) // 3)
    last, before = np.nanmedian(cost[-n:], 0), np.nanmedian(cost[-2 * n : -n], 0)
    typical = np.nanmedian(cost[0]) - np.nanmedian(last)
    if not typical > GAIN * run.variation:
        return None
    above = (last - np.nanmedian(last)) / typical
    stuck = (above > BESIDE) & (before - last < STANDSTILL * typical)
    if len(broken := _broken(run)) == len(stuck):
        stuck |= (above > 0.5 * BESIDE) & broken
    if not stuck.any():
        return None
    return (
        f"{_conditions(stuck)}the cost stands still at {last[stuck].mean():.3g}, "
        f"where the others' median is {np.nanmedian(last):.3g}"
    )


def early_end(run: Run) -> str | None:
    """Episodes end long before the horizon."""
    steps, episodes = (run.columns.get(name, np.zeros(0)) for name in ("env_steps", "episodes"))
    if len(steps) < LEAST or len(episodes) != len(steps):
        return None
    length = np.diff(steps, prepend=0.0) / np.diff(episodes, prepend=0.0)
    length = length[-max(3, len(length) // 3) :]
    success = np.concatenate([run.last("success"), run.last("policy_success")])
    length = length[np.isfinite(length)]
    if not len(length) or np.median(length) >= EARLY * run.horizon:
        return None
    if len(success) and success.max() > MOST:
        return None
    return f"episodes end after {np.median(length):.0f} of {run.horizon} steps: nothing is learned of what comes after"


def no_gain(run: Run) -> str | None:
    """It is no better than at the start, or than no action."""
    if run.returns and run.returns[0] <= run.returns[1]:
        policy, idle = run.returns
        return f"the return is {policy:.4g}, and {idle:.4g} with no action at all"
    name = "policy_cost" if len(run.last("policy_cost")) else "cost"
    last = run.last(name)
    if not len(last) or not run.variation > 0:
        return None
    gain = _start(run) - float(np.median(last))
    if not gain < GAIN * run.variation:
        return None
    return f"the cost is {np.median(last):.4g}, and was {_start(run):.4g} at the start"


def _broken(run: Run) -> Array:
    """Returns in which conditions an improvement was promised in most of the last iterations, and
    did not come, (C,) bool, neither in the episodes with noise nor in those without; empty where
    that is not known.
    """
    predicted, actual = (run.conditions.get(name) for name in ("predicted", "actual"))
    if predicted is None or actual is None or not run.variation > 0 or len(predicted) < LEAST:
        return np.zeros(0, bool)
    n = min(max(5, len(predicted) // 3), len(predicted) - 1)
    predicted, actual = predicted[-n:], actual[-n:]
    promised, came = np.nanmean(predicted, 0), np.nanmean(actual, 0)
    if (cost := run.conditions.get("cost")) is not None:
        came = np.fmax(came, (cost[-n - 1] - cost[-1]) / n)
    habit = (predicted > PROMISE * run.variation).mean(0) > MOST
    return np.asarray(habit & (promised > PROMISE * run.variation) & (came < KEPT * promised))


def _share_of_steps(run: Run, odd: Callable[[Array, float, float], Array]) -> float | None:
    """Returns the share of the last KL steps that are odd, where it makes a habit; `odd` is told
    the steps, the first and the largest.
    """
    epsilon = run.conditions.get("epsilon")
    first, most = run.setting("kl_step"), run.setting("max_kl_step")
    if epsilon is None or len(epsilon) < LEAST or not first < most * (1 + 1e-9):
        return None
    share = float(odd(epsilon[-max(3, len(epsilon) // 3) :], first, most).mean())
    return share if share > MOST else None


def _start(run: Run) -> float:
    """Returns the cost at the start: of the first episodes, or after the first iteration where
    that is worse.
    """
    ends = [run.columns.get(name, np.array([np.nan]))[0] for name in ("sampled_cost", "cost")]
    return float(np.nanmax(ends)) if np.isfinite(ends).any() else math.nan


def _still_falls(run: Run) -> bool:
    """Whether the cost fell in the last third of the iterations."""
    cost = run.last("cost")
    half = len(cost) // 2
    return half > 0 and bool(np.median(cost[:half]) - np.median(cost[half:]) > GAIN * run.variation)


def _conditions(which: Array) -> str:
    """Returns "in conditions 1, 2 of 4 ", nothing where there is one."""
    if len(which) == 1:
        return ""
    numbers = np.flatnonzero(which)
    shown = ", ".join(map(str, numbers[:6])) + (", ..." if len(numbers) > 6 else "")
    return f"in condition{'s' if len(numbers) > 1 else ''} {shown} of {len(which)} "
