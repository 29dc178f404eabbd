"""A GPT in plain Python: the complete algorithm in one file, with only the standard library.

Same as 04: the data, the loss, token embeddings. Same as 01: numbers that know their gradient.
New in 05: attention to all earlier characters, positions, residuals, RMSNorm, Adam by hand.
Source: "microgpt", A. Karpathy, 2026; --published repeats its published run.
Run: python 05_microgpt/main.py --steps 200
"""

import gc
import json
import math
import random
from collections import Counter, defaultdict
from dataclasses import dataclass, replace
from operator import mul
from pathlib import Path

import common
from common import OUT, ROOT, BadInput, flag, visible

from names import Tokenizer, count_docs, load_splits, mark_known, read_docs


# ---- config ----------------------------------------------------------------------------------
@dataclass(frozen=True)
class Config:
    data: Path = flag(
        ROOT / "data/names.txt", "one name per line, or a folder with train, val and test.txt"
    )
    seed: int = flag(42, "seeds the random order, weights and samples", 0, 2**32 - 1)
    steps: int = flag(1000, "updates of the weights, one per name", 0, 10**7, alias="num_steps")
    block_size: int = flag(16, "positions: the model sees at most this many characters", 1, 1024)
    n_embd: int = flag(16, "numbers in each character's vector", 1, 1024)
    n_head: int = flag(4, "attention heads, which share these numbers equally", 1, 1024)
    n_layer: int = flag(1, "layers, each of attention and an MLP", 1, 100)
    learning_rate: float = flag(0.01, "of Adam; falls linearly to 0", 0, 10)
    temperature: float = flag(0.5, "of more samples; below 1 favours likely characters", 0.01, 100)
    published: bool = flag(False, "the published run: learn all of makemore's names, hold out none")
    resume: bool = flag(False, "go on with the training of a run that did not end")
    out: Path = flag(OUT, "folder for result.json and model.json")

    def __post_init__(self):
        if self.n_embd % self.n_head:
            raise BadInput(f"--n-embd {self.n_embd} is not a multiple of --n-head {self.n_head}")


# ---- engine ----------------------------------------------------------------------------------
tape = []  # all computed Values, in the order in which they were computed


class Value:
    """A number that knows its gradient, as in 01. Its children are the Values it was computed from.

    A Value comes after its children on the tape. So backward() needs no topological sort: it walks
    back along the tape. It also empties the tape, so each forward pass allows one backward pass.
    """

    __slots__ = ("data", "grad", "children", "local_grads")

    def __init__(self, data, children=(), local_grads=()):
        self.data = data
        self.grad = 0.0
        self.children = children
        self.local_grads = local_grads  # d self / d child, a number for each child
        if children:
            tape.append(self)

    def __add__(self, other):
        if isinstance(other, Value):
            return Value(self.data + other.data, (self, other), (1.0, 1.0))
        return Value(self.data + other, (self,), (1.0,))

    def __mul__(self, other):
        if isinstance(other, Value):
            return Value(self.data * other.data, (self, other), (other.data, self.data))
        return Value(self.data * other, (self,), (other,))

    def __pow__(self, n):
        return Value(self.data**n, (self,), (n * self.data ** (n - 1),))

    def backward(self):
        """Add d self / d node to the grad of every node that self was computed from."""
        self.grad = 1.0
        while tape:
            node = tape.pop()
            grad = node.grad
            if grad:  # it is 0 where a ReLU is off, and there is nothing to pass on
                for child, local_grad in zip(node.children, node.local_grads):
                    child.grad += local_grad * grad  # the chain rule


# ---- operations ------------------------------------------------------------------------------
# These functions work on lists of Values. A complete dot product is one Value with many children,
# because many small Values would be slower. On lists of floats, the same functions compute the same
# numbers but leave nothing on the tape. Evaluation and sampling use that: they need no gradients.
def dot(a, b):
    """The sum of a[i] * b[i]: d dot / d a[i] = b[i] and d dot / d b[i] = a[i]."""
    if isinstance(a[0], float):
        return sum(map(mul, a, b))
    a_data, b_data = [ai.data for ai in a], [bi.data for bi in b]
    return Value(sum(map(mul, a_data, b_data)), a + b, b_data + a_data)


def linear(x, w):
    """w @ x: the dot product of every row of w with x. list[n_in] -> list[n_out]"""
    if isinstance(x[0], float):
        return [dot(row, x) for row in w]
    # The same for Values, but this reads the numbers of x once instead of once for every row. That
    # makes the training 10% faster.
    x_data = [xi.data for xi in x]
    out = []
    for row in w:
        row_data = [wi.data for wi in row]
        out.append(Value(sum(map(mul, row_data, x_data)), row + x, x_data + row_data))
    return out


def weighted_mean(vectors, weights):
    """The mean of T vectors with weights that add up to 1. list[T] of list[n] -> list[n]"""
    return [dot(list(column), weights) for column in zip(*vectors)]


def add(x, y):
    return [xi + yi for xi, yi in zip(x, y)]


def relu(x):
    if isinstance(x[0], float):
        return [max(xi, 0.0) for xi in x]
    return [Value(max(xi.data, 0.0), (xi,), (1.0 if xi.data > 0 else 0.0,)) for xi in x]


def rmsnorm(x):
    """Scale x to a mean square of 1 (Zhang and Sennrich, 2019). list[C] -> list[C]"""
    mean_square = dot(x, x) * (1 / len(x))
    scale = (mean_square + 1e-5) ** -0.5
    return [xi * scale for xi in x]


def softmax(logits):
    """Probabilities: d p_i / d logit_j = p_i * ((i == j) - p_j). list[n] -> list[n]"""
    numbers = logits if isinstance(logits[0], float) else [logit.data for logit in logits]
    highest = max(numbers)  # subtracting it keeps exp from overflowing
    exps = [math.exp(number - highest) for number in numbers]
    total = sum(exps)
    probs = [e / total for e in exps]
    if numbers is logits:
        return probs
    return [
        Value(p_i, logits, [p_i * ((i == j) - p_j) for j, p_j in enumerate(probs)])
        for i, p_i in enumerate(probs)
    ]


def cross_entropy(logits, target):
    """-log P(target): d loss / d logits = p - y, as in 03. list[V] -> one number"""
    numbers = logits if isinstance(logits[0], float) else [logit.data for logit in logits]
    highest = max(numbers)
    exps = [math.exp(number - highest) for number in numbers]
    total = sum(exps)
    loss = math.log(total) - (numbers[target] - highest)
    if numbers is logits:
        return loss
    return Value(loss, logits, [e / total - (i == target) for i, e in enumerate(exps)])


# ---- model -----------------------------------------------------------------------------------
@dataclass
class Model:
    config: Config
    weights: dict  # name -> matrix, a list[n_out] of list[n_in] of Values; of floats once trained
    tokenizer: Tokenizer


def init_weights(config, vocab_size):
    """The weights of an untrained model: normally distributed, standard deviation 0.08."""
    C = config.n_embd
    shapes = {"wte": (vocab_size, C), "wpe": (config.block_size, C), "lm_head": (vocab_size, C)}
    for i in range(config.n_layer):
        for name in ("attn_wq", "attn_wk", "attn_wv", "attn_wo"):
            shapes[f"layer{i}.{name}"] = (C, C)
        shapes[f"layer{i}.mlp_fc1"] = (4 * C, C)
        shapes[f"layer{i}.mlp_fc2"] = (C, 4 * C)
    return {
        name: [[Value(random.gauss(0, 0.08)) for _ in range(n_in)] for _ in range(n_out)]
        for name, (n_out, n_in) in shapes.items()
    }


def floats(weights):
    """The numbers of the weights, without their gradients: lists of floats need no tape."""
    return {name: [[p.data for p in row] for row in matrix] for name, matrix in weights.items()}


def attention(query, keys, values):
    """The mean of the values, each weighted by how well its key matches the query.

    list[head_dim], list[T] of list[head_dim], the same -> list[head_dim], and the weights, list[T]
    """
    # Scores of random vectors have a standard deviation of sqrt(head_dim). Dividing by it gives 1.
    scale = len(query) ** -0.5
    scores = linear([qi * scale for qi in query], keys)  # list[T]
    att = softmax(scores)  # list[T], adds up to 1
    return weighted_mean(values, att), att


def empty_cache(config):
    """(keys, values) for each layer: gpt() appends the key and the value of every token to them."""
    return [([], []) for _ in range(config.n_layer)]


def gpt(model, token, position, cache, attentions=None):
    """Logits of what comes after this token. -> list[V]

    cache: the keys and values of the tokens before it. Later tokens are not in it yet, so this one
    cannot look at them, and no causal mask is needed.
    attentions: a list to which each layer appends its attention weights, list[n_head] of list[T].
    """
    config, weights = model.config, model.weights
    head_dim = config.n_embd // config.n_head
    x = rmsnorm(add(weights["wte"][token], weights["wpe"][position]))  # list[C]
    for i, (keys, values) in enumerate(cache):
        # Attention: this position looks back and collects what it needs.
        residual = x
        x = rmsnorm(x)
        q = linear(x, weights[f"layer{i}.attn_wq"])  # list[C], what it looks for
        k = linear(x, weights[f"layer{i}.attn_wk"])  # list[C], what it can be found by
        v = linear(x, weights[f"layer{i}.attn_wv"])  # list[C], what it gives when it is found
        keys.append(k)
        values.append(v)
        x, att = [], []
        for start in range(0, config.n_embd, head_dim):
            head = slice(start, start + head_dim)  # each head has its own part of q, k and v
            keys_h = [key[head] for key in keys]  # list[T] of list[head_dim]
            values_h = [value[head] for value in values]
            x_h, att_h = attention(q[head], keys_h, values_h)
            x.extend(x_h)  # side by side: n_head times list[head_dim] -> list[C]
            att.append(att_h)
        x = linear(x, weights[f"layer{i}.attn_wo"])
        x = add(x, residual)
        # MLP: each position computes on its own.
        residual = x
        x = rmsnorm(x)
        x = linear(x, weights[f"layer{i}.mlp_fc1"])  # list[C] -> list[4C]
        x = relu(x)
        x = linear(x, weights[f"layer{i}.mlp_fc2"])  # list[4C] -> list[C]
        x = add(x, residual)
        if attentions is not None:
            attentions.append(att)
    return linear(x, weights["lm_head"])  # list[C] -> list[V]


# ---- training --------------------------------------------------------------------------------
def cut(docs, tokenizer, block_size):
    """The token ids of all documents, a list for each. -> list of list[2 to block_size + 1]

    A document longer than block_size is cut into pieces, and each piece starts over.
    """
    tokens = [tokenizer.encode(doc) for doc in docs]
    return [
        doc[start : start + block_size + 1]
        for doc in tokens
        for start in range(0, len(doc) - 1, block_size)
    ]


def train(model, docs):
    """Learn from one piece of a document per step; most documents are a single piece.

    Returns the log and the number of targets learned from.
    """
    config = model.config
    pieces = cut(docs, model.tokenizer, config.block_size)
    params = [p for matrix in model.weights.values() for row in matrix for p in row]
    m = [0.0] * len(params)  # running mean of each gradient
    v = [0.0] * len(params)  # running mean of its square
    beta1, beta2, epsilon = 0.85, 0.99, 1e-8
    tenth = max(1, config.steps // 10)
    log = common.Log(
        config.steps,
        looks=[1, *range(tenth, config.steps + 1, tenth)],
        weights=lambda: floats(model.weights),
        state=[params, m, v],
    )
    for step in log:
        tokens = pieces[step % len(pieces)]
        n = len(tokens) - 1

        # Forward: predict each token from those before it.
        cache, losses = empty_cache(config), []
        for position in range(n):
            logits = gpt(model, tokens[position], position, cache)
            losses.append(cross_entropy(logits, tokens[position + 1]))
        loss = sum(losses, Value(0.0)) * (1 / n)

        # Backward: the gradient of every parameter.
        loss.backward()

        # Update: Adam (Kingma and Ba, 2015). m and v start at 0, which the corrections offset.
        learning_rate = config.learning_rate * (1 - step / config.steps)
        correction1, correction2 = 1 - beta1 ** (step + 1), 1 - beta2 ** (step + 1)
        for i, p in enumerate(params):
            g = p.grad
            m[i] = beta1 * m[i] + (1 - beta1) * g
            v[i] = beta2 * v[i] + (1 - beta2) * g * g
            m_hat = m[i] / correction1
            v_hat = v[i] / correction2
            p.data -= learning_rate * m_hat / (v_hat**0.5 + epsilon)
            p.grad = 0.0

        log.add(loss.data, n)
    return log, log.chars_seen


# ---- evaluation ------------------------------------------------------------------------------
def build_trie(docs, tokenizer, block_size):
    """Every beginning of a document, and how often each token follows it.

    "ema" and "eve" give {(BOS,): {e: 2}, (BOS, e): {m: 1, v: 1}, (BOS, e, m): {a: 1}, ...}.
    """
    trie = defaultdict(Counter)
    for piece in cut(docs, tokenizer, block_size):
        for i in range(1, len(piece)):
            trie[tuple(piece[:i])][piece[i]] += 1
    return trie


def evaluate(model, docs):
    """Mean of -log P over every character and end of the documents, in nats per character.

    None if there are no documents, or after a stop.
    """
    # Many names begin alike. The model reads each beginning once, not once for every such name.
    trie = build_trie(docs, model.tokenizer, model.config.block_size)
    # In sorted order, (BOS, e) comes right before everything that begins with (BOS, e). So the walk
    # goes down a branch of the trie to its end, back up to the fork, and down the next branch.
    beginnings = sorted(trie)
    cache = empty_cache(model.config)
    total, targets = 0.0, 0
    steps = common.Steps(len(beginnings), "the evaluation")
    for i in steps:
        *earlier, token = beginnings[i]
        position = len(earlier)
        for keys, values in cache:  # go back up: drop what came after `earlier`
            del keys[position:], values[position:]
        logits = gpt(model, token, position, cache)
        for target, count in trie[beginnings[i]].items():
            total += count * cross_entropy(logits, target)
            targets += count
    return None if steps.stopped or not docs else total / targets


def log_probs(model, text):
    """One row for each character of a text and one for its end: log P of every token there.

    -> list[N + 1] of list[V]

    A text longer than block_size is read in pieces, as in evaluate().
    """
    rows = []
    for i, token in enumerate(model.tokenizer.encode(text)[:-1]):
        position = i % model.config.block_size
        if position == 0:
            cache = empty_cache(model.config)
        logits = gpt(model, token, position, cache)
        rows.append([-cross_entropy(logits, target) for target in range(len(logits))])
    return rows


def attention_weights(model, text):
    """How much each position takes from each position, for BOS and the characters of a text.

    [layer][head][T][T]: row t holds the weights of positions 0 to t, then zeros. T is at most
    block_size.
    """
    config = model.config
    tokens = model.tokenizer.encode(text)[:-1][: config.block_size]
    att = [[[] for _ in range(config.n_head)] for _ in range(config.n_layer)]
    cache = empty_cache(config)
    for position, token in enumerate(tokens):
        attentions = []
        gpt(model, token, position, cache, attentions)
        for i in range(config.n_layer):
            for h in range(config.n_head):
                att[i][h].append(attentions[i][h] + [0.0] * (len(tokens) - position - 1))
    return att


# ---- samples ---------------------------------------------------------------------------------
def sample(model, temperature=1.0):
    """Draw one name of at most block_size characters.

    A temperature below 1 favours likely characters.
    """
    tokenizer = model.tokenizer
    cache = empty_cache(model.config)
    tokens = [tokenizer.BOS]
    for position in range(model.config.block_size):
        logits = gpt(model, tokens[-1], position, cache)
        probs = softmax([logit / temperature for logit in logits])
        token = random.choices(range(tokenizer.vocab_size), weights=probs)[0]
        if token == tokenizer.BOS:
            break
        tokens.append(token)
    return tokenizer.decode(tokens[1:])


# ---- main ------------------------------------------------------------------------------------
def load(folder, step=None):
    """The trained model that main() wrote, or the model as it was after `step` updates.

    KeyError if the run did not keep that step: result.json lists them under kept_steps.
    """
    saved = json.loads((folder / "model.json").read_text(encoding="utf-8"))
    weights = saved["weights"] if step is None else dict(saved["earlier"])[step]
    return Model(Config(**saved["config"]), weights, Tokenizer(saved["chars"]))


def main():
    config = common.parse_flags(Config, __doc__)
    if config.published:  # it learns every name and holds out none
        config = replace(config, data=ROOT / "data/makemore.txt")
        splits = {"train": read_docs(config.data), "val": [], "test": []}
    else:
        splits = load_splits(config.data)
    common.begin_run(config)
    docs = sum(splits.values(), [])
    tokenizer = Tokenizer(docs)
    random.seed(config.seed)
    random.shuffle(splits["train"])
    model = Model(config, init_weights(config, tokenizer.vocab_size), tokenizer)
    params = sum(len(row) for matrix in model.weights.values() for row in matrix)
    print(f"vocab size: {tokenizer.vocab_size}\nnum docs: {len(docs):,}\nnum params: {params:,}")

    gc.disable()  # no graph here has cycles, so there is nothing for the collector to find
    log, chars_seen = train(model, splits["train"])

    model.weights = floats(model.weights)
    at_temperature = [sample(model, config.temperature) for _ in range(20)]
    samples = [sample(model) for _ in range(20)]
    if config.published:  # the published run draws at one temperature only
        samples = at_temperature
        print("samples:", visible(", ".join(samples[:10])), flush=True)
    else:
        print("samples:", mark_known(samples[:10], splits))
        marked = mark_known(at_temperature[:10], splits)
        print(f"samples at temperature {config.temperature}: {marked}", flush=True)
    loss = {"val": evaluate(model, splits["val"])}
    for name in common.unless_stopped("train", "test"):
        loss[name] = evaluate(model, splits[name])
    log.curve.append([log.done, None, loss["val"]])
    saved = {
        "config": common.settings(config),
        "chars": tokenizer.chars,
        "weights": model.weights,
        "earlier": log.kept,
    }
    common.save_run(
        config, log, "attention reads all characters so far",
        {"model.json": json.dumps(saved)}, **count_docs(splits), vocab_size=tokenizer.vocab_size,
        params=params, chars_seen=chars_seen, loss=loss, samples=samples,
        samples_at_temperature=at_temperature,
        variant="published" if config.published else None,
    )  # fmt: skip


if __name__ == "__main__":
    common.run(main)
