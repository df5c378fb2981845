"""How many threads torch computes with: one, so that its sums are always the same."""

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def one_thread() -> Iterator[None]:
    """Lets torch use one thread: more would only wait for each other, and sum in another order.

    That is a setting of the whole process: of two threads of Python that learn at the same time,
    the first to end may set the other's back. Let processes learn side by side, as
    `experiments/sweep.py` does.
    """
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
