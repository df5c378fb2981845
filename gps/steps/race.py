"""Candidates that learn in turn: who goes next, how far each of them is, and who is left out."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from agents.interfaces import Iteration, State, Task
from agents.tasks.capabilities import LearnedCost, capability
from agents.training import COUNTS, Training
from lqr import Diverged, NumericalError

from .shared import Shared, Sharer, Sharing

LEAST = 3  # iterations of a candidate before it is judged
MOST = 10  # iterations in a round, whatever their steps
LEARNED = 8  # times the steps of a judgement that are learned from until the next


class Candidate(NamedTuple):
    """A method with its settings."""

    method: Any  # a module with `train`
    config: Any
    reason: str  # why it may suit the task
    first: int  # environment steps of its first iteration, at most
    most: int  # of each other one
    task: Task | None = None  # the race's, with other starts
    learns: bool = False  # from the episodes of all the others as well; it is left out last


class Race:
    """The candidates, and how far each of them is. What it tells of each is a dictionary by words."""

    def __init__(
        self,
        task: Task,
        candidates: Mapping[str, Candidate],
        share: float,
        rng: np.random.Generator,
        state: State | None = None,
    ):
        """Begins, or restores what `state` holds; `share` are the steps of a candidate in a round."""
        state = state or {}
        self.task, self.all, self.share, self.rng = task, candidates, share, rng
        self.states: dict[str, Any] = dict(state.get("states", {}))
        self.steps = dict.fromkeys(self.all, 0) | state.get("steps", {})
        self.judged = dict.fromkeys(self.all, 0) | state.get("judged", {})  # after so many steps
        self.scores = dict.fromkeys(self.all, np.inf) | state.get("scores", {})
        self.left = [word for word in self.all if word in state.get("left", self.all)]
        self.failed = [word for word in self.all if word in state.get("failed", {})]
        self.round = state.get("round", 1)
        self.shared = Shared(state.get("shared"))
        self.running: dict[str, Iterator[Iteration]] = {}

    def needed(self, word: str) -> int:
        """Returns the steps that the next iteration of a candidate takes, at most."""
        one = self.all[word]
        return one.most if word in self.states else one.first

    def turn(self, steps: int) -> str | None:
        """Returns the word of the candidate that learns next, within so many steps, after the worse
        half was left out where all had their share; None where no iteration fits.
        """
        while fitting := [word for word in self.left if self.needed(word) <= steps]:
            behind = [word for word in fitting if self._is_behind(word)]
            if behind or len(self.left) == 1:
                return (behind or fitting)[0]
            self.left = self._better()
            self.round += 1
        return None

    def _better(self) -> list[str]:
        """Returns who goes on: the better half, of which who learns from all the others is always
        one; beside it the last other goes on for as long as that one is the better.
        """
        order = sorted(self.left, key=lambda w: (not self.all[w].learns, self.scores[w]))
        count = -(-len(order) // 2)
        if count == 1 and self.scores[order[1]] < self.scores[order[0]]:
            count = 1 + self.all[order[0]].learns
            order = order if count == 2 else order[1:]
        return [word for word in self.left if word in order[:count]]

    def _is_behind(self, word: str) -> bool:
        """Returns whether a candidate has not had its share yet, or too few iterations; where
        episodes end early many iterations are a share, as each of them takes its time.
        """
        number = self.states.get(word, {"number": 0})["number"]
        short = self.steps[word] < self.round * self.share and number < self.round * MOST
        return short or number < LEAST

    def advance(self, word: str, training: Training) -> Iteration | None:
        """Returns the next iteration of a candidate, whose steps are counted; None where it failed:
        it is left out, and the most that it may have taken is counted. Rewards that the task learns
        are shared.
        """
        if word not in self.running:
            self.running[word] = self._begun(word)
        try:
            found = next(self.running[word])
        except (NumericalError, Diverged):  # another error is the task's, whoever learns
            training.add(0, self.needed(word))
            self.left.remove(word)
            self.failed.append(word)
            return None
        before = self.states.get(word, {})
        episodes, steps, *tests = (found.state[n] - before.get(n, 0) for n in COUNTS[1:])
        training.add(episodes + tests[0], steps + tests[1])
        self.states[word] = {k: v for k, v in found.state.items() if k != "rewards"}
        self.steps[word] += steps + tests[1]
        return found

    def _begun(self, word: str) -> Iterator[Iteration]:
        one, kept = self.all[word], self.states.get(word)
        if kept and (shared := capability(self.task, LearnedCost)):
            kept = {**kept, "rewards": shared.learned.state()}
        hears = any(self.all[other].learns for other in self.left)
        task = one.task or self.task
        if one.learns:
            task = Sharer(task, self.shared)
        elif hears:
            task = Sharing(task, self.shared)
        return one.method.train(task, one.config, self.rng, kept)  # type: ignore[no-any-return]

    def is_due(self, word: str, cost: int) -> bool:
        """Returns whether a candidate is to be judged, which takes `cost` steps: it has learned
        enough since the last time, or has had its share.
        """
        since = self.steps[word] - self.judged[word]
        done = not self._is_behind(word) and len(self.left) > 1
        number = self.states[word]["number"]
        return since > 0 and number >= LEAST and (since >= LEARNED * cost or done)

    def score(self, word: str, cost: float) -> None:
        """Takes the mean cost of a candidate's policy in the held-out starts."""
        self.scores[word] = min(self.scores[word], cost)
        self.judged[word] = self.steps[word]

    def state(self) -> dict[str, Any]:
        """Returns what a new Race needs to go on."""
        return {
            "states": dict(self.states),
            "steps": dict(self.steps),
            "judged": dict(self.judged),
            "scores": {word: cost for word, cost in self.scores.items() if np.isfinite(cost)},
            "left": dict.fromkeys(self.left, 1),
            "failed": dict.fromkeys(self.failed, 1),
            "round": self.round,
            "shared": self.shared.state(),
        }
