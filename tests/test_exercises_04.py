"""The checks of stage 04's exercises: right solutions pass, and each mistake has its own words."""

import pytest

from exercise_cases import Judge
from learn.run_checks import run_checks
from learn.source import function_text

STAGE = "04_embedding_mlp"


# PyTorch warns of a known mistake: log.add(loss), with the gradient.
pytestmark = pytest.mark.filterwarnings("ignore:Converting a tensor with requires_grad")


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

MOVE = "[*context[1:], token]"
LOOKUP = "F.embedding(xb, self.wte)"
SUM = "x @ self.mlp_fc1 + self.mlp_bias"
FC1 = "torch.randn(T * C, H) * (5 / 3) / (T * C) ** 0.5"
HEAD = "torch.randn(H, V) * 0.1 / H**0.5"
GRAD = "        for p in self.parameters():\n            p.requires_grad_()\n"
PIECES = """    losses = [
        F.cross_entropy(model(xb), yb, reduction="sum").item()
        for xb, yb in zip(xs.split(8192), ys.split(8192))  # in pieces, to save memory
    ]
    return sum(losses) / len(ys)
"""
RATE = """        optimizer.param_groups[0]["lr"] = config.learning_rate * (1 - step / config.steps)
"""
STEP = "        optimizer.step()\n"
DRAW = "torch.randint(len(xs), (config.batch_size,))"
TO_TEXT = "model.tokenizer.decode(token for token in tokens if token != BOS)"

MUTANTS = [
    ("contexts", MOVE, "[token, *context[:-1]]", "turned round"),
    ("contexts", MOVE, "[*(t for t in context if t != tokenizer.BOS), token, *[tokenizer.BOS] * "
     "block_size][:block_size]", "The padding is on the right"),
    ("contexts", f"xs.append(context)\n            ys.append(token)\n            context = {MOVE}",
     f"context = {MOVE}\n            xs.append(context)\n            ys.append(token)",
     "contain their own targets"),
    ("contexts", "xs.append(context)", "xs.append([tokenizer.BOS, *context[:-1]])",
     "the one just before"),
    ("contexts", f"context = {MOVE}", "context.pop(0)\n            context.append(token)",
     "the same list"),
    ("contexts", f"context = {MOVE}", "pass", "never moves"),
    ("contexts", "[tokenizer.BOS] * block_size", "[0] * block_size", "The padding is 0"),
    ("contexts", "xs.append(context)\n            ys.append(token)",
     "if context[0] != tokenizer.BOS or context[1] != tokenizer.BOS:\n"
     "                xs.append(context)\n                ys.append(token)", "inside the name"),
    ("contexts", "tokenizer.encode(doc)[1:]", "tokenizer.encode(doc)[1:-1]", "The last target"),
    ("contexts", "xs.append(context)\n            ys.append(token)",
     "if token is not tokenizer.encode(doc)[1] or context[-1] != 2:\n"
     "                xs.append(context)\n                ys.append(token)", "The first target"),
    ("contexts", "tokenizer.encode(doc)[1:]", "tokenizer.encode(doc)", "not a target"),
    ("contexts", "return torch.tensor(xs), torch.tensor(ys)",
     "return torch.tensor(ys), torch.tensor(xs)", "swapped"),
    ("contexts", "return torch.tensor(xs), torch.tensor(ys)", "return xs, ys", "You return lists"),
    ("contexts", "ys.append(token)", "ys.append([token])", "shape (N, 1)"),
    ("contexts", MOVE, "[*context, token]", "The rows differ in length"),
    ("contexts", "    for doc in docs:\n        context = [tokenizer.BOS] * block_size\n",
     "    context = [tokenizer.BOS] * block_size\n    for doc in docs:\n",
     "begins with the end of the first"),
    ("contexts", "    return torch.tensor(xs)", "        return torch.tensor(xs)",
     "Only the first document"),
    ("contexts", "        context = [tokenizer.BOS]", "        xs, ys = [], []\n"
     "        context = [tokenizer.BOS]", "Only the last document"),
    ("contexts", "* block_size", "* 3", "whatever block_size is"),
    ("contexts", "return torch.tensor(xs), torch.tensor(ys)",
     "return torch.tensor(xs).float(), torch.tensor(ys)", "should hold whole numbers"),
    ("contexts", "    return torch.tensor(xs), torch.tensor(ys)", "    print(xs, ys)",
     "print instead of return"),
    ("contexts", "tokenizer.encode(doc)[1:]", '[tokenizer.stoi[ch] for ch in doc + "."]',
     "not in the tokenizer"),
    ("hidden", f"torch.tanh({SUM})", SUM, "The tanh is missing"),
    ("hidden", " + self.mlp_bias", "", "The bias is missing"),
    ("hidden", f"torch.tanh({SUM})", "torch.tanh(x @ self.mlp_fc1) + self.mlp_bias",
     "added after the tanh"),
    ("hidden", "+ self.mlp_bias", "- self.mlp_bias", "The bias is subtracted"),
    ("hidden", "torch.tanh", "torch.relu", "The tanh is missing"),
    ("hidden", "torch.tanh", "torch.sigmoid", "This is the sigmoid"),
    ("hidden", "x = x.flatten(1)", "x = x.sum(1) @ self.mlp_fc1[:x.shape[2]]\n"
     "        return torch.tanh(x + self.mlp_bias)", "Every position gets the same weights"),
    ("hidden", "x = x.flatten(1)", "x = x.mean(1).repeat(1, xb.shape[1])",
     "Every position gets the same vector"),
    ("hidden", "x.flatten(1)", "x.transpose(1, 2).flatten(1)", "are mixed"),
    ("hidden", "x.flatten(1)", "x.flip(1).flatten(1)", "in the wrong order"),
    ("hidden", f"torch.tanh({SUM})", f"torch.tanh({SUM}) @ self.lm_head", "These are logits"),
    ("hidden", f"return torch.tanh({SUM})", "return x", "multiply them by mlp_fc1"),
    ("hidden", "F.embedding(xb, self.wte)", "F.embedding(self.wte, xb)", "the tokens first"),
    ("hidden", "F.embedding(xb, self.wte)", "F.one_hot(xb, len(self.wte)) @ self.wte",
     ".float() makes them fit"),
    ("hidden", "F.embedding(xb, self.wte)", "F.embedding(xb, wte)", "belong to the model"),
    ("hidden", "x.flatten(1)", "x.flatten()", "has lost the dimension of the batch"),
    ("hidden", "x.flatten(1)", "x.view(1, -1)", "one long vector"),
    ("hidden", "x.flatten(1)", "x.reshape(-1, 4)", "fixed numbers"),
    ("hidden", "x.flatten(1)", "x", "side by side first"),
    ("hidden", LOOKUP, "xb.float()", "still the tokens"),
    ("hidden", "x.flatten(1)", "x.sum(dim=1)", "Or were the vectors added up"),
    ("hidden", "x.flatten(1)", "x.view(-1, 72)", "take the sizes from the tensors"),
    ("hidden", "x.flatten(1)", "torch.cat((x[:, 0], x[:, 1], x[:, 2]), dim=1)",
     "take the sizes from the tensors"),
    ("hidden", LOOKUP, "self.wte.data[xb]", "No gradient reaches wte"),
    ("hidden", "return torch.tanh", "print", "returns nothing"),
    ("logits", " + self.lm_bias", "", "lm_bias is missing"),
    ("logits", "return h @ self.lm_head + self.lm_bias",
     "return (h @ self.lm_head + self.lm_bias).softmax(dim=1)", "These are probabilities"),
    ("logits", "return h @ self.lm_head + self.lm_bias",
     "return (h @ self.lm_head + self.lm_bias).log_softmax(dim=1)", "These are log-prob"),
    ("logits", "return h @ self.lm_head + self.lm_bias",
     "return torch.tanh(h @ self.lm_head + self.lm_bias)", "a second tanh"),
    ("logits", "return h @ self.lm_head + self.lm_bias", "return h", "outputs of the hidden layer"),
    ("logits", "self.hidden(xb)", "hidden(xb)", "a method of the model"),
    ("logits", "+ self.lm_bias", "+ lm_bias", "belong to the model"),
    ("logits", "self.hidden(xb)", "self.hidden", "must be called"),
    ("logits", "self.hidden(xb)", "xb.float()", "lm_head reads the outputs"),
    ("logits", "self.hidden(xb)", "xb", "lm_head reads the outputs"),
    ("logits", "self.hidden(xb)", "self.hidden(xb).detach()", "cannot go through"),
    ("logits", "return h", "print(h); h", "returns nothing"),
    ("init", "self.block_size, self.tokenizer = T, tokenizer", "self.tokenizer = tokenizer",
     "no self.block_size"),
    ("init", "self.block_size, self.tokenizer = T, tokenizer", "self.block_size = T",
     "no self.tokenizer"),
    ("init", "        self.lm_bias = torch.zeros(V)\n" + GRAD,
     "        for p in self.parameters():\n            p.requires_grad_()\n"
     "        self.lm_bias = torch.zeros(V)\n", "used before it is made"),
    ("init", GRAD, "", "gets no gradient"),
    ("init", FC1, "torch.randn(T * C, H, requires_grad=True) * (5 / 3) / (T * C) ** 0.5",
     "after the last computation"),
    ("init", "torch.randn(V, C)", "torch.randn(C, V)", "on its side"),
    ("init", "torch.randn(T * C, H)", "torch.randn(C, H)", "weights for one token"),
    ("init", "torch.randn(T * C, H)", "torch.randn(T, C, H)", "two dimensions"),
    ("init", "config.n_hidden, tokenizer.vocab_size",
     "config.n_hidden, len(tokenizer.chars)", "BOS is a token"),
    ("init", "config.n_hidden, tokenizer.vocab_size", "n_hidden, tokenizer.vocab_size",
     "fields of config"),
    ("init", "torch.zeros(H)", "torch.zeros(1, H)", "a single row"),
    ("init", "torch.zeros(H)", "torch.randn(H)", "without a bias"),
    ("init", "torch.randn(V, C)", "torch.randn(V, C) * 0.1", "wte is small"),
    ("init", "torch.randn(V, C)", "torch.rand(V, C)", "draws from 0 to 1"),
    ("init", FC1, "torch.zeros(T * C, H)", "stay the same in training"),
    ("init", FC1, "torch.randn(T * C, H)", "it saturates"),
    ("init", FC1, "torch.randn(T * C, H) * (5 / 3)", "it saturates"),
    ("init", "* (5 / 3) ", "", "The gain of 5/3 is missing"),
    ("init", "(T * C) ** 0.5", "(T * C)", "divide by the number of inputs"),
    ("init", "(T * C) ** 0.5", "H ** 0.5", "and not of the outputs"),
    ("init", "(T * C) ** 0.5", "C ** 0.5", "C numbers for each of T tokens"),
    ("init", FC1, "torch.randn(T * C, H) * 0.2", "the same for every number of inputs"),
    ("init", HEAD, "torch.randn(H, V)", "sure of nonsense"),
    ("init", HEAD, "torch.randn(H, V) / H**0.5", "a little too large"),
    ("init", HEAD, "torch.randn(H, V) * 0.1", "The logits are too large"),
    ("init", HEAD, "torch.zeros(H, V)", "no gradient gets through it"),
    ("init", HEAD, "torch.randn(H, V) * 0.01", "compute the factor of lm_head from H"),
    ("evaluate", ".item()", "", "You return a tensor"),
    ("evaluate", "return sum(losses)", "return -sum(losses)", "The sign is wrong"),
    ("evaluate", "F.cross_entropy(model(xb), yb, reduction=\"sum\")",
     "model(xb).log_softmax(dim=1)[range(len(yb)), yb].sum()", "is minus the log-probability"),
    ("evaluate", "model(xb)", "model(xb).softmax(dim=1)", "Softmax comes twice"),
    ("evaluate", "F.cross_entropy(model(xb), yb, reduction=\"sum\")",
     "model(xb)[range(len(yb)), yb].sum()", "the logit of the target"),
    ("evaluate", "model(xb), yb,", "model(xb), ys,", "into the same pieces"),
    ("evaluate", ", reduction=\"sum\").item()", ").item() * 8192", "take its own length"),
    ("evaluate", "in zip(xs.split(8192), ys.split(8192))  # in",
     "in zip(xs.split(8192), ys.split(8192)) if len(xb) == 8192  # in", "shorter pieces count"),
    ("evaluate", "/ len(ys)", "", "the sum of the losses"),
    ("evaluate", "/ len(ys)", "/ xs.numel()", "the number of tokens in xs"),
    ("evaluate", ', reduction="sum"', "", "You divide twice"),
    ("evaluate", PIECES, "    return F.cross_entropy(model(xs), ys, reduction='none')\n",
     "a loss of its own"),
    ("evaluate", PIECES, "    return F.cross_entropy(model(xs), ys, reduction='none').tolist()\n",
     "a loss of its own"),
    ("evaluate", PIECES, PIECES.replace(', reduction="sum"', "").replace("len(ys)", "len(losses)"),
     "a mean of means"),
    ("evaluate", PIECES, PIECES.replace(', reduction="sum"', "").replace("len(ys)", "len(losses)")
     .replace("8192", "1000"), "a mean of means"),
    ("evaluate", "/ len(ys)", "/ len(losses) / min(len(ys), 8192)", "as if the last piece"),
    ("evaluate", "/ len(ys)", "/ (len(losses) if len(ys) > 9 else len(ys))",
     "by the number of pieces"),
    ("evaluate", PIECES, PIECES.replace(', reduction="sum"', "").replace("len(ys)", "1"),
     "added up: add up all"),
    ("evaluate", "zip(xs.split(8192), ys.split(8192))",
     "zip(xs.split(8192), ys.split(8192)) if len(xs) < 9 or len(xb) == 8192", "last piece is miss"),
    ("evaluate", "return sum(losses)", "return losses[-1]", "Only the last piece"),
    ("evaluate", "return sum(losses)", "return losses[0]", "Only the first piece"),
    ("evaluate", PIECES, "    return F.cross_entropy(model(xs), ys).item()\n", "into pieces"),
    ("evaluate", "    return sum", "    print(sum(losses)) or sum", "returns nothing"),
    ("train", "        optimizer.zero_grad()\n", "", "The gradients of all steps add up"),
    ("train", "        loss.backward()\n", "", "No gradient reached the optimizer"),
    ("train", "        optimizer.zero_grad()\n        loss.backward()\n",
     "        loss.backward()\n        optimizer.zero_grad()\n", "No gradient reached"),
    ("train", STEP, "", "nothing moved"),
    ("train", RATE, "", "The learning rate stays the same"),
    ("train", RATE, "        optimizer.lr = config.learning_rate * (1 - step / config.steps)\n",
     "The learning rate stays the same"),
    ("train", RATE, "        config.learning_rate *= 1 - step / config.steps\n",
     "config cannot be changed"),
    ("train", "(1 - step / config.steps)", "step / config.steps", "The learning rate rises"),
    ("train", "(1 - step / config.steps)", "(1 - (step + 1) / config.steps)", "a step ahead"),
    ("train", RATE + STEP, STEP + RATE, "a step late"),
    ("train", '["lr"] = config.learning_rate * ', '["lr"] *= ', "faster and faster"),
    ("train", "model(xs[batch])", "model(batch)", "picks the contexts"),
    ("train", "config.learning_rate * (1 -", "(1 -", "does not start at config.learning_rate"),
    ("train", "param_groups[0]", "param_groups", "a list of dicts"),
    ("train", STEP, "        for p in model.parameters():\n            p.data -= "
     "optimizer.param_groups[0]['lr'] * p.grad\n", "plain gradient descent"),
    ("train", "        optimizer.zero_grad()\n", "        optimizer = torch.optim.AdamW(model."
     "parameters(), weight_decay=config.weight_decay)\n        optimizer.zero_grad()\n",
     "A new optimizer in every step"),
    ("train", STEP, STEP + STEP, "The weights move twice"),
    ("train", "loss.backward()", "(-loss).backward()", "The loss goes up"),
    ("train", DRAW, "slice(config.batch_size)", "Only the first contexts"),
    ("train", DRAW, "slice(None)", "A step uses all contexts"),
    ("train", "ys[batch])", f"ys[{DRAW}])", "torn apart"),
    ("train", "        log.add(loss.item())\n", "", "The log has no batch loss"),
    ("train", "log.add(loss.item())", "log.add(loss)", "the number alone"),
    ("train", "ys[batch])\n", "ys[batch]).item()\n", "leave out .item()"),
    ("train", "    return log", "", "returns nothing"),
    ("sample", "tokens[-T:]", "(tokens[:T - 1:-1] + [BOS, BOS])[:T]", "BOS fills up the left"),
    ("sample", "[BOS] * T", "[0] * T", "filled up with 0"),
    ("sample", "tokens[-T:]", "tokens[:T]", "always asked about the first"),
    ("sample", "tokens[-T:]", "tokens", "longer than block_size"),
    ("sample", "[BOS] * T", "[BOS]", "shorter than block_size"),
    ("sample", "[tokens[-T:]]", "tokens[-T:]", "a batch of contexts"),
    ("sample", "torch.tensor([tokens[-T:]])", "[tokens[-T:]]", "The model reads a tensor"),
    ("sample", TO_TEXT, "[t for t in tokens if t != BOS]", "It returns tokens:"),
    ("sample", TO_TEXT, "tokens", "It returns tokens with BOS"),
    ("sample", "(token for token in tokens if token != BOS)", "(tokens)", "BOS is not a letter"),
    ("sample", "(token for token in tokens if token != BOS)", "(tokens[T + 1 : -1])",
     "The first letter is missing"),
    ("sample", "(token for token in tokens if token != BOS)", "(tokens[T:-2])",
     "The last letter is missing"),
    ("sample", ", 1).item()", ", 1)", "PyTorch drew a tensor"),
    ("sample", "(logits / temperature).softmax(dim=1)", "logits / temperature",
     "take softmax of the logits"),
    ("sample", "tokens[-T:]", "tokens[-block_size:]", "belong to the model"),
    ("sample", "softmax(dim=1)", "softmax(dim=0)", "All tokens have the same chance"),
    ("sample", "T + longest", "longest", "The name is too short"),
    ("sample", "T + longest", "T + longest + 1", "The name is too long"),
    ("sample", "T + longest", "T + 100", "longest is ignored"),
    ("sample", "torch.multinomial((logits / temperature).softmax(dim=1), 1)", "logits.argmax()",
     "always takes the likeliest"),
    ("sample", "logits / temperature", "logits", "The temperature has no effect"),
    ("sample", "logits / temperature", "logits * temperature", "multiplied by the temperature"),
    ("log-probs", ".tolist()", "", "You return a tensor"),
    ("log-probs", ".log_softmax(dim=1)", "", "These are the logits"),
    ("log-probs", "log_softmax", "softmax", "These are probabilities"),
    ("log-probs", "model(xs).log", "(-model(xs)).log",
     "The logits have the wrong sign"),
    ("log-probs", "model(xs).log_softmax(dim=1)", "(-model(xs).log_softmax(dim=1))",
     "The sign is wrong"),
    ("log-probs", "dim=1", "dim=0", "down the columns"),
    ("log-probs", "model(xs)", "model(xs[:-1])", "for the end of the text"),
    ("log-probs", "model(xs)", "model(xs[1:])", "The first row is missing"),
    ("log-probs", "log_softmax(dim=1)", "log_softmax(dim=1)[range(len(xs)), _]",
     "only the number of the token"),
    ("log-probs", "[text]", "text", "every letter for a document"),
    ("log-probs", "model(xs)", "model(torch.tensor([model.tokenizer.encode(text)]))",
     "as one context"),
    ("log-probs", "xs, _ =", "xs =", "returns two tensors"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "old", "new", "words"), MUTANTS)
def test_a_known_mistake_has_its_own_words(judge, name, old, new, words):
    judge.change(name, old, new)
    assert words in judge.words(name)


# --- right solutions, written differently ---

SOLUTIONS = [
    ("contexts", """
def contexts(documents, tok, size):
    inputs, targets = [], []
    for d in documents:
        ids = size * [tok.BOS] + tok.encode(d)[1:]
        for i in range(size, len(ids)):
            inputs.append(ids[i - size : i])
            targets.append(ids[i])
    return torch.tensor(inputs), torch.tensor(targets)
"""),
    ("contexts", """
def contexts(docs, tokenizer, block_size):
    def of(doc):
        ids = torch.tensor((block_size - 1) * [tokenizer.BOS] + tokenizer.encode(doc))
        return ids.unfold(0, block_size + 1, 1)
    windows = torch.cat([of(doc) for doc in docs])
    return windows[:, :-1], windows[:, -1]
"""),
    ("contexts", """
def contexts(docs, tokenizer, block_size):
    def rest(context, tokens):
        if not tokens:
            return []
        return [(context, tokens[0]), *rest(context[1:] + tokens[:1], tokens[1:])]
    start = [tokenizer.BOS] * block_size
    rows = [row for doc in docs for row in rest(start, tokenizer.encode(doc)[1:])]
    xs, ys = zip(*rows)
    return [torch.LongTensor(xs), torch.from_numpy(np.array(ys))]
"""),
    ("hidden", """
def hidden(self, tokens):
    x = torch.cat([self.wte[tokens[:, t]] for t in range(tokens.shape[1])], dim=1)
    return (x @ self.mlp_fc1 + self.mlp_bias).tanh()
"""),
    ("hidden", """
def hidden(self, xb):
    V, C = self.wte.shape
    s = self.mlp_bias
    for t in range(xb.shape[1]):
        s = s + F.one_hot(xb[:, t], V).float() @ self.wte @ self.mlp_fc1[t * C : (t + 1) * C]
    return torch.tanh(s)
"""),
    ("hidden", """
def hidden(self, xb):
    onehot = torch.eye(len(self.wte))[xb]
    x = (onehot @ self.wte).view(len(xb), -1)
    e = torch.exp(2 * torch.addmm(self.mlp_bias, x, self.mlp_fc1))
    return (e - 1) / (e + 1)
"""),
    ("logits", """
def __call__(self, tokens):
    return torch.addmm(self.lm_bias, self.hidden(tokens), self.lm_head)
"""),
    ("logits", """
def __call__(self, xb):
    return F.linear(self.hidden(xb), self.lm_head.T, self.lm_bias)
"""),
    ("logits", """
def __call__(self, xb):
    def score(h):
        return (h[:, None] * self.lm_head).sum(dim=0) + self.lm_bias
    return torch.stack([score(h) for h in self.hidden(xb)])
"""),
    ("init", """
def __init__(self, config, tokenizer):
    def tensor(rows, columns, spread):
        return torch.normal(0.0, spread, (rows, columns), requires_grad=True)
    self.tokenizer, self.block_size = tokenizer, config.block_size
    inputs = config.block_size * config.n_embd
    self.wte = tensor(tokenizer.vocab_size, config.n_embd, 1.0)
    self.mlp_fc1 = tensor(inputs, config.n_hidden, 5 / 3 / math.sqrt(inputs))
    self.mlp_bias = torch.zeros(config.n_hidden, requires_grad=True)
    self.lm_head = tensor(config.n_hidden, tokenizer.vocab_size, 0.05 / config.n_hidden ** 0.5)
    self.lm_bias = torch.zeros(tokenizer.vocab_size, requires_grad=True)
"""),
    ("init", """
def __init__(self, c, tok):
    self.block_size = c.block_size
    self.tokenizer = tok
    V, n = tok.vocab_size, c.block_size * c.n_embd
    self.wte = torch.nn.Parameter(torch.randn(V, c.n_embd))
    self.mlp_fc1 = torch.nn.Parameter(torch.empty(n, c.n_hidden))
    torch.nn.init.kaiming_normal_(self.mlp_fc1, mode="fan_out", nonlinearity="tanh")
    self.mlp_bias = torch.nn.Parameter(torch.zeros(c.n_hidden))
    self.lm_head = torch.nn.Parameter(torch.randn(c.n_hidden, V) / c.n_hidden)
    self.lm_bias = torch.nn.Parameter(torch.zeros(V))
"""),
    ("init", """
def __init__(self, config, tokenizer):
    T, C, H, V = config.block_size, config.n_embd, config.n_hidden, tokenizer.vocab_size
    self.block_size, self.tokenizer = T, tokenizer
    edge = 3**0.5  # a uniform distribution from -edge to edge has a spread of 1
    self.wte = torch.randn(V, C)
    self.mlp_fc1 = torch.empty(T * C, H).uniform_(-edge, edge) * 1.6667 * (T * C) ** -0.5
    self.lm_head = torch.empty(H, V).uniform_(-edge, edge).mul(0.1).div(H**0.5)
    self.mlp_bias, self.lm_bias = torch.zeros(H), torch.zeros(V)
    [p.requires_grad_() for p in self.parameters()]
"""),
    ("evaluate", """
def evaluate(model, xs, ys):
    total = 0.0
    for i in range(0, len(xs), 1000):
        loss = F.cross_entropy(model(xs[i : i + 1000]), ys[i : i + 1000])
        total += loss.item() * len(ys[i : i + 1000])
    return total / len(xs)
"""),
    ("evaluate", """
@torch.no_grad()
def evaluate(model, contexts, targets):
    picked = [
        model(x).log_softmax(dim=1).gather(1, y[:, None])
        for x, y in zip(contexts.split(8192), targets.split(8192))
    ]
    return -torch.cat(picked).numpy().mean()
"""),
    ("evaluate", """
def evaluate(model, xs, ys):
    def total(xs, ys):
        if len(xs) > 4096:
            half = len(xs) // 2
            return total(xs[:half], ys[:half]) + total(xs[half:], ys[half:])
        return F.cross_entropy(model(xs), ys, reduction="sum").item()
    return total(xs, ys) / ys.numel()
"""),
    ("train", """
def train(config, net, data):
    inputs, targets = data["train"]
    adam = torch.optim.AdamW(net.parameters(), config.learning_rate, weight_decay=
                             config.weight_decay)
    log = common.Log(config.steps, val_loss=lambda: evaluate(net, *data["val"]))
    for i in log:
        for group in adam.param_groups:
            group["lr"] = config.learning_rate * (config.steps - i) / config.steps
        places = [random.randrange(len(inputs)) for _ in range(config.batch_size)]
        loss = F.nll_loss(net(inputs[places]).log_softmax(dim=1), targets[places])
        loss.backward()
        adam.step()
        adam.zero_grad(set_to_none=False)
        log.add(loss.detach())
    return log
"""),
    ("train", """
def train(config, model, data):
    xs, ys = data["train"]
    log = common.Log(config.steps, val_loss=lambda: evaluate(model, *data["val"]))
    m = [torch.zeros_like(p) for p in model.parameters()]
    v = [torch.zeros_like(p) for p in model.parameters()]
    for step in log:
        ix = torch.randint(0, xs.shape[0], [config.batch_size])
        loss = F.cross_entropy(model(xs[ix]), ys[ix])
        grads = torch.autograd.grad(loss, model.parameters())
        lr, t = config.learning_rate * (1 - step / config.steps), step + 1
        with torch.no_grad():
            for i, (p, g) in enumerate(zip(model.parameters(), grads)):
                m[i] = 0.9 * m[i] + 0.1 * g
                v[i] = 0.999 * v[i] + 0.001 * g * g
                m_hat, v_hat = m[i] / (1 - 0.9**t), v[i] / (1 - 0.999**t)
                p -= lr * (m_hat / (v_hat.sqrt() + 1e-8) + config.weight_decay * p)
        log.add(loss.item())
    return log
"""),
    ("train", """
def train(config, model, data):
    optimizer = torch.optim.AdamW(model.parameters(), lr=config.learning_rate,
                                  weight_decay=config.weight_decay)
    falling = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda i: 1 - i / config.steps)
    log = common.Log(config.steps, val_loss=lambda: evaluate(model, *data["val"]))
    def loss_of(batch):
        xs, ys = data["train"]
        return F.cross_entropy(model(xs[batch]), ys[batch])
    for _ in log:
        batch = torch.randperm(len(data["train"][0])).repeat(config.batch_size)
        loss = loss_of(batch[: config.batch_size])
        for p in model.parameters():
            p.grad = None
        loss.backward()
        optimizer.step()
        falling.step()
        log.add(loss.item())
    return log
"""),
    ("sample", """
@torch.no_grad()
def sample(model, temperature=1.0, longest=100):
    context, name = [model.tokenizer.BOS] * model.block_size, ""
    for _ in range(longest):
        probs = F.softmax(model(torch.tensor(context)[None])[0] / temperature, dim=0)
        token = random.choices(range(len(probs)), probs.tolist())[0]
        if token == model.tokenizer.BOS:
            return name
        name += model.tokenizer.itos[token]
        context = context[1:] + [token]
    return name
"""),
    ("sample", """
def sample(model, temperature=1.0, longest=100):
    def rest(context, left):
        if left == 0:
            return []
        logits = model(context) / temperature
        new = int(torch.distributions.Categorical(logits=logits).sample())
        if new == model.tokenizer.BOS:
            return []
        return [new, *rest(torch.cat([context[:, 1:], torch.tensor([[new]])], 1), left - 1)]
    start = torch.full((1, model.block_size), model.tokenizer.BOS)
    return model.tokenizer.decode(rest(start, longest))
"""),
    ("sample", """
def sample(model, temperature=1.0, longest=100):
    T, BOS = model.block_size, model.tokenizer.BOS
    out = []
    while True:
        xb = torch.tensor([([BOS] * T + out)[len(out):]])
        p = (model(xb) / temperature).double().softmax(dim=-1).numpy().ravel()
        token = np.random.choice(len(p), p=p / p.sum())
        if token == BOS or len(out) == longest:
            return model.tokenizer.decode(out)
        out.append(token)
"""),
    ("log-probs", """
def log_probs(model, text):
    rows, context = [], [model.tokenizer.BOS] * model.block_size
    for token in model.tokenizer.encode(text)[1:]:
        logits = model(torch.tensor([context]))[0]
        rows.append((logits - logits.logsumexp(dim=0)).tolist())
        context = context[1:] + [token]
    return rows
"""),
    ("log-probs", """
def log_probs(net, name):
    logits = net(contexts([name], net.tokenizer, net.block_size)[0])
    return [[x.item() for x in F.log_softmax(row, dim=0)] for row in logits]
"""),
    ("log-probs", """
@torch.no_grad()
def log_probs(model, text):
    z = model(contexts([text], model.tokenizer, model.block_size)[0]).double().numpy()
    z = z - z.max(axis=1, keepdims=True)
    return (z - np.log(np.exp(z).sum(axis=1, keepdims=True))).tolist()
"""),
]  # fmt: skip


@pytest.mark.parametrize(("name", "text"), SOLUTIONS)
def test_another_right_solution_passes(judge, name, text):
    judge.change(name, "import common\n", "import common, math, random\nimport numpy as np\n")
    judge.write(name, text)
    assert judge.words(name) == ""


def test_every_exercise_has_three_other_solutions():
    counts = {name: [n for n, _ in SOLUTIONS].count(name) for name in NAMES}
    assert min(counts.values()) >= 3


def test_every_exercise_has_three_mistakes_with_words():
    known = [name for name, _, _, _ in MUTANTS]
    assert min(known.count(name) for name in NAMES) >= 3


# --- cheats ---


@pytest.mark.parametrize("name", NAMES)
def test_an_empty_file(judge, name):
    judge.path(name).write_text("", encoding="utf-8")
    assert "has no function" in judge.words(name)


@pytest.mark.parametrize("name", NAMES)
def test_a_function_that_returns_nothing(judge, name):
    header = function_text(judge.read(name), judge.lesson.exercise(name).function).split("):")[0]
    judge.write(name, f"{header}):\n    print('a result')")
    wanted = "makes no self.block_size" if name == "init" else "returns nothing"
    assert wanted in judge.words(name)
    assert "a result" in judge.failure(name)["printed"]


def test_the_reference_in_place_of_the_own_code(judge):
    """In a child of its own, which watches what is opened."""
    code = """
def contexts(docs, tokenizer, block_size):
    import importlib.util, pathlib, sys
    path = pathlib.Path("{path}")
    spec = importlib.util.spec_from_file_location("reference", path)
    reference = importlib.util.module_from_spec(spec)
    sys.modules["reference"] = reference
    spec.loader.exec_module(reference)
    return getattr(reference, "con" + "texts")(docs, tokenizer, block_size)
""".replace("{path}", str(judge.reference("contexts")))
    judge.write("contexts", code)
    outcome = run_checks(judge.lesson, judge.folder)
    assert outcome.passed == []
    assert "This is not your code" in outcome.failures["contexts"]["words"]
