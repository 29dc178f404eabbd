"""The bigram model again, but learned by gradient descent instead of counted.

Same as 02: the data, the splits, the loss, the sampling; one character of context.
New in 03: one-hot inputs, a linear layer, softmax, cross-entropy and its gradient p - y.
Source: "The spelled-out intro to language modeling: building makemore", A. Karpathy, 2022.
Run: python 03_bigram_learned/main.py --steps 500
"""

import zlib
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F

import plumbing
from plumbing import ROOT, SPLITS, STAGE


# ---- config ----------------------------------------------------------------------------------
@dataclass(frozen=True)
class Config:
    data: Path = ROOT / "data" / "names.txt"  # one name a line, or a folder of train, val, test.txt
    seed: int = 42  # starts the random numbers of weights, batches and samples
    steps: int = 2000  # updates of the weights
    batch_size: int = 4096  # pairs of characters in one step
    learning_rate: float = 50.0  # weight change per unit of gradient; falls linearly to 0
    out: Path = ROOT / "out" / STAGE  # folder for result.json, model.pt and loss.png

    def __post_init__(self):
        plumbing.check_ranges(self, seed=(0, 2**32 - 1), steps=(0, 10**7), learning_rate=(0, 1000))
        plumbing.check_ranges(self, batch_size=(1, 10**6))


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


def pairs(docs, tokenizer):
    """Every (character, next character) of the documents, the final BOS among the latter."""
    tokens = [tokenizer.encode(doc) for doc in docs]
    xs = torch.tensor([token for doc in tokens for token in doc[:-1]])  # (N,)
    ys = torch.tensor([token for doc in tokens for token in doc[1:]])  # (N,)
    return xs, ys


# ---- model -----------------------------------------------------------------------------------
def forward(W, xs):
    """Logits of the next character: one-hot rows times W, which picks row W[x]. (N,) -> (N, V)"""
    onehot = F.one_hot(xs, len(W)).float()  # (N,) -> (N, V)
    return onehot @ W  # (N, V) @ (V, V) -> (N, V)


def log_softmax(logits):
    """Log-probabilities; less the maximum, exp cannot overflow. (N, V) -> (N, V)"""
    logits = logits - logits.max(dim=1, keepdim=True).values
    return logits - logits.exp().sum(dim=1, keepdim=True).log()  # (N, V) - (N, 1)


def softmax(logits):
    """Probabilities: exp of each logit over its row's sum, as stage 02's counts over theirs."""
    return log_softmax(logits).exp()


def cross_entropy(logits, ys):
    """Mean of -log P(y), in nats per character. (N, V), (N,) -> ()"""
    return -log_softmax(logits)[torch.arange(len(ys)), ys].mean()


def logits_gradient(logits, ys):
    """d cross_entropy / d logits, worked out by hand: p - y, over N. (N, V), (N,) -> (N, V)

    Each logit moves by how much the probability differs from what happened (y is 1 at the character
    that came, 0 elsewhere). Training uses backward(); main() prints that the two agree.
    """
    return (softmax(logits) - F.one_hot(ys, logits.shape[1])) / len(ys)


# ---- training --------------------------------------------------------------------------------
def train(config, W, data):
    """Gradient descent on W, in place. Returns the curve and the finished Progress."""
    xs, ys = data["train"]
    look_every = max(1, config.steps // 10)
    curve = [[0, None, evaluate(W, *data["val"])]]
    losses = []
    for step in (progress := plumbing.Progress(config.steps)):
        batch = torch.randint(len(xs), (config.batch_size,))

        loss = cross_entropy(forward(W, xs[batch]), ys[batch])

        W.grad = None
        loss.backward()

        learning_rate = config.learning_rate * (1 - step / config.steps)
        W.data -= learning_rate * W.grad

        losses.append(loss.item())
        if (step + 1) % look_every == 0:
            curve.append([step + 1, sum(losses) / len(losses), evaluate(W, *data["val"])])
            losses = []
            print("step {:5d} | batch loss {:.4f} | val loss {:.4f}".format(*curve[-1]))
    return curve, progress


# ---- evaluation ------------------------------------------------------------------------------
@torch.no_grad()
def evaluate(W, xs, ys):
    """Mean of -log P(next | current) over all pairs of a split, in nats per character."""
    return cross_entropy(forward(W, xs), ys).item()


# ---- samples ---------------------------------------------------------------------------------
@torch.no_grad()
def sample(W, tokenizer, longest=100):
    """Draw one name: from BOS on, each character from the row of the one before, until BOS."""
    tokens = [tokenizer.BOS]
    while len(tokens) <= longest:
        probs = softmax(forward(W, torch.tensor(tokens[-1:])))  # (1, V)
        tokens.append(torch.multinomial(probs, 1).item())
        if tokens[-1] == tokenizer.BOS:
            break
    return tokenizer.decode(token for token in tokens if token != tokenizer.BOS)


# ---- main ------------------------------------------------------------------------------------
def main():
    config = plumbing.parse_flags(Config, __doc__)
    splits = load_splits(config.data)
    plumbing.prepare_out(config.out)
    docs = sum(splits.values(), [])
    tokenizer = Tokenizer(docs)
    V = tokenizer.vocab_size
    data = {name: pairs(split, tokenizer) for name, split in splits.items()}
    torch.manual_seed(config.seed)
    W = (0.01 * torch.randn(V, V)).requires_grad_()  # nearly equal logits: a nearly uniform guess
    print(f"vocab size: {V}\nnum docs: {len(docs):,}\nnum params: {W.numel():,}")

    xs, ys = data["val"]
    logits = forward(W, xs)
    (by_autograd,) = torch.autograd.grad(cross_entropy(logits, ys), logits)
    difference = (by_autograd - logits_gradient(logits, ys)).abs().max().item()
    print(f"gradient of the logits: backward() and (p - y) / N differ by at most {difference:.0e}")

    curve, progress = train(config, W, data)
    loss = {name: evaluate(W, *data[name]) for name in SPLITS}
    samples = [sample(W, tokenizer) for _ in range(20)]
    print("samples:", ", ".join(samples[:10]))
    checkpoint = {"chars": "".join(tokenizer.chars), "W": W.detach()}
    plumbing.save_tensors(config.out / "model.pt", checkpoint)
    plumbing.save_result(
        config, progress, "gradient descent finds the counts", **plumbing.sizes(splits),
        vocab_size=V, params=W.numel(), chars_seen=progress.done * config.batch_size,
        loss=loss, curve=curve, samples=samples, torch=torch,
    )
    return progress.status


if __name__ == "__main__":
    plumbing.run(main)
