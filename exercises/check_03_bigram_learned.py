"""The checks of the exercises of stage 03. How to write such a file: tools/learn/checking.py."""

import math
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

DATA = Path(__file__).resolve().parent.parent / "data"
LESSON = "the lesson's example"
PYTORCH = "by PyTorch, in float64"
BY_HAND = "worked out by hand"


# --- data ---


def pairs(learner, check):
    """a is 0, b is 1, BOS is 2."""
    pairs, tokenizer = learner.main.pairs, learner.names.Tokenizer(["ab"])
    check.equal(
        pairs, (["ab"], tokenizer),
        (torch.tensor([2, 0, 1]), torch.tensor([0, 1, 2])),
        by=f"{BY_HAND}: a is 0, b is 1, BOS is 2",
        mistakes={
            "The two are swapped: xs comes first, and ys is what follows.": (
                torch.tensor([0, 1, 2]), torch.tensor([2, 0, 1])
            ),
            "The last pair is missing: after the last letter comes BOS.": (
                torch.tensor([2, 0]), torch.tensor([0, 1])
            ),
            "The first pair is missing: before the first letter comes BOS.": (
                torch.tensor([0, 1]), torch.tensor([1, 2])
            ),
            "Both ends are missing: BOS comes before the first letter and after the last.": (
                torch.tensor([0]), torch.tensor([1])
            ),
            "xs and ys hold the same tokens: ys should begin one token later.": (
                torch.tensor([2, 0, 1]), torch.tensor([2, 0, 1])
            ),
            "xs has one token too many: the last token has none after it.": (
                torch.tensor([2, 0, 1, 2]), torch.tensor([0, 1, 2])
            ),
            "ys has one token too many: the first token has none before it.": (
                torch.tensor([2, 0, 1]), torch.tensor([2, 0, 1, 2])
            ),
            "There is one BOS too many: tokenizer.encode(doc) has put BOS at both ends already.": (
                check.either(
                    (torch.tensor([2, 2, 0, 1, 2]), torch.tensor([2, 0, 1, 2, 2])),
                    (torch.tensor([2, 2, 0, 1]), torch.tensor([2, 0, 1, 2])),
                    (torch.tensor([2, 0, 1, 2]), torch.tensor([0, 1, 2, 2])),
                )
            ),
            "You return lists: torch.tensor(...) makes tensors of them.": ([2, 0, 1], [0, 1, 2]),
            "You return arrays of NumPy: torch.tensor(...) makes tensors of lists.": (
                np.array([2, 0, 1]), np.array([0, 1, 2])
            ),
            "torch.Tensor, with a capital T, makes floating-point numbers: torch.tensor keeps "
            "whole numbers whole.": (torch.tensor([2.0, 0, 1]), torch.tensor([0.0, 1, 2])),
            "You return one tensor with two rows: return two tensors, xs, ys.": (
                torch.tensor([[2, 0, 1], [0, 1, 2]])
            ),
            "You return a list of tensors, one for each document: put the tokens of all documents "
            "into one list, or join the tensors with torch.cat.": (
                [torch.tensor([2, 0, 1])], [torch.tensor([0, 1, 2])]
            ),
            "These are letters: tokenizer.encode(doc) makes tokens of a document.": (["a"], ["b"]),
            "The last token has none after it: stop one place earlier.": (
                IndexError("list index out of range")
            ),
            "There is a row for each document: put the tokens of all documents into one list.": (
                torch.tensor([[2, 0, 1]]), torch.tensor([[0, 1, 2]])
            ),
            "You return pairs: return two tensors, all first tokens and all second ones.": (
                torch.tensor([[2, 0], [0, 1], [1, 2]])
            ),
        },
    )  # fmt: skip
    check.equal(
        pairs, (["ab", "b", "aab"], tokenizer),
        (torch.tensor([2, 0, 1, 2, 1, 2, 0, 0, 1]), torch.tensor([0, 1, 2, 1, 2, 0, 0, 1, 2])),
        by=BY_HAND,
        mistakes={
            "Only the last document came through: the result has the pairs of all documents.": (
                lambda docs, tokenizer: pairs(docs[-1:], tokenizer)
            ),
            "Only the first document came through: is there a return inside the loop?": (
                lambda docs, tokenizer: pairs(docs[:1], tokenizer)
            ),
            "A pair (BOS, BOS) connects two documents: take the pairs of one document at a time.": (
                across
            ),
        },
    )  # fmt: skip
    names = ["emma", "olivia", "ava", "mia"] * 5
    tokenizer = learner.names.Tokenizer(names)
    check.equal(pairs, (names, tokenizer), one_by_one, by="one pair at a time")


def one_by_one(docs, tokenizer):
    """The pairs, taken one at a time."""
    xs, ys = [], []
    for doc in docs:
        tokens = tokenizer.encode(doc)
        for place in range(len(tokens) - 1):
            xs.append(tokens[place])
            ys.append(tokens[place + 1])
    return torch.tensor(xs), torch.tensor(ys)


def across(docs, tokenizer):
    """The mistake of joining all documents first."""
    tokens = [token for doc in docs for token in tokenizer.encode(doc)]
    return torch.tensor(tokens[:-1]), torch.tensor(tokens[1:])


# --- model ---


def forward(learner, check):
    forward = learner.main.forward
    W = torch.tensor([[0.0, 1.0, 2.0], [3.0, 4.0, 5.0], [6.0, 7.0, 8.0]])
    mistakes = {
        "These are columns of W: onehot @ W picks rows.": lambda W, xs: W[:, xs].T,
        "The table lies on its side: (N, V) has a row for each token.": check.either(
            lambda W, xs: W[xs].T, lambda W, xs: W[:, xs]
        ),
        "These are the one-hot rows: multiply them by W.": lambda W, xs: F.one_hot(xs, 3).float(),
        "These are probabilities: forward returns the logits as they are.": (
            lambda W, xs: W[xs].softmax(dim=1)
        ),
        "F.one_hot gives whole numbers and W holds floats: .float() makes them fit.": (
            RuntimeError("same dtype")
        ),
        "The other way round: the one-hot rows are on the left, onehot @ W.": (
            RuntimeError("(3x3 and 2x3)")
        ),
        "The one-hot rows have fewer columns than W has rows: tell F.one_hot how many there are.": (
            RuntimeError("(4x2 and 3x3)")
        ),
        "The one-hot rows need as many columns as W has rows: len(W), which is not always 27.": (
            RuntimeError("shapes cannot be multiplied")
        ),
        "* multiplies number by number: the matrix product is @.": (
            RuntimeError("must match the size")
        ),
    }
    xs = torch.tensor([2, 0])
    check.equal(forward, (W, xs), W[[2, 0]], by="rows 2 and 0 of W", mistakes=mistakes)
    check.equal(
        forward, (W, torch.tensor([1, 0, 1, 1])), lambda W, xs: torch.stack([W[x] for x in xs]),
        by="row W[x] for each x", mistakes=mistakes,
    )  # fmt: skip

    W.requires_grad_()
    call = "forward(W, xs).sum().backward(), then W.grad"
    logits = check.run(forward, (W, xs))
    check.true(
        logits.requires_grad,
        "No gradient reaches W: use W itself, without .data, .detach() or torch.tensor(W).",
        call=call, came="no gradient", expected="1 in the rows that were read",
    )  # fmt: skip

    def gradient():
        (grad,) = torch.autograd.grad(forward(W, xs).sum(), W)
        return grad

    expected = torch.tensor([[1.0] * 3, [0.0] * 3, [1.0] * 3])
    check.equal(gradient, (), expected, by="1 in the rows that were read", call=call)


def batch(*rows):
    return torch.tensor(rows, dtype=torch.float64)


def log_softmax(learner, check):
    log_softmax = learner.main.log_softmax
    check.forbid("log_softmax", "softmax", "cross_entropy")
    check.equal(
        log_softmax, (batch([2, 1, 0]),), batch([-0.408, -1.408, -2.408]),
        by=f"the logarithms of 0.665, 0.245 and 0.090, {LESSON}", atol=6e-4,
        mistakes={
            "These are probabilities: the result is their logarithms.": lambda z: z.softmax(1),
            "This is exp of the logits: divide by the sum of the row, and take the logarithm.": (
                lambda z: z.exp()
            ),
            "The sign is wrong: probabilities are below 1, so their logarithms are below 0.": (
                lambda z: -z.log_softmax(1)
            ),
            "The softmax runs over the wrong axis, down the columns: the sum of a row is dim=1.": (
                lambda z: z.log_softmax(0)
            ),
            "The logarithm of the sum is missing.": lambda z: z - z.max(),
            "The largest logit is subtracted inside exp only: subtract it from the logits first, "
            "and use the result in both places.": (
                lambda z: z - (z - z.max()).exp().sum().log()
            ),
            "You divide by the sum without taking exp of the logit or a logarithm. The logarithm "
            "of a quotient is a difference.": check.either(
                lambda z: z / z.exp().sum(), lambda z: (z - z.max()) / (z - z.max()).exp().sum()
            ),
            "max(dim=1) gives the largest numbers and their places: take .values.": (
                TypeError("return_types.max")
            ),
            "You subtract the sum: subtract its logarithm.": (
                lambda z: z - z.max() - (z - z.max()).exp().sum()
            ),
        },
    )  # fmt: skip

    square = batch([2, 1, 0], [0, 5, 0], [1, 1, 3])
    check.equal(
        log_softmax, (square,), lambda z: z.log_softmax(dim=1), by=PYTORCH,
        mistakes={
            "exp of the columns adds up to 1: the softmax runs over the wrong axis. "
            "The sum of a row is dim=1.": lambda z: z.log_softmax(dim=0),
            "exp of the whole table adds up to 1: every row has a sum of its own, "
            "over dim=1.": check.either(
                lambda z: z.flatten().log_softmax(dim=0).view_as(z),
                lambda z: less_maximum(z) - less_maximum(z).exp().sum().log(),
            ),
            "A sum of shape (N,) was subtracted from (N, V) along the wrong axis: "
            "keepdim=True makes it (N, 1).": check.either(
                lambda z: z - z.exp().sum(dim=1).log(),
                lambda z: less_maximum(z) - less_maximum(z).exp().sum(dim=1).log(),
            ),
            "A maximum of shape (N,) was subtracted from (N, V) along the wrong axis: "
            "keepdim=True makes it (N, 1).": lambda z: forgot_keepdim(z, both=False),
            "A maximum and a sum of shape (N,) were subtracted from (N, V) along the wrong "
            "axis: keepdim=True makes them (N, 1).": lambda z: forgot_keepdim(z, both=True),
        },
    )  # fmt: skip
    check.equal(
        log_softmax, (torch.randn(2, 5, dtype=torch.float64),), lambda z: z.log_softmax(dim=1),
        by=PYTORCH,
        mistakes={
            "Shapes (N, V) and (N,) do not fit: keepdim=True makes the second one (N, 1).": (
                RuntimeError("must match the size")
            ),
        },
    )  # fmt: skip
    check.equal(
        log_softmax, (batch([1000, 999, -1000], [-1000, -1000, -1000]),),
        batch([-0.313262, -1.313262, -2000.313262], [-math.log(3)] * 3),
        by=BY_HAND, rtol=1e-6,
        mistakes={
            "e ** 1000 is more than a float holds, so it became inf: subtract the largest logit "
            "of the row first.": lambda z: z - z.exp().sum(dim=1, keepdim=True).log(),
            "e ** 1000 is more than a float holds, so it became inf, and inf / inf is nan: "
            "subtract the largest logit of the row first.": (
                lambda z: (z.exp() / z.exp().sum(dim=1, keepdim=True)).log()
            ),
            "You subtract the largest logit of the whole table, so a row of small logits becomes "
            "all 0: every row has a largest logit of its own.": (
                lambda z: (z - z.max()) - (z - z.max()).exp().sum(dim=1, keepdim=True).log()
            ),
            "A tiny probability rounds to 0, and log 0 is -inf: use the logarithm of the sum, "
            "log(a / b) = log a - log b.": lambda z: z.softmax(dim=1).log(),
        },
    )  # fmt: skip


def less_maximum(z):
    return z - z.max(dim=1, keepdim=True).values


def forgot_keepdim(z, both):
    z = z - z.max(dim=1).values
    return z - z.exp().sum(dim=1, keepdim=not both).log()


def softmax(learner, check):
    softmax = learner.main.softmax
    check.forbid("softmax", "log_softmax")
    check.equal(
        softmax, (batch([2, 1, 0]),), batch([0.665, 0.245, 0.090]), by=LESSON, atol=6e-4,
        mistakes={
            "These are the logarithms: exp undoes them.": lambda z: z.log_softmax(dim=1),
            "This is exp of the logits: divide by the sum of the row.": lambda z: z.exp(),
            "Each logit is divided by the sum of the logits: take exp first.": (
                lambda z: z / z.sum(dim=1, keepdim=True)
            ),
            "The log-probabilities are divided by their sum: exp makes probabilities of them.": (
                lambda z: z.log_softmax(dim=1) / z.log_softmax(dim=1).sum(dim=1, keepdim=True)
            ),
            "This is 1 / (1 + exp(-z)), which looks at one logit alone: a probability here depends "
            "on all logits of its row.": lambda z: z.sigmoid(),
            "math.exp takes a single number: a tensor has a method exp().": check.either(
                ValueError("converted to Python scalars"), TypeError("converted to Python scalars"),
                RuntimeError("converted to Scalar"),
            ),
            "The softmax runs over the wrong axis, down the columns: the sum of a row is dim=1.": (
                lambda z: z.softmax(dim=0)
            ),
        },
    )  # fmt: skip
    check.equal(
        softmax, (batch([2, 1, 0], [0, 5, 0], [1, 1, 3]),), lambda z: z.softmax(dim=1), by=PYTORCH,
        mistakes={
            "The columns add up to 1: the softmax runs over the wrong axis. Sum over dim=1.": (
                lambda z: z.softmax(dim=0)
            ),
            "The whole table adds up to 1: every row has a sum of its own, over dim=1.": (
                lambda z: z.flatten().softmax(dim=0).view_as(z)
            ),
            "The sum has the shape (N,) and divides along the wrong axis: keepdim=True "
            "makes it (N, 1).": lambda z: z.exp() / z.exp().sum(dim=1),
        },
    )  # fmt: skip
    check.equal(
        softmax, (batch([1000, 999, -1000], [-1000, -1000, -1000]),),
        batch([1 / (1 + math.exp(-1)), 1 / (1 + math.e), 0], [1 / 3] * 3), by=BY_HAND,
        mistakes={
            "e ** 1000 is more than a float holds: it became inf, and inf / inf is nan. "
            "Use your log_softmax, or subtract the largest logit of the row first.": (
                lambda z: z.exp() / z.exp().sum(dim=1, keepdim=True)
            ),
            "You subtract the largest logit of the whole table, so a row of small logits becomes "
            "0 / 0: every row has a largest logit of its own.": (
                lambda z: (z - z.max()).exp() / (z - z.max()).exp().sum(dim=1, keepdim=True)
            ),
        },
    )  # fmt: skip


def cross_entropy(learner, check):
    cross_entropy = learner.main.cross_entropy
    check.forbid("cross_entropy", "nll_loss")
    scalar = "You return a plain number, and backward() needs a tensor: leave out .item()."
    check.equal(
        cross_entropy, (batch([2, 1, 0]), torch.tensor([1])),
        torch.tensor(1.408, dtype=torch.float64), by=LESSON, atol=6e-4,
        mistakes={
            scalar: 1.408,
            "The minus is missing: the log of a probability is below 0, but a loss is above 0.": (
                lambda z, ys: -F.cross_entropy(z, ys)
            ),
            "This is minus the probability: take its logarithm.": (
                lambda z, ys: F.nll_loss(z.softmax(dim=1), ys)
            ),
            "Softmax was taken twice: log_softmax takes the logits, not their probabilities.": (
                lambda z, ys: F.cross_entropy(z.softmax(dim=1), ys)
            ),
            "This is minus the logit: make log-probabilities first.": (
                lambda z, ys: F.nll_loss(z, ys)
            ),
            "You divide by N * V: only one number of each row counts, so divide by N.": (
                lambda z, ys: F.cross_entropy(z, ys) / z.shape[1]
            ),
            "This is in bits: the loss is in nats, with the natural logarithm.": (
                lambda z, ys: F.cross_entropy(z, ys) / math.log(2)
            ),
            "A row has a number from 0 to N - 1, and ys[i] is the column in row i.": IndexError,
            "F.one_hot(ys) has as many columns as it needs: tell it that there are V.": (
                RuntimeError("must match the size")
            ),
            "The result has shape (1,): take the mean over the rows.": (
                lambda z, ys: F.cross_entropy(z, ys, reduction="none")
            ),
        },
    )  # fmt: skip

    logits = batch([0, math.log(3), 1], [7, 7, 7], [1, 0, 4], [2, 2, 0])
    ys = torch.tensor([1, 0, 2, 2])
    check.equal(
        cross_entropy, (logits, ys), lambda z, ys: F.cross_entropy(z, ys), by=PYTORCH,
        mistakes={
            "This is the sum over the rows: take the mean.": (
                lambda z, ys: F.cross_entropy(z, ys, reduction="sum")
            ),
            "There is one loss for each row: take their mean.": (
                lambda z, ys: F.cross_entropy(z, ys, reduction="none")
            ),
            "[:, ys] picks all those columns from every row: row i needs the column ys[i] only.": (
                lambda z, ys: -z.log_softmax(dim=1)[:, ys].mean()
            ),
            "[ys] picks rows: row i needs its column ys[i].": (
                lambda z, ys: -z.log_softmax(dim=1)[ys].mean()
            ),
            "This is the mean over all letters: pick the one that came, ys.": (
                lambda z, ys: -z.log_softmax(dim=1).mean()
            ),
            "This is -log of the mean probability: take the logarithms first, then the mean.": (
                lambda z, ys: -z.softmax(dim=1)[range(len(ys)), ys].mean().log()
            ),
        },
    )  # fmt: skip
    check.equal(
        cross_entropy, (batch([1000, 0], [0, 0]), torch.tensor([1, 0])),
        torch.tensor((1000 + math.log(2)) / 2, dtype=torch.float64), by=BY_HAND,
        mistakes={
            "A tiny probability rounds to 0, and log 0 is -inf: use your log_softmax, not the "
            "logarithm of softmax.": torch.tensor(math.inf, dtype=torch.float64),
            "exp overflows: use your log_softmax, which subtracts the largest logit.": (
                torch.tensor(math.nan, dtype=torch.float64)
            ),
        },
    )  # fmt: skip

    logits.requires_grad_()
    call = "cross_entropy(logits, ys).backward(), then logits.grad"
    check.true(
        check.run(cross_entropy, (logits, ys)).requires_grad,
        "backward() cannot go through your result: leave out .detach() and torch.tensor(...).",
        call=call, came="no gradient", expected="a gradient",
    )  # fmt: skip

    def gradient():
        return torch.autograd.grad(cross_entropy(logits, ys), logits)[0]

    expected = torch.autograd.grad(F.cross_entropy(logits, ys), logits)[0]
    check.equal(gradient, (), expected, by=PYTORCH, call=call)


def logits_gradient(learner, check):
    logits_gradient = learner.main.logits_gradient
    check.forbid("backward", "grad", "cross_entropy")

    def p(z):
        return z.softmax(dim=1)

    def y(z, ys):
        return F.one_hot(ys, z.shape[1])

    mistakes = {
        "The sign is wrong: this is y - p. The gradient points to more loss.": (
            lambda z, ys: (y(z, ys) - p(z)) / len(ys)
        ),
        "The loss is a mean over N rows: divide by N.": lambda z, ys: p(z) - y(z, ys),
        "This is p: subtract what happened, 1 at the token that came.": lambda z, ys: p(z),
        "This is p / N: subtract what happened, 1 at the token that came.": (
            lambda z, ys: p(z) / len(ys)
        ),
        "You divide by the number of logits: the loss is a mean over the N rows.": check.either(
            lambda z, ys: (p(z) - y(z, ys)) / z.numel(),
            lambda z, ys: (p(z) - y(z, ys)) / z.shape[1],
        ),
        "These are the logits minus y: make probabilities of the logits first.": (
            lambda z, ys: (z - y(z, ys)) / len(ys)
        ),
        "These are the log-probabilities minus y: take exp of them.": (
            lambda z, ys: (z.log_softmax(dim=1) - y(z, ys)) / len(ys)
        ),
        "Only y is divided by N: the loss is a mean, so the whole difference is.": (
            lambda z, ys: p(z) - y(z, ys) / len(ys)
        ),
        "[ys] picks rows: subtract 1 in row i only in its column ys[i].": IndexError,
        "[:, ys] picks those columns in every row: subtract 1 in row i only in its column ys[i].": (
            lambda z, ys: (p(z) - y(z, ys).sum(dim=0).clamp(max=1)) / len(ys)
        ),
        "F.one_hot(ys) has as many columns as it needs: tell it that there are V.": (
            RuntimeError("must match the size")
        ),
        "Only the token that came has a gradient: the logits of all others should go down, each by "
        "its p.": lambda z, ys: (p(z) - 1) * y(z, ys) / len(ys),
        "1 was subtracted everywhere: subtract it only at the token that came.": (
            lambda z, ys: (p(z) - 1) / len(ys)
        ),
    }
    check.equal(
        logits_gradient, (batch([2, 1, 0]), torch.tensor([1])), batch([0.665, -0.755, 0.090]),
        by=LESSON, atol=6e-4,
        mistakes={
            words: wrong for words, wrong in mistakes.items() if "divide by N." not in words
        },
    )  # fmt: skip
    logits = batch([2, 1, 0, 1], [0, 5, 0, -2], [1, 1, 3, 0]), torch.tensor([1, 0, 3])
    check.equal(
        logits_gradient, logits, lambda z, ys: slope(z, ys), by="by PyTorch's backward()",
        mistakes=mistakes,
    )  # fmt: skip


def slope(logits, ys):
    logits = logits.clone().requires_grad_()
    return torch.autograd.grad(F.cross_entropy(logits, ys), logits)[0]


# --- training ---


def train(learner, check):
    """First on pairs that are all the same, so that every batch is; then on a few names."""
    main = learner.main
    start = torch.tensor([[0.0, 0.0, 0.0], [1.0, -1.0, 0.5], [0.0, 0.0, 0.0]])
    xs, ys = torch.tensor([1] * 6), torch.tensor([2] * 6)

    Log = learner.common.Log
    add = Log.add

    def add_number(log, loss):
        if getattr(loss, "requires_grad", False):
            raise TypeError("log.add got a tensor with a gradient")
        add(log, loss)

    def after(steps):
        """Row 1 of W after some steps, and the log."""
        W = start.clone().requires_grad_()
        config = main.Config(steps=steps, learning_rate=0.5, batch_size=4)
        Log.add = add_number
        try:
            log = main.train(config, W, {"train": (xs, ys), "val": (xs, ys)})
        finally:
            Log.add = add
        return W.detach()[1], log

    row, log = check.run(
        after, (3,), call="train(config, W, data)",
        mistakes={
            "PyTorch does not let you change a leaf that needs a gradient: change W.data.": (
                RuntimeError("leaf Variable")
            ),
            "W.grad is None. Is backward() called, and is W.grad cleared before it and not after? "
            "And is W still the tensor that you were given? W = W - ... makes another tensor.": (
                TypeError("NoneType")
            ),
            "The loss is a plain number, which backward() cannot go through. evaluate() returns "
            "such numbers: call cross_entropy and forward.": (
                AttributeError("no attribute 'backward'")
            ),
            "log.add takes a plain number: loss.item() is the number in the loss.": (
                TypeError("with a gradient")
            ),
            "torch.randint takes the shape of its result as a tuple. With one number in it, that "
            "is (n,), with a comma.": TypeError("randint()"),
            "Before the first backward() W.grad is None: W.grad = None clears it in any case.": (
                AttributeError("zero_")
            ),
            "These are not tokens: what you draw are places in xs and ys.": (
                RuntimeError("Class values must be smaller")
            ),
        },
    )  # fmt: skip
    call = "train(config, W, data)"

    def later(steps):
        """What the learner's train gives, if at least its first step is right."""
        right = torch.allclose(after(1)[0], descend(start[1], 1))
        return after(steps)[0] if right else None

    check.true(
        log is not None, "It returns nothing: leave the line return log at the end.",
        call=call, came="None", expected="the log",
    )  # fmt: skip
    mistakes = {
        "W did not change: move W.data, in place. W = W - ... makes another tensor.": (
            lambda steps: start[1]
        ),
        "The loss goes up: step against the gradient, with a minus.": (
            lambda steps: descend(start[1], steps, sign=-1)
        ),
        "The gradients of all steps add up: clear W.grad before backward().": (
            lambda steps: descend(start[1], steps, clear=False)
        ),
        "Two things: the gradients of all steps add up, so clear W.grad before backward(); and the "
        "learning rate stays the same, but should fall in a straight line to 0.": (
            lambda steps: descend(start[1], steps, rate=lambda share: 0.5, clear=False)
        ),
        "W moves more than once in a step: draw one batch, and make one update.": (
            lambda steps: descend(start[1], steps, updates=2)
        ),
        "The learning rate falls to a tenth, as in stage 01: here it falls to 0.": (
            lambda steps: descend(start[1], steps, rate=lambda share: 0.5 * (1 - 0.9 * share))
        ),
        "The learning rate does not end at 0: multiply it by the share that is left.": (
            lambda steps: descend(start[1], steps, rate=lambda share: 0.5 - share)
        ),
        "The learning rate stays the same: let it fall in a straight line to 0.": (
            lambda steps: descend(start[1], steps, rate=lambda share: 0.5)
        ),
        "The learning rate rises: it starts at config.learning_rate and falls to 0.": (
            lambda steps: descend(start[1], steps, rate=lambda share: 0.5 * share)
        ),
        "The learning rate is a step ahead: in step 0 it is config.learning_rate.": (
            lambda steps: descend(start[1], steps, rate=lambda share: 0.5 * (1 - share - 1 / steps))
        ),
        "The first step is right, and a later one is not. Does the learning rate fall in a "
        "straight line: config.learning_rate times the share of the steps that is left?": later,
    }
    for steps in (3, 10):
        check.equal(
            lambda steps: after(steps)[0], (steps,), descend(start[1], steps), mistakes=mistakes,
            by="by hand: every pair is (1, 2), and the rate falls from 0.5",
            call=f"{call} for {steps} steps, then row 1 of W",
        )  # fmt: skip
    check.true(
        log.curve[-1][1] is not None, "The log has no batch loss: call log.add(loss.item()).",
        call=f"{call}, then log.curve", came="no loss", expected="a loss in each row",
    )  # fmt: skip

    batches(main, check)
    check.between(
        lambda: loss_after_training(main), (), 2.32, 2.45,
        by="the counts of these names have 2.319", call="the loss after training on 294 names",
        mistakes={
            "x and y of a pair are torn apart: draw places once, and take the same ones of xs and "
            "ys.": (2.6, 3.0),
            "The loss is that of a uniform guess: nothing was learned.": (3.1, 3.4),
        },
    )  # fmt: skip


def descend(
    row, steps, rate=lambda share: 0.5 * (1 - share), sign=1, clear=True, updates=1
):  # fmt: skip
    """Gradient descent on one row of logits towards token 2, with the gradient p - y.

    rate: the learning rate as a function of the share of the steps that is over. The rest are
    mistakes: the sign of the step, gradients that add up, several updates in a step.
    """
    row, total = row.double(), 0.0
    for step in range(steps):
        for _ in range(updates):
            gradient = row.softmax(dim=0) - torch.tensor([0.0, 0.0, 1.0])
            total = gradient if clear else total + gradient
            row = row - sign * rate(step / steps) * total
    return row.float()


def batches(main, check):
    """Every pair must have a chance: each of 40 pairs begins with another token."""
    xs = torch.arange(40)
    ys = (xs + 1) % 40
    W = torch.zeros(40, 40, requires_grad=True)
    config = main.Config(steps=200, learning_rate=1.0, batch_size=8)
    main.train(config, W, {"train": (xs, ys), "val": (xs, ys)})
    read = W.detach().ne(0).any(dim=1).sum().item()
    check.between(
        lambda: read, (), 35, 40, by="8 of 40 pairs in each of 200 steps",
        call="train(config, W, data), then the number of rows of W that changed",
        mistakes={
            "Only the first pairs are used, in every step: draw them at random.": (8, 8),
            "The same pairs are used in every step: draw them inside the loop.": (5, 12),
        },
    )  # fmt: skip
    W = torch.zeros(40, 40, requires_grad=True)
    config = main.Config(steps=1, learning_rate=1.0, batch_size=8)
    main.train(config, W, {"train": (xs, ys), "val": (xs, ys)})
    read = W.detach().ne(0).any(dim=1).sum().item()
    check.between(
        lambda: read, (), 1, 8, by="config.batch_size is 8",
        call="train(config, W, data) for 1 step, then the number of rows of W that changed",
        mistakes={"A step uses all pairs: draw config.batch_size of them.": (40, 40)},
    )  # fmt: skip


def loss_after_training(main):
    """Train for a second on every hundredth name, and compute the loss on the same names."""
    docs = (DATA / "names.txt").read_text(encoding="utf-8").split()[::100]
    chars = sorted(set("".join(docs)))
    V, number = len(chars) + 1, {char: i for i, char in enumerate([*chars, ""])}
    tokens = [number[char] for doc in docs for char in ["", *doc]] + [number[""]]
    xs, ys = torch.tensor(tokens[:-1]), torch.tensor(tokens[1:])
    W = (0.01 * torch.randn(V, V)).requires_grad_()
    config = main.Config(steps=200, learning_rate=30.0, batch_size=500)
    main.train(config, W, {"train": (xs, ys), "val": (xs, ys)})
    return F.cross_entropy(W.detach()[xs], ys).item()


# --- samples ---


def sample(learner, check):
    main, Tokenizer = learner.main, learner.names.Tokenizer
    sample = main.sample

    W = torch.zeros(4, 4)
    for x, y in [(3, 1), (1, 2), (2, 0), (0, 3)]:
        W[x, y] = 1000.0
    check.equal(
        lambda: sample(main.Bigram(W, Tokenizer(["abc"]))), (), "bca",
        call="sample(model), where b follows BOS, c follows b, a follows c, BOS follows a",
        by="the only name that this model allows",
        mistakes={
            "It returns tokens: model.tokenizer.decode(tokens) makes a text of them.": [1, 2, 0],
            "It returns tokens with BOS: leave BOS out, and decode the others.": [3, 1, 2, 0, 3],
            "PyTorch drew a tensor: .item() makes a number of it.": check.either(
                KeyError("tensor("), TypeError("Tensor")
            ),
            "BOS is not a letter: leave it out of what you decode.": KeyError,
            "The first letter is missing: begin at BOS, and keep what is drawn after it.": "ca",
            "The last letter is missing.": "bc",
            "The first letter was not drawn: begin at BOS.": "a",
            "The name is empty: begin at BOS. It ends when BOS is drawn, not when it begins.": "",
            "Every letter comes from the row of BOS: use the row of the latest token.": "b" * 100,
            "forward() of all tokens has a row for each: give it the latest token only.": (
                RuntimeError("cannot be converted to Scalar")
            ),
            "forward() takes a tensor of shape (N,): torch.tensor([token]), with brackets.": (
                check.either(IndexError("Dimension out of range"), TypeError("one_hot"))
            ),
        },
    )  # fmt: skip
    endless = main.Bigram(torch.tensor([[0.0, -1000.0], [0.0, -1000.0]]), Tokenizer(["a"]))
    check.equal(
        lambda: sample(endless, longest=7), (), "a" * 7,
        call="sample(model, longest=7), where a follows a", by="cut after 7 characters",
        mistakes={
            "One character too few: BOS does not count.": "a" * 6,
            "One character too many.": "a" * 8,
            "longest is ignored: 100 is only its default.": "a" * 100,
            "torch.multinomial takes probabilities, which are never below 0: take softmax of the "
            "logits.": RuntimeError("probability tensor contains"),
        },
    )  # fmt: skip

    def share_of_single(temperature, count=600):
        """How many of the drawn names are "a", if a follows a with exp(log 3 / temperature)."""
        model = main.Bigram(torch.tensor([[math.log(3), 0.0], [0.0, -1000.0]]), Tokenizer(["a"]))
        drawn = [sample(model, temperature=temperature) for _ in range(count)]
        return drawn.count("a") / count

    a_follows = 'the share of "a" among 600 names, where a goes on with logits'
    check.between(
        lambda: share_of_single(1.0), (), 0.18, 0.32, by="1/4",
        call=f"{a_follows} log 3 and ends with 0",
        mistakes={
            "It always takes the likeliest character: draw, as torch.multinomial does.": (0, 0),
            "Both get 1/2: do the logits go through softmax and into the draw?": (0.44, 0.56),
            "The draw uses the logits as they are: take softmax of them first.": (0.0001, 0.02),
        },
    )  # fmt: skip
    ignored = "The temperature has no effect: divide the logits by it, before softmax."
    check.between(
        lambda: share_of_single(0.5), (), 0.05, 0.15, by="1/10: exp(log 3 / 0.5) is 9",
        call=f"temperature 0.5: {a_follows} log 3 and ends with 0",
        mistakes={
            ignored: (0.19, 0.31),
            "The logits are multiplied by the temperature: divide them by it.": (0.311, 0.43),
        },
    )  # fmt: skip
    check.between(
        lambda: share_of_single(2.0), (), 0.30, 0.44, by="0.366: exp(log 3 / 2) is 1.73",
        call=f"temperature 2: {a_follows} log 3 and ends with 0",
        mistakes={ignored: (0.19, 0.299)},
    )  # fmt: skip
