"""Workers elsewhere: in processes of this machine, or on the machines of a Ray cluster.

A worker is sent one message at a time, and what comes in between waits here: of a model and a policy
the newest alone, of transitions all. Where a worker dies another is begun, with all that is known
here: what is lost is its one turn.
"""

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

from lqr import InputError

from ...interfaces import State
from .workers import Worker

Make = Callable[[State], Worker]  # of what it begins with; it goes to where it works


class Lost(Exception):  # not an error of the user's: another worker is begun
    """A worker died."""


class Remote(Protocol):
    """One worker elsewhere."""

    def post(self, mail: State) -> None:
        """Sends what the next turn is made of. Raises Lost."""
        ...

    def poll(self) -> State | None:
        """Returns what the turn came to, None while it takes. Raises Lost."""
        ...

    def end(self) -> None:
        """Ends it, whatever it does."""
        ...


class InProcess:
    """A worker in a process of this machine, begun afresh: torch does not survive a fork."""

    def __init__(self, make: Make, begun: State, seed: int):
        import multiprocessing

        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        self.process = context.Process(target=serve, args=(theirs, make, begun, seed), daemon=True)
        try:
            self.process.start()
        except (TypeError, AttributeError, ValueError) as error:  # of what cannot be sent
            raise InputError(
                f"the task cannot be sent to another process ({error}); expected one whose class stands in a module, "
                "or --schedule lockstep"
            ) from error
        theirs.close()

    def post(self, mail: State) -> None:
        """Sends what the next turn is made of. Raises Lost."""
        try:
            self.connection.send(mail)
        except OSError as error:
            raise Lost from error

    def poll(self) -> State | None:
        """Returns what the turn came to, None while it takes. Raises Lost, or what it raised."""
        try:
            found = self.connection.recv() if self.connection.poll() else None
        except (EOFError, OSError) as error:
            raise Lost from error
        if isinstance(found, Exception):
            raise found
        return found

    def end(self) -> None:
        """Ends it, whatever it does."""
        self.connection.close()
        self.process.kill()
        self.process.join()


def serve(connection: Any, make: Make, begun: State, seed: int) -> None:
    """Takes turns until nobody listens; tells of an error, and ends."""
    try:
        worker, rng = made(make, begun, seed)
        while True:
            connection.send(worker.turn(connection.recv(), rng))
    except (EOFError, OSError, KeyboardInterrupt):
        return
    except Exception as error:  # whoever began it is told
        connection.send(error)


def made(make: Make, begun: State, seed: int) -> tuple[Worker, np.random.Generator]:
    """Returns a worker and its own random numbers; it keeps to one core."""
    import torch

    torch.set_num_threads(1)
    return make(begun), np.random.default_rng(seed)


class Served:
    """A worker as an actor of Ray's."""

    def __init__(self, make: Make, begun: State, seed: int):
        self.worker, self.rng = made(make, own(begun), seed)

    def turn(self, mail: State) -> State:
        """Returns what a turn came to."""
        return self.worker.turn(own(mail), self.rng)


def own(tree: Any) -> Any:
    """Returns a tree whose arrays may be written to: Ray's may not."""
    if isinstance(tree, dict):
        return {name: own(part) for name, part in tree.items()}
    return tree.copy() if isinstance(tree, np.ndarray) else tree


class OnRay:
    """A worker on some machine of the cluster that was joined."""

    def __init__(self, make: Make, begun: State, seed: int):
        import ray

        actor: Any = ray.remote(Served)
        self.actor = actor.options(num_cpus=1, max_restarts=0).remote(make, begun, seed)
        self.answer: Any = None

    def post(self, mail: State) -> None:
        """Sends what the next turn is made of; who is lost is met when it is asked."""
        self.answer = self.actor.turn.remote(mail)

    def poll(self) -> State | None:
        """Returns what the turn came to, None while it takes. Raises Lost, or what it raised."""
        import ray

        if self.answer is None or not ray.wait([self.answer], timeout=0)[0]:
            return None
        answer, self.answer = self.answer, None
        try:
            found: State = own(ray.get(answer))
        except (ray.exceptions.RayActorError, ray.exceptions.ObjectLostError) as error:
            raise Lost from error
        except ray.exceptions.RayTaskError as error:
            failed: Exception = error.cause
            raise failed from None
        return found

    def end(self) -> None:
        """Ends it, whatever it does."""
        import contextlib

        import ray

        with contextlib.suppress(ray.exceptions.RayError, ValueError):
            ray.kill(self.actor)


PLACES: dict[str, Callable[[Make, State, int], Remote]] = {"processes": InProcess, "ray": OnRay}
"""Where workers may be, by the word of the schedule."""


class Post:
    """A worker elsewhere, what waits for it, and another one where it dies."""

    def __init__(
        self, place: str, make: Make, begun: Callable[[], State], rng: np.random.Generator
    ):
        """`begun()` returns all that is known here, with which a worker begins."""
        self.place, self.make, self.begun, self.rng = place, make, begun, rng
        self.mail: State = {}
        self.busy, self.replaced = False, 0
        self.remote = self._new()

    def put(self, mail: State) -> None:
        """Adds to what waits: transitions to those that wait, anything else instead of what waits."""
        rows = mail.get("rows")
        if rows and "rows" in self.mail:
            both = self.mail["rows"]
            mail = {**mail, "rows": {k: np.concatenate([both[k], rows[k]]) for k in rows}}
        self.mail.update(mail)

    def exchange(self, idle: bool = False) -> State | None:
        """Returns what a turn came to, None where there is nothing new. Sends what waits; with
        `idle` a turn is begun though nothing waits.
        """
        try:
            found = self.remote.poll() if self.busy else None
            self.busy = self.busy and found is None
            if not self.busy and (self.mail or idle):
                mail, self.mail = self.mail, {}
                self.busy = True
                self.remote.post(mail)
        except Lost:
            self.remote.end()
            self.replaced += 1
            self.mail = {"again": True} if self.busy else {}
            self.busy, self.remote = False, self._new()
            found = None
        return found

    def end(self) -> None:
        """Ends the worker."""
        self.remote.end()

    def _new(self) -> Remote:
        return PLACES[self.place](self.make, self.begun(), int(self.rng.integers(2**31)))
