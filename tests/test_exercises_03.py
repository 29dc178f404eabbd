"""The checks of stage 03's exercises: right solutions pass, and each mistake has its own words."""

import pytest

from exercise_cases import Judge
from learn.run_checks import run_checks
from learn.source import function_text

STAGE = "03_bigram_learned"


@pytest.fixture
def judge(tmp_path):
    return Judge(STAGE, tmp_path)


NAMES = Judge.names(STAGE)


@pytest.mark.parametrize("name", NAMES)
def test_the_reference_passes(judge, name):
    assert judge.words(name) == ""


@pytest.mark.parametrize("name", NAMES)
def test_a_blank_is_not_yet_written(judge, name):
    judge.blank_all()
    assert "is not written yet" in judge.words(name)


# --- known mistakes: (exercise, a text in the right solution, what is there instead, the words) ---

MUTANTS = [
    ("pairs", "return xs, ys", "return ys, xs", "swapped"),
    ("pairs", "for token in doc[:-1]", "for token in doc[:-2]", "the shape"),
    ("pairs", "for token in doc[:-1]", "for token in doc", "xs has one token too many"),
    ("pairs", "for token in doc[1:]", "for token in doc", "ys has one token too many"),
    ("pairs", "tokens = [tokenizer.encode(doc) for", "tokens = [tokenizer.encode(doc)[:-1] for",
     "The last pair is missing"),
    ("pairs", "tokens = [tokenizer.encode(doc) for", "tokens = [tokenizer.encode(doc)[1:] for",
     "The first pair is missing"),
    ("pairs", "tokens = [tokenizer.encode(doc) for", "tokens = [tokenizer.encode(doc)[1:-1] for",
     "Both ends are missing"),
    ("pairs", "for token in doc[1:]", "for token in doc[:-1]", "the same tokens"),
    ("pairs", "return xs, ys", "return xs.tolist(), ys.tolist()", "torch.tensor(...) makes"),
    ("pairs", "return xs, ys", "return torch.stack([xs, ys], dim=1)", "return two tensors"),
    ("pairs", "for doc in docs]", "for doc in docs[:1]]", "Only the first document"),
    ("pairs", "for doc in docs]", "for doc in docs[-1:]]", "Only the last document"),
    ("pairs", "for doc in docs]", "for doc in docs]; tokens = [sum(tokens, [])]",
     "connects two documents"),
    ("pairs", "return xs, ys", "return xs[None], ys[None]", "a row for each document"),
    ("pairs", "return xs, ys", "return xs.float(), ys", "should hold whole numbers"),
    ("pairs", "return xs, ys", "return torch.Tensor(xs.tolist()), torch.Tensor(ys.tolist())",
     "with a capital T"),
    ("pairs", "return xs, ys", "return xs.numpy(), ys.numpy()", "arrays of NumPy"),
    ("pairs", "return xs, ys", "return torch.stack([xs, ys])", "one tensor with two rows"),
    ("pairs", "return xs, ys", "return [xs], [ys]", "a list of tensors"),
    ("pairs", "tokens = [tokenizer.encode(doc) for doc in docs]",
     "tokens = [[2, *tokenizer.encode(doc), 2] for doc in docs]", "one BOS too many"),
    ("pairs", "xs = torch.tensor([token for doc in tokens for token in doc[:-1]])",
     "xs = torch.tensor([doc[i + 1] for doc in tokens for i in range(len(doc))])",
     "stop one place earlier"),
    ("pairs", "return xs, ys", "return list(docs[0][:-1]), list(docs[0][1:])", "These are letters"),
    ("pairs", "return xs, ys", "print(xs, ys)", "print instead of return"),
    ("forward", "onehot @ W", "onehot", "These are the one-hot rows"),
    ("forward", "onehot @ W", "onehot @ W.T", "These are columns of W"),
    ("forward", "onehot @ W", "W.T @ onehot.T", "lies on its side"),
    ("forward", "onehot @ W", "W[:, xs]", "lies on its side"),
    ("forward", ".float()", "", "whole numbers and W holds floats"),
    ("forward", "F.one_hot(xs, len(W))", "F.one_hot(xs)", "fewer columns"),
    ("forward", "F.one_hot(xs, len(W))", "F.one_hot(xs, 27)", "which is not always 27"),
    ("forward", "onehot @ W", "W @ onehot", "The other way round"),
    ("forward", "onehot @ W", "onehot * W", "the matrix product is @"),
    ("forward", "onehot @ W", "(onehot @ W).softmax(dim=1)", "These are probabilities"),
    ("forward", "onehot @ W", "onehot @ W.data", "No gradient reaches W"),
    ("log-softmax", "exp().sum(dim=1", "exp().sum(dim=0", "The softmax runs over the wrong axis"),
    ("log-softmax", "    logits = logits - logits.max(dim=1, keepdim=True).values\n", "",
     "became inf"),
    ("log-softmax", "logits.max(dim=1, keepdim=True).values", "logits.max()",
     "the largest logit of the whole table"),
    ("log-softmax", "exp().sum(dim=1, keepdim=True)", "exp().sum()", "of the whole table adds up"),
    ("log-softmax", "exp().sum(dim=1, keepdim=True)", "exp().sum(dim=1)", "keepdim=True"),
    ("log-softmax", "max(dim=1, keepdim=True).values", "max(dim=1, keepdim=True)", "take .values"),
    ("log-softmax", "max(dim=1, keepdim=True)", "max(dim=1)", "A maximum of shape (N,)"),
    ("log-softmax", "sum(dim=1, keepdim=True).log()", "sum(dim=1, keepdim=True)",
     "subtract its logarithm"),
    ("log-softmax", "return logits - logits.exp().sum(dim=1, keepdim=True).log()",
     "return (logits.exp() / logits.exp().sum(dim=1, keepdim=True)).log()", "rounds to 0"),
    ("log-softmax", "return logits - logits.exp().sum(dim=1, keepdim=True).log()",
     "return logits.exp() / logits.exp().sum(dim=1, keepdim=True)", "These are probabilities"),
    ("log-softmax", "return logits - logits.exp()", "return -logits + logits.exp()",
     "The sign is wrong"),
    ("log-softmax", "return logits - logits.exp().sum(dim=1, keepdim=True).log()", "return logits",
     "The logarithm of the sum is missing"),
    ("log-softmax", "    logits = logits - logits.max(dim=1, keepdim=True).values\n"
     "    return logits - logits.exp()",
     "    top = logits.max(dim=1, keepdim=True).values\n    return logits - (logits - top).exp()",
     "use the result in both places"),
    ("log-softmax", "return logits - logits.exp().sum(dim=1, keepdim=True).log()",
     "return logits / logits.exp().sum(dim=1, keepdim=True)", "of a quotient is a difference"),
    ("log-softmax", "    logits = logits - logits.max", "    logits -= logits.max",
     "changes what it was given"),
    ("log-softmax", "    return logits - ", "    return logits.log_softmax(dim=1)\n    return ",
     "does the whole exercise"),
    ("softmax", "log_softmax(logits).exp()", "log_softmax(logits)", "These are the logarithms"),
    ("softmax", "log_softmax(logits).exp()",
     "log_softmax(logits) / log_softmax(logits).sum(dim=1, keepdim=True)", "divided by their sum"),
    ("softmax", "log_softmax(logits).exp()", "1 / (1 + (-logits).exp())", "at one logit alone"),
    ("softmax", "return log_softmax(logits).exp()",
     "import math\n    return math.exp(log_softmax(logits))", "a tensor has a method exp()"),
    ("softmax", "log_softmax(logits).exp()", "logits.exp()", "divide by the sum of the row"),
    ("softmax", "log_softmax(logits).exp()", "logits / logits.sum(dim=1, keepdim=True)",
     "take exp first"),
    ("softmax", "log_softmax(logits).exp()", "log_softmax(logits.T).T.exp()",
     "The softmax runs over the wrong axis"),
    ("softmax", "log_softmax(logits).exp()", "logits.exp() / logits.exp().sum(dim=1)",
     "keepdim=True"),
    ("softmax", "log_softmax(logits).exp()", "logits.exp() / logits.exp().sum()",
     "The whole table adds up to 1"),
    ("softmax", "log_softmax(logits).exp()",
     "logits.exp() / logits.exp().sum(dim=1, keepdim=True)", "more than a float holds"),
    ("softmax", "log_softmax(logits).exp()", "F.softmax(logits, dim=1)",
     "The library's softmax does the whole"),
    ("cross-entropy", "-log_softmax", "log_softmax", "The minus is missing"),
    ("cross-entropy", ".mean()", ".sum()", "the sum over the rows"),
    ("cross-entropy", ".mean()", "", "take the mean over the rows"),
    ("cross-entropy", ".mean()", ".mean().item()", "leave out .item()"),
    ("cross-entropy", ".mean()", ".mean().detach()", "backward() cannot go through"),
    ("cross-entropy", "torch.arange(len(ys)), ys", ":, ys", "picks all those columns"),
    ("cross-entropy", "torch.arange(len(ys)), ys", "ys, ys", "the column in row i"),
    ("cross-entropy", "log_softmax(logits)[torch.arange(len(ys)), ys].mean()",
     "(log_softmax(logits) * F.one_hot(ys)).sum() / len(ys)", "as many columns as it needs"),
    ("cross-entropy", "[torch.arange(len(ys)), ys]", "", "over all letters"),
    ("cross-entropy", "-log_softmax(logits)", "-softmax(logits)", "minus the probability"),
    ("cross-entropy", "-log_softmax(logits)", "-softmax(logits).log()", "rounds to 0"),
    ("cross-entropy", "-log_softmax(logits)", "-logits", "minus the logit"),
    ("cross-entropy", "-log_softmax(logits)", "-log_softmax(softmax(logits))", "taken twice"),
    ("cross-entropy", ".mean()", ".mean() / 0.6931471805599453", "in bits"),
    ("cross-entropy", "-log_softmax(logits)[torch.arange(len(ys)), ys].mean()",
     "-softmax(logits)[torch.arange(len(ys)), ys].mean().log()", "first, then the mean"),
    ("cross-entropy", ".mean()", ".sum() / logits.numel()", "You divide by N * V"),
    ("logits-gradient", "softmax(logits) - F.one_hot(ys, logits.shape[1])",
     "F.one_hot(ys, logits.shape[1]) - softmax(logits)", "The sign is wrong"),
    ("logits-gradient", " / len(ys)", "", "divide by N"),
    ("logits-gradient", "(softmax(logits) - F.one_hot(ys, logits.shape[1]))",
     "softmax(logits) - F.one_hot(ys, logits.shape[1])", "Only y is divided by N"),
    ("logits-gradient", "return (softmax(logits) - F.one_hot(ys, logits.shape[1])) / len(ys)",
     "p = softmax(logits)\n    p[ys] -= 1\n    return p / len(ys)", "[ys] picks rows"),
    ("logits-gradient", "return (softmax(logits) - F.one_hot(ys, logits.shape[1])) / len(ys)",
     "p = softmax(logits)\n    p[:, ys] -= 1\n    return p / len(ys)", "[:, ys] picks those"),
    ("logits-gradient", "F.one_hot(ys, logits.shape[1])", "F.one_hot(ys)", "as it needs"),
    ("logits-gradient", "return (softmax(logits) - F.one_hot(ys, logits.shape[1])) / len(ys)",
     "z = logits.clone().requires_grad_()\n    cross_entropy(z, ys).backward()\n    return z.grad",
     "does the whole exercise"),
    ("logits-gradient", " - F.one_hot(ys, logits.shape[1])", "", "This is p"),
    ("logits-gradient", "(softmax(logits) - F.one_hot(ys, logits.shape[1]))",
     "(softmax(logits) - 1) * F.one_hot(ys, logits.shape[1])", "the logits of all others"),
    ("logits-gradient", "/ len(ys)", "/ logits.numel()", "by the number of logits"),
    ("logits-gradient", "/ len(ys)", "/ logits.shape[1]",
     "by the number of logits"),
    ("logits-gradient", "softmax(logits) - ", "logits - ", "make probabilities of the logits"),
    ("logits-gradient", "softmax(logits) - ", "log_softmax(logits) - ", "probabilities minus y"),
    ("logits-gradient", "(softmax(logits) - F.one_hot(ys, logits.shape[1]))",
     "(softmax(logits) - 1)",
     "1 was subtracted everywhere"),
    ("train", "W.data -= learning_rate", "W.data += learning_rate", "The loss goes up"),
    ("train", "        W.grad = None\n", "", "The gradients of all steps add up"),
    ("train", "* (1 - step / config.steps)", "", "The learning rate stays the same"),
    ("train", "(1 - step / config.steps)", "step / config.steps", "The learning rate rises"),
    ("train", "(1 - step / config.steps)", "(1 - (step + 1) / config.steps)", "a step ahead"),
    ("train", "W.data -= learning_rate * W.grad", "W = (W - learning_rate * W.grad).detach()"
     ".requires_grad_()", "W did not change"),
    ("train", "W.data -= learning_rate * W.grad", "W -= learning_rate * W.grad", "leaf"),
    ("train", "        loss.backward()\n", "", "Is backward() called"),
    ("train", "        log.add(loss.item())\n", "", "The log has no batch loss"),
    ("train", "torch.randint(len(xs), (config.batch_size,))", "slice(config.batch_size)",
     "Only the first pairs"),
    ("train", "torch.randint(len(xs), (config.batch_size,))", "slice(None)",
     "A step uses all pairs"),
    ("train", "(1 - step / config.steps)", "0.9**step", "The first step is right"),
    ("train", "(1 - step / config.steps)", "(1 - 0.9 * step / config.steps)", "as in stage 01"),
    ("train", "cross_entropy(forward(W, xs[batch]), ys[batch])",
     "evaluate(W, xs[batch], ys[batch])", "The loss is a plain number"),
    ("train", "(config.batch_size,)", "config.batch_size", "with a comma"),
    ("train", "log.add(loss.item())", "log.add(loss)", "log.add takes a plain number"),
    ("train", "        W.grad = None\n        loss.backward()\n",
     "        loss.backward()\n        W.grad = None\n", "cleared before it and not after"),
    ("train", "config.learning_rate * (1 - step / config.steps)",
     "config.learning_rate - step / config.steps", "multiply it by the share that is left"),
    ("train", "W.grad = None", "W.grad.zero_()", "W.grad = None clears it in any case"),
    ("train", "W.data -= learning_rate * W.grad", "W = W - learning_rate * W.grad",
     "W = W - ... makes another tensor"),
    ("train", "forward(W, xs[batch])", "forward(W, batch)", "These are not tokens"),
    ("train", "W.data -= learning_rate * W.grad\n", "W.data -= learning_rate * W.grad\n"
     "        loss = cross_entropy(forward(W, xs[batch]), ys[batch])\n        W.grad = None\n"
     "        loss.backward()\n        W.data -= learning_rate * W.grad\n", "more than once"),
    ("train", "        W.grad = None\n        loss.backward()\n\n"
     "        learning_rate = config.learning_rate * (1 - step / config.steps)",
     "        loss.backward()\n        learning_rate = config.learning_rate", "Two things"),
    ("train", "ys[batch])", "ys[torch.randint(len(xs), (config.batch_size,))])", "torn apart"),
    ("sample", "tokens = [BOS]", "tokens = [0]", "was not drawn: begin at BOS"),
    ("sample", "torch.tensor(tokens[-1:])", "torch.tensor(tokens[-1])", "with brackets"),
    ("sample", ", 1).item())", ", 1))", ".item() makes a number of it"),
    ("sample", "softmax(logits / temperature)", "logits / temperature", "takes probabilities"),
    ("sample", "logits / temperature", "logits * temperature", "multiplied by the temperature"),
    ("sample", "logits / temperature", "logits", "The temperature has no effect"),
    ("sample", "torch.multinomial(softmax(logits / temperature), 1)",
     "softmax(logits / temperature).argmax()", "always takes the likeliest"),
    ("sample", "tokens[-1:]", "tokens[:1]", "Every letter comes from the row of BOS"),
    ("sample", "torch.tensor(tokens[-1:])", "torch.tensor(tokens)", "the latest token only"),
    ("sample", "len(tokens) <= longest", "len(tokens) < longest", "One character too few"),
    ("sample", "len(tokens) <= longest", "len(tokens) <= longest + 1", "One character too many"),
    ("sample", "len(tokens) <= longest", "len(tokens) <= 100", "longest is ignored"),
    ("sample", "token for token in tokens if token != BOS", "tokens", "BOS is not a letter"),
    ("sample", "model.tokenizer.decode(token for token in tokens if token != BOS)",
     "[token for token in tokens if token != BOS]", "It returns tokens"),
    ("sample", "(token for token in tokens if token != BOS)", "(tokens[2:-1])",
     "The first letter is missing"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "old", "new", "words"), MUTANTS)
def test_a_known_mistake_has_its_own_words(judge, name, old, new, words):
    judge.change(name, old, new)
    assert words in judge.words(name)


# --- right solutions, written differently ---

SOLUTIONS = [
    ("pairs", """
def pairs(documents, tok):
    first, second = [], []
    for d in documents:
        ids = tok.encode(d)
        for a, b in zip(ids, ids[1:]):
            first.append(a)
            second.append(b)
    return torch.tensor(first), torch.tensor(second)
"""),
    ("pairs", """
def pairs(docs, tokenizer):
    def of(doc):
        ids = torch.tensor(tokenizer.encode(doc))
        return torch.stack([ids[:-1], ids[1:]])
    return tuple(torch.cat([of(doc) for doc in docs], dim=1))
"""),
    ("pairs", """
def pairs(docs, tokenizer):
    if len(docs) == 1:
        ids = torch.tensor(tokenizer.encode(docs[0]))
        return [ids[:-1], ids[1:]]
    xs, ys = pairs(docs[:1], tokenizer)
    more_xs, more_ys = pairs(docs[1:], tokenizer)
    return [torch.cat([xs, more_xs]), torch.cat([ys, more_ys])]
"""),
    ("forward", "def forward(W, xs):\n    return W[xs]"),
    ("forward", "def forward(table, tokens):\n    return torch.eye(len(table))[tokens] @ table"),
    ("forward", "def forward(W, xs):\n    return torch.stack([W[x] for x in xs])"),
    ("log-softmax", """
def log_softmax(logits):
    biggest, _ = torch.max(logits, 1, True)
    return logits - biggest - torch.log(torch.sum(torch.exp(logits - biggest), 1, True))
"""),
    ("log-softmax", """
def log_softmax(z):
    def row(r):
        r = r - max(r)
        return r - sum(torch.exp(x) for x in r).log()
    return torch.stack([row(r) for r in z])
"""),
    ("log-softmax", "def log_softmax(z):\n    return z - z.logsumexp(dim=1)[:, None]"),
    ("log-softmax", "def log_softmax(z):\n    z = z.T - z.amax(1)\n"
     "    return (z - z.exp().sum(0).log()).T"),
    ("softmax", """
def softmax(logits):
    e = (logits - logits.amax(dim=-1, keepdim=True)).exp()
    return e / e.sum(dim=-1, keepdim=True)
"""),
    ("softmax", "def softmax(z):\n    return math.e ** log_softmax(z)"),
    ("softmax", "def softmax(z):\n"
     "    return torch.stack([log_softmax(r[None])[0].exp() for r in z])"),
    ("cross-entropy", """
def cross_entropy(logits, ys):
    logp = log_softmax(logits)
    total = 0
    for i, y in enumerate(ys):
        total = total - logp[i, y]
    return total / len(ys)
"""),
    ("cross-entropy", "def cross_entropy(z, ys):\n"
     "    return -(F.one_hot(ys, z.shape[1]) * log_softmax(z)).sum() / z.shape[0]"),
    ("cross-entropy", "def cross_entropy(z, ys):\n"
     "    return (z.logsumexp(1) - z.gather(1, ys[:, None])[:, 0]).mean()"),
    ("logits-gradient", """
def logits_gradient(logits, targets):
    grad = softmax(logits).clone()
    grad[torch.arange(len(targets)), targets] -= 1
    return grad / len(targets)
"""),
    ("logits-gradient", """
def logits_gradient(logits, ys):
    p = softmax(logits).tolist()
    for row, y in zip(p, ys.tolist()):
        row[y] -= 1
    return torch.tensor([[x / len(p) for x in row] for row in p], dtype=logits.dtype)
"""),
    ("logits-gradient", "def logits_gradient(z, ys):\n    n, v = z.shape\n"
     "    return log_softmax(z).exp().div(n) - torch.eye(v)[ys] / n"),
    ("train", """
def train(config, W, data):
    inputs, targets = data["train"]
    log = common.Log(config.steps, val_loss=lambda: evaluate(W, *data["val"]))
    for i in log:
        ix = torch.randperm(len(inputs)).repeat(config.batch_size)[:config.batch_size]
        loss = F.cross_entropy(W[inputs[ix]], targets[ix])
        (grad,) = torch.autograd.grad(loss, W)
        with torch.no_grad():
            W -= config.learning_rate * (config.steps - i) / config.steps * grad
        log.add(loss.item())
    return log
"""),
    ("train", """
def train(config, W, data):
    xs, ys = data["train"]
    log = common.Log(config.steps, val_loss=lambda: evaluate(W, *data["val"]))
    optimizer = torch.optim.SGD([W], lr=config.learning_rate)
    for step in log:
        places = [random.randrange(len(xs)) for _ in range(config.batch_size)]
        optimizer.param_groups[0]["lr"] = config.learning_rate * (1 - step / config.steps)
        optimizer.zero_grad()
        loss = cross_entropy(forward(W, xs[places]), ys[places])
        loss.backward()
        optimizer.step()
        log.add(loss.detach())
    return log
"""),
    ("train", """
def train(config, W, data):
    xs, ys = data["train"]
    log = common.Log(config.steps, val_loss=lambda: evaluate(W, *data["val"]))
    rate = config.learning_rate
    for step in log:
        batch = torch.randint(0, xs.shape[0], [config.batch_size])
        with torch.no_grad():
            logits = forward(W, xs[batch])
            gradient = torch.zeros_like(W)
            gradient.index_add_(0, xs[batch], logits_gradient(logits, ys[batch]))
            W.sub_(rate * gradient)
            log.add(cross_entropy(logits, ys[batch]).item())
        rate = rate - config.learning_rate / config.steps
    return log
"""),
    ("sample", """
@torch.no_grad()
def sample(model, temperature=1.0, longest=100):
    token, name = model.tokenizer.BOS, ""
    for _ in range(longest):
        probs = softmax(model.W[token][None] / temperature)[0]
        token = random.choices(range(len(probs)), probs.tolist())[0]
        if token == model.tokenizer.BOS:
            return name
        name += model.tokenizer.itos[token]
    return name
"""),
    ("sample", """
def sample(model, temperature=1.0, longest=100):
    def rest(token, left):
        if left == 0:
            return []
        logits = forward(model.W, torch.tensor([token])) / temperature
        new = int(torch.distributions.Categorical(logits=logits).sample())
        return [] if new == model.tokenizer.BOS else [new, *rest(new, left - 1)]
    return model.tokenizer.decode(rest(model.tokenizer.BOS, longest))
"""),
    ("sample", """
def sample(model, temperature=1.0, longest=100):
    tokens, BOS = [], model.tokenizer.BOS
    while True:
        latest = tokens[-1] if tokens else BOS
        p = softmax(forward(model.W, torch.tensor([latest])) / temperature).numpy()[0]
        token = np.random.choice(len(p), p=p / p.sum())
        if token == BOS or len(tokens) == longest:
            return model.tokenizer.decode(tokens)
        tokens.append(token)
"""),
]  # fmt: skip


@pytest.mark.parametrize(("name", "text"), SOLUTIONS)
def test_another_right_solution_passes(judge, name, text):
    judge.change(name, "import common\n", "import common, math, random\nimport numpy as np\n")
    judge.write(name, text)
    assert judge.words(name) == ""


def test_the_large_exercises_have_three_other_solutions():
    counts = {name: [n for n, _ in SOLUTIONS].count(name) for name in NAMES}
    assert min(counts.values()) >= 3


# --- cheats ---


@pytest.mark.parametrize("name", NAMES)
def test_an_empty_file(judge, name):
    judge.path(name).write_text("", encoding="utf-8")
    assert "has no function" in judge.words(name)


@pytest.mark.parametrize("name", NAMES)
def test_a_function_that_returns_nothing(judge, name):
    header = function_text(judge.read(name), judge.lesson.exercise(name).function).split("):")[0]
    judge.write(name, f"{header}):\n    print('a result')")
    assert "returns nothing" in judge.words(name)
    assert "a result" in judge.failure(name)["printed"]


def test_the_reference_in_place_of_the_own_code(judge):
    """In a child of its own, which watches what is opened."""
    code = """
def softmax(logits):
    import importlib.util, pathlib, sys
    path = pathlib.Path("{path}")
    spec = importlib.util.spec_from_file_location("reference", path)
    reference = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(reference)
    return getattr(reference, "soft" + "max")(logits)
""".replace("{path}", str(judge.reference("softmax")))
    judge.write("softmax", code)
    outcome = run_checks(judge.lesson, judge.folder)
    assert outcome.passed == ["pairs", "forward", "log-softmax"]
    assert "This is not your code" in outcome.failures["softmax"]["words"]
