"""The best policy of each candidate, and the one that does nothing: which is handed out?"""

from typing import Any

import numpy as np

from agents.interfaces import State
from agents.saving import build_policy, state_of

from .held_out import MOST, Judge, surely_better

Array = np.ndarray
REST = "no action"
FINALISTS = 2  # candidates that meet no action in the final


class Records:
    """Policies with their costs in held-out starts, by the words of their candidates."""

    def __init__(self, state: State | None = None):
        """Begins, or restores what `state` holds."""
        state = state or {}
        self.policies: dict[str, Any] = dict(state.get("policies", {}))  # their states
        self.costs: dict[str, Array] = dict(state.get("costs", {}))  # (N,), all in the same starts
        self.last: dict[str, Array] = dict(state.get("last", {}))  # (M,), in those of the final
        self.decided = bool(state.get("decided", False))

    def add(self, word: str, policy: Any, judge: Judge) -> float:
        """Judges a policy, keeps it where it is its candidate's best, and returns its mean cost."""
        saved = state_of(policy)
        costs = judge.costs(build_policy(saved, word, judge.task))
        if word not in self.costs or costs.mean() < self.costs[word].mean():
            self.policies[word], self.costs[word] = saved, costs
        return float(costs.mean())

    def all_costs(self, word: str) -> Array:
        """Returns the costs of a policy in all episodes in which it was judged, (N + M,)."""
        return np.concatenate([self.costs[word], self.last.get(word, np.zeros(0))])

    def cost(self, word: str) -> float:
        """Returns their mean."""
        return float(self.all_costs(word).mean())

    @property
    def better(self) -> list[str]:
        """The words of those that are better than no action: by more than chance in all episodes,
        and in those of the final, too; the best comes first.
        """
        found = [w for w in self.costs if w != REST and (w in self.last or not self.last)]
        if self.last:
            found = [w for w in found if self.last[w].mean() < self.last[REST].mean()]
        rest = self.all_costs(REST)
        found = [w for w in found if surely_better(self.all_costs(w), rest)]
        return sorted(found, key=self.cost)

    @property
    def best(self) -> str:
        """The word whose policy is handed out."""
        return next(iter(self.better), REST)

    def decide(self, judge: Judge, episodes: int) -> None:
        """Runs the final, in so many episodes at most: of starts that nothing was chosen by."""
        finalists = [REST, *self.better[:FINALISTS]]
        each = min(episodes // len(finalists), MOST)
        if len(finalists) > 1 and each:
            for word in finalists:
                policy = build_policy(self.policies[word], word, judge.task)
                self.last[word] = judge.costs(policy, judge.count, each)
        self.decided = True

    def told(self) -> str:
        """Returns in words what is handed out, and why."""
        best, rest = self.best, f"no action {self.cost(REST):.4g}"
        if best == REST:
            return f"no action is handed out, as nothing was surely better: {rest}"
        count = len(self.all_costs(best))
        return f"handed out is {best}: {self.cost(best):.4g}, {rest}, in {count} held-out episodes each"

    def state(self) -> dict[str, Any]:
        """Returns what new Records need to go on."""
        return {
            "policies": dict(self.policies),
            "costs": dict(self.costs),
            "last": dict(self.last),
            "decided": int(self.decided),
        }
