"""The exceptions of the whole library: few classes; each message says what was got, expected, and
the remedy.
"""

import numpy as np


class GPSError(Exception):
    """Base of every error that this library raises on purpose."""


class InputError(GPSError, ValueError):
    """An argument has the wrong shape, type, range or word."""


class NumericalError(GPSError, ArithmeticError):
    """A computation cannot go on: a matrix is not definite, a number is not finite, a bound cannot
    be met.
    """


class NotPositiveDefinite(NumericalError, np.linalg.LinAlgError):
    """A matrix that must be positive definite is not; `batch` and `t` say where."""

    def __init__(self, message: str, batch: int = 0, t: int = 0):
        super().__init__(message)
        self.batch, self.t = batch, t


class SimulationError(GPSError, RuntimeError):
    """The simulator diverged, or gave something else than it promised."""


class Diverged(SimulationError):
    """Every episode of a round diverged: milder actions may do."""


class StorageError(GPSError, OSError):
    """A file or a folder cannot be written or read."""


class CheckpointError(GPSError, ValueError):
    """A saved file is damaged, belongs to something else, or is of another version."""
