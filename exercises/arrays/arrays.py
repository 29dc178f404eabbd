"""Ten small functions on tensors. docs/arrays.md teaches what they need.

The comments give shapes: (N, V) is a table with N rows and V columns, (V,) a list of V numbers.
"""

import torch


def table(rows):
    """Make a tensor of floats from a list of N lists, each with V numbers. -> (N, V)"""
    return torch.tensor(rows, dtype=torch.float32)


def row(x, i):
    """Row i of a table; the first row is row 0. (N, V) -> (V,)"""
    return x[i]


def squared_differences(x, y):
    """The square of x - y, number by number. (N, V), (N, V) -> (N, V)"""
    return (x - y) ** 2


def row_sums(x):
    """The sum of each row, as a column. (N, V) -> (N, 1)"""
    return x.sum(dim=1, keepdim=True)


def smooth(counts, extra):
    """Add `extra` to every row, then divide every row by its sum. (N, V), (V,) -> (N, V)"""
    smoothed = counts + extra  # (N, V) + (V,) -> (N, V)
    return smoothed / smoothed.sum(dim=1, keepdim=True)  # (N, V) / (N, 1) -> (N, V)


def matrix_product(a, b):
    """Dot products of the rows of a and the columns of b, without @. (N, K), (K, M) -> (N, M)"""
    product = torch.zeros(len(a), b.shape[1])
    for i in range(len(a)):
        for j in range(b.shape[1]):
            product[i, j] = (a[i] * b[:, j]).sum()  # (K,) * (K,) -> a number
    return product


def similarities(x):
    """The dot product of every row with every row. (N, C) -> (N, N)"""
    return x @ x.T  # (N, C) @ (C, N) -> (N, N)


def one_hot(xs, V):
    """Floats: row i is 0 everywhere, but 1 in column xs[i]. (N,) -> (N, V)"""
    rows = torch.zeros(len(xs), V)
    for i, x in enumerate(xs):
        rows[i, x] = 1
    return rows


def pick(x, ys):
    """One number of each row: from row i the one in column ys[i]. (N, V), (N,) -> (N,)"""
    return x[torch.arange(len(ys)), ys]


def gradients(a, b):
    """The derivatives of L = (a * b + a) ** 2 with respect to a and b, by backward().

    a and b are floats, and so are the two numbers that come back.
    """
    a = torch.tensor(a, requires_grad=True)
    b = torch.tensor(b, requires_grad=True)
    L = (a * b + a) ** 2
    L.backward()
    return a.grad.item(), b.grad.item()
