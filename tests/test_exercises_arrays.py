"""The checks of the set arrays: right solutions pass, and each mistake has its own words."""

import pytest

from exercise_cases import Judge
from learn.run_checks import run_checks
from learn.source import function_text

SET = "arrays"


@pytest.fixture
def judge(tmp_path):
    return Judge(SET, tmp_path)


NAMES = Judge.names(SET)


def test_the_reference_passes(judge):
    assert {name: judge.words(name) for name in NAMES} == dict.fromkeys(NAMES, "")


def test_a_blank_is_not_yet_written(judge):
    judge.blank_all()
    for name in NAMES:
        assert "is not written yet" in judge.words(name)


# --- known mistakes: (exercise, a text in the right solution, what is there instead, the words) ---

ONE_HOT_LOOP = "    for i, x in enumerate(xs):\n        rows[i, x] = 1\n"
MUTANTS = [
    ("table", ", dtype=torch.float32", "", "The numbers are whole numbers"),
    ("table", "torch.tensor(rows, dtype=torch.float32)", "rows", "You return a list"),
    ("table", "dtype=torch.float32)", "dtype=torch.float32).T", "Rows and columns are exchanged"),
    ("table", "dtype=torch.float32)", "dtype=torch.float32).flatten()", "in one list, (N * V,)"),
    ("table", "torch.tensor(rows,", "torch.tensor(rows[0],", "Only the first row"),
    ("table", "torch.tensor(", "torch.Tensor(", "with a small t"),
    ("table", "return torch.tensor(rows, dtype=torch.float32)", "print(rows)",
     "print instead of return"),
    ("row", "x[i]", "x[:, i]", "This is column i"),
    ("row", "x[i]", "x[i : i + 1]", "a table with one row"),
    ("row", "x[i]", "x[i - 1]", "the row before"),
    ("row", "x[i]", "x[i + 1]", "the row after"),
    ("row", "x[i]", "x[:i]", "all rows before row i"),
    ("row", "x[i]", "x[i:]", "all rows from row i on"),
    ("row", "x[i]", "x[i].tolist()", "leave out .tolist()"),
    ("row", "x[i]", "x[i, 0]", "a single number"),
    ("squared-differences", "(x - y) ** 2", "x - y", "square them"),
    ("squared-differences", "(x - y) ** 2", "x - y ** 2", "Only y was squared"),
    ("squared-differences", "(x - y) ** 2", "x ** 2 - y", "Only x was squared"),
    ("squared-differences", "(x - y) ** 2", "x ** 2 - y ** 2", "the difference of the squares"),
    ("squared-differences", "** 2", "* 2", "were doubled"),
    ("squared-differences", "(x - y) ** 2", "abs(x - y)", "without their signs"),
    ("squared-differences", "return (x - y) ** 2", "return ((x - y) ** 2).sum()",
     "leave out the sum"),
    ("squared-differences", "return (x - y)", "return (x + y)", "the square of x + y"),
    ("squared-differences", "** 2", "@ (x - y)", "@ is the matrix product"),
    ("squared-differences", "** 2", "^ 2", "^ is not a power"),
    ("row-sums", ", keepdim=True", "", "keepdim=True makes it (N, 1)"),
    ("row-sums", "dim=1", "dim=0", "the sums of the columns"),
    ("row-sums", "x.sum(dim=1, keepdim=True)", "x.sum(dim=0)[:, None]", "put upright"),
    ("row-sums", "x.sum(dim=1, keepdim=True)", "x.sum(dim=1)[None]", "in a row, (1, N)"),
    ("row-sums", "dim=1, keepdim=True", "", "the sum of all numbers"),
    ("row-sums", "x.sum", "x.mean", "These are means"),
    ("row-sums", "dim=1", "dim=2", "no axis 2"),
    ("row-sums", "keepdim=True)", "keepdim=True).tolist()", "you return a list"),
    ("smooth", "counts + extra", "counts", "extra was not added"),
    ("smooth", "smoothed / smoothed.sum(dim=1, keepdim=True)", "smoothed", "now divide every row"),
    ("smooth", "smoothed / smoothed.sum(dim=1, keepdim=True)",
     "counts / counts.sum(dim=1, keepdim=True) + extra", "You divide first and add later"),
    ("smooth", "smoothed.sum(", "counts.sum(", "by the sums of the old rows"),
    ("smooth", "dim=1", "dim=0", "The columns add up to 1"),
    ("smooth", "dim=1, keepdim=True", "", "The whole table adds up to 1"),
    ("smooth", ", keepdim=True", "", "broadcasting takes them for a row"),
    ("smooth", "counts + extra", "counts * extra", "extra was multiplied"),
    ("matrix-product", "return product", "return a @ b", "write the sums out"),
    ("matrix-product", "return product", "return torch.matmul(a, b)", "write the sums out"),
    ("matrix-product", "(a[i] * b[:, j]).sum()", "a[i, -1] * b[-1, j]",
     "Only one product was kept"),
    ("matrix-product", "torch.zeros(len(a), b.shape[1])", "torch.zeros(len(b), a.shape[1])\n"
     "    a, b = b, a", "The other way round"),
    ("matrix-product", "return product", "return product.T", "The result is turned over"),
    ("matrix-product", "return product", "return product.flatten()", "in one list"),
    ("matrix-product", "return product", "return product.tolist()", "You return a list"),
    ("matrix-product", "product[i, j] =", "number =", "Nothing was written into the result"),
    ("matrix-product", "b[:, j]", "b[j]", "needs two lists of the same length"),
    ("matrix-product", "(a[i] * b[:, j]).sum()", "(a[:, i] * b[j]).sum()", "The other way round"),
    ("matrix-product", ").sum()", ")", "add them up with sum()"),
    ("matrix-product", "product[i, j] = (a[i] * b[:, j]).sum()",
     "total = (a[i] * b[:, j]).sum() + (total if i + j else 0)\n            product[i, j] = total",
     "begin every sum with 0"),
    ("similarities", "x @ x.T", "x.T @ x", "the dot products of the columns"),
    ("similarities", "x @ x.T", "x * x", "number by number"),
    ("similarities", "x @ x.T", "(x * x).sum(dim=1)", "each row with itself"),
    ("similarities", "x @ x.T", "x @ x", "as its columns: x.T"),
    ("similarities", "x @ x.T", "x * x.T", "the matrix product is @"),
    ("similarities", "x @ x.T", "(x @ x.T).tolist()", "You return a list"),
    ("one-hot", "return rows", "return torch.nn.functional.one_hot(xs, V).float()",
     "does the whole exercise"),
    ("one-hot", "return rows", "return rows.T", "lies on its side"),
    ("one-hot", ONE_HOT_LOOP, "    rows[:, xs] = 1\n", "sets these columns in every row"),
    ("one-hot", "rows = torch.zeros(len(xs), V)", "rows = torch.zeros(max(len(xs), V), V)\n"
     "    rows[xs] = 1\n    return rows[: len(xs)]", "Whole rows are 1"),
    ("one-hot", ONE_HOT_LOOP, "    rows[xs] = 1\n", "An index is too large"),
    ("one-hot", "return rows", "return rows.long()", "These are whole numbers"),
    ("one-hot", "return rows", "return rows == 1", "or True and False"),
    ("one-hot", "V)\n    for", "max(xs) + 1)\n    for", "There are too few columns"),
    ("one-hot", ONE_HOT_LOOP, "", "All rows are zero"),
    ("one-hot", "rows[i, x] = 1", "rows[i, x] = x", "The letter itself"),
    ("one-hot", "return rows", "return rows.sum(dim=0)", "There is only one row"),
    ("one-hot", "rows[i, x]", "rows[i, x - 1]", "too far to the left"),
    ("one-hot", "rows[i, x]", "rows[i, (x + 1) % V]", "too far to the right"),
    ("one-hot", "return rows", "return rows.tolist()", "You return a list"),
    ("pick", "torch.arange(len(ys)), ys", ":, ys", "These are whole columns"),
    ("pick", "torch.arange(len(ys)), ys", "ys", "[ys] picks rows"),
    ("pick", "torch.arange(len(ys)), ys", "ys, torch.arange(len(ys))", "Row and column are"),
    ("pick", "torch.arange(len(ys)), ys", "ys, ys", "Row ys[i] and column ys[i]"),
    ("pick", "torch.arange(len(ys)), ys", "0, ys", "All numbers come from row 0"),
    ("pick", "x[torch.arange(len(ys)), ys]", "x.gather(1, ys[:, None])", "This is a column"),
    ("pick", "x[torch.arange(len(ys)), ys]", "x.max(dim=1).values", "the largest number of each"),
    ("pick", "ys]", "ys].mean()", "sums or means"),
    ("pick", "x[torch.arange(len(ys)), ys]", "[x[i, y] for i, y in enumerate(ys)]",
     "You return a list"),
    ("gradients", "a.grad.item(), b.grad.item()", "b.grad.item(), a.grad.item()",
     "in the wrong order"),
    ("gradients", "a.grad.item(), b.grad.item()", "a.grad, b.grad", "These are tensors"),
    ("gradients", "a.grad.item(), b.grad.item()", "a.item(), b.item()",
     "the numbers themselves"),
    ("gradients", "return a.grad.item(), b.grad.item()", "return L.item()",
     "There is only one number"),
    ("gradients", "L.backward()", "L.backward(retain_graph=True)\n    L.backward()",
     "twice as large"),
    ("gradients", "L.backward()", "L.backward()\n    L.backward()", "call it once"),
    ("gradients", "    L = (a * b + a) ** 2", "    L = a * b + a", "the square is missing"),
    ("gradients", "    L = (a * b + a)", "    L = (a * b)", "add a before you square"),
    ("gradients", "a.grad.item(), b.grad.item()", "a.grad.item()", "There is only one number"),
    ("gradients", "    L.backward()\n", "", ".grad is None"),
    ("gradients", "    L = ", "    a = a * 1\n    L = ", ".grad is None"),
    ("gradients", "torch.tensor(a, requires_grad=True)", "torch.tensor(a)", ".grad is None"),
    ("gradients", "    a = torch.tensor(a, requires_grad=True)\n"
     "    b = torch.tensor(b, requires_grad=True)\n", 
     "    a, b = torch.tensor(a), torch.tensor(b)\n", "PyTorch was not told"),
    ("gradients", "    a = torch.tensor(a, requires_grad=True)\n", "", "still plain numbers"),
]  # fmt: skip


@pytest.mark.filterwarnings("ignore:The .grad attribute")
@pytest.mark.parametrize(("name", "old", "new", "words"), MUTANTS)
def test_a_known_mistake_has_its_own_words(judge, name, old, new, words):
    judge.change(name, old, new)
    assert words in judge.words(name)


def test_every_exercise_has_three_known_mistakes():
    assert all(len([m for m in MUTANTS if m[0] == name]) >= 3 for name in NAMES)


# --- right solutions, written differently ---

SOLUTIONS = [
    ("table", "def table(rows):\n    return torch.tensor(rows).float()"),
    ("table", "def table(rows):\n    return torch.Tensor(rows)"),
    ("table", "def table(lists):\n    return torch.stack([torch.tensor(r) * 1.0 for r in lists])"),
    ("row", "def row(x, i):\n    return x[i, :]"),
    ("row", "def row(x, i):\n    return x.select(0, i)"),
    ("row", "def row(x, i):\n    return torch.tensor([x[i, j] for j in range(x.shape[1])])"),
    ("squared-differences",
     "def squared_differences(x, y):\n    d = x - y\n    return d * d"),
    ("squared-differences", "def squared_differences(a, b):\n    return torch.square(b - a)"),
    ("squared-differences",
     "def squared_differences(x, y):\n    return x**2 - 2 * x * y + y.pow(2)"),
    ("row-sums", "def row_sums(x):\n    return x.sum(-1)[:, None]"),
    ("row-sums", "def row_sums(x):\n    return x @ torch.ones(x.shape[1], 1)"),
    ("row-sums", "def row_sums(x):\n    return torch.tensor([[sum(r)] for r in x.tolist()])"),
    ("smooth", "def smooth(counts, extra):\n    t = counts + extra\n    return t / row_sums(t)"),
    ("smooth", "def smooth(c, e):\n    return ((c + e).T / (c + e).sum(1)).T"),
    ("smooth", """
def smooth(counts, extra):
    return torch.stack([(row + extra) / sum(row + extra) for row in counts])
"""),
    ("matrix-product", """
def matrix_product(a, b):
    return torch.stack([torch.stack([(r * c).sum() for c in b.T]) for r in a])
"""),
    ("matrix-product", """
def matrix_product(a, b):
    return (a[:, :, None] * b[None]).sum(dim=1)
"""),
    ("matrix-product", """
def matrix_product(left, right):
    (N, K), M = left.shape, right.shape[1]
    out = torch.zeros((N, M))
    for i in range(N):
        for j in range(M):
            for k in range(K):
                out[i][j] += left[i][k] * right[k][j]
    return out
"""),
    ("matrix-product", """
def matrix_product(a, b):
    numbers = []
    for r in a.tolist():
        numbers.append([sum(x * y for x, y in zip(r, c)) for c in b.T.tolist()])
    return torch.tensor(numbers)
"""),
    ("similarities", "def similarities(x):\n    return torch.matmul(x, x.transpose(0, 1))"),
    ("similarities", "def similarities(x):\n    return (x[:, None] * x[None]).sum(-1)"),
    ("similarities", "def similarities(x):\n"
     "    return torch.tensor([[(r * s).sum() for s in x] for r in x])"),
    ("one-hot", "def one_hot(xs, V):\n    return torch.eye(V)[xs]"),
    ("one-hot", "def one_hot(xs, V):\n    return (xs[:, None] == torch.arange(V)) * 1.0"),
    ("one-hot", "def one_hot(xs, V):\n    t = torch.zeros(len(xs), V)\n"
     "    t[range(len(xs)), xs] = 1\n    return t"),
    ("one-hot", "def one_hot(xs, V):\n"
     "    return torch.tensor([[float(x == j) for j in range(V)] for x in xs.tolist()])"),
    ("pick", "def pick(x, ys):\n    return x[range(len(x)), ys]"),
    ("pick", "def pick(x, ys):\n    return x.gather(1, ys[:, None]).squeeze(1)"),
    ("pick", "def pick(x, ys):\n    return torch.tensor([r[y] for r, y in zip(x, ys)])"),
    ("pick", "def pick(x, ys):\n    return (x * one_hot(ys, x.shape[1])).sum(dim=1)"),
    ("gradients", """
def gradients(a, b):
    x = torch.tensor([a, b], requires_grad=True)
    ((x[0] * x[1] + x[0]) ** 2).backward()
    return tuple(x.grad.tolist())
"""),
    ("gradients", """
def gradients(a, b):
    a, b = torch.tensor(a).requires_grad_(), torch.tensor(b).requires_grad_()
    c = a * b
    d = c + a
    return [g.item() for g in torch.autograd.grad(d.pow(2), (a, b))]
"""),
    ("gradients", """
def gradients(a, b):
    leaves = [torch.tensor([n], requires_grad=True, dtype=torch.float64) for n in (a, b)]
    d = leaves[0] * (leaves[1] + 1)
    (d * d).sum().backward()
    return [float(leaf.grad) for leaf in leaves]
"""),
]  # fmt: skip


@pytest.mark.parametrize(("name", "text"), SOLUTIONS)
def test_another_right_solution_passes(judge, name, text):
    judge.write(name, text)
    assert judge.words(name) == ""


def test_every_exercise_has_three_other_solutions():
    counts = {name: [n for n, _ in SOLUTIONS].count(name) for name in NAMES}
    assert min(counts.values()) >= 3


# --- cheats ---


def test_an_empty_file(judge):
    judge.path("table").write_text("", encoding="utf-8")
    assert all("has no function" in judge.words(name) for name in NAMES)


def test_a_function_that_returns_nothing(judge):
    for name in NAMES:
        function = function_text(judge.read(name), judge.lesson.exercise(name).function)
        judge.write(name, f"{function.split('):')[0]}):\n    print('a result')")
        assert "returns nothing" in judge.words(name)
        assert "a result" in judge.failure(name)["printed"]


def test_the_reference_in_place_of_the_own_code(judge):
    """In a child of its own, which watches what is opened."""
    path = judge.reference("row")
    judge.write("row", f"""
def row(x, i):
    found = {{}}
    exec(open("{path.as_posix()}", encoding="utf-8").read(), found)
    return found["r" + "ow"](x, i)
""")
    outcome = run_checks(judge.lesson, judge.folder)
    assert outcome.passed == ["table"]
    words = outcome.failures["row"]["words"]
    assert words == "This is not your code: it comes from exercises/arrays/."


def test_the_forbidden_functions_work_again_after_the_check(judge):
    import torch

    judge.words("matrix-product")
    x = torch.eye(2)
    assert torch.equal(x @ x, x) and torch.equal(torch.einsum("ij,jk->ik", x, x), x)
