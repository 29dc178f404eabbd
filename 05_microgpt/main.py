"""A GPT in plain Python: name by name, number by number, nothing but the standard library.

Same as 04: the data, the loss, token embeddings. Same as 01: numbers that know their gradient.
New in 05: positions, attention to every earlier character, residuals, RMSNorm, Adam by hand.
Source: "microgpt", A. Karpathy, 2026; --published repeats its published run.
Run: python 05_microgpt/main.py --steps 200 --no-twin
"""

import gc
import json
import math
import os
import random
import zlib
from dataclasses import dataclass, replace
from pathlib import Path

import plumbing
from engine import Value
from nn import add, cross_entropy, linear, relu, rmsnorm, softmax
from plumbing import ROOT, SPLITS, STAGE, BadInput


# ---- config ----------------------------------------------------------------------------------
@dataclass(frozen=True)
class Config:
    data: Path = ROOT / "data" / "names.txt"  # one name a line, or a folder of train, val, test.txt
    seed: int = 42  # starts the random numbers of order, weights and samples
    steps: int = 1000  # updates of the weights, one name each
    block_size: int = 16  # positions, so the most characters the model can look back on
    n_embd: int = 16  # numbers in the vector that stands for a character
    n_head: int = 4  # attention heads that share those numbers
    n_layer: int = 1  # blocks of attention and MLP
    learning_rate: float = 0.01  # of Adam; falls linearly to 0
    temperature: float = 0.5  # divides the logits when sampling; below 1 is bolder about favourites
    published: bool = False  # the published run: train on all of makemore's names, nothing held out
    twin: bool = True  # afterwards train the same model in PyTorch, on batches (twin.py)
    out: Path = ROOT / "out" / STAGE  # folder for result.json, weights.json and loss.png

    def __post_init__(self):
        plumbing.check_ranges(self, seed=(0, 2**32 - 1), steps=(0, 10**7), learning_rate=(0, 10))
        plumbing.check_ranges(self, block_size=(1, 1024), n_embd=(1, 1024), n_head=(1, 1024))
        plumbing.check_ranges(self, n_layer=(1, 100), temperature=(0.01, 100))
        if self.n_embd % self.n_head:
            raise BadInput(f"--n-embd {self.n_embd} does not divide by --n-head {self.n_head}")


# ---- data ------------------------------------------------------------------------------------
# Same as 02_bigram_counts
def load_splits(path):
    """Return {"train": docs, "val": docs, "test": docs}, each a list of str.

    A folder's train.txt, val.txt and test.txt are used as they are. In a single file each line's
    own hash decides: 8 in 10 train, 1 in 10 val, 1 in 10 test. No random numbers, and a name that
    stands twice falls on one side, so none leaks from train into test. BadInput if one is empty.
    """
    if path.is_dir():
        splits = {name: plumbing.read_docs(path / f"{name}.txt") for name in SPLITS}
    else:
        splits = {name: [] for name in SPLITS}
        for doc in plumbing.read_docs(path):
            bucket = zlib.crc32(doc.encode()) % 10
            splits[{8: "val", 9: "test"}.get(bucket, "train")].append(doc)
    plumbing.check_splits(path, splits)
    return splits


# Same as 02_bigram_counts
class Tokenizer:
    """Characters to integers and back; BOS, the last id, marks both ends of a document."""

    def __init__(self, docs):
        self.chars = sorted(set("".join(docs)))
        self.stoi = {ch: i for i, ch in enumerate(self.chars)}
        self.itos = dict(enumerate(self.chars))
        self.BOS = len(self.chars)
        self.vocab_size = len(self.chars) + 1

    def encode(self, doc):
        """ "ab" -> [BOS, a, b, BOS]"""
        return [self.BOS, *(self.stoi[ch] for ch in doc), self.BOS]

    def decode(self, tokens):
        return "".join(self.itos[token] for token in tokens)


# ---- model -----------------------------------------------------------------------------------
def init_weights(config, vocab_size):
    """Name -> matrix as list[n_out] of list[n_in] of Value, normally distributed, spread 0.08."""
    C = config.n_embd
    shapes = {"wte": (vocab_size, C), "wpe": (config.block_size, C), "lm_head": (vocab_size, C)}
    layer = {f"attn_{w}": (C, C) for w in ("wq", "wk", "wv", "wo")}
    layer |= {"mlp_fc1": (4 * C, C), "mlp_fc2": (C, 4 * C)}
    for i in range(config.n_layer):
        shapes |= {f"layer{i}.{name}": shape for name, shape in layer.items()}
    return {
        name: [[Value(random.gauss(0, 0.08)) for _ in range(n_in)] for _ in range(n_out)]
        for name, (n_out, n_in) in shapes.items()
    }


def gpt(config, weights, token, position, cache):
    """Logits of the token after this one. -> list[V]

    cache holds (keys, values) of the tokens before it, list[n_layer] of two list[time] of list[C];
    this token's own are appended.
    """
    head_dim = config.n_embd // config.n_head
    x = rmsnorm(add(weights["wte"][token], weights["wpe"][position]))  # list[C]
    for i in range(config.n_layer):
        # Attention: this position gathers from the earlier ones what it asks for.
        residual, x = x, rmsnorm(x)
        keys, values = cache[i]
        q = linear(x, weights[f"layer{i}.attn_wq"])  # list[C], what this position asks
        keys.append(linear(x, weights[f"layer{i}.attn_wk"]))  # what it has to offer
        values.append(linear(x, weights[f"layer{i}.attn_wv"]))  # what it gives when chosen
        gathered = []
        for h in range(0, config.n_embd, head_dim):
            head = slice(h, h + head_dim)
            # Divided by sqrt(head_dim), the scores of random vectors keep a spread of about 1.
            q_head = [qi * head_dim**-0.5 for qi in q[head]]
            scores = linear(q_head, [k[head] for k in keys])  # list[time]
            attention = softmax(scores)  # list[time], adds up to 1
            v_columns = [list(column) for column in zip(*[v[head] for v in values])]
            gathered += linear(attention, v_columns)  # list[head_dim]
        x = add(linear(gathered, weights[f"layer{i}.attn_wo"]), residual)
        # MLP: each position thinks for itself.
        residual, x = x, rmsnorm(x)
        x = [relu(xi) for xi in linear(x, weights[f"layer{i}.mlp_fc1"])]  # list[4C]
        x = add(linear(x, weights[f"layer{i}.mlp_fc2"]), residual)  # list[C]
    return linear(x, weights["lm_head"])


# ---- training --------------------------------------------------------------------------------
def train(config, weights, docs, tokenizer):
    """Adam, one document a step. Returns the curve, characters seen and the finished Progress."""
    params = [p for matrix in weights.values() for row in matrix for p in row]
    beta1, beta2, epsilon = 0.85, 0.99, 1e-8
    m, v = [0.0] * len(params), [0.0] * len(params)  # running means of gradient and its square
    look_every = max(1, config.steps // 10)
    curve, losses, chars_seen = [], [], 0
    for step in (progress := plumbing.Progress(config.steps)):
        tokens = tokenizer.encode(docs[step % len(docs)])
        n = min(config.block_size, len(tokens) - 1)
        cache = [([], []) for _ in range(config.n_layer)]
        loss = Value(0.0)
        for position in range(n):
            logits = gpt(config, weights, tokens[position], position, cache)
            loss += cross_entropy(logits, tokens[position + 1]) * (1 / n)

        loss.backward()

        grads = [p.grad for p in params]
        m = [beta1 * mi + (1 - beta1) * g for mi, g in zip(m, grads)]
        v = [beta2 * vi + (1 - beta2) * g * g for vi, g in zip(v, grads)]
        rate = config.learning_rate * (1 - step / config.steps) / (1 - beta1 ** (step + 1))
        correction = 1 / (1 - beta2 ** (step + 1))
        for p, mi, vi in zip(params, m, v):
            p.data -= rate * mi / ((vi * correction) ** 0.5 + epsilon)
            p.grad = 0.0

        losses.append(loss.data)
        chars_seen += n
        if step == 0 or (step + 1) % look_every == 0:
            curve.append([step + 1, sum(losses) / len(losses), None])
            losses = []
            print(f"step {step + 1:4d} / {config.steps:4d} | loss {loss.data:.4f}", flush=True)
    return curve, chars_seen, progress


# ---- evaluation ------------------------------------------------------------------------------
def evaluate(config, weights, docs, tokenizer):
    """Mean of -log P over every character and end of the documents, in nats; None without any.

    A document longer than block_size is read in pieces, each of which starts over. In sorted order
    neighbours begin alike, and what was computed for the shared beginning is kept. weights: floats.
    """
    if not docs:
        return None
    T, rows = config.block_size, map(tokenizer.encode, docs)
    pieces = sorted(row[i : i + T + 1] for row in rows for i in range(0, len(row) - 1, T))
    cache = [([], []) for _ in range(config.n_layer)]
    total, before, logits = 0.0, [], []
    for i in (progress := plumbing.Progress(len(pieces), what="scored document")):
        *xs, last = pieces[i]
        shared = len(os.path.commonprefix([before, xs]))
        for row in (*sum(cache, ()), logits):
            del row[shared:]
        for position in range(shared, len(xs)):
            logits.append(gpt(config, weights, xs[position], position, cache))
        total += sum(map(cross_entropy, logits, [*xs[1:], last]))
        before = xs
    return math.nan if progress.interrupted else total / sum(len(p) - 1 for p in pieces)


# ---- samples ---------------------------------------------------------------------------------
def sample(config, weights, tokenizer):
    """Draw one name of at most block_size characters. weights: floats."""
    cache = [([], []) for _ in range(config.n_layer)]
    tokens = [tokenizer.BOS]
    for position in range(config.block_size):
        logits = gpt(config, weights, tokens[-1], position, cache)
        probs = softmax([logit / config.temperature for logit in logits])
        token = random.choices(range(tokenizer.vocab_size), weights=probs)[0]
        if token == tokenizer.BOS:
            break
        tokens.append(token)
    return tokenizer.decode(tokens[1:])


# ---- main ------------------------------------------------------------------------------------
def main():
    config = plumbing.parse_flags(Config, __doc__)
    if config.published:  # it learns from every name there is and holds nothing out
        config = replace(config, data=plumbing.get_data("makemore"), out=config.out / "published")
        splits = {"train": plumbing.read_docs(config.data), "val": [], "test": []}
    else:
        splits = load_splits(config.data)
    plumbing.prepare_out(config.out)
    docs = sum(splits.values(), [])
    tokenizer = Tokenizer(docs)
    random.seed(config.seed)
    random.shuffle(splits["train"])
    weights = init_weights(config, tokenizer.vocab_size)
    params = sum(len(row) for matrix in weights.values() for row in matrix)
    print(f"vocab size: {tokenizer.vocab_size}\nnum docs: {len(docs):,}\nnum params: {params:,}")

    gc.disable()  # no graph here has cycles, so there is nothing for the collector to find
    curve, chars_seen, progress = train(config, weights, splits["train"], tokenizer)
    weights = {name: [[p.data for p in row] for row in matrix] for name, matrix in weights.items()}
    checkpoint = json.dumps({"chars": "".join(tokenizer.chars), "weights": weights})
    plumbing.write_atomically(config.out / "weights.json", checkpoint.encode())
    samples = [sample(config, weights, tokenizer) for _ in range(20)]
    print("samples:", ", ".join(samples[:10]), flush=True)
    loss = {name: evaluate(config, weights, docs, tokenizer) for name, docs in splits.items()}
    curve.append([progress.done, None, loss["val"]])
    plumbing.save_result(
        config, progress, "attention reads all characters so far", **plumbing.sizes(splits),
        vocab_size=tokenizer.vocab_size, params=params, chars_seen=chars_seen,
        loss=loss, curve=curve, samples=samples, variant="published" if config.published else None,
    )
    if config.twin and not (config.published or progress.interrupted):
        shared = ("data", "seed", "block_size", "n_embd", "n_head", "n_layer", "temperature")
        flags = [f"--out={config.out / 'twin'}", *(f"--{k}={getattr(config, k)}" for k in shared)]
        return plumbing.call(Path(__file__).with_name("twin.py"), *flags)
    return progress.status


if __name__ == "__main__":
    plumbing.run(main)
