"""Environments of Gymnasium in processes of their own, by its `AsyncVectorEnv`: for those that take
long over a step.

What a step says goes through a pipe, so quick environments are quicker one after another in this
process (`python -m benchmarks.rollouts --gymnasium` measures both). The numbers are the same: each
environment is reset by the same seed. The processes are forked from a clean server, not from this
one, whose threads would not survive it; a script that uses them must stand under `if __name__ ==
"__main__":`.
"""

import contextlib
import signal
import weakref
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import gymnasium
import numpy as np

from lqr import GPSError, SimulationError

from ..base.mujoco_warnings import heed
from .answers import RESET, STEP, number, observed, parts, truth
from .blaming import blaming

Array = np.ndarray
KEPT = 2  # fleets of different sizes: episodes, and what is tried between them
PATIENCE = 5.0  # seconds that a process has to end, before it is killed


class Processes:
    """As many environments as there are episodes, stepped side by side.

    Where one of them fails, or its process ends, all end, and SimulationError names the environment
    and says why.
    """

    def __init__(self, make: Callable[[], Any], name: str):
        self._make, self._name, self._fleets = make, name, {}  # type: ignore[var-annotated]

    def reset(self, seeds: Sequence[int]) -> Array:
        """Starts an episode by each seed; returns the observations (B, ...)."""
        with self._together("reset"):
            self._fleet = self._fleets.pop(len(seeds), None) or self._new(len(seeds))
            self._fleets[len(seeds)] = self._fleet
            return self._fleet.reset(seed=[int(seed) for seed in seeds])[0]

    def step(self, u: Array) -> tuple[Array, Array, Array, Array]:
        """Applies u (B, ...); returns observations (B, ...), rewards (B,), which episodes are over
        (B,), and which were cut short (B,).

        That of an ended episode is its last one; after that its environment starts another, which
        nobody looks at.
        """
        with self._together("step"):
            seen, reward, terminated, truncated, _ = self._fleet.step(u)
        return seen, reward, terminated, truncated

    def _new(self, count: int) -> Any:
        from gymnasium.vector import AsyncVectorEnv, AutoresetMode

        if len(self._fleets) >= KEPT:
            end(self._fleets.pop(next(iter(self._fleets))))
        fleet = AsyncVectorEnv(
            [Contained(self._make, self._name)] * count,
            context="forkserver",
            autoreset_mode=AutoresetMode.NEXT_STEP,
            worker=work,
        )
        weakref.finalize(self, end, fleet)  # at the exit the pipes may be gone
        return fleet

    @contextlib.contextmanager
    def _together(self, what: str) -> Iterator[None]:
        """Ends all processes where one of them fails in reset or step."""
        level = gymnasium.logger.min_level
        gymnasium.logger.min_level = gymnasium.logger.ERROR + 1  # it would print tracebacks
        try:
            yield
        except BaseException as error:
            for fleet in self._fleets.values():
                end(fleet)
            self._fleets.clear()
            if isinstance(error, (EOFError, OSError)):
                raise SimulationError(
                    f"the environment {self._name} failed in {what}: its process ended; expected it to stay: "
                    "try that alone, in Python"
                ) from error
            raise
        finally:
            gymnasium.logger.min_level = level


class Contained:
    """What makes an environment in a process of its own, where no exit and no error that only that
    process knows ends it without a word.
    """

    def __init__(self, make: Callable[[], Any], name: str):
        self.make, self.name = make, name

    def __call__(self) -> Any:
        """Returns the environment."""
        with blaming(self.name, "make"):
            heed()
            return Blamed(self.make(), self.name)


class Blamed(gymnasium.Wrapper):  # type: ignore[type-arg]
    """An environment whose errors name it."""

    def __init__(self, env: Any, name: str):
        super().__init__(env)
        self.name = name

    def reset(self, **how: Any) -> Any:
        """Starts an episode."""
        with blaming(self.name, "reset"):
            found = self.env.reset(**how)
        observation, info = parts(found, RESET, f"{self.name}, reset,")
        return observed(observation, self.env.observation_space, self.name), info

    def step(self, action: Any) -> Any:
        """Applies an action."""
        with blaming(self.name, "step"):
            found = self.env.step(action)
        observation, reward, terminated, truncated, info = parts(
            found, STEP, f"{self.name}, a step,"
        )
        return (
            observed(observation, self.env.observation_space, self.name),
            number(reward, f"the reward of {self.name} after a step"),
            truth(terminated, f"what {self.name} says of terminated"),
            truth(truncated, f"what {self.name} says of truncated"),
            info,
        )


def work(
    index: int, make: Any, pipe: Any, parent_pipe: Any, memory: Any, errors: Any, *how: Any
) -> None:
    """Runs an environment in its process, as gymnasium does, until its pipe is closed.

    Ctrl-C is for the parent, which stops after the step at hand. What fails while the environment
    is made is told as what fails in a step is.
    """
    from gymnasium.vector.async_vector_env import _async_worker

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        env = make()
    except GPSError as error:
        parent_pipe.close()
        pipe.recv()
        errors.put((index, type(error), str(error), ""))
        pipe.send((None, False))
        return
    with contextlib.suppress(EOFError, OSError):  # the parent is gone
        _async_worker(index, lambda: env, pipe, parent_pipe, memory, errors, *how)


def end(fleet: Any) -> None:
    """Ends the processes of a fleet, whatever they are doing."""
    fleet.closed = True  # it need not look after them any more
    for process in fleet.processes:
        with contextlib.suppress(Exception):
            process.terminate()
    for process in fleet.processes:
        with contextlib.suppress(Exception):
            process.join(PATIENCE)
            if process.is_alive():
                process.kill()
    for pipe in fleet.parent_pipes:
        with contextlib.suppress(Exception):
            pipe.close()
