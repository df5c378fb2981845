"""Adam (Kingma & Ba 2015) with a rate that falls along half a cosine, on torch's own arithmetic."""

import math
from collections.abc import Iterable
from typing import Any


class CosineAdam:
    """Does what `torch.optim.Adam` with `CosineAnnealingLR` does, bit for bit.

    `torch.optim.Adam` loads torch's compiler when it is made, for a second and a half, and asks for
    it at each step.
    """

    def __init__(
        self,
        parameters: Iterable[Any],
        rate: float,
        steps: int,
        decay: float = 0.0,
        foreach: bool = False,
    ):
        import torch

        self.parameters, self.steps, self.number = list(parameters), steps, 0
        self.rate, self.decay, self.foreach = rate, decay, foreach
        self.means = [torch.zeros_like(p) for p in self.parameters]
        self.squares = [torch.zeros_like(p) for p in self.parameters]
        self.counts = [torch.tensor(0.0) for _ in self.parameters]

    def zero_grad(self) -> None:
        """Forgets the gradients."""
        for parameter in self.parameters:
            parameter.grad = None

    def step(self) -> None:
        """Changes the parameters by their gradients, at the rate of this step of `steps`."""
        import torch
        from torch.optim.adam import adam

        known = [i for i, p in enumerate(self.parameters) if p.grad is not None]
        with torch.no_grad():
            adam(
                [self.parameters[i] for i in known],
                [self.parameters[i].grad for i in known],
                [self.means[i] for i in known],
                [self.squares[i] for i in known],
                [],
                [self.counts[i] for i in known],
                foreach=self.foreach,
                amsgrad=False,
                beta1=0.9,
                beta2=0.999,
                lr=self.rate,
                weight_decay=self.decay,
                eps=1e-8,
                maximize=False,
            )
        self.number += 1
        before, after = (
            1 + math.cos(math.pi * number / self.steps) for number in (self.number - 1, self.number)
        )
        self.rate = after / before * self.rate
