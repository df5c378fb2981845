"""The final figures of a run, and what they mean in one sentence."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from . import tables
from .gains import BASES, Gain, least

COUNTED = ("episodes", "env_steps", "evaluation_episodes")
SETTLED = 4  # iterations after which a spike counts
EXPLORING = "sampled_cost"  # what is told where no evaluation episodes were made


def summarise(path: Path, actor: Any = None) -> dict[str, Any]:
    """Returns the final figures that the metrics of a run hold; what a method does not yield is
    left out. `actor` is whose its cost is, as the method declares.

    "spike" is the highest policy cost of any iteration after the fourth over the best one until
    then.
    """
    rows = tables.read(path / "metrics.csv")
    first, last = rows[0], rows[-1]
    whose = tables.ACTORS[tables.actor(actor)]
    names = {
        "cost": f"{whose} cost",
        "policy_cost": "policy's cost",
        "distance": f"{whose} distance",
        "policy_distance": "policy's distance",
        "success": f"{whose} success",
        "policy_success": "policy's success",
    }
    found = {
        text: last[key] for key, text in names.items() if math.isfinite(last.get(key, math.nan))
    }
    if (worst := spike([row.get("policy_cost", math.nan) for row in rows])) is not None:
        found["spike of the policy's cost"] = worst
    found |= {key.replace("_", " "): last[key] for key in COUNTED if key in last}
    if diverged := sum(
        row.get(key, 0.0) for row in rows for key in ("diverged", "policy_diverged")
    ):
        found["diverged episodes"] = diverged
    began = "cost" if math.isfinite(first.get("cost", math.nan)) else EXPLORING
    known = (k for k in ("policy_cost", "cost") if math.isfinite(last.get(k, math.nan)))
    key = next(known, EXPLORING)
    success = last.get("policy_success", last.get("success", math.nan))
    ends = {"first": first.get(began, math.nan), "last": last.get(key, math.nan)}
    return {
        "iterations": int(last["iteration"]),
        "figures": found,
        "costs": {k: v for k, v in ends.items() if math.isfinite(v)},
        **({"success": success} if math.isfinite(success) else {}),
        **({"exploring": True} if key == EXPLORING and EXPLORING in last else {}),
    }


def spike(costs: list[float]) -> float | None:
    """Returns the highest ratio of a cost after the fourth to the best before it; None for shorter
    or other runs.
    """
    ratios = [
        cost / min(costs[:i]) for i, cost in enumerate(costs) if i >= SETTLED and min(costs[:i]) > 0
    ]
    ratios = [ratio for ratio in ratios if math.isfinite(ratio)]
    return max(ratios) if ratios else None


def verdict(result: dict[str, Any]) -> str:
    """Returns whether it learned and how well, in plain words."""
    if "evaluation" in result:
        return _evaluated(result)
    if "success" in result:
        return _succeeded(result["success"], result.get("held_out"))
    ends = result["costs"]
    if len(ends) < 2:
        return f"It ran {result['iterations']} iterations; there is no cost to judge it by."
    first, last = ends["first"], ends["last"]
    what = (
        "no evaluation episodes were made; the cost of the exploring ones"
        if "exploring" in result
        else "the cost"
    )
    told = f"{what} went from {first:.3g} in the first iteration to {last:.3g}"
    if first > 0 and last < 0.5 * first:
        return f"It learned: {told}, {1 - last / first:.0%} lower."
    if last < first:
        return f"It improved: {told}; how low it can get is not known here."
    return f"It did not learn: {told}."


def held_out_rows(result: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Returns the evaluation in conditions that training never saw, as rows of a table; none
    without it.
    """
    if "held_out" not in result:
        return []
    where = f"{result['held_out']['conditions']:.0f} held-out conditions"
    return [
        (f"{name} in {where}", f"{value:.4g}")
        for name, value in result["held_out"].items()
        if name != "conditions"
    ]


def oracle_rows(result: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Returns the cost of an episode in the learned model's plans and in the ground-truth dynamics'; none
    without it.
    """
    if "oracle" not in result:
        return []
    found = result["oracle"]
    return [
        ("cost, planned in the learned model", f"{found['learned']:.4g}"),
        ("the same starts, planned in the ground-truth dynamics", f"{found['true']:.4g}"),
    ]


def _succeeded(success: float, held_out: dict[str, float] | None) -> str:
    word = (
        "It learned"
        if success >= 0.8
        else "It learned a little"
        if success > 0
        else "It did not learn"
    )
    text = f"{word}: {success:.0%} of the training conditions end in success"
    if held_out and "success" in held_out:
        text += f", and {held_out['success']:.0%} of {held_out['conditions']:.0f} that it never saw"
    return text + "."


def _evaluated(result: Mapping[str, Any]) -> str:
    got, random, idle = (result[name] for name in ("evaluation", "random", "idle"))
    base = least(result)
    gain, error, pairs = (result["gains"][base][key] for key in Gain._fields)
    own = result.get("input", "o") == "x"  # their starts differ by more than luck
    spread = random["spread"] if own else result[base]["spread"]
    learned, doubtful = gain > max(spread, 2 * error), gain <= 2 * error
    word = "It learned" if learned else "It did not learn" if doubtful else "It learned a little"
    if got["episodes"] == 1:
        which = "one episode from its own start in" if own else "one fresh episode of"
    else:
        which = f"{got['episodes']} " + (
            "episodes from its own starts in" if own else "fresh episodes of"
        )
    text = f"{word}: over {which} {result['env_id']} the policy's mean return is "
    text += f"{got['mean_return']:.2f}, where random actions get {random['mean_return']:.1f}"
    text += f" and no action {idle['mean_return']:.1f}"
    text += f"; in the same {'episode' if pairs == 1 else f'{pairs} episodes'} it gets {abs(gain):.3g} ± {error:.2g} "
    text += f"{'more' if gain >= 0 else 'less'} than {BASES[base]}"
    if got["final_distance"] is not None:
        text += (
            f"; an episode ends {1000 * got['final_distance']:.0f} mm from the target on average"
        )
    return text + "."
