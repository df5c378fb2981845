"""Which method suits a task? Each candidate learns on a small share of the budget; the best goes on.

    S  <-  all candidates
    share of the budget    each of S learns;   its score  <-  the lowest cost of its evaluations
    S  <-  the better half of S, and again, until one is left
    rest of the budget     the last one learns

Karnin, Koren & Somekh, Almost optimal exploration in multi-armed bandits (2013), algorithm 1:
sequential halving, each candidate judged by the best of its evaluations so far. What is handed out
is the best policy of all that were evaluated, the one that does nothing included, so that it is no
worse than that in the task's conditions. Who learns from the episodes that it is judged by is handed
out as it was in them.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from agents.action_limits import bounded
from agents.interfaces import Iteration, State, Task
from agents.mpc import pets
from agents.planners import PLANNERS
from agents.policies import make_policy
from agents.rollout import rollout
from agents.saving import build_policy, state_of
from agents.settings import LARGEST, Count, Settings, Share
from agents.tasks.capabilities import LearnedCost, capability, manifold_of
from agents.training import COUNTS, Training
from lqr import NumericalError, SimulationError

from . import badmm
from .steps.exploration import action_scale

ACTOR = "policy"  # whose the column cost is
TABLE_ONLY = ("scores",)  # arrays that no figure draws

STARTS = 3  # of an environment, where nobody says how many
FOREVER = 10**6  # iterations of a candidate: the budget ends it
LEAST = 3  # iterations of a candidate before it is judged
EPISODES = 12  # rounds of episodes that half the budget should allow, with 3 to 5 episodes each
EVALUATED = 2  # rounds of badmm from one evaluation to the next
GROWTH = 700.0  # of badmm's penalty over the whole budget


@dataclass(frozen=True)
class Config(Settings):
    """Settings of the choice of a method."""

    budget: Count = 20_000  # environment steps in all, evaluations included
    trial_share: Share = 0.15  # of the budget, for each candidate in the first round

    def candidates(self, task: Task) -> dict[str, "Candidate"]:
        """Returns the methods that are tried, by a word each."""
        return candidates(task, self.budget, self.trial_share * self.budget)


class Candidate(NamedTuple):
    """A method with its settings."""

    method: Any  # a module with `train`
    config: Any
    reason: str  # why it may suit the task
    late: bool = False  # the cost that it tells is that of the policy that it had before


def candidates(task: Task, budget: int, share: float) -> dict[str, Candidate]:
    """Returns the methods that can learn the task, by a word each; the second size of the noise only
    where it can be tried within its share of the budget.
    """
    episode = task.horizon * task.conditions
    samples = int(np.clip(budget // (2 * EPISODES * episode), 3, 5))
    rounds = max(budget // (2 * samples * episode), 2)
    local = badmm.Config(
        iterations=FOREVER,
        samples=samples,
        penalty_growth=float(GROWTH ** (1 / rounds)),
        evaluate_every=EVALUATED,
    )
    found = {"badmm": Candidate(badmm, local, "the dynamics are smooth along an episode")}
    if LEAST * (samples + 1) * episode <= share:
        wide = replace(local, probe=False, initial_std=local.max_std)
        found["badmm_wide"] = Candidate(badmm, wide, "small noise shows nothing, as with contacts")
    low, high = task.action_low, task.action_high
    if manifold_of(task) is None and (bounded(low, high) & (low < high)).all():
        planner = PLANNERS["icem"]()
        found["pets"] = Candidate(
            pets,
            pets.Config(iterations=FOREVER, planner=planner),
            "the way leads through states that local controllers do not find",
            late=True,
        )
    return found


class Judged(NamedTuple):
    """What an iteration of a candidate says."""

    cost: float  # infinite where it is no number
    policy: Any  # whose cost it is: a policy, or the state of one; None where there is none


class Race:
    """The candidates, how far each of them is, and the best policy so far."""

    def __init__(self, task: Task, config: Config, rng: np.random.Generator, state: State | None):
        """Begins, or restores what an Iteration's state holds."""
        self.task, self.config, self.rng = task, config, rng
        self.all = config.candidates(task)
        self.states: dict[str, Any] = dict(state["states"]) if state else {}
        self.steps = dict.fromkeys(self.all, 0) | (dict(state["steps"]) if state else {})
        self.scores = dict.fromkeys(self.all, np.inf) | (dict(state["scores"]) if state else {})
        self.last = dict.fromkeys(self.all, 0) | (dict(state["last"]) if state else {})
        self.previous = dict.fromkeys(self.all, 0) | (dict(state["previous"]) if state else {})
        self.before: dict[str, State] = dict(state["before"]) if state else {}  # policies
        self.left = [w for w in self.all if not state or w in state["left"]]
        self.failed = [w for w in self.all if state and w in state["failed"]]
        self.round = state["round"] if state else 1
        self.running: dict[str, Iterator[Iteration]] = {}

    @property
    def total(self) -> int:
        """Environment steps of all candidates."""
        return sum(self.steps.values())

    def needed(self, word: str) -> int:
        """Returns how many steps the next iteration of a candidate is to take: as many as the
        longer one of its last two, as not all have evaluations; of the first one, those of others.
        """
        return max(self.last[word], self.previous[word]) or max(self.last.values())

    def turn(self) -> str:
        """Returns the word of the candidate that learns next, after the worse half was left out
        where all had their share.
        """
        share = self.config.trial_share * self.config.budget
        while len(self.left) > 1:
            behind = [
                word
                for word in self.left
                if self.steps[word] < self.round * share
                or self.states.get(word, {"number": 0})["number"] < LEAST
            ]
            if behind:
                return behind[0]
            order = sorted(self.left, key=lambda word: self.scores[word])
            self.left = [w for w in self.left if w in order[: -(-len(order) // 2)]]
            self.round += 1
        return self.left[0]

    def advance(self, word: str, training: Training) -> Judged | None:
        """Returns what the next iteration of a candidate says, whose episodes are counted; None
        where it failed, and is left out. Rewards that the task learns are shared.
        """
        shared = capability(self.task, LearnedCost)
        one = self.all[word]
        if word not in self.running:
            kept = self.states.get(word)
            if kept and shared:
                kept = {**kept, "rewards": shared.learned.state()}
            self.running[word] = one.method.train(self.task, one.config, self.rng, kept)
        try:
            found = next(self.running[word])
        except (NumericalError, SimulationError):  # all its episodes diverged, for one
            if len(self.left) == 1:
                raise
            self.left.remove(word)
            self.failed.append(word)
            return None
        before = self.states.get(word, {})
        episodes, steps, *tests = (found.state[n] - before.get(n, 0) for n in COUNTS[1:])
        training.add(episodes + tests[0], steps + tests[1])  # the tests decide: they count
        self.states[word] = {k: v for k, v in found.state.items() if k != "rewards"}
        self.previous[word], self.last[word] = self.last[word], steps + tests[1]
        self.steps[word] += self.last[word]
        judged = Judged(score(found.scalars), found.policy)
        if one.late:
            acted = self.before.get(word)
            judged = Judged(judged.cost if acted else np.inf, acted)
            self.before[word] = state_of(found.policy)
        self.scores[word] = min(self.scores[word], judged.cost)
        return judged

    def state(self) -> dict[str, Any]:
        """Returns what a new Race needs to go on."""
        return {
            "states": dict(self.states),
            "steps": dict(self.steps),
            "scores": {word: cost for word, cost in self.scores.items() if np.isfinite(cost)},
            "last": dict(self.last),
            "previous": dict(self.previous),
            "before": dict(self.before),
            "left": dict.fromkeys(self.left, 1),
            "failed": dict.fromkeys(self.failed, 1),
            "round": self.round,
        }


def score(scalars: dict[str, float]) -> float:
    """Returns the cost of an iteration's policy, infinite where it is no number, or is that of the
    episodes that did not diverge.
    """
    cost = scalars.get("policy_cost", scalars["cost"])
    diverged = scalars.get("policy_diverged", scalars.get("diverged", 0.0))
    return float(cost) if np.isfinite(cost) and not diverged else np.inf


def train(
    task: Task, config: Config, rng: np.random.Generator, state: State | None = None
) -> Iterator[Iteration]:
    """Yields one Iteration per iteration of a candidate; `state` continues from an earlier
    Iteration's.
    """
    training = Training(task, FOREVER, state)
    race = Race(task, config, rng, state["race"] if state else None)
    best = dict(state["best"]) if state else at_rest(task, training, rng)
    while training.steps + race.needed(word := race.turn()) <= config.budget:
        judged = race.advance(word, training)
        if judged is None:
            continue
        cost, policy = judged
        if cost < best["cost"]:
            kept = policy if isinstance(policy, dict) else state_of(policy)
            best = {"policy": kept, "cost": cost}
        known = (cost, race.scores[word], best["cost"])  # not evaluated: as before
        scalars = {
            **training.counts(),
            "cost": next(c for c in known if np.isfinite(c)),
            "best_cost": best["cost"],
            "candidate": float(list(race.all).index(word)),
            "candidates_left": float(len(race.left)),
        }
        arrays = {"scores": np.array([race.scores[word] for word in race.all])}
        policy = build_policy(best["policy"], "the best policy", task)
        yield training.iteration(policy, scalars, arrays, {"race": race.state(), "best": best})


def told(state: State) -> str:
    """Returns in words which candidate went on, and why, from an Iteration's state."""
    race = state["race"]
    costs = ", ".join(
        f"{word} {cost:.4g} after {race['steps'][word]} steps"
        for word, cost in race["scores"].items()
    )
    chosen = " and ".join(race["left"])
    failed = f"; {' and '.join(race['failed'])} failed" if race["failed"] else ""
    return f"{chosen} went on; lowest cost of each: {costs}{failed}"


def at_rest(task: Task, training: Training, rng: np.random.Generator) -> dict[str, Any]:
    """Returns the policy that does nothing, as a state, and its cost in evaluation episodes."""
    policy = make_policy("mlp", task, (1,), action_scale(task), np.random.default_rng(0))
    policy.weights = [0.0 * W for W in policy.weights]  # its bias alone: the action to begin with
    every = np.arange(task.conditions)
    found = training.count(rollout(task, policy, every, 1, rng, noise=0.0), explored=False)
    cost = found.costs.mean()
    return {"policy": state_of(policy), "cost": float(cost) if np.isfinite(cost) else LARGEST}
