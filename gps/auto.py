"""Which method suits a task? Each candidate learns on a small share of the budget; the best goes on.

    S  <-  all candidates
    share of the budget    each of S learns;  its score  <-  the lowest mean cost of its policies, all
                           in the same few held-out starts
    S  <-  the better half of S, and again, until one is left
    rest of the budget     the last one learns
    final share            the best policies, and no action, in fresh starts; the best is handed out

Karnin, Koren & Somekh, Almost optimal exploration in multi-armed bandits (2013), algorithm 1:
sequential halving. The lowest of several noisy means is too low, so the finalists meet again in
starts that nothing was chosen by. No action is one of them, and is handed out unless a policy is
better than it by more than chance may be. All episodes count, and the budget is never passed: an
iteration begins only where the most that it may take is left.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from agents.baselines import sac
from agents.interfaces import Iteration, State, Task
from agents.mpc import pets
from agents.planners import PLANNERS
from agents.policies import make_policy
from agents.saving import build_policy
from agents.settings import LARGEST, Count, Settings, Share
from agents.tasks.action_limits import bounded
from agents.tasks.capabilities import MoreStarts, Rewarded, capability, manifold_of
from agents.tasks.costs.step_cost import StepCost
from agents.training import Training
from lqr import InputError

from . import badmm
from .steps.exploration import action_scale
from .steps.held_out import FIRST, Judge
from .steps.race import LEAST, Candidate, Race
from .steps.records import REST, Records

ACTOR = "policy"  # whose the column cost is
TABLE_ONLY = ("scores",)  # arrays that no figure draws

STARTS = 3  # of an environment, where nobody says how many
FOREVER = 10**6  # iterations of a candidate: the budget ends it
EPISODES = 12  # rounds of episodes that half the budget should allow, with 3 to 5 episodes each
GROWTH = 700.0  # of badmm's penalty over the whole budget
ROUNDS = 40  # iterations that the budget allows to what learns from single steps
EXPLORED = 20  # part of the budget in which what learns from single steps explores at random
FIT_STEPS = 300  # of the planner's models after each round
PROBES = 11  # episodes of a probed condition, at most


@dataclass(frozen=True)
class Config(Settings):
    """Settings of the choice of a method."""

    budget: Count = 20_000  # environment steps in all, evaluations included
    trial_share: Share = 0.05  # of the budget, for each candidate in the first round
    final_share: Share = 0.06  # of the budget, for the finalists' fresh episodes

    def candidates(self, task: Task) -> dict[str, Candidate]:
        """Returns the methods that are tried, by a word each."""
        return candidates(task, self.budget, self.trial_share * self.budget)


def candidates(task: Task, budget: int, share: float) -> dict[str, Candidate]:
    """Returns the methods that can learn the task, by a word each; the second size of the noise only
    where it can be tried within its share of the budget.
    """
    found, place = dict[str, Candidate](), local_task(task, share)
    episode = task.horizon * place.conditions
    samples = int(np.clip(budget // (2 * EPISODES * episode), 3, 5))
    most, rounds = samples * episode, max(budget // (2 * samples * episode), 2)
    local = badmm.Config(
        iterations=FOREVER,
        samples=samples,
        penalty_growth=float(GROWTH ** (1 / rounds)),
        evaluate_every=0,
    )
    probe = PROBES * max(1, place.conditions // 10) * task.horizon
    reason = "the dynamics are smooth along an episode"
    found["badmm"] = Candidate(badmm, local, reason, probe + most, most, place)
    if LEAST * most <= share:
        wide = replace(local, probe=False, initial="zero", initial_std=local.max_std)
        reason = "small noise shows nothing, as with contacts"
        found["badmm_wide"] = Candidate(badmm, wide, reason, most, most, place)
    low, high = task.action_low, task.action_high
    if manifold_of(task) is None and (bounded(low, high) & (low < high)).all():
        planned = pets.Config(iterations=FOREVER, planner=PLANNERS["icem"](), fit_steps=FIT_STEPS)
        reason = "the way leads through states that local controllers do not find"
        every = task.horizon * task.conditions
        found["pets"] = Candidate(pets, planned, reason, every, every)
        if is_stationary(task):
            found["sac"] = model_free(task, budget)
    return found


def local_task(task: Task, share: float) -> Task:
    """Returns the task with as many starts as local controllers can try within two shares, where it
    has any number of them: three iterations of three episodes each, and a probe.
    """
    more = capability(task, MoreStarts)
    few = int((2 * share / task.horizon - PROBES) // (3 * LEAST))
    return more.with_starts(int(np.clip(few, 1, task.conditions))) if more else task


def is_stationary(task: Task) -> bool:
    """Returns whether a step costs the same at all times, as far as a few random ones tell."""
    if capability(task, Rewarded) is not None:
        return True
    draw = np.random.default_rng(0).standard_normal
    x, u = draw((2, 3, task.dx)), draw((3, task.du))
    try:
        StepCost(task).check_stationary(x[0], u, x[1])
    except InputError:
        return False
    return True


def model_free(task: Task, budget: int) -> Candidate:
    """Returns soft actor-critic, which learns from as many starts as the budget has episodes."""
    steps = max(budget // ROUNDS, 1)
    config = sac.Config(
        iterations=FOREVER,
        iteration_steps=steps,
        warm_up=max(budget // EXPLORED, 1),
        action_repeat=max(task.horizon // 4, 1),
        update_ratio=4.0,
        batch=128,
        evaluate_every=0,
    )
    more = capability(task, MoreStarts)
    most = steps + task.horizon - 1  # whole episodes
    starts = int(np.clip(budget // task.horizon, STARTS, FIRST))  # as many as full episodes
    reason = "what happens is told by no model, or the way there by no slope"
    place = more.with_starts(starts) if more else None
    return Candidate(sac, config, reason, most, most, place, learns=True)


def train(
    task: Task, config: Config, rng: np.random.Generator, state: State | None = None
) -> Iterator[Iteration]:
    """Yields one Iteration per iteration of a candidate, and one after the final; `state` continues
    from an earlier Iteration's. Raises InputError for a budget of less than an episode.
    """
    if config.budget < task.horizon:
        raise InputError(f"budget is {config.budget}; expected an episode's {task.horizon} or more")
    training = Training(task, FOREVER, state)
    judge = Judge(task, config.budget, training)
    share, final = config.trial_share * config.budget, int(config.final_share * config.budget)
    race = Race(task, config.candidates(task), share, rng, state["race"] if state else None)
    records = Records(state["records"] if state else None)
    if not state:
        records.add(REST, at_rest(task), judge)

    def turn() -> str | None:  # what learns may be judged afterwards
        return race.turn(config.budget - final - judge.steps - training.steps)

    while not records.decided and (word := turn()):
        found = race.advance(word, training)
        if found is None:
            continue
        if race.is_due(word, judge.steps) or turn() is None:
            race.score(word, records.add(word, found.policy, judge))
        yield iteration(training, race, records, word)
    if not records.decided:
        records.decide(judge, (config.budget - training.steps) // task.horizon)
        yield iteration(training, race, records)


def iteration(training: Training, race: Race, records: Records, word: str = "") -> Iteration:
    """Returns what is yielded after an iteration of a candidate, or else after the final: the best
    policy so far, and how far they are.
    """
    best = records.best
    cost = race.scores.get(word, np.inf)
    known = (cost, records.cost(best), LARGEST)  # not judged yet: that of the best
    scalars = {
        **training.counts(),
        "cost": next(float(c) for c in known if np.isfinite(c)),
        "best_cost": float(min(records.cost(best), LARGEST)),
        "candidate": float(list(race.all).index(word) if word else -1),
        "candidates_left": float(len(race.left)),
    }
    arrays = {"scores": np.array([race.scores[word] for word in race.all])}
    policy = build_policy(records.policies[best], "the best policy", training.task)
    saved = {"race": race.state(), "records": records.state()}
    return training.iteration(policy, scalars, arrays, saved)


def told(state: State) -> str:
    """Returns in words which candidate went on, and why, and what is handed out, from an Iteration's
    state.
    """
    race, records = state["race"], Records(state["records"])
    costs = ", ".join(
        f"{word} {cost:.4g} after {race['steps'][word]} steps"
        for word, cost in race["scores"].items()
    )
    chosen = " and ".join(race["left"])
    failed = f"; {' and '.join(race['failed'])} failed" if race["failed"] else ""
    return f"{chosen} went on; lowest cost of each: {costs}{failed}; {records.told()}"


def at_rest(task: Task) -> Any:
    """Returns the policy that does nothing."""
    policy = make_policy("mlp", task, (1,), action_scale(task), np.random.default_rng(0))
    policy.weights = [0.0 * W for W in policy.weights]  # its bias alone: the action to begin with
    return policy
