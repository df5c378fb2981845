"""What goes wrong in somebody else's code is told with the name of whose it is."""

from collections.abc import Iterator
from contextlib import contextmanager

from lqr import GPSError, SimulationError
from lqr.user_functions import described


@contextmanager
def blaming(name: str, what: str) -> Iterator[None]:
    """Raises SimulationError, which names the environment in one line, for whatever its code
    raises, and where it would end the program.
    """
    try:
        yield
    except (GPSError, MemoryError):
        raise
    except (Exception, SystemExit) as error:
        raise SimulationError(
            f"the environment {name} failed in {what}: {described(error)}; try that alone, in Python"
        ) from error
