"""What every array is checked for before a kernel reads it: finite, symmetric, semi-definite."""

import numpy as np

from .jit import kernel
from .matrix_products import padded
from .simd import add_row, copy_row

EXPONENT = 0x7FF0000000000000  # its bits in a float64, all set where the number is not finite


@kernel
def _finite(bits):
    """Are the float64 whose bits these are all finite? As integers they are compared a vector at a
    time.
    """
    largest = 0
    for i in range(len(bits)):
        largest = max(largest, bits[i] & EXPONENT)
    return largest < EXPONENT


@kernel
def _inspect(A, matrices, definite):
    """Returns a code, and which matrix: 0 well, 1 not finite, 2 not symmetric, 3 not positive
    semi-definite.

    Symmetric: |a_ij - a_ji| <= 1e-6 max(|a_ij|, |a_ji|, sqrt|a_ii a_jj|), or rounding beside the
    largest entries of both rows. Positive semi-definite: so is A + 1e-8 diag A, but for rounding
    in coordinates that hang together with others.
    """
    B, d, _ = A.shape
    M, most = np.empty((d, d)), np.empty(d)
    bits, word = A.view(np.int64), np.empty(1, np.int64)
    number = word.view(np.float64)
    for b in range(B):
        largest = 0.0
        for i in range(d):
            word[0] = 0
            for j in range(d):
                word[0] = max(word[0], bits[b, i, j] & 0x7FFFFFFFFFFFFFFF)
            most[i] = number[0]
            if not most[i] < np.inf:
                return 1, b
            largest = max(largest, most[i])
        if not matrices:
            continue
        diagonal = True
        for i in range(d):
            for j in range(i):
                x, y = A[b, i, j], A[b, j, i]
                diagonal = diagonal and x == 0.0 and y == 0.0
                if x != y:
                    near = np.sqrt(abs(A[b, i, i])) * np.sqrt(abs(A[b, j, j]))
                    near = 1e-6 * max(near, max(abs(x), abs(y)))
                    rounding = 1e-14 * np.sqrt(most[i]) * np.sqrt(most[j])
                    if abs(x - y) > max(near, rounding):
                        return 2, b
        if not definite or largest == 0.0:
            continue
        rounding = 1e-15 * largest
        for i in range(d):
            if A[b, i, i] < (0.0 if diagonal else -rounding):
                return 3, b
        if diagonal:
            continue
        for i in range(d):
            apart = True
            for j in range(d):
                M[i, j] = A[b, i, j]
                apart = apart and (j == i or A[b, i, j] == 0.0)
            if apart and M[i, i] < 0.0:
                return 3, b
            M[i, i] += 1e-8 * abs(M[i, i]) + (0.0 if apart else rounding)
        for j in range(d):  # elimination by rows, so that the inner loop runs along them
            pivot = M[j, j]
            if pivot < 0.0:
                return 3, b
            for i in range(j + 1, d):
                if pivot == 0.0 and M[j, i] != 0.0:
                    return 3, b
                factor = M[j, i] / pivot if pivot > 0.0 else 0.0
                for m in range(i, d):
                    M[i, m] -= factor * M[j, m]
    return 0, 0


@kernel
def _mirrored(A):
    """Are all matrices of A (B, d, d) symmetric to the last bit, and without NaN?"""
    B, d, _ = A.shape
    apart = 0
    for b in range(B):
        for i in range(d):
            for j in range(i + 1):
                apart += A[b, i, j] != A[b, j, i]
    return apart == 0


@kernel
def _variances(A):
    """Are all matrices of A (B, d, d) diagonal, with finite numbers from 0 on?"""
    B, d, _ = A.shape
    flat, marked = A.reshape(-1), 0
    for i in range(len(flat)):
        marked += flat[i] != 0.0
    for b in range(B):
        for i in range(d):
            if not 0.0 <= A[b, i, i] < np.inf:
                return False
            marked -= A[b, i, i] != 0.0
    return marked == 0  # none is off the diagonal


@kernel
def _definite(A):
    """Are all matrices of A (B, d, d), which are symmetric, finite and positive definite by a clear
    margin?
    """
    B, d, _ = A.shape
    M, flat = np.empty((d, padded(d))), A.reshape(-1)
    for b in range(B):
        for i in range(d):
            copy_row(flat, (b * d + i) * d, M, i, 0, d)
        for j in range(d):
            if not 1e-10 * A[b, j, j] < M[j, j] < np.inf:
                return False
            inverse = -1.0 / M[j, j]
            for i in range(j + 1, d):
                add_row(M[j, i] * inverse, M, j, M, i, d)
    return True


@kernel
def _covariances(A):
    """Are all matrices of A (B, d, d) covariances, as can be seen at once?"""
    return _variances(A) or (_mirrored(A) and _definite(A))
