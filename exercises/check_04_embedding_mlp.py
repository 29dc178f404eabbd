"""The checks of the exercises of stage 04. How to write such a file: tools/learn/checking.py."""

import math
import string
from pathlib import Path
from unittest.mock import patch

import torch
import torch.nn.functional as F

DATA = Path(__file__).resolve().parent.parent / "data"
LESSON = "the lesson's example"
PYTORCH = "by PyTorch, in float64"
BY_HAND = "worked out by hand"


# --- data ---


def contexts(learner, check):
    """a is 0, b is 1, BOS is 2."""
    contexts, tokenizer = learner.main.contexts, learner.names.Tokenizer(["ab"])
    right = [[2, 2, 2], [2, 2, 0], [2, 0, 1]]
    check.equal(
        contexts, (["ab"], tokenizer, 3), made(right, [0, 1, 2]),
        by=f"{LESSON}: a is 0, b is 1, BOS is 2",
        mistakes={
            "The padding is on the right: BOS belongs on the left, and the latest token comes "
            "last.": made([[2, 2, 2], [0, 2, 2], [0, 1, 2]], [0, 1, 2]),
            "The contexts are turned round: the latest token comes last.": (
                made([[2, 2, 2], [0, 2, 2], [1, 0, 2]], [0, 1, 2])
            ),
            "The contexts are shifted by one and contain their own targets: a model could copy "
            "the answer. Note the context before the target joins it.": (
                made([[2, 2, 0], [2, 0, 1], [0, 1, 2]], [0, 1, 2])
            ),
            "The contexts are shifted by one: the last token of a context is the one just before "
            "its target.": made([[2, 2, 2], [2, 2, 2], [2, 2, 0]], [0, 1, 2]),
            "All rows are the same list, which changed later: make a new list for every context, "
            "or append a copy.": made([[0, 1, 2]] * 3, [0, 1, 2]),
            "The context never moves: after each target, drop its first token and append the "
            "target.": (
                made([[2, 2, 2]] * 3, [0, 1, 2])
            ),
            "The padding is 0, which is a letter: fill up with tokenizer.BOS.": (
                check.either(
                    made([[0, 0, 0], [0, 0, 0], [0, 0, 1]], [0, 1, 2]),
                    made([[0, 0, 0], [0, 0, 2], [0, 2, 0], [2, 0, 1]], [2, 0, 1, 2]),
                )
            ),
            "Only the contexts that lie inside the name are there: the first letters are targets, "
            "too, and their contexts are filled up with BOS.": (
                check.either(made([[2, 0, 1]], [2]), made([[0, 1, 2]], [2]))
            ),
            "The last target is missing: the name ends, which is BOS.": made(right[:2], [0, 1]),
            "The first target is missing: the first letter comes after a context of BOS only.": (
                made(right[1:], [1, 2])
            ),
            "The BOS at the beginning is not a target: nobody has to guess that a name begins.": (
                made([[2, 2, 2], [2, 2, 2], [2, 2, 0], [2, 0, 1]], [2, 0, 1, 2])
            ),
            "The two are swapped: contexts come first, then targets.": (
                tuple(reversed(made(right, [0, 1, 2])))
            ),
            "You return lists: torch.tensor(...) makes tensors of them.": (right, [0, 1, 2]),
            "The targets have the shape (N, 1): they should be a list of numbers, (N,).": (
                made(right, [[0], [1], [2]])
            ),
            "The rows differ in length: every context has block_size tokens.": (
                ValueError("expected sequence of length")
            ),
            "This character is not in the tokenizer: tokenizer.encode(doc) makes the tokens of a "
            "document, with BOS on both sides.": KeyError,
        },
    )  # fmt: skip
    check.equal(
        contexts, (["ab", "b"], tokenizer, 2),
        made([[2, 2], [2, 0], [0, 1], [2, 2], [2, 1]], [0, 1, 2, 1, 2]), by=BY_HAND,
        mistakes={
            "The second name begins with the end of the first: start every document with a "
            "context of BOS.": (
                check.either(
                    made([[2, 2], [2, 0], [0, 1], [1, 2], [2, 1]], [0, 1, 2, 1, 2]),
                    made([[2, 2], [2, 0], [0, 1], [1, 2], [2, 2], [2, 1]], [0, 1, 2, 2, 1, 2]),
                )
            ),
            "Only the first document came through: is there a return inside the loop?": (
                made([[2, 2], [2, 0], [0, 1]], [0, 1, 2])
            ),
            "Only the last document came through: make the lists before the loop.": (
                made([[2, 2], [2, 1]], [1, 2])
            ),
            "A context has 3 tokens whatever block_size is: it should have block_size.": (
                made([[2, 2, 2], [2, 2, 0], [2, 0, 1], [2, 2, 2], [2, 2, 1]], [0, 1, 2, 1, 2])
            ),
        },
    )  # fmt: skip
    names = ["emma", "olivia", "ava", "mia"]
    tokenizer = learner.names.Tokenizer(names)
    for block_size in (1, 3, 8):
        check.equal(
            contexts, (names, tokenizer, block_size), one_by_one, by="one target at a time"
        )


def made(xs, ys):
    return torch.tensor(xs), torch.tensor(ys)


def one_by_one(docs, tokenizer, block_size):
    """Each target of the padded documents with the tokens before it."""
    xs, ys = [], []
    for doc in docs:
        padded = [tokenizer.BOS] * (block_size - 1) + tokenizer.encode(doc)
        for place in range(block_size, len(padded)):
            xs.append(padded[place - block_size : place])
            ys.append(padded[place])
    return torch.tensor(xs), torch.tensor(ys)


# --- model ---


def weights(learner, wte, mlp_fc1, mlp_bias, lm_head, lm_bias):
    """A model with these weights, made without the learner's __init__."""
    MLP = learner.main.MLP
    model = MLP.__new__(MLP)
    model.wte, model.mlp_fc1, model.mlp_bias = wte, mlp_fc1, mlp_bias
    model.lm_head, model.lm_bias = lm_head, lm_bias
    C = wte.shape[1]
    model.block_size, model.tokenizer = len(mlp_fc1) // C, learner.names.Tokenizer(["ab"])
    return model


def lesson_model(learner):
    """The weights of "By hand": a is 0, b is 1, BOS is 2."""
    return weights(
        learner,
        torch.tensor([[1.0, 0.0], [-1.0, 2.0], [0.0, -1.0]]),
        torch.tensor([[0.5], [-1.0], [0.25], [0.2]]),
        torch.tensor([-0.15]),
        torch.tensor([[2.0, -1.0, 0.0]]),
        torch.zeros(3),
    )


def random_model(learner, V=5, T=3, C=2, H=4):
    return weights(
        learner, torch.randn(V, C), torch.randn(T * C, H) / 2, torch.randn(H), torch.randn(H, V),
        torch.randn(V),
    )  # fmt: skip


def slow_hidden(model, xb):
    """The hidden layer, a neuron at a time, with numbers of Python."""
    wte, W, b = model.wte.tolist(), model.mlp_fc1.tolist(), model.mlp_bias.tolist()
    rows = []
    for context in xb.tolist():
        x = [number for token in context for number in wte[token]]
        sums = [sum(x[i] * W[i][j] for i in range(len(x))) + b[j] for j in range(len(b))]
        rows.append([math.tanh(s) for s in sums])
    return torch.tensor(rows)


def hidden(learner, check):
    xb = torch.tensor([[0, 1]])
    model = lesson_model(learner)
    mistakes = {
        "The tanh is missing.": lambda xb: flat(model, xb) @ model.mlp_fc1 + model.mlp_bias,
        "The bias is missing.": lambda xb: (flat(model, xb) @ model.mlp_fc1).tanh(),
        "The bias is added after the tanh: it belongs to the sum inside.": (
            lambda xb: (flat(model, xb) @ model.mlp_fc1).tanh() + model.mlp_bias
        ),
        "The bias is subtracted: add it.": (
            lambda xb: (flat(model, xb) @ model.mlp_fc1 - model.mlp_bias).tanh()
        ),
        "This is the sigmoid of the sum: this stage uses tanh.": (
            lambda xb: (flat(model, xb) @ model.mlp_fc1 + model.mlp_bias).sigmoid()
        ),
        "Every position gets the same weights, the first C rows of mlp_fc1: each position has C "
        "rows of its own.": lambda xb: (
            model.wte[xb].sum(dim=1) @ model.mlp_fc1[: model.wte.shape[1]] + model.mlp_bias
        ).tanh(),
        "Every position gets the same vector, the mean of all: put the vectors side by side.": (
            lambda xb: (
                model.wte[xb].mean(dim=1).repeat(1, xb.shape[1]) @ model.mlp_fc1 + model.mlp_bias
            ).tanh()
        ),
        "The numbers of the vectors are mixed: a whole vector comes first, then the next one.": (
            lambda xb: (
                model.wte[xb].transpose(1, 2).flatten(1) @ model.mlp_fc1 + model.mlp_bias
            ).tanh()
        ),
        "The vectors are in the wrong order: the first token of the context comes first.": (
            lambda xb: (model.wte[xb].flip(1).flatten(1) @ model.mlp_fc1 + model.mlp_bias).tanh()
        ),
        "These are logits: lm_head belongs into __call__.": lambda xb: (
            (flat(model, xb) @ model.mlp_fc1 + model.mlp_bias).tanh() @ model.lm_head
        ),
        "These are the vectors side by side: multiply them by mlp_fc1.": (
            lambda xb: flat(model, xb)
        ),
        "F.embedding takes the tokens first and the table second.": (
            RuntimeError("argument #1 'indices'")
        ),
        "F.one_hot gives whole numbers and the weights are floats: .float() makes them fit.": (
            RuntimeError("same dtype")
        ),
        "wte and the other tensors belong to the model: self.wte.": NameError,
    }
    check.equal(
        model.hidden, (xb,), torch.tensor([[0.462]]), by=f"{LESSON}: tanh 0.5", atol=6e-4,
        call="model.hidden(tensor([[0, 1]])), with the weights of \"By hand\"",
        mistakes={
            "The result has lost the dimension of the batch: flatten(1) keeps the first one.": (
                torch.tensor([0.462])
            ),
            "The vectors have the shape (B, T, C): put those of a context side by side first, "
            "(B, T * C).": RuntimeError("(2x2 and 4x1)"),
            "One row of 2 numbers came, and mlp_fc1 has a row for each of T * C = 4. Are these "
            "still the tokens? Or were the vectors added up? Look them up, and put them side by "
            "side.": check.either(RuntimeError("(1x2 and 4x1)"), RuntimeError("(1x2 and 3x2)")),
            "Here T and C are both 2: take the sizes from the tensors, not from the lesson.": (
                check.either(RuntimeError("is invalid for input of size"), IndexError)
            ),
            **mistakes,
        },
    )  # fmt: skip
    model = random_model(learner)
    xb = torch.tensor([[4, 4, 0], [0, 1, 2], [3, 0, 3], [2, 1, 0]])
    check.equal(
        model.hidden, (xb,), lambda xb: slow_hidden(model, xb), by="a neuron at a time",
        call="model.hidden(xb), for 4 contexts, with random weights", rtol=1e-3, atol=1e-5,
        mistakes={
            "All contexts became one long vector: flatten(1) keeps the dimension of the batch.": (
                check.either(RuntimeError("(1x24 and 6x4)"), RuntimeError("size mismatch"))
            ),
            "The vectors have the shape (B, T, C): put those of a context side by side first, "
            "(B, T * C).": RuntimeError("(12x2 and 6x4)"),
            "The vectors side by side have T * C numbers, as many as mlp_fc1 has rows: do not use "
            "fixed numbers, here T is 3 and C is 2.": RuntimeError("mat1 and mat2 shapes"),
            **mistakes,
        },
    )  # fmt: skip
    model.wte.requires_grad_()
    call = "model.hidden(xb).sum().backward(), then wte.grad"
    check.true(
        check.run(model.hidden, (xb,)).requires_grad,
        "No gradient reaches wte: use self.wte itself, without .data or .detach().",
        call=call, came="no gradient", expected="a gradient",
    )  # fmt: skip

    def gradient():
        return torch.autograd.grad(model.hidden(xb).sum(), model.wte)[0]

    x = F.one_hot(xb, 5).float() @ model.wte
    h = (x.flatten(1) @ model.mlp_fc1 + model.mlp_bias).tanh()
    expected = torch.autograd.grad(h.sum(), model.wte)[0]
    check.equal(
        gradient, (), expected, by="by PyTorch, through a one-hot product", call=call, rtol=1e-3
    )


def flat(model, xb):
    return model.wte[xb].flatten(1)


def logits(learner, check):
    """Through the learner's own hidden()."""
    model, xb = lesson_model(learner), torch.tensor([[0, 1]])
    mistakes = {
        "lm_bias is missing.": lambda xb: slow_hidden(model, xb) @ model.lm_head,
        "These are probabilities: return the logits as they are.": (
            lambda xb: (slow_hidden(model, xb) @ model.lm_head + model.lm_bias).softmax(dim=1)
        ),
        "These are log-probabilities: return the logits as they are.": (
            lambda xb: (slow_hidden(model, xb) @ model.lm_head + model.lm_bias).log_softmax(dim=1)
        ),
        "There is a second tanh: the logits may be any numbers.": (
            lambda xb: (slow_hidden(model, xb) @ model.lm_head + model.lm_bias).tanh()
        ),
        "These are the outputs of the hidden layer: multiply them by lm_head.": (
            lambda xb: slow_hidden(model, xb)
        ),
        "hidden is a method of the model: self.hidden(xb).": NameError("'hidden'"),
        "lm_head and lm_bias belong to the model: self.lm_head.": NameError("lm_"),
        "hidden must be called: self.hidden(xb).": TypeError("'method'"),
        "lm_head reads the outputs of the hidden layer, and these are not: self.hidden(xb) gives "
        "them.": RuntimeError("mat1 and mat2 shapes"),
    }
    check.equal(
        model.__call__, (xb,), torch.tensor([[0.924, -0.462, 0.0]]), by=LESSON, atol=6e-4,
        call="model(tensor([[0, 1]])), with the weights of \"By hand\"", mistakes=mistakes,
    )  # fmt: skip
    model = random_model(learner)
    xb = torch.tensor([[4, 4, 0], [0, 1, 2], [3, 0, 3], [2, 1, 0]])
    check.equal(
        model.__call__, (xb,), lambda xb: slow_hidden(model, xb) @ model.lm_head + model.lm_bias,
        by="a neuron at a time", call="model(xb), for 4 contexts, with random weights",
        mistakes=mistakes, rtol=1e-3, atol=1e-5,
    )  # fmt: skip
    model = lesson_model(learner)
    model.wte.requires_grad_()
    call = 'the gradient of the loss with respect to wte, for "By hand"'
    loss = F.cross_entropy(check.run(model.__call__, (torch.tensor([[0, 1]]),)), torch.tensor([2]))
    check.true(
        loss.requires_grad,
        "backward() cannot go through your result: leave out .detach(), .data and .item().",
        call=call, came="no gradient", expected="a gradient",
    )  # fmt: skip

    def gradient():
        loss = F.cross_entropy(model(torch.tensor([[0, 1]])), torch.tensor([2]))
        return torch.autograd.grad(loss, model.wte)[0]

    expected = torch.tensor([[0.418, -0.836], [0.209, 0.167], [0.0, 0.0]])
    check.equal(gradient, (), expected, by=LESSON, call=call, atol=6e-4)


TENSORS = ("wte", "mlp_fc1", "mlp_bias", "lm_head", "lm_bias")


def init(learner, check):
    main = learner.main
    tokenizer = learner.names.Tokenizer([string.ascii_lowercase])
    model = check.run(
        lambda: main.MLP(main.Config(), tokenizer), call="MLP(Config(), tokenizer)",
        mistakes={
            "An attribute is used before it is made: make all five tensors first, then call "
            "requires_grad_().": AttributeError("'MLP' object has no attribute"),
            "V is tokenizer.vocab_size.": AttributeError("'Tokenizer' object has no attribute"),
            "The settings are fields of config, such as config.n_embd.": NameError,
        },
    )  # fmt: skip
    form(check, model, tokenizer)
    for name in ("mlp_bias", "lm_bias"):
        largest = getattr(model, name).detach().abs().max().item()
        check.true(
            largest == 0, f"{name} is not 0: the sums should start without a bias.",
            call=f"MLP(Config(), tokenizer).{name}", came=f"numbers up to {largest:.2g}",
            expected="zeros",
        )  # fmt: skip
    spread(check, model.wte, 1.0, "wte", {
        "All numbers of wte are the same, so all characters look alike to the model: draw them at "
        "random.": (-0.1, 1e-6),
        "wte is small: it should have a spread of 1, as torch.randn has.": (0.001, 0.25),
        "torch.rand draws from 0 to 1: torch.randn has a spread of 1.": (0.28, 0.30),
    })  # fmt: skip
    flat_start = (
        "All numbers of mlp_fc1 are the same, so all neurons stay the same in training: draw them "
        "at random."
    )
    spread(check, model.mlp_fc1, 5 / 3 / 72**0.5, "mlp_fc1", {
        flat_start: (-0.1, 1e-6),
        "The sums inside the tanh are far too large, and it saturates: each of them adds up 72 "
        "products. How much larger than one product is a sum of n of them?": (0.9, 1.8),
        "The gain of 5/3 is missing: without it, the sums have a spread of 1.": (0.113, 0.123),
        "You divide by the number of inputs: a sum of n products is only about sqrt(n) times as "
        "large as one of them.": (0.01, 0.025),
        "Divide by the square root of the number of inputs, T * C, and not of the outputs, H.": (
            0.099, 0.11
        ),
        "Divide by the square root of the number of inputs, which are T * C: C numbers for each "
        "of T tokens.": (0.32, 0.36),
    })  # fmt: skip
    for config in (main.Config(block_size=1, n_embd=16), main.Config(block_size=8, n_embd=50)):
        other, inputs = main.MLP(config, tokenizer), config.block_size * config.n_embd
        spread(check, other.mlp_fc1, 5 / 3 / inputs**0.5, "mlp_fc1", {
            "The factor is the same for every number of inputs: compute it from T * C.": (
                0.177, 0.216
            ),
            flat_start: (-0.1, 1e-6),
        }, f"block_size={config.block_size}, n_embd={config.n_embd}")  # fmt: skip
    first_loss(check, main, model, tokenizer)


def form(check, model, tokenizer):
    """The attributes that __init__ makes, their shapes, and whether they can be trained."""
    shapes = {
        "wte": (27, 24), "mlp_fc1": (72, 256), "mlp_bias": (256,), "lm_head": (256, 27),
        "lm_bias": (27,),
    }  # fmt: skip
    for name in ("block_size", "tokenizer", *shapes):
        check.true(
            hasattr(model, name), f"Your __init__ makes no self.{name}.",
            call=f"MLP(Config(), tokenizer).{name}", came="AttributeError",
        )  # fmt: skip
    check.equal(lambda: model.block_size, (), 3, call="MLP(Config(), tokenizer).block_size")
    check.true(
        model.tokenizer is tokenizer, "self.tokenizer should be the tokenizer that came in.",
        call="MLP(Config(), tokenizer).tokenizer",
    )  # fmt: skip
    for name, shape in shapes.items():
        tensor = getattr(model, name)
        call = f"MLP(Config(), tokenizer).{name}"
        check.true(
            isinstance(tensor, torch.Tensor), f"self.{name} should be a tensor.", call=call,
            came=type(tensor).__name__, expected=f"a tensor of shape {shape}",
        )  # fmt: skip
        check.equal(
            lambda tensor=tensor: tuple(tensor.shape), (), shape, call=f"{call}.shape",
            by="V 27, T 3, C 24, H 256",
            mistakes={
                "The table lies on its side: inputs come first, then outputs.": shape[::-1],
                "mlp_fc1 has weights for one token: it reads T * C numbers, C for each of the T "
                "tokens.": (24, 256),
                "mlp_fc1 should have two dimensions: hidden() makes one long vector of T * C "
                "numbers.": (3, 24, 256),
                "BOS is a token, too: V is tokenizer.vocab_size.": (
                    tuple(26 if n == 27 else n for n in shape)
                ),
                "A bias is a single row: shape (n,).": check.either((1, *shape), (*shape, 1)),
            },
        )  # fmt: skip
        check.true(
            tensor.is_floating_point(), f"self.{name} holds whole numbers: weights are floats.",
            call=f"{call}.dtype", came=str(tensor.dtype), expected="torch.float32",
        )  # fmt: skip
        check.true(
            tensor.requires_grad,
            f"self.{name} gets no gradient: call requires_grad_() on every tensor of "
            "self.parameters().",
            call=f"{call}.requires_grad", came="False", expected="True",
        )  # fmt: skip
        check.true(
            tensor.is_leaf,
            f"self.{name} is the result of a computation that PyTorch would go back through: call "
            "requires_grad_() after the last computation, not before.",
            call=f"{call}.is_leaf", came="False", expected="True",
        )  # fmt: skip


def spread(check, tensor, wanted, name, mistakes, config=""):
    """The standard deviation must be as wanted, to a tenth."""
    check.between(
        lambda: tensor.detach().std().item(), (), 0.9 * wanted, 1.1 * wanted,
        by="a spread of 5/3 inside the tanh" if name == "mlp_fc1" else "",
        call=f"MLP(Config({config}), tokenizer).{name}.std(), its spread", mistakes=mistakes,
    )  # fmt: skip


def first_loss(check, main, model, tokenizer):
    def loss(model):
        xs, ys = torch.randint(27, (4000, model.block_size)), torch.randint(27, (4000,))
        with torch.no_grad():
            return F.cross_entropy(model(xs), ys).item()

    large = {
        "The logits are a little too large: lm_head is divided by the square root of H, but it "
        "should be small besides, such as a tenth of that.": (3.45, 3.7),
        "The logits are too large, because a sum of H products is about sqrt(H) times as large as "
        "one of them: make lm_head smaller.": (3.7, 6.0),
        "The first loss is far above log 27: the untrained model is sure of nonsense. Its logits "
        "are sums of H products, so make lm_head small.": (6.0, 100.0),
    }
    about = "the loss of MLP(Config(), tokenizer) before any training"
    check.between(
        lambda: loss(model), (), 3.26, 3.33, by="log 27 is 3.296", call=about, mistakes=large
    )
    check.true(
        model.lm_head.detach().abs().max() > 0,
        "The first loss is right, but lm_head is all 0, so no gradient gets through it to the "
        "layers below in the first step: make it small and random.",
        call="MLP(Config(), tokenizer).lm_head", came="zeros", expected="small random numbers",
    )  # fmt: skip
    config = main.Config(n_hidden=4096)
    wide = main.MLP(config, tokenizer)
    check.between(
        lambda: loss(wide), (), 3.26, 3.33, by="log 27 is 3.296",
        call="the loss of MLP(Config(n_hidden=4096), tokenizer) before any training",
        mistakes={
            "With more neurons the logits grow: compute the factor of lm_head from H.": (3.33, 9.0)
        },
    )  # fmt: skip


# --- evaluation ---


class Table:
    """A model whose logits depend on the last token of a context only.

    pieces: how many contexts it was given in each call.
    """

    def __init__(self, logits, block_size=2, tokenizer=None):
        self.logits, self.pieces = logits, []
        self.block_size, self.tokenizer = block_size, tokenizer

    def __call__(self, xb):
        self.pieces.append(len(xb))
        return self.logits[xb[:, -1]]

    def parameters(self):
        return [self.logits]


def evaluate(learner, check):
    model = Table(torch.tensor([[0.924, -0.462, 0.0], [5.0, 0.0, 0.0], [0.0, 1.0, 2.0]]))

    def evaluate(xs, ys):
        model.pieces.clear()
        return learner.main.evaluate(model, xs, ys)

    def losses(xs, ys):
        return F.cross_entropy(model.logits.double()[xs[:, -1]], ys, reduction="none")

    def mean(xs, ys):
        return losses(xs, ys).mean().item()

    def twice(xs, ys, first):
        return F.cross_entropy(first(model.logits[xs[:, -1]], dim=1), ys).item()

    general = {
        "You return a tensor: .item() makes a number of it.": (
            lambda xs, ys: torch.tensor(mean(xs, ys))
        ),
        "You divide by the number of tokens in xs: divide by the number of targets.": (
            lambda xs, ys: losses(xs, ys).sum().item() / xs.numel()
        ),
        "Each context has a loss of its own here: return their mean.": check.either(
            lambda xs, ys: losses(xs, ys).float(), lambda xs, ys: losses(xs, ys).tolist()
        ),
        "The sign is wrong: the loss is minus the log-probability, and F.cross_entropy has its "
        "minus already.": lambda xs, ys: -mean(xs, ys),
        "Softmax comes twice: F.cross_entropy takes the logits, and has a softmax of its own.": (
            lambda xs, ys: twice(xs, ys, torch.softmax)
        ),
    }
    check.equal(
        evaluate, (torch.tensor([[1, 0]]), torch.tensor([2])), 1.423, by=LESSON, atol=6e-4,
        call='evaluate(model, xs, ys), for the one context of "By hand"',
        mistakes={
            "This is the probability of the target: take minus its logarithm.": 0.241,
            "Is this the logit of the target, which is 0? F.cross_entropy makes the loss of it. "
            "Or was nothing added up? The only piece has one context: shorter pieces count, too.": (
                0.0
            ),
            "This is the loss times 8,192, but the piece has one context: the last piece is "
            "shorter, so take its own length.": (
                lambda xs, ys: 8192 * mean(xs, ys)
            ),
            **general,
        },
    )  # fmt: skip
    xs, ys = torch.tensor([[0, 0], [2, 1], [0, 1], [1, 2]]), torch.tensor([2, 2, 0, 1])
    call = "evaluate(model, xs, ys), for 4 contexts"
    several = {repr(check.run(evaluate, (xs, ys), call=call)) for _ in range(6)}
    check.true(
        len(several) == 1,
        "The loss changes from call to call: take the whole split, not a batch drawn from it.",
        call=f"{call}, six times", came=", ".join(sorted(several)), expected="one number",
    )  # fmt: skip
    check.equal(
        evaluate, (xs, ys), mean, by=PYTORCH, call="evaluate(model, xs, ys), for 4 contexts",
        mistakes={
            "This is the sum of the losses: divide by the number of contexts.": (
                lambda xs, ys: losses(xs, ys).sum().item()
            ),
            "You divide twice: F.cross_entropy takes a mean unless you say reduction=\"sum\".": (
                lambda xs, ys: mean(xs, ys) / len(xs)
            ),
            **general,
        },
    )  # fmt: skip

    # The last, short piece is the hardest, and N is a prime, so some piece is always short.
    N = 2 * 8192 + 319
    xs = torch.zeros(N, 2, dtype=torch.int64)
    xs[-319:] = 1
    ys = torch.tensor([2]).repeat(N)

    def parts(reduce):
        """For each piece that the model was given, the losses, reduced to one number."""
        return [reduce(piece).item() for piece in losses(xs, ys).split(model.pieces)]

    def whole():
        return sum(model.pieces) == N

    call = "evaluate(model, xs, ys), for 16,703 contexts"
    check.equal(
        evaluate, (xs, ys), mean, by=f"{PYTORCH}; the last 319 are the hard ones", call=call,
        mistakes={
            "The targets have to be cut into the same pieces as the contexts.": (
                check.either(ValueError("batch_size"), IndexError("shape mismatch"))
            ),
            "This is a mean of means, in which the short last piece weighs as much as a long one: "
            "add up all losses and divide once.": (
                lambda xs, ys: sum(parts(torch.mean)) / len(model.pieces) if whole() else None
            ),
            "You divide by the number of pieces: divide by the number of contexts.": (
                lambda xs, ys: sum(parts(torch.sum)) / len(model.pieces) if whole() else None
            ),
            "You add up means and divide by the number of contexts: add up sums.": (
                lambda xs, ys: sum(parts(torch.mean)) / N if whole() else None
            ),
            "These are the means of the pieces, added up: add up all losses and divide once.": (
                lambda xs, ys: sum(parts(torch.mean)) if whole() else None
            ),
            "You divide as if the last piece were full: divide by the number of contexts.": (
                lambda xs, ys: losses(xs, ys).sum().item() / (len(model.pieces) * model.pieces[0])
            ),
            "The short last piece is missing.": check.either(
                lambda xs, ys: losses(xs[: 2 * 8192], ys[: 2 * 8192]).mean().item(),
                lambda xs, ys: losses(xs[: 2 * 8192], ys[: 2 * 8192]).sum().item() / N,
            ),
            "Only the last piece counts: add up the losses of all pieces.": check.either(
                lambda xs, ys: losses(xs[-319:], ys[-319:]).mean().item(),
                lambda xs, ys: losses(xs[-319:], ys[-319:]).sum().item() / N,
            ),
            "Only the first piece counts: is there a return inside the loop?": check.either(
                lambda xs, ys: losses(xs[:8192], ys[:8192]).mean().item(),
                lambda xs, ys: losses(xs[:8192], ys[:8192]).sum().item() / N,
            ),
        },
    )  # fmt: skip
    largest = max(model.pieces, default=0)
    check.true(
        0 < largest <= 8192,
        "The result is right, but this many contexts at once need too much memory with a large "
        "model: cut the split into pieces.",
        call=call, came=f"a batch of {largest:,} contexts", expected="at most 8,192 at a time",
    )  # fmt: skip


# --- training ---


def train(learner, check):
    """First on contexts that are all the same, so that every batch is; then on a few names."""
    main = learner.main
    start = torch.tensor([[0.0, 0.0, 0.0], [1.0, -1.0, 0.5], [0.0, 0.0, 0.0]])
    xs, ys = torch.tensor([[0, 1]] * 6), torch.tensor([2] * 6)
    settings = {"learning_rate": 0.5, "weight_decay": 0.2, "batch_size": 4}
    call = "train(config, model, data)"
    model = Table(start)

    added = []  # what came to log.add

    class Log(main.common.Log):
        def add(self, loss):
            added.append(loss)
            super().add(loss)

    def after(steps):
        """Row 1 of the logits after some steps, and the log."""
        model.logits = start.clone().requires_grad_()
        data = {"train": (xs, ys), "val": (xs, ys)}
        with patch.object(main.common, "Log", Log):
            log = main.train(main.Config(steps=steps, **settings), model, data)
        return model.logits.detach()[1], log

    row, log = check.run(
        after, (3,), call=call,
        mistakes={
            "config cannot be changed, and the optimizer does not look there: its rate is in "
            "optimizer.param_groups[0].": AttributeError("cannot assign to field"),
            "batch holds places in xs and ys: xs[batch] picks the contexts.": (
                check.either(IndexError("too many indices"), TypeError("unhashable"))
            ),
            "param_groups is a list of dicts: the first is param_groups[0].": (
                TypeError("list indices must be integers")
            ),
            "backward() needs a loss that depends on the model: leave out .item() until then.": (
                AttributeError("'float' object has no attribute 'backward'")
            ),
            "F.cross_entropy takes the logits first, then the targets of the same batch.": (
                check.either(
                    RuntimeError("Expected floating point type for target"),
                    RuntimeError("expected scalar type"), ValueError("batch_size"),
                )
            ),
        },
    )  # fmt: skip
    check.true(
        log is not None, "It returns nothing: leave the line return log at the end.",
        call=call, came="None", expected="the log",
    )  # fmt: skip
    if torch.equal(row, start[1]):
        no_gradient = model.logits.grad is None
        check.true(
            False,
            "No gradient reached the optimizer: call loss.backward(), and clear the gradients "
            "before it and not after it." if no_gradient else
            "The gradients are there, but nothing moved: optimizer.step() makes the update.",
            call=f"{call} for 3 steps", came="no weight changed", expected="changed weights",
        )  # fmt: skip

    def slow(**wrong):
        return lambda steps: adamw(start[1], steps, **wrong)

    mistakes = {
        "The gradients of all steps add up: call optimizer.zero_grad() before backward().": (
            slow(clear=False)
        ),
        "Two things: the gradients of all steps add up, so call optimizer.zero_grad() before "
        "backward(); and the learning rate stays the same, but should fall in a straight line.": (
            slow(clear=False, rate=lambda share: 0.5)
        ),
        "The learning rate stays the same: let it fall in a straight line to 0. The optimizer "
        "looks for it in param_groups[0][\"lr\"].": slow(rate=lambda share: 0.5),
        "The learning rate rises: it starts at config.learning_rate and falls to 0.": (
            slow(rate=lambda share: 0.5 * share)
        ),
        "The learning rate is a step ahead: in step 0 it is config.learning_rate.": (
            lambda steps: adamw(start[1], steps, rate=lambda share: 0.5 * (1 - share - 1 / steps))
        ),
        "The learning rate is a step late: set it before optimizer.step().": (
            lambda steps: adamw(
                start[1], steps, rate=lambda share: 0.5 * (1 - max(0.0, share - 1 / steps))
            )
        ),
        "The learning rate is multiplied again in every step, so it falls faster and faster: "
        "compute it from config.learning_rate.": (
            lambda steps: adamw(
                start[1], steps,
                rate=lambda share: 0.5 * math.prod(
                    1 - i / steps for i in range(round(share * steps) + 1)
                ),
            )
        ),
        "The learning rate does not start at config.learning_rate: multiply it by the share of "
        "the steps that is left.": slow(rate=lambda share: 1 - share),
        "This is plain gradient descent: let optimizer.step() make the update.": check.either(
            slow(plain=True), slow(plain=True, rate=lambda share: 0.5)
        ),
        "There is no weight decay: use the optimizer that is there already.": slow(decay=0.0),
        "A new optimizer in every step forgets its running means: use the one that is there "
        "already.": check.either(
            slow(fresh=True), slow(fresh=True, decay=0.01), slow(fresh=True, decay=0.0)
        ),
        "The weights move twice in a step: draw one batch, and make one update.": (
            check.either(slow(updates=2), slow(steps_each=2))
        ),
        "The loss goes up: backward() belongs to the loss, without a minus.": slow(sign=-1),
        "Softmax comes twice: F.cross_entropy takes the logits, and has a softmax of its own.": (
            slow(softmax_twice=True)
        ),
    }
    for steps in (3, 10):
        check.equal(
            lambda steps: after(steps)[0], (steps,), slow(), mistakes=mistakes,
            by="by the lesson's formulas: every target is 2, and the rate falls from 0.5",
            call=f"{call} for {steps} steps, then the logits after token 1",
        )  # fmt: skip
    check.true(
        log.curve[-1][1] is not None, "The log has no batch loss: call log.add(loss.item()).",
        call=f"{call}, then log.curve", came="no loss", expected="a loss in each row",
    )  # fmt: skip
    check.true(
        not any(isinstance(loss, torch.Tensor) and loss.requires_grad for loss in added),
        "The log keeps this tensor, and with it the whole computation of the step in memory: "
        "loss.item() is the number alone.",
        call=f"{call}, then what log.add got", came="a tensor with a gradient", expected="a number",
    )  # fmt: skip
    batches(main, check, call)
    check.between(
        lambda: loss_after_training(learner), (), 1.6, 2.2,
        by="a table of pairs counted on these names has 2.319",
        call="the loss after training on 294 names",
        mistakes={
            "x and y of a batch are torn apart: draw places once, and take the same ones of xs "
            "and ys.": (2.6, 3.0),
            "The loss is that of a uniform guess: nothing was learned.": (3.1, 3.4),
        },
    )  # fmt: skip


def adamw(
    row, steps, rate=lambda share: 0.5 * (1 - share), decay=0.2, clear=True, fresh=False,
    plain=False, updates=1, steps_each=1, sign=1, softmax_twice=False,
):  # fmt: skip
    """AdamW on a row of logits towards token 2, by the lesson's formulas, with the gradient p - y.

    rate: the learning rate as a function of the share of the steps that is over. The rest are
    mistakes: gradients that add up, a new optimizer in each step, no AdamW, several updates in a
    step, with a new gradient or the same, the wrong sign, the loss of the softmax of a softmax.
    """
    w, g = row.double(), 0.0
    m = v = torch.zeros(3, dtype=torch.float64)
    t = 0
    for step in range(steps):
        for _ in range(updates):
            new = sign * (w.softmax(dim=0) - torch.tensor([0.0, 0.0, 1.0]))
            if softmax_twice:
                p = w.softmax(dim=0)
                outer = p.softmax(dim=0) - torch.tensor([0.0, 0.0, 1.0])
                new = p * (outer - (p * outer).sum())  # the chain rule through the inner softmax
            g = new if clear else g + new
            if plain:
                w = w - rate(step / steps) * g
                continue
            if fresh:
                m, v, t = 0 * m, 0 * v, 0
            for _ in range(steps_each):
                t += 1
                m = 0.9 * m + 0.1 * g
                v = 0.999 * v + 0.001 * g**2
                m_hat, v_hat = m / (1 - 0.9**t), v / (1 - 0.999**t)
                w = w - rate(step / steps) * (m_hat / (v_hat.sqrt() + 1e-8) + decay * w)
    return w.float()


def batches(main, check, call):
    """Every context must have a chance: each of 40 contexts ends with another token."""
    xs = torch.arange(40)[:, None]
    ys = (torch.arange(40) + 1) % 40

    def rows_read(steps):
        model = Table(torch.zeros(40, 40, requires_grad=True), block_size=1)
        config = main.Config(steps=steps, learning_rate=0.1, batch_size=8)
        main.train(config, model, {"train": (xs, ys), "val": (xs, ys)})
        return model.logits.detach().ne(0).any(dim=1).sum().item()

    check.between(
        rows_read, (100,), 35, 40, by="8 of 40 contexts in each of 100 steps",
        call=f"{call} for 100 steps, then the number of tokens whose logits changed",
        mistakes={
            "Only the first contexts are used, in every step: draw them at random.": (8, 8),
            "The same contexts are used in every step: draw them inside the loop.": (5, 12),
        },
    )  # fmt: skip
    check.between(
        rows_read, (1,), 1, 8, by="config.batch_size is 8",
        call=f"{call} for 1 step, then the number of tokens whose logits changed",
        mistakes={"A step uses all contexts: draw config.batch_size of them.": (40, 40)},
    )  # fmt: skip


def loss_after_training(learner):
    """Train for a second on every hundredth name, and compute the loss on the same names."""
    docs = (DATA / "names.txt").read_text(encoding="utf-8").split()[::100]
    tokenizer = learner.names.Tokenizer(docs)
    xs, ys = one_by_one(docs, tokenizer, 3)
    config = learner.main.Config(steps=200, batch_size=256, n_hidden=64)
    model = learner.main.MLP(config, tokenizer)
    learner.main.train(config, model, {"train": (xs, ys), "val": (xs[:100], ys[:100])})
    with torch.no_grad():
        return F.cross_entropy(model(xs), ys).item()


# --- samples ---


class Lookup:
    """A model that reads two tokens and finds its logits in a dict {context: {token: logit}}.

    A token that is not given has the logit -1000, and after an unknown context comes BOS.
    """

    def __init__(self, tokenizer, logits):
        self.block_size, self.tokenizer = 2, tokenizer
        self.rows = {}
        for context, given in logits.items():
            row = [-1000.0] * tokenizer.vocab_size
            for token, logit in given.items():
                row[token] = logit
            self.rows[context] = row

    def __call__(self, xb):
        if xb.dim() != 2 or xb.shape[1] != 2:
            shape = tuple(xb.shape)
            raise ValueError(f"this model reads contexts of shape (B, 2), and {shape} came")
        end = [-1000.0] * (self.tokenizer.vocab_size - 1) + [0.0]
        return torch.tensor([self.rows.get(tuple(context), end) for context in xb.tolist()])


def sample(learner, check):
    main, Tokenizer = learner.main, learner.names.Tokenizer
    sample = main.sample
    # a is 0, b is 1, c is 2, BOS is 3
    follows = {(3, 3): 1, (3, 1): 2, (1, 2): 0, (2, 0): 3, (0, 0): 2, (1, 1): 0, (3, 0): 0}
    model = Lookup(Tokenizer(["abc"]), {xs: {y: 1000.0} for xs, y in follows.items()})
    turned = (
        "After BOS, b the model was asked about b, BOS: the latest token comes last, and BOS fills "
        "up the left."
    )
    names, chances = [], []  # what sample returned, and what it gave to torch.multinomial
    multinomial = torch.multinomial

    def noted(probs, *args, **more):
        chances.append(probs)
        return multinomial(probs, *args, **more)

    def drawn():
        with patch.object(torch, "multinomial", noted):
            names.append(sample(model))
        return names[-1]

    check.equal(
        drawn, (), "bca",
        call="sample(model), where b follows BOS BOS, c follows BOS b, a follows b c, BOS follows "
        "c a", by="the only name that this model allows",
        mistakes={
            turned: "b",
            "The context is filled up with 0, which is a letter: fill it up with BOS.": (
                check.either("c", "aac")
            ),
            "The model is always asked about the first tokens: ask it about the last ones.": (
                "b" * 100
            ),
            "The context is longer than block_size: show the model only the last "
            "model.block_size tokens.": check.either(
                *(ValueError(f"and (1, {n}) came") for n in (3, 4, 5, 101))
            ),
            "The context is shorter than block_size: fill it up with BOS on the left.": (
                check.either(ValueError("and (1, 0) came"), ValueError("and (1, 1) came"))
            ),
            "The model reads a batch of contexts, of shape (B, T): put the context into one more "
            "pair of brackets.": check.either(
                *(ValueError(f"and ({n},) came") for n in (0, 1, 2, 3))
            ),
            "The model reads a tensor: torch.tensor(...) makes one of a list.": (
                AttributeError("'list' object")
            ),
            "It returns tokens: model.tokenizer.decode(tokens) makes a text of them.": [1, 2, 0],
            "It returns tokens with BOS: leave BOS out, and decode the others.": (
                check.either([3, 3, 1, 2, 0, 3], [1, 2, 0, 3])
            ),
            "PyTorch drew a tensor: .item() makes a number of it.": (
                check.either(LookupError("tensor"), TypeError("Tensor"))
            ),
            "BOS is not a letter: leave it out of what you decode.": KeyError,
            "The first letter is missing.": "ca",
            "The last letter is missing.": "bc",
            "The name is empty: it ends when BOS is drawn, not when it begins.": "",
            "torch.multinomial needs probabilities: take softmax of the logits.": (
                RuntimeError("probability tensor contains")
            ),
            "block_size and tokenizer belong to the model.": NameError,
            "All tokens have the same chance. The logits have the shape (1, V), and softmax has to "
            "run along the row: dim=1.": (
                lambda: names[-1] if chances and all(p.min() == p.max() for p in chances) else ...
            ),
        },
    )  # fmt: skip
    endless = Lookup(
        Tokenizer(["a"]), {(1, 1): {0: 0.0}, (1, 0): {0: 0.0}, (0, 0): {0: 0.0}}
    )  # fmt: skip
    check.equal(
        lambda: sample(endless, longest=7), (), "a" * 7,
        call="sample(model, longest=7), where a always comes next", by="cut after 7 characters",
        mistakes={
            "The name is too short: the BOS in the first context are no characters.": (
                check.either("a" * 5, "a" * 6)
            ),
            "The name is too long.": check.either("a" * 8, "a" * 9),
            "longest is ignored: 100 is only its default.": check.either("a" * 100, "a" * 98),
        },
    )  # fmt: skip
    single = Lookup(
        Tokenizer(["a"]), {(1, 1): {0: 0.0}, (1, 0): {0: math.log(3), 1: 0.0}, (0, 0): {1: 0.0}}
    )  # fmt: skip

    def share_of_single(temperature, count=600):
        """How many of the drawn names are "a", if a follows a with exp(log 3 / temperature)."""
        drawn = [sample(single, temperature=temperature) for _ in range(count)]
        return drawn.count("a") / count

    a_follows = 'the share of "a" in 600 names; after a, the logits are log 3 for a and 0 for BOS'
    check.between(
        lambda: share_of_single(1.0), (), 0.18, 0.32, by="1/4", call=a_follows,
        mistakes={
            "It always takes the likeliest character: draw, as torch.multinomial does.": (0, 0),
            "Both get 1/2: do the logits go through softmax and into the draw?": (0.44, 0.56),
        },
    )  # fmt: skip
    ignored = "The temperature has no effect: divide the logits by it, before softmax."
    check.between(
        lambda: share_of_single(0.5), (), 0.05, 0.15, by="1/10: exp(log 3 / 0.5) is 9",
        call=f"temperature 0.5: {a_follows}",
        mistakes={
            ignored: (0.19, 0.31),
            "The logits are multiplied by the temperature: divide them by it.": (0.311, 0.43),
        },
    )  # fmt: skip
    check.between(
        lambda: share_of_single(2.0), (), 0.30, 0.44, by="0.366: exp(log 3 / 2) is 1.73",
        call=f"temperature 2: {a_follows}",
        mistakes={ignored: (0.19, 0.299)},
    )  # fmt: skip


# --- for other programs ---


def log_probs(learner, check):
    main, tokenizer = learner.main, learner.names.Tokenizer(["ab"])
    logits = torch.tensor([[2.0, 1.0, 0.0], [0.0, 5.0, 0.0], [1.0, 1.0, 3.0]])
    model = Lookup(
        tokenizer, {(x, y): dict(enumerate((logits[x] - 2 * logits[y]).tolist()))
                    for x in range(3) for y in range(3)}
    )  # fmt: skip

    def batch(*contexts):
        return model(torch.tensor(contexts)).double()

    right = batch((2, 2), (2, 0), (0, 1))
    check.equal(
        lambda text: main.log_probs(model, text), ("ab",), right.log_softmax(dim=1).tolist(),
        call='log_probs(model, "ab"), for a model that reads two tokens',
        by="after BOS BOS, after BOS a, after a b",
        mistakes={
            "You return a tensor: .tolist() makes lists of it.": right.log_softmax(dim=1).float(),
            "These are the logits: take log_softmax of each row.": right.tolist(),
            "These are probabilities: take log_softmax.": right.softmax(dim=1).tolist(),
            "The sign is wrong: logarithms of probabilities are below 0. Minus belongs to the "
            "loss.": (-right.log_softmax(dim=1)).tolist(),
            "The logits have the wrong sign, so the likely tokens have become the unlikely ones: "
            "leave out the minus before log_softmax.": (-right).log_softmax(dim=1).tolist(),
            "The softmax runs down the columns: dim=1 works along each row.": (
                right.log_softmax(dim=0).tolist()
            ),
            "The row for the end of the text is missing: what comes after b?": (
                right[:2].log_softmax(dim=1).tolist()
            ),
            "The first row is missing: what comes after BOS?": (
                right[1:].log_softmax(dim=1).tolist()
            ),
            "There is only the number of the token that came: a row has V of them.": (
                right.log_softmax(dim=1)[[0, 1, 2], [0, 1, 2]].tolist()
            ),
            "contexts takes a list of documents. Given a text, it takes every letter for a "
            "document of its own.": (
                batch((2, 2), (2, 0), (2, 2), (2, 1)).log_softmax(dim=1).tolist()
            ),
            "contexts returns two tensors, and the model reads the first.": (
                check.either(AttributeError("'tuple' object"), TypeError("tuple"))
            ),
            "The whole text came as one context. The model reads block_size tokens at a time: "
            "which of your functions cuts a text into contexts?": (
                check.either(ValueError("(1, 4) came"), ValueError("(1, 2, 3) came"))
            ),
        },
    )  # fmt: skip
    mlp = random_model(learner, V=3)
    xs, _ = one_by_one(["abba"], tokenizer, 3)
    check.equal(
        lambda text: main.log_probs(mlp, text), ("abba",),
        (slow_hidden(mlp, xs) @ mlp.lm_head + mlp.lm_bias).double().log_softmax(dim=1).tolist(),
        call='log_probs(model, "abba"), for an MLP with random weights', by="a neuron at a time",
        rtol=1e-3, atol=1e-5,
    )  # fmt: skip
    check.equal(
        lambda text: main.log_probs(model, text), ("",),
        batch((2, 2)).log_softmax(dim=1).tolist(), call='log_probs(model, "")',
        by="an empty text has an end, too",
    )  # fmt: skip
