"""Does LQR pay that is parallel in time? The backward pass as an associative scan (Sarkka &
Garcia-Fernandez 2023, section III) beside the compiled recursion, for T = 1 000 to 100 000.

    python -m benchmarks.parallel_in_time

One element per step holds (A, C, J): the next state given this one, and the cost of both. Two
elements combine into one, in log2 T rounds, each a batch for all cores. The scan combines about 2 T
pairs, each with a solve and some ten products of matrices, where the recursion does one solve and
three products per step: what it does at least, over two, is what two cores cannot win back.
"""

import time

import numpy as np

from lqr import backward, linear, quadratic

DX, DU = 4, 2


def combine(a, b):
    """Returns the element of the steps of `a` and then `b` (values only, no affine terms)."""
    (A1, C1, J1), (A2, C2, J2) = a, b
    M = np.linalg.solve(np.eye(DX) + C1 @ J2, np.concatenate([A1, C1], -1))
    left, right = M[..., :DX], M[..., DX:]
    A = A2 @ left
    C = A2 @ right @ A2.swapaxes(-1, -2) + C2
    J = A1.swapaxes(-1, -2) @ J2 @ left + J1
    return A, C, J


def suffixes(e):
    """Returns, for each t, the elements t, t+1, ... combined: a scan from the right, of 2^k
    elements.
    """
    if len(e[0]) == 1:
        return e
    even, odd = (tuple(a[i::2] for a in e) for i in (0, 1))
    pairs = suffixes(combine(even, odd))
    later = combine(tuple(a[:-1] for a in odd), tuple(a[1:] for a in pairs))
    out = tuple(np.empty_like(a) for a in e)
    for o, pair, rest, a in zip(out, pairs, later, odd, strict=True):
        o[::2], o[1:-1:2], o[-1] = pair, rest, a[-1]
    return out


def best(function, *arguments):
    """Returns the least CPU time of five calls, in ms."""
    each = []
    for _ in range(5):
        start = time.process_time()
        function(*arguments)
        each.append(1e3 * (time.process_time() - start))
    return min(each)


def main() -> None:
    rng = np.random.default_rng(0)
    A = np.eye(DX) + 0.1 * rng.normal(size=(DX, DX))
    B, Q, R = rng.normal(size=(DX, DU)), np.eye(DX), 0.1 * np.eye(DU)
    spread = B @ np.linalg.solve(R, B.T)
    print("      T   recursion ms   scan ms   ratio")
    for T in (1_000, 10_000, 100_000):
        model, cost = linear(A, B, T), quadratic(Q, R, T=T)
        size = 2 ** int(np.ceil(np.log2(T + 1)))
        e = tuple(np.tile(M, (size, 1, 1)) for M in (A, spread, Q))
        e[0][T:], e[1][T:] = 0.0, 0.0  # nothing follows the last state
        expected, found = backward(model, cost)[1].V, suffixes(e)[2][: T + 1]
        np.testing.assert_allclose(found, expected, rtol=1e-6)
        times = [best(backward, model, cost), best(suffixes, e)]
        print(f"{T:7d} {times[0]:13.2f} {times[1]:9.1f} {times[1] / times[0]:7.1f}")


if __name__ == "__main__":
    main()
