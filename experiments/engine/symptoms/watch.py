"""Looks at a run's tables, while it is in progress and at its end."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from agents.tasks import TASKS

from .. import registry, tables
from ..cli import as_words, chosen_words
from .looked_at import Run, columns
from .troubles import TROUBLES, Symptom, symptoms


class Watch:
    """Looks at a run while it is in progress, ten times, and tells each trouble once: when it is
    seen for the second time in a row.
    """

    def __init__(
        self,
        about: Run,
        total: int | None,
        rows: Sequence[Mapping[str, float]],
        conditions: Sequence[Mapping[str, float]],
    ):
        """Goes on from the rows of the tables so far, which it looks at as it did before; `about`
        says all but these.
        """
        self.about, self.every = about, max(1, (total or 100) // 10)
        self.rows: list[Mapping[str, float]] = []
        self.conditions: list[Mapping[str, float]] = []
        self.seen: set[str] = set()  # at the last look
        self.told: set[str] = set()
        each = defaultdict[float, list[Mapping[str, float]]](list)
        for one in conditions:
            each[one["iteration"]].append(one)
        for row in rows:
            self.look(row, each[row["iteration"]])

    def look(
        self, row: Mapping[str, float], conditions: Sequence[Mapping[str, float]]
    ) -> list[Symptom]:
        """Returns the troubles to be told after an iteration with these rows of the tables."""
        self.rows.append(row)
        self.conditions += conditions
        if len(self.rows) % self.every:
            return []
        found = symptoms(
            self.about._replace(
                columns=columns(self.rows), conditions=tables.by_iteration(self.conditions)
            )
        )
        found = [one for one in found if not TROUBLES[one.word].at_end]
        news = [one for one in found if one.word in self.seen - self.told]
        self.seen = {one.word for one in found}
        self.told |= {one.word for one in news}
        return news


def of_folder(
    path: Path, about: Mapping[str, Any], task: Any, returns: tuple[float, float] | None = None
) -> list[Symptom]:
    """Returns what is wrong with the finished run in `path`, from its config.json and tables."""
    run = Run(
        columns=columns(tables.read(path / "metrics.csv")),
        conditions=tables.by_iteration(tables.read(path / "conditions.csv")),
        method=about["method"].rpartition(".")[2],
        task=task_words(about["experiment"], about["chosen"]),
        settings=about["config"],
        horizon=task.horizon,
        returns=returns,
    )
    return symptoms(run)


def task_words(experiment: str, chosen: Mapping[str, Any]) -> str:
    """Returns the words that name a run's task on the command line: those of the run, or else the
    name of the experiment's task in the table, TASK where it has none.
    """
    words = {k: v for k, v in chosen_words(chosen).items() if k != "evaluation_episodes"}
    if "task" in words:
        return as_words(words)
    listed = experiment in (*registry.names(), *registry.methods())  # or made in Python
    task = registry.load(experiment).task if listed else None
    place = f"{task.__module__}:{task.__qualname__}" if isinstance(task, type) else ""
    name = next((name for name, known in TASKS.items() if known == place), "TASK")
    return as_words({"task": name, **words})
