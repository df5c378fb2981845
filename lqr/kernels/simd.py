"""Pieces of kernels written in LLVM's own vectors of 64 bytes; LLVM splits them where the machine's
are shorter.

They are of eight float64, but for `tile`, which has them of sixteen float32 as well.

Arrays are C-contiguous and 2-D unless said otherwise. Nothing checks bounds: scratch rows are whole
vectors long.
"""

import inspect
from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import extending, types
from numba.core import cgutils
from numba.np.arrayobj import make_array

WIDTH = 8
INDEX, LANE, NUMBER = ir.IntType(64), ir.IntType(32), ir.DoubleType()
ALIGN = {NUMBER: 8, ir.FloatType(): 4}  # bytes
POSITIONAL = inspect.Parameter.POSITIONAL_OR_KEYWORD
FUSE = (
    "contract",
)  # a product and a sum may become one instruction; NaN and infinity keep their meaning


class Emitter:
    """Writes instructions on vectors; what it returns are LLVM values."""

    def __init__(self, context: Any, builder: Any) -> None:
        self.context, self.builder = context, builder

    def argument(self, kind: Any, value: Any) -> Any:
        return (
            make_array(kind)(self.context, self.builder, value)
            if isinstance(kind, types.Array)
            else value
        )

    def index(self, *terms: Any) -> Any:
        """Returns the sum of numbers and values."""
        total = ir.Constant(INDEX, 0)
        for term in terms:
            total = self.builder.add(
                total, ir.Constant(INDEX, term) if isinstance(term, int) else term
            )
        return total

    def at(self, array: Any, row: Any, column: Any) -> Any:
        """Returns the address of array[row, column]."""
        start = self.builder.mul(self.index(row), self.builder.extract_value(array.shape, 1))
        return self.builder.gep(array.data, [self.builder.add(start, self.index(column))])

    def at_flat(self, array: Any, *terms: Any) -> Any:
        """Returns the address of array[sum of terms], 1-D."""
        return self.builder.gep(array.data, [self.index(*terms)])

    def load(self, pointer: Any, width: int = WIDTH) -> Any:
        vector = ir.VectorType(pointer.type.pointee, width)
        return self.builder.load(
            self.builder.bitcast(pointer, vector.as_pointer()), align=ALIGN[vector.element]
        )

    def number(self, pointer: Any) -> Any:
        return self.builder.load(pointer)

    def store(self, value: Any, pointer: Any) -> None:
        number = pointer.type.pointee
        if value.type != number:
            pointer = self.builder.bitcast(pointer, value.type.as_pointer())
        self.builder.store(value, pointer, align=ALIGN[number])

    def shuffle(self, a: Any, b: Any, lanes: list[int]) -> Any:
        mask = ir.Constant(ir.VectorType(LANE, len(lanes)), lanes)
        return self.builder.shuffle_vector(a, b, mask)

    def splat(self, number: Any, width: int = WIDTH) -> Any:
        undefined = ir.Constant(ir.VectorType(number.type, width), ir.Undefined)
        first = self.builder.insert_element(undefined, number, ir.Constant(LANE, 0))
        return self.shuffle(first, undefined, [0] * width)

    def constant(self, number: float) -> Any:
        return ir.Constant(NUMBER, number)

    def lane(self, i: int) -> Any:
        return ir.Constant(LANE, i)

    def part(self, vector: Any, count: int) -> Any:
        """Returns the first `count` numbers of a vector."""
        return self.shuffle(vector, vector, list(range(count)))

    def element(self, vector: Any, i: int) -> Any:
        return self.builder.extract_element(vector, self.lane(i))

    def columns(self, rows: list[Any]) -> list[Any]:
        """Returns the columns of a matrix given by its rows, all as vectors."""
        out = []
        for i in range(rows[0].type.count):
            column = ir.Constant(ir.VectorType(NUMBER, len(rows)), ir.Undefined)
            for j, row in enumerate(rows):
                column = self.builder.insert_element(column, self.element(row, i), self.lane(j))
            out.append(column)
        return out

    def total(self, vector: Any) -> Any:
        """Returns the sum of a vector's numbers."""
        out = self.element(vector, 0)
        for i in range(1, vector.type.count):
            out = self.builder.fadd(out, self.element(vector, i))
        return out

    def absolute(self, number: Any) -> Any:
        return self.builder.call(
            self.builder.module.declare_intrinsic("llvm.fabs", [NUMBER]), [number]
        )

    def log(self, number: Any) -> Any:
        return self.builder.call(
            self.builder.module.declare_intrinsic("llvm.log", [NUMBER]), [number]
        )

    def sum_of(self, products: list[tuple[Any, Any]], total: Any = None) -> Any:
        """Returns total + x1 y1 + x2 y2 + ..."""
        for x, y in products:
            total = self.builder.fmul(x, y) if total is None else self.multiply_add(x, y, total)
        return total

    def multiply_add(self, x: Any, y: Any, z: Any) -> Any:
        """Returns x y + z."""
        return self.builder.fadd(z, self.builder.fmul(x, y, flags=FUSE), flags=FUSE)

    def masked(self, count: Any) -> Any:
        """Returns the mask of the first `count` lanes."""
        lanes = ir.Constant(ir.VectorType(INDEX, WIDTH), list(range(WIDTH)))
        undefined = ir.Constant(lanes.type, ir.Undefined)
        first = self.builder.insert_element(undefined, count, ir.Constant(LANE, 0))
        return self.builder.icmp_signed("<", lanes, self.shuffle(first, undefined, [0] * WIDTH))

    def load_masked(self, pointer: Any, mask: Any) -> Any:
        """Returns eight numbers, zero where the mask is off; those are not touched in memory."""
        vector = ir.VectorType(NUMBER, WIDTH)
        pointer = self.builder.bitcast(pointer, vector.as_pointer())
        kind = ir.FunctionType(vector, [pointer.type, LANE, mask.type, vector])
        name = "llvm.masked.load.v8f64.p0"
        function = cgutils.get_or_insert_function(self.builder.module, kind, name)
        return self.builder.call(
            function, [pointer, ir.Constant(LANE, 8), mask, ir.Constant(vector, [0.0] * WIDTH)]
        )

    def store_masked(self, value: Any, pointer: Any, mask: Any) -> None:
        """Writes the lanes where the mask is on."""
        pointer = self.builder.bitcast(pointer, value.type.as_pointer())
        kind = ir.FunctionType(ir.VoidType(), [value.type, pointer.type, LANE, mask.type])
        name = "llvm.masked.store.v8f64.p0"
        function = cgutils.get_or_insert_function(self.builder.module, kind, name)
        self.builder.call(function, [value, pointer, ir.Constant(LANE, 8), mask])

    def prefetch(self, pointer: Any) -> None:
        """Asks for a cache line; harmless at any address."""
        pointer = self.builder.bitcast(pointer, ir.IntType(8).as_pointer())
        kind = ir.FunctionType(ir.VoidType(), [pointer.type, LANE, LANE, LANE])
        function = cgutils.get_or_insert_function(self.builder.module, kind, "llvm.prefetch.p0")
        self.builder.call(function, [pointer, self.lane(0), self.lane(2), self.lane(1)])

    def range(self, start: Any, stop: Any, step: int) -> Any:
        """Returns a context with the loop's index."""
        return cgutils.for_range_slice(self.builder, start, stop, ir.Constant(INDEX, step))


def emitted(write: Callable[..., None]) -> Any:
    """Returns a function for use in kernels, without a result, from write(emitter, *arguments)."""

    def call(typing: Any, *arguments: Any) -> Any:
        def code(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            e = Emitter(context, builder)
            write(
                e,
                *(
                    e.argument(kind, value)
                    for kind, value in zip(signature.args, values, strict=True)
                ),
            )
            return context.get_dummy_value()

        kinds = [types.intp if isinstance(kind, types.Integer) else kind for kind in arguments]
        return types.void(*kinds), code

    names = ["typing", *list(inspect.signature(write).parameters)[1:]]
    named: Any = call
    named.__signature__ = inspect.Signature([inspect.Parameter(name, POSITIONAL) for name in names])
    return extending.intrinsic(call)


def tile(rows: int, vectors: int, fresh: bool, width: int = WIDTH) -> Any:
    """Returns a function of A, i, B, j, out, count: out[i:i+rows, j:j+width vectors] gets the
    product A' B.

    The product is A[:count, i:i+rows]' B[:count, j:j+width vectors]; its sums stay in registers.
    `fresh` writes, else adds. A width of 16 is for arrays of float32.
    """

    @emitted
    def add_tile(e: Emitter, A: Any, i: Any, B: Any, j: Any, out: Any, count: Any) -> None:
        cells = [
            (e.index(i, r), e.index(j, width * q), q) for r in range(rows) for q in range(vectors)
        ]
        zero = ir.Constant(ir.VectorType(out.data.type.pointee, width), [0.0] * width)
        begin = [
            zero if fresh else e.load(e.at(out, row, column), width) for row, column, _ in cells
        ]
        sums = [cgutils.alloca_once_value(e.builder, value) for value in begin]
        for total, value in zip(sums, begin, strict=True):
            e.builder.store(value, total)
        with e.range(ir.Constant(INDEX, 0), count, 1) as (m, _):
            b = [e.load(e.at(B, m, e.index(j, width * q)), width) for q in range(vectors)]
            a = [e.splat(e.number(e.at(A, m, e.index(i, r))), width) for r in range(rows)]
            for index, ((_, _, q), total) in enumerate(zip(cells, sums, strict=True)):
                e.builder.store(
                    e.multiply_add(a[index // vectors], b[q], e.builder.load(total)), total
                )
        for (row, column, _), total in zip(cells, sums, strict=True):
            e.store(e.builder.load(total), e.at(out, row, column))

    return add_tile


@emitted
def copy_row(e: Emitter, flat: Any, offset: Any, out: Any, i: Any, j: Any, count: Any) -> None:
    """Writes flat[offset:offset+count] to out[i, j:], in whole vectors: up to seven zeros
    follow.
    """
    with e.range(ir.Constant(INDEX, 0), count, WIDTH) as (m, _):
        mask = e.masked(e.builder.sub(count, m))
        e.store(e.load_masked(e.at_flat(flat, offset, m), mask), e.at(out, i, e.index(j, m)))


@emitted
def copy_row_ahead(
    e: Emitter, flat: Any, offset: Any, out: Any, i: Any, j: Any, count: Any, back: Any
) -> None:
    """Does `copy_row`, and asks for flat[offset-back:], which comes next."""
    with e.range(ir.Constant(INDEX, 0), count, WIDTH) as (m, _):
        mask = e.masked(e.builder.sub(count, m))
        e.prefetch(e.at_flat(flat, e.builder.sub(offset, back), m))
        e.store(e.load_masked(e.at_flat(flat, offset, m), mask), e.at(out, i, e.index(j, m)))


@emitted
def write_row(e: Emitter, A: Any, i: Any, j: Any, flat: Any, offset: Any, count: Any) -> None:
    """Writes A[i, j:j+count] to flat[offset:], which is 1-D, and nothing beyond."""
    with e.range(ir.Constant(INDEX, 0), count, WIDTH) as (m, _):
        mask = e.masked(e.builder.sub(count, m))
        e.store_masked(e.load(e.at(A, i, e.index(j, m))), e.at_flat(flat, offset, m), mask)


@emitted
def scale_row(e: Emitter, scale: Any, A: Any, i: Any, out: Any, j: Any, count: Any) -> None:
    """Writes scale * A[i, :count] to out[j, :], in whole vectors."""
    factor = e.splat(scale)
    with e.range(ir.Constant(INDEX, 0), count, WIDTH) as (m, _):
        e.store(e.builder.fmul(factor, e.load(e.at(A, i, m))), e.at(out, j, m))


@emitted
def add_row(e: Emitter, scale: Any, A: Any, i: Any, out: Any, j: Any, count: Any) -> None:
    """Adds scale * A[i, :count] to out[j, :], in whole vectors."""
    factor = e.splat(scale)
    with e.range(ir.Constant(INDEX, 0), count, WIDTH) as (m, _):
        e.store(
            e.multiply_add(factor, e.load(e.at(A, i, m)), e.load(e.at(out, j, m))), e.at(out, j, m)
        )


@emitted
def add_dot(e: Emitter, A: Any, i: Any, flat: Any, offset: Any, count: Any, out: Any) -> None:
    """Adds the products of A[i, :count] and flat[offset:offset+count] to the eight numbers out[0,
    :8], in turn.
    """
    place = e.at(out, 0, 0)
    with e.range(ir.Constant(INDEX, 0), count, WIDTH) as (m, _):
        other = e.load_masked(e.at_flat(flat, offset, m), e.masked(e.builder.sub(count, m)))
        e.store(e.multiply_add(e.load(e.at(A, i, m)), other, e.load(place)), place)


@emitted
def transpose(e: Emitter, A: Any, a: Any, b: Any, out: Any, i: Any, j: Any) -> None:
    """Writes the transpose of A[a:a+8, b:b+8] to out[i:i+8, j:j+8]."""
    rows = [e.load(e.at(A, e.index(a, r), b)) for r in range(WIDTH)]
    for r, row in enumerate(transposed(e, rows)):
        e.store(row, e.at(out, e.index(i, r), j))


@emitted
def mirror_block(e: Emitter, A: Any, a: Any) -> None:
    """Copies the lower triangle of A[a:a+8, a:a+8] to its upper."""
    rows = [e.load(e.at(A, e.index(a, r), a)) for r in range(WIDTH)]
    for r, (row, column) in enumerate(zip(rows, transposed(e, rows), strict=True)):
        lanes = [l if l <= r else WIDTH + l for l in range(WIDTH)]
        e.store(e.shuffle(row, column, lanes), e.at(A, e.index(a, r), a))


def transposed(e: Emitter, rows: list[Any]) -> list[Any]:
    """Returns the columns of eight vectors, by exchanging blocks of 4, 2 and 1 off the diagonal."""
    rows = list(rows)
    for d in (4, 2, 1):
        low = [l if not l & d else WIDTH + l - d for l in range(WIDTH)]
        high = [l + d if not l & d else WIDTH + l for l in range(WIDTH)]
        for r in range(WIDTH):
            if not r & d:
                a, b = rows[r], rows[r + d]
                rows[r], rows[r + d] = e.shuffle(a, b, low), e.shuffle(a, b, high)
    return rows
