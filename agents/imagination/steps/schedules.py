"""When it is whose turn: one after the other, or side by side.

    lockstep     collect, fit, improve, in one process, as a synchronous method
    processes    fit and improve in processes of their own, while episodes go on
    ray          ... on the machines of a Ray cluster

Side by side everyone takes the newest of what there is and waits for nobody: the model is fitted
whenever there are new episodes, the policy improves all the time, in whichever model is the newest,
and who acts takes the newest policy at each step. Which is the newest depends on the clock, so that
no two such runs are alike; in lockstep they are to the bit.
"""

import contextlib
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np

from lqr import SimulationError

from ...interfaces import Array, State
from ...policies.mlp import NeuralPolicy
from .elsewhere import PLACES, Post
from .on_policy import Improved, OnPolicy, Update
from .ray_cluster import cluster
from .workers import Fitter, Improver, rows_of, told_of

DEATHS = 20  # of workers, after which a run is given up
WHO = ("collect", "fit", "improve")  # of the time line


class Lockstep:
    """Fit and improve by turns, here, with the run's own random numbers."""

    def __init__(self, run: OnPolicy, update: Update):
        self.run, begun = run, begun_of(run)
        self.fitter = Fitter(run.task, run.c, begun)
        self.improver = Improver(run.task, run.c, begun, update)
        self.sent = run.buffer.total

    def waiting(self, t: int) -> None:
        """Nothing goes on while the world does."""

    def after_round(self) -> Improved:
        """Returns what a turn of each came to, of the new episodes."""
        run, rows = self.run, rows_of(self.run.buffer, self.run.buffer.total - self.sent)
        self.sent = run.buffer.total
        fitted = self.fitter.turn(rows, run.rng)
        improved = self.improver.turn({**rows, **fitted}, run.rng)
        take_model(run, fitted)
        return take_policy(run, improved)

    def numbers(self) -> dict[str, float]:
        """Returns the columns of a schedule."""
        return {"policy_age": 0.0, "replaced": 0.0}

    @property
    def timeline(self) -> Array:
        """Nothing, as no time is told."""
        return np.zeros((0, 3))


class SideBySide:
    """Fit and improve elsewhere, while episodes go on here."""

    def __init__(self, run: OnPolicy, make_update: Callable[[Any], Update]):
        self.run, self.began, place = run, time.monotonic(), run.c.schedule
        self.sent = dict.fromkeys(WHO[1:], run.buffer.total)  # steps that each worker knows
        known = {who: partial(self._begun, who) for who in self.sent}
        self.fitter = Post(place, partial(Fitter, run.task, run.c), known["fit"], run.rng)
        improver = partial(_improver, run.task, run.c, make_update)
        self.improver = Post(place, improver, known["improve"], run.rng)
        nothing = np.full(1, np.nan)
        self.told = Improved(run.policy, 0, nothing, nothing, nothing[None])
        self.steps, self.log = run.buffer.total, list[tuple[float, float, float]]()
        self.since = {"fit": 0.0, "improve": 0.0}

    def waiting(self, t: int) -> None:
        """Comes before each action: takes what is new, and sends it on."""
        if t == 0:
            for who, post in (("fit", self.fitter), ("improve", self.improver)):
                if rows := rows_of(self.run.buffer, self.run.buffer.total - self.sent[who]):
                    post.put(rows)
                self.sent[who] = self.run.buffer.total
        if self.fitter.replaced + self.improver.replaced > DEATHS:
            raise SimulationError(
                f"workers died {DEATHS} times; expected them to live: see what --schedule lockstep says"
            )
        if fitted := self.turn("fit", self.fitter):
            take_model(self.run, fitted)
            self.improver.put({"model": fitted["model"], "steps": fitted["steps"]})
        if self.run.fitted and (improved := self.turn("improve", self.improver, idle=True)):
            self.told, self.steps = take_policy(self.run, improved), improved["steps"]

    def _begun(self, who: str) -> State:
        """Returns what a worker begins with, all that is there."""
        self.sent[who] = self.run.buffer.total
        return begun_of(self.run)

    def turn(self, who: str, post: Post, idle: bool = False) -> State | None:
        """Returns what a turn came to, and keeps its times."""
        busy, now = post.busy, time.monotonic() - self.began
        found = post.exchange(idle)
        if found is not None:
            self.log.append((WHO.index(who), self.since[who], now))
        if post.busy and (not busy or found is not None):
            self.since[who] = now
        return found

    def after_round(self) -> Improved:
        """Returns what the newest policy came from; nobody is waited for."""
        self.waiting(0)
        return self.told

    def numbers(self) -> dict[str, float]:
        """Returns the columns of a schedule: how many steps the policy's model has not seen."""
        age = self.run.buffer.total - self.steps
        return {"policy_age": age, "replaced": self.fitter.replaced + self.improver.replaced}

    @property
    def timeline(self) -> Array:
        """Returns who, from when and until when, s since the run began, (turns, 3)."""
        return np.array(self.log).reshape(-1, 3)

    def end(self) -> None:
        """Ends both workers."""
        self.fitter.end()
        self.improver.end()


def begun_of(run: OnPolicy) -> State:
    """Returns all that is known here, with which a worker begins."""
    model = {"model": run.env_model.state()} if run.fitted else {}
    return {"buffer": run.buffer.state(), "policy": run.policy.state(), **model}


def take_model(run: OnPolicy, fitted: State) -> None:
    """Gives the run the model that was fitted."""
    run.env_model.load_state(fitted["model"])
    run.model_error, run.fitted = fitted["error"], True


def take_policy(run: OnPolicy, improved: State) -> Improved:
    """Gives the run the policy that was improved; returns what it is told."""
    run.policy = NeuralPolicy.from_state(improved["policy"])
    return told_of(improved)


@contextlib.contextmanager
def scheduled(
    run: OnPolicy, make_update: Callable[[Any], Update]
) -> Iterator[Lockstep | SideBySide]:
    """Yields the schedule of the run's settings, whose workers end with it."""
    if run.c.schedule not in PLACES:
        yield Lockstep(run, make_update(run.c))
        return
    with contextlib.ExitStack() as stack:
        if run.c.schedule == "ray":
            stack.enter_context(cluster(run.c.ray, None))
        found = SideBySide(run, make_update)
        stack.callback(found.end)
        yield found


def _improver(task: Any, c: Any, make_update: Callable[[Any], Update], begun: State) -> Improver:
    return Improver(task, c, begun, make_update(c))
