"""The first published microgpt, with its bug: gradients that are passed on again and again.

Same as stage 01: the engine, a node for every addition and every multiplication.
New here: a GPT on that engine, and a backward pass for each position instead of one for the name.
Source: "microgpt", A. Karpathy, first published version, February 2026, with the log of its demo.
Run: python extras/first_microgpt.py
     python extras/first_microgpt.py --mended

The keys and values of a position are used by all later positions. Each position has its own loss,
and backward() is called for each of these losses. The second call goes through the same keys and
values as the first one, and finds there the gradients that the first one left. It adds its own, and
passes on both, although those of the first one have been passed on before. This happens at every
node of the computation. So the longer the name, the more often an early gradient is counted.
"""

import gc
import random
from dataclasses import dataclass
from pathlib import Path

from stage_code import ROOT, load_stage

common = load_stage("05_microgpt", "common")
names = load_stage("05_microgpt", "names")
Value = load_stage("01_micrograd", "engine").Value

BOS, EOS, FIRST_LETTER = 0, 1, 2


# ---- config ----------------------------------------------------------------------------------
@dataclass(frozen=True)
class Config:
    data: Path = common.flag(ROOT / "data/makemore.txt", "a name a line; all of them are train")
    seed: int = common.flag(42, "starts the random numbers", 0, 2**32 - 1)
    steps: int = common.flag(100, "updates of the weights, one name each", 1, 10**7)
    mended: bool = common.flag(False, "clear the gradients inside the graph before each backward")


# The rest was not a flag.
C, n_head, block_size, vocab_size = 16, 4, 8, 28
head_dim = C // n_head


# ---- model -----------------------------------------------------------------------------------
def init_weights():
    """Normally distributed; what ends a branch starts at 0, so each layer first passes x on."""

    def matrix(n_out, n_in, spread=0.02):
        return [[Value(random.gauss(0, spread)) for _ in range(n_in)] for _ in range(n_out)]

    return {
        "wte": matrix(vocab_size, C),  # also scores the next token
        "wpe": matrix(block_size, C),
        "attn_wq": matrix(C, C),
        "attn_wk": matrix(C, C),
        "attn_wv": matrix(C, C),
        "attn_wo": matrix(C, C, spread=0),
        "mlp_fc1": matrix(4 * C, C),
        "mlp_fc2": matrix(C, 4 * C, spread=0),
    }


def dot(a, b):
    return sum(ai * bi for ai, bi in zip(a, b))


def linear(x, w):
    return [dot(row, x) for row in w]


def add(x, y):
    return [xi + yi for xi, yi in zip(x, y)]


def rmsnorm(x):
    scale = (dot(x, x) / len(x) + 1e-5) ** -0.5
    return [xi * scale for xi in x]


def softmax(logits):
    highest = max(logit.data for logit in logits)
    exps = [(logit - highest).exp() for logit in logits]
    total = sum(exps)
    return [e / total for e in exps]


def gpt(weights, token, position, keys, values):
    """The probabilities of what comes after this token. list[V]

    keys, values: those of the tokens before it; it adds its own.
    """
    x = add(weights["wte"][token], weights["wpe"][position])
    residual = x
    x = rmsnorm(x)
    q = linear(x, weights["attn_wq"])
    keys.append(linear(x, weights["attn_wk"]))
    values.append(linear(x, weights["attn_wv"]))
    x = []
    for start in range(0, C, head_dim):
        head = slice(start, start + head_dim)
        att = softmax([dot(q[head], key[head]) / head_dim**0.5 for key in keys])
        x += [dot(att, column) for column in zip(*(value[head] for value in values))]
    x = add(linear(x, weights["attn_wo"]), residual)
    residual = x
    x = linear(rmsnorm(x), weights["mlp_fc1"])
    x = [xi.relu() ** 2 for xi in x]
    x = add(linear(x, weights["mlp_fc2"]), residual)
    return softmax(linear(x, weights["wte"]))


# ---- training --------------------------------------------------------------------------------
def backward(loss, mended):
    """Add d loss / d v to the grad of every leaf v, as stage 01 does it, but for one line.

    Stage 01 clears the grad of all nodes in between first. As published, nothing cleared them.
    """
    order, visited, stack = [], set(), [(loss, False)]
    while stack:
        v, children_done = stack.pop()
        if children_done:
            order.append(v)
        elif v not in visited:
            visited.add(v)
            stack.append((v, True))
            stack += [(child, False) for child in v.children if child.children]
    if mended:
        for v in order:
            v.grad = 0.0
    loss.grad = 1.0
    for v in reversed(order):
        grad = v.grad
        for child, local_grad in zip(v.children, v.local_grads):
            child.grad += local_grad * grad


def learn_from(doc, weights, mended):
    """Add the gradients of one name to the weights. Returns its loss, the mean over positions."""
    letters = [FIRST_LETTER + ord(ch) - ord("a") for ch in doc]
    tokens = [BOS, *letters, EOS][:block_size]
    n = len(tokens) - 1
    keys, values, loss = [], [], 0.0
    for position in range(n):
        probs = gpt(weights, tokens[position], position, keys, values)
        share = -probs[tokens[position + 1]].log() * (1 / n)
        backward(share, mended)  # once for each position, on graphs that share keys and values
        loss += share.data
    return loss


def train(config, weights, docs):
    """Adam, one name a step. Returns the log."""
    params = [p for matrix in weights.values() for row in matrix for p in row]
    m, v = [0.0] * len(params), [0.0] * len(params)
    tenth = max(1, config.steps // 10)
    last = range(config.steps - 2, config.steps + 1)
    log = common.Log(config.steps, looks=[1, 2, 3, *range(tenth, config.steps, tenth), *last])
    for step in log:
        loss = learn_from(docs[step % len(docs)], weights, config.mended)

        learning_rate = 0.01 * (1 - step / config.steps)
        for i, p in enumerate(params):
            m[i] = 0.9 * m[i] + 0.1 * p.grad
            v[i] = 0.95 * v[i] + 0.05 * p.grad**2
            m_hat = m[i] / (1 - 0.9 ** (step + 1))
            v_hat = v[i] / (1 - 0.95 ** (step + 1))
            p.data -= learning_rate * m_hat / (v_hat**0.5 + 1e-8)
            p.grad = 0.0

        log.add(loss)
    return log


# ---- samples ---------------------------------------------------------------------------------
def sample(weights):
    """Draw one name of at most block_size letters."""
    token, keys, values, name = BOS, [], [], ""
    for position in range(block_size):
        probs = gpt(weights, token, position, keys, values)
        token = random.choices(range(vocab_size), weights=[p.data for p in probs])[0]
        if token == EOS:
            break
        name += "." if token == BOS else chr(ord("a") + token - FIRST_LETTER)
    return name


# ---- main ------------------------------------------------------------------------------------
def main():
    config = common.parse_flags(Config, __doc__)
    docs = names.read_docs(config.data)
    if set("".join(docs)) - set("abcdefghijklmnopqrstuvwxyz"):
        raise common.BadInput(f"--data {config.data}: only the letters a to z have a token here")
    random.seed(config.seed)
    random.shuffle(docs)
    weights = init_weights()
    params = sum(len(row) for matrix in weights.values() for row in matrix)
    print(f"vocab size: {vocab_size}\nnum docs: {len(docs):,}\nnum params: {params:,}", flush=True)

    gc.disable()  # the graph has no cycles, and looking for them takes a quarter of the time
    train(config, weights, docs)

    print("samples:", ", ".join(sample(weights) for _ in range(5)))


if __name__ == "__main__":
    common.run(main)
