"""Products of small matrices in kernels, tile by tile in vector registers.

Rows of all arrays are padded to whole vectors (`padded`) and their number to a multiple of 4.
"""

from .jit import part, shared
from .simd import mirror_block, tile, transpose

write_4x16, write_4x8 = tile(4, 2, True), tile(4, 1, True)
add_4x16, add_4x8 = tile(4, 2, False), tile(4, 1, False)


@part
def padded(d):
    """The row length for d columns: whole vectors, and never a stride that maps all rows to few
    cache sets.
    """
    d8 = (d + 7) // 8 * 8
    return d8 + 8 if d8 % 32 == 0 else d8


@shared
def write_product(A, B, out, count, p, q):
    """Writes A[:count, :p]' B[:count, :q] to `out`; p is rounded up to 4, q to 8."""
    for i in range(0, p, 4):
        for j in range(0, q - 8, 16):
            write_4x16(A, i, B, j, out, count)
        if (q + 7) // 8 % 2:
            write_4x8(A, i, B, (q - 1) // 16 * 16, out, count)


@shared
def add_product(A, B, out, count, p, q):
    """Adds A[:count, :p]' B[:count, :q] to `out`; p is rounded up to 4, q to 8."""
    for i in range(0, p, 4):
        for j in range(0, q - 8, 16):
            add_4x16(A, i, B, j, out, count)
        if (q + 7) // 8 % 2:
            add_4x8(A, i, B, (q - 1) // 16 * 16, out, count)


@shared
def add_lower_product(A, B, out, count, p):
    """Adds the lower triangle of the symmetric A[:count, :p]' B[:count, :p] to `out`, and some of
    the upper.
    """
    for i in range(0, p, 4):
        for j in range(0, i - 4, 16):
            add_4x16(A, i, B, j, out, count)
        if (i + 11) // 8 % 2:
            add_4x8(A, i, B, (i + 3) // 16 * 16, out, count)


@shared
def mirror(A, d):
    """Copies the lower triangle of A to the upper, in blocks of 8: whole vectors, which can be read
    at once.
    """
    for i in range(0, d, 8):
        for j in range(0, i, 8):
            transpose(A, i, j, A, j, i)
        mirror_block(A, i)
