"""The checks of the set arrays. How to write such a file: tools/learn/checking.py."""

import contextlib

import torch

PAGE = "the example in docs/arrays.md"
BY_HAND = "worked out by hand"
ONE_BY_ONE = "one number at a time"

X = torch.tensor([[3.0, 1, 0], [2, 0, 6]])
B = torch.tensor([[2.0, 1], [1, 0], [4, 2]])
NOT_A_TENSOR = "You return a list: torch.tensor(...) makes a tensor of it."


def table(learner, check):
    table = learner.arrays.table
    mistakes = {
        "The numbers are whole numbers: dtype=torch.float32 makes floats of them.": (
            lambda rows: torch.tensor(rows)
        ),
        NOT_A_TENSOR: lambda rows: rows,
        "Rows and columns are exchanged: each list in rows is a row.": (
            lambda rows: torch.tensor(rows).T.float()
        ),
        "All numbers are in one list, (N * V,): torch.tensor takes the list of lists as it is.": (
            lambda rows: torch.tensor(rows).flatten().float()
        ),
        "Only the first row came through.": lambda rows: torch.tensor(rows[0]).float(),
        "torch.Tensor has no dtype: use torch.tensor, with a small t.": TypeError("dtype"),
    }
    check.equal(table, ([[3, 1, 0], [2, 0, 6]],), X, by=PAGE, mistakes=mistakes)
    rows = [[1, 2], [3, 4], [5, 6]]
    check.equal(
        table, (rows,), torch.tensor([[1.0, 2], [3, 4], [5, 6]]), by=BY_HAND, mistakes=mistakes
    )
    check.equal(table, ([[0.5, -1]],), torch.tensor([[0.5, -1]]), by=BY_HAND, mistakes=mistakes)


def row(learner, check):
    row = learner.arrays.row
    x = torch.arange(12.0).view(4, 3)
    mistakes = {
        "This is column i: the row comes first, x[i].": lambda x, i: x[:, i],
        "This is a table with one row: x[i] takes the row out of the table, (V,).": (
            lambda x, i: x[i : i + 1]
        ),
        "This is the row before: rows are numbered from 0, so take x[i].": lambda x, i: x[i - 1],
        "This is the row after: rows are numbered from 0, so take x[i].": check.either(
            lambda x, i: x[i + 1], IndexError
        ),
        "These are all rows before row i: leave out the colon.": lambda x, i: x[:i],
        "These are all rows from row i on: leave out the colon.": lambda x, i: x[i:],
        "This is a list: leave out .tolist().": lambda x, i: x[i].tolist(),
        "This is a single number: x[i] is the whole row.": check.either(
            lambda x, i: x[i, i], lambda x, i: x[i, 0], lambda x, i: x[i].sum()
        ),
    }
    check.equal(row, (x, 2), torch.tensor([6.0, 7, 8]), by=BY_HAND, mistakes=mistakes)
    check.equal(row, (X, 1), torch.tensor([2.0, 0, 6]), by=PAGE, mistakes=mistakes)
    check.equal(row, (x, 0), torch.tensor([0.0, 1, 2]), by=BY_HAND, mistakes=mistakes)


def squared_differences(learner, check):
    squared = learner.arrays.squared_differences
    y = torch.tensor([[1.0, 1, 1], [0, 2, 1]])
    mistakes = {
        "These are the differences: square them.": lambda x, y: x - y,
        "Only y was squared: ** comes before -, so put the difference in brackets.": (
            lambda x, y: x - y**2
        ),
        "Only x was squared: put the difference in brackets, and square that.": (
            lambda x, y: x**2 - y
        ),
        "This is the difference of the squares: subtract first, then square.": (
            lambda x, y: x**2 - y**2
        ),
        "The differences were doubled: ** 2 squares them, * 2 doubles them.": (
            lambda x, y: (x - y) * 2
        ),
        "These are the differences without their signs: square them.": lambda x, y: (x - y).abs(),
        "This is a single number: leave out the sum, so that the shape stays.": check.either(
            lambda x, y: ((x - y) ** 2).sum(), lambda x, y: ((x - y) ** 2).sum().item(),
            lambda x, y: ((x - y) ** 2).mean(), lambda x, y: ((x - y) ** 2).mean().item(),
        ),
        "This is the square of x + y: subtract.": lambda x, y: (x + y) ** 2,
        "@ is the matrix product: ** 2 squares each number.": check.either(
            lambda x, y: (x - y) @ (x - y), lambda x, y: (x - y) @ (x - y).T,
            RuntimeError("cannot be multiplied"),
        ),
        "^ is not a power in Python: write ** 2.": RuntimeError("bitwise"),
        NOT_A_TENSOR: lambda x, y: ((x - y) ** 2).tolist(),
    }  # fmt: skip
    check.equal(
        squared, (X, y), torch.tensor([[4.0, 0, 1], [4, 4, 25]]), by=f"{PAGE}: x - y, squared",
        mistakes=mistakes,
    )  # fmt: skip
    args = torch.tensor([[0.5, 1, 2]]), torch.tensor([[-0.5, 3, 2]])
    check.equal(squared, args, torch.tensor([[1.0, 4, 0]]), by=BY_HAND, mistakes=mistakes)


def row_sums(learner, check):
    row_sums = learner.arrays.row_sums
    mistakes = {
        "The sums have the shape (N,), which is not a column: keepdim=True makes it (N, 1).": (
            lambda x: x.sum(dim=1)
        ),
        "These are the sums of the columns: dim=0 adds up over the rows. Add up over dim=1.": (
            check.either(lambda x: x.sum(dim=0), lambda x: x.sum(dim=0, keepdim=True))
        ),
        "These are the sums of the columns, put upright: add up over dim=1.": (
            lambda x: x.sum(dim=0)[:, None]
        ),
        "The sums are in a row, (1, N): a column has the shape (N, 1).": (
            lambda x: x.sum(dim=1)[None]
        ),
        "This is the sum of all numbers: dim=1 gives each row its own.": check.either(
            lambda x: x.sum(), lambda x: x.sum().item(), lambda x: x.sum().view(1, 1)
        ),
        "These are means: use sum.": lambda x: x.mean(dim=1, keepdim=True),
        "A table has the axes 0 and 1, and no axis 2.": IndexError("out of range"),
        "The sums are not put into a tensor: you return a list.": check.either(
            lambda x: x.sum(dim=1).tolist(), lambda x: x.sum(dim=1, keepdim=True).tolist(),
            lambda x: list(x.sum(dim=1)),
        ),
    }  # fmt: skip
    check.equal(row_sums, (X,), torch.tensor([[4.0], [8]]), by=PAGE, mistakes=mistakes)
    x = torch.tensor([[1.0, 2], [3, 4], [5, -6]])
    check.equal(row_sums, (x,), torch.tensor([[3.0], [7], [-1]]), by=BY_HAND, mistakes=mistakes)


def smooth(learner, check):
    smooth = learner.arrays.smooth

    mistakes = {
        "The row extra was not added.": lambda x, e: x / x.sum(1, keepdim=True),
        "These are the counts with the row: now divide every row by its sum.": lambda x, e: x + e,
        "You divide first and add later: add extra to the counts, then divide.": (
            lambda x, e: x / x.sum(1, keepdim=True) + e
        ),
        "You divide by the sums of the old rows: extra belongs to the row, too.": (
            lambda x, e: (x + e) / x.sum(1, keepdim=True)
        ),
        "The columns add up to 1, not the rows: divide by the sums over dim=1.": (
            lambda x, e: (x + e) / (x + e).sum(0)
        ),
        "The whole table adds up to 1: every row has a sum of its own.": (
            lambda x, e: (x + e) / (x + e).sum()
        ),
        "The sums have the shape (N,), so broadcasting takes them for a row: keepdim=True makes a "
        "column of them, (N, 1).": check.either(
            lambda x, e: (x + e) / (x + e).sum(1), RuntimeError("must match the size")
        ),
        "extra was multiplied: add it.": lambda x, e: x * e / (x * e).sum(1, keepdim=True),
    }
    check.equal(
        smooth, (X, torch.tensor([1.0, 0, 3])),
        torch.tensor([[0.5, 0.125, 0.375], [0.25, 0, 0.75]]), by=PAGE, mistakes=mistakes,
    )  # fmt: skip
    square = torch.tensor([[0.0, 1, 1], [3, 0, 1], [7, 0, 1]])
    check.equal(
        smooth, (square, torch.tensor([1.0, 1, 0])), probabilities, by=ONE_BY_ONE, mistakes=mistakes
    )


def probabilities(counts, extra):
    """Without broadcasting."""
    rows = [[c + e for c, e in zip(row, extra.tolist())] for row in counts.tolist()]
    return torch.tensor([[c / sum(row) for c in row] for row in rows])


class NotAllowed(Exception):
    """The learner called what the exercise is about."""


@contextlib.contextmanager
def without(*names):
    """Functions and methods of PyTorch that raise NotAllowed for a while."""

    def forbidden(*args, **kwargs):
        raise NotAllowed("this exercise does without it")

    places = [(place, name) for place in (torch, torch.Tensor) for name in names]
    places = [(place, name, getattr(place, name)) for place, name in places if hasattr(place, name)]
    for place, name, _ in places:
        setattr(place, name, forbidden)
    try:
        yield
    finally:
        for place, name, function in places:
            setattr(place, name, function)


def matrix_product(learner, check):
    by_learner = learner.arrays.matrix_product

    def matrix_product(a, b):
        with without("__matmul__", "matmul", "mm", "bmm", "einsum", "tensordot", "inner"):
            return by_learner(a, b)

    mistakes = {
        "@ and its relatives do the work for you: write the sums out.": NotAllowed,
        "Only one product was kept of each sum: add up the products over all k.": check.either(
            lambda a, b: a[:, -1:] * b[-1:], lambda a, b: a[:, :1] * b[:1]
        ),
        "The other way round: rows of a and columns of b.": check.either(
            lambda a, b: b @ a, lambda a, b: (b @ a).T,
            lambda a, b: (b @ a).T[: len(a), : b.shape[1]],
        ),
        "The result is turned over: row i of a makes row i of the result.": lambda a, b: (a @ b).T,
        "These are all numbers in one list: the result has the shape (N, M).": check.either(
            lambda a, b: (a @ b).flatten(), lambda a, b: (a @ b).flatten().tolist()
        ),
        NOT_A_TENSOR: lambda a, b: (a @ b).tolist(),
        "Nothing was written into the result.": lambda a, b: torch.zeros(len(a), b.shape[1]),
        "* multiplies number by number, which needs two lists of the same length: a row of a and "
        "a column of b, b[:, j].": RuntimeError("must match the size"),
        "b[j] is a row: column j is b[:, j].": IndexError,
        "A product of lists has K numbers: add them up with sum().": check.either(
            RuntimeError("expand"), RuntimeError("doesn't match")
        ),
        "The sums go on from one place of the result to the next: begin every sum with 0.": (
            lambda a, b: (a @ b).flatten().cumsum(0).view(len(a), -1)
        ),
    }
    a = torch.tensor([[1.0, 2, 0], [0, 1, 3]])
    call = "matrix_product(a, b), a of shape {} and b of shape {}"
    check.equal(
        matrix_product, (a, B), torch.tensor([[4.0, 1], [13, 6]]), by=PAGE, mistakes=mistakes,
        call=call.format("(2, 3)", "(3, 2)"),
    )  # fmt: skip
    a = torch.tensor([[1.0, 2], [3, 4], [5, 6], [0, 1]])
    b = torch.tensor([[1.0, 0, -1], [2, 1, 0.5]])
    check.equal(
        matrix_product, (a, b), number_by_number, by=ONE_BY_ONE, mistakes=mistakes,
        call=call.format("(4, 2)", "(2, 3)"),
    )  # fmt: skip
    check.equal(
        matrix_product, (b[:1], a[:3]), number_by_number, by=ONE_BY_ONE, mistakes=mistakes,
        call=call.format("(1, 3)", "(3, 2)"),
    )  # fmt: skip


def number_by_number(a, b):
    """The matrix product of lists of lists."""
    a, b = a.tolist(), b.tolist()
    columns = list(zip(*b))
    return torch.tensor([[sum(x * y for x, y in zip(row, c)) for c in columns] for row in a])


def similarities(learner, check):
    similarities = learner.arrays.similarities
    mistakes = {
        "These are the dot products of the columns: the rows belong on the left, x @ x.T.": (
            lambda x: x.T @ x
        ),
        "x was multiplied by itself number by number: @ is the matrix product.": lambda x: x * x,
        "The dot product of each row with itself is there, but not with the other rows.": (
            check.either(
                lambda x: (x * x).sum(1), lambda x: (x * x).sum(1, keepdim=True),
                lambda x: torch.diag((x * x).sum(1)),
            )
        ),
        "The right table needs the rows of x as its columns: x.T.": (
            RuntimeError("cannot be multiplied")
        ),
        "* multiplies number by number: the matrix product is @.": (
            RuntimeError("must match the size")
        ),
        NOT_A_TENSOR: lambda x: (x @ x.T).tolist(),
    }  # fmt: skip
    x = torch.tensor([[1.0, 2], [2, 0], [-1, 1]])
    expected = torch.tensor([[5.0, 2, 1], [2, 4, -2], [1, -2, 2]])
    check.equal(similarities, (x,), expected, by=PAGE, mistakes=mistakes)
    x = torch.tensor([[1.0, 2, 3, 4], [0, 1, 0, -1]])
    check.equal(
        similarities, (x,), lambda x: number_by_number(x, torch.tensor(list(zip(*x.tolist())))),
        by=ONE_BY_ONE, mistakes=mistakes,
    )  # fmt: skip


def one_hot(learner, check):
    one_hot = learner.arrays.one_hot
    check.forbid("one_hot")

    def ones(xs, V):
        return torch.stack([(torch.arange(V) == x).float() for x in xs.tolist()])

    mistakes = {
        "The table lies on its side: every letter of xs has a row, (N, V).": (
            lambda xs, V: ones(xs, V).T
        ),
        "[:, xs] sets these columns in every row: row i gets a single 1, in column xs[i].": (
            lambda xs, V: ones(xs, V).amax(0).expand(len(xs), V)
        ),
        "Whole rows are 1: the place in brackets is [i, xs[i]], row and column.": check.either(
            lambda xs, V: ones(xs, V)[:, : len(xs)].amax(0)[:, None].expand(len(xs), V),
            lambda xs, V: torch.ones(len(xs), V),
        ),
        "These are whole numbers, or True and False: a product with a table needs floats.": (
            check.either(lambda xs, V: ones(xs, V).long(), lambda xs, V: ones(xs, V).bool())
        ),
        "There are too few columns: V says how many.": (
            lambda xs, V: ones(xs, int(xs.max()) + 1)
        ),
        "All rows are zero: put a 1 in column xs[i] of row i.": (
            lambda xs, V: torch.zeros(len(xs), V)
        ),
        "The letter itself was written into its row: write a 1.": (
            lambda xs, V: ones(xs, V) * xs[:, None]
        ),
        "There is only one row: every letter gets its own.": check.either(
            lambda xs, V: ones(xs, V).amax(0), lambda xs, V: ones(xs, V).sum(0),
            lambda xs, V: ones(xs, V).amax(0)[None],
        ),
        "The 1 is one column too far to the left: columns are numbered from 0.": (
            lambda xs, V: ones((xs - 1) % V, V)
        ),
        "The 1 is one column too far to the right: columns are numbered from 0.": (
            lambda xs, V: ones((xs + 1) % V, V)
        ),
        "An index is too large. There are len(xs) rows and V columns, and the place of a 1 is "
        "[i, xs[i]].": IndexError,
        NOT_A_TENSOR: lambda xs, V: ones(xs, V).tolist(),
    }  # fmt: skip
    xs = torch.tensor([2, 0])
    check.equal(
        one_hot, (xs, 3), torch.tensor([[0.0, 0, 1], [1, 0, 0]]), by=PAGE, mistakes=mistakes
    )
    xs = torch.tensor([1, 3, 3, 0])
    check.equal(
        one_hot, (xs, 5),
        torch.tensor([[0.0, 1, 0, 0, 0], [0, 0, 0, 1, 0], [0, 0, 0, 1, 0], [1, 0, 0, 0, 0]]),
        by=BY_HAND, mistakes=mistakes,
    )  # fmt: skip
    W = torch.randn(5, 3)
    check.equal(
        lambda xs: one_hot(xs, 5) @ W, (xs,), lambda xs: torch.stack([W[x] for x in xs.tolist()]),
        by="row xs[i] of W for each i", call="one_hot(xs, 5) @ W",
    )  # fmt: skip


def pick(learner, check):
    pick = learner.arrays.pick
    mistakes = {
        "These are whole columns: a colon takes the columns ys of every row.": lambda x, y: x[:, y],
        "[ys] picks rows: the numbers in ys are columns, one for each row.": check.either(
            lambda x, y: x[y], IndexError("out of bounds")
        ),
        "Row and column are exchanged: row i comes first, then column ys[i].": (
            lambda x, y: x[y, torch.arange(len(y))]
        ),
        "Row ys[i] and column ys[i]: the rows are 0, 1, 2, ..., torch.arange(N).": (
            lambda x, y: x[y, y]
        ),
        "All numbers come from row 0: the rows are 0, 1, 2, ..., torch.arange(N).": check.either(
            lambda x, y: x[0, y], lambda x, y: x[torch.zeros_like(y), y]
        ),
        "This is a column, (N, 1): the result is a list of numbers, (N,).": (
            lambda x, y: x.gather(1, y[:, None])
        ),
        "This is the largest number of each row: take the one in column ys[i].": (
            lambda x, y: x.amax(1)
        ),
        "These are sums or means: return the N numbers themselves.": check.either(
            lambda x, y: x[torch.arange(len(y)), y].mean(),
            lambda x, y: x[torch.arange(len(y)), y].sum(),
        ),
        "You return a list: one line with two lists in the brackets gives a tensor.": check.either(
            lambda x, y: x[torch.arange(len(y)), y].tolist(),
            lambda x, y: list(x[torch.arange(len(y)), y]),
        ),
    }
    P = torch.tensor([[0.5, 0.4, 0.1], [0.25, 0.15, 0.6], [0.2, 0.35, 0.45]])
    check.equal(
        pick, (P, torch.tensor([2, 0, 1])), torch.tensor([0.1, 0.25, 0.35]),
        by="row 0 and column 2, row 1 and column 0, row 2 and column 1", mistakes=mistakes,
    )  # fmt: skip
    x = torch.arange(20.0).view(4, 5)
    check.equal(
        pick, (x, torch.tensor([3, 0, 3, 1])), torch.tensor([3.0, 5, 13, 16]), by=BY_HAND,
        mistakes=mistakes,
    )  # fmt: skip


def gradients(learner, check):
    gradients = learner.arrays.gradients

    def slopes(a, b):
        """d L / d a = 2 (ab + a) (b + 1), d L / d b = 2 (ab + a) a"""
        return 2 * (a * b + a) * (b + 1), 2 * (a * b + a) * a

    mistakes = {
        "These are the gradients in the wrong order: first that of a, then that of b.": (
            lambda a, b: slopes(a, b)[::-1]
        ),
        "These are tensors: .item() makes a number of each.": (
            lambda a, b: tuple(torch.tensor(slope) for slope in slopes(a, b))
        ),
        "These are the numbers themselves: the gradients are in a.grad and b.grad.": check.either(
            lambda a, b: (a, b), lambda a, b: (torch.tensor(a), torch.tensor(b))
        ),
        "There is only one number: return the gradient of a and that of b.": check.either(
            lambda a, b: slopes(a, b)[0], lambda a, b: slopes(a, b)[1],
            lambda a, b: torch.tensor(slopes(a, b)[0]), lambda a, b: torch.tensor(slopes(a, b)[1]),
        ),
        "The gradients are twice as large: backward() adds, so call it once, or clear .grad.": (
            lambda a, b: tuple(2 * slope for slope in slopes(a, b))
        ),
        "This is the gradient of a * b + a: the square is missing.": lambda a, b: (b + 1, a),
        "This is the gradient of (a * b) ** 2: add a before you square.": (
            lambda a, b: (2 * a * b * b, 2 * a * a * b)
        ),
        ".grad is None: was backward() called? And is it the tensor with requires_grad=True that "
        "you look at, and not one that was computed from it?": check.either(
            AttributeError("'NoneType'"), lambda a, b: (None, None)
        ),
        "PyTorch was not told to keep track: make a and b with requires_grad=True.": (
            RuntimeError("does not require grad")
        ),
        "One of the two was made without requires_grad=True, so its .grad stays None.": (
            check.either(
                lambda a, b: (slopes(a, b)[0], None), lambda a, b: (None, slopes(a, b)[1])
            )
        ),
        "PyTorch frees what it remembers after backward(): call it once.": (
            RuntimeError("a second time")
        ),
        "a and b are still plain numbers, which have no .grad: make tensors of them first.": (
            AttributeError("'float' object")
        ),
    }
    check.equal(
        gradients, (2.0, -3.0), (16.0, -16.0), by="lesson 01 and docs/arrays.md",
        mistakes=mistakes,
    )  # fmt: skip
    check.equal(
        gradients, (1.5, 0.5), lambda a, b: (nudge(0, a, b), nudge(1, a, b)),
        by="by nudging a and b", mistakes=mistakes,
    )  # fmt: skip


def nudge(which, a, b, h=1e-5):
    """The slope of L, from two values of it close to each other."""
    ends = []
    for step in (h, -h):
        a_, b_ = (a + step, b) if which == 0 else (a, b + step)
        ends.append((a_ * b_ + a_) ** 2)
    return (ends[0] - ends[1]) / (2 * h)
