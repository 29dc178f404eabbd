"""The bigram model again, but learned by gradient descent instead of counted.

Same as 02: the data, the splits, the loss, the sampling; one character of context.
New in 03: one-hot inputs, a linear layer, softmax, cross-entropy and its gradient p - y.
Source: "The spelled-out intro to language modeling: building makemore", A. Karpathy, 2022.
Run: python 03_bigram_learned/main.py --steps 500
"""

from dataclasses import dataclass
from pathlib import Path

import common
from common import OUT, ROOT, flag

import torch
import torch.nn.functional as F

from names import Tokenizer, count_docs, load_splits, mark_known


# ---- config ----------------------------------------------------------------------------------
@dataclass(frozen=True)
class Config:
    data: Path = flag(
        ROOT / "data/names.txt", "one name per line, or a folder with train, val and test.txt"
    )
    seed: int = flag(42, "seeds the random weights, batches and samples", 0, 2**32 - 1)
    steps: int = flag(2000, "updates of the weights", 0, 10**7)
    batch_size: int = flag(4096, "pairs of characters in one step", 1, 10**6)
    learning_rate: float = flag(50.0, "the step size; falls linearly to 0", 0, 1000)
    resume: bool = flag(False, "go on with the training of a run that did not end")
    out: Path = flag(OUT, "folder for result.json and model.pt")


# ---- data ------------------------------------------------------------------------------------
def pairs(docs, tokenizer):
    """Every character of the documents and the next one, which is BOS after the last."""
    tokens = [tokenizer.encode(doc) for doc in docs]
    xs = torch.tensor([token for doc in tokens for token in doc[:-1]])  # (N,)
    ys = torch.tensor([token for doc in tokens for token in doc[1:]])  # (N,)
    return xs, ys


# ---- model -----------------------------------------------------------------------------------
@dataclass
class Bigram:
    W: torch.Tensor  # (V, V); row x holds the logits of what follows character x
    tokenizer: Tokenizer


def forward(W, xs):
    """Logits of the next character: one-hot rows times W, which picks row W[x]. (N,) -> (N, V)"""
    if len(W) > 256:  # nearly all products are 0, and there are too many: pick the rows directly
        return F.embedding(xs, W)
    onehot = F.one_hot(xs, len(W)).float()  # (N,) -> (N, V)
    return onehot @ W  # (N, V) @ (V, V) -> (N, V)


def log_softmax(logits):
    """Log-probabilities. Subtracting the maximum keeps exp from overflowing. (N, V) -> (N, V)"""
    logits = logits - logits.max(dim=1, keepdim=True).values
    return logits - logits.exp().sum(dim=1, keepdim=True).log()  # (N, V) - (N, 1)


def softmax(logits):
    """Probabilities: exp of each logit over the sum of its row, as stage 02 divides its counts."""
    return log_softmax(logits).exp()


def cross_entropy(logits, ys):
    """Mean of -log P(y), in nats per character. (N, V), (N,) -> ()"""
    return -log_softmax(logits)[torch.arange(len(ys)), ys].mean()


def logits_gradient(logits, ys):
    """d cross_entropy / d logits, worked out by hand: (p - y) / N. (N, V), (N,) -> (N, V)

    p is the probability that the model gave, and y is what happened: 1 for the character that came,
    0 for all others. Training uses backward(); main() shows that the two agree.
    """
    return (softmax(logits) - F.one_hot(ys, logits.shape[1])) / len(ys)


# ---- training --------------------------------------------------------------------------------
def train(config, W, data):
    """Gradient descent on W, in place. Returns the log."""
    xs, ys = data["train"]
    log = common.Log(
        config.steps,
        val_loss=lambda: evaluate(W, *data["val"]),
        weights=lambda: W.detach().clone(),
        state=[W],
    )
    for step in log:
        batch = torch.randint(len(xs), (config.batch_size,))

        loss = cross_entropy(forward(W, xs[batch]), ys[batch])

        W.grad = None
        loss.backward()

        learning_rate = config.learning_rate * (1 - step / config.steps)
        W.data -= learning_rate * W.grad

        log.add(loss.item())
    return log


# ---- evaluation ------------------------------------------------------------------------------
@torch.no_grad()
def evaluate(W, xs, ys):
    """Mean of -log P(next | current) over all pairs of a split, in nats per character."""
    # The logits depend on the current character alone, so one row for each of them is enough.
    log_P = log_softmax(forward(W, torch.arange(len(W))))  # (V, V)
    return -log_P[xs, ys].mean().item()


@torch.no_grad()
def log_probs(model, text):
    """One row for each character of a text and one for its end: log P of every token there.

    -> list[N + 1] of list[V]
    """
    tokens = model.tokenizer.encode(text)
    return log_softmax(forward(model.W, torch.tensor(tokens[:-1]))).tolist()


# ---- samples ---------------------------------------------------------------------------------
@torch.no_grad()
def sample(model, temperature=1.0, longest=100):
    """Draw one name: start at BOS, and draw from the row of the latest character until BOS comes.

    Logits divided by a temperature below 1 favour likely characters.
    """
    BOS = model.tokenizer.BOS
    tokens = [BOS]
    while len(tokens) <= longest:
        logits = forward(model.W, torch.tensor(tokens[-1:]))  # (1, V)
        tokens.append(torch.multinomial(softmax(logits / temperature), 1).item())
        if tokens[-1] == BOS:
            break
    return model.tokenizer.decode(token for token in tokens if token != BOS)


# ---- main ------------------------------------------------------------------------------------
def load(folder, step=None):
    """The trained model that main() wrote, or the model as it was after `step` updates.

    KeyError if the run did not keep that step: result.json lists them under kept_steps.
    """
    saved = torch.load(folder / "model.pt", weights_only=True)
    W = saved["W"] if step is None else dict(saved["earlier"])[step]
    return Bigram(W, Tokenizer(saved["chars"]))


def main():
    config = common.parse_flags(Config, __doc__)
    splits = load_splits(config.data)
    common.begin_run(config)
    docs = sum(splits.values(), [])
    tokenizer = Tokenizer(docs)
    V = tokenizer.vocab_size
    data = {name: pairs(split, tokenizer) for name, split in splits.items()}
    torch.manual_seed(config.seed)
    W = (0.01 * torch.randn(V, V)).requires_grad_()  # nearly equal logits: a nearly uniform guess
    print(f"vocab size: {V}\nnum docs: {len(docs):,}\nnum params: {W.numel():,}")

    xs, ys = (part[: 2**24 // V] for part in data["val"])  # all of val, unless V is very large
    logits = forward(W, xs)
    (by_autograd,) = torch.autograd.grad(cross_entropy(logits, ys), logits)
    difference = (by_autograd - logits_gradient(logits, ys)).abs().max().item()
    print(f"gradient of the logits: backward() and (p - y) / N differ by at most {difference:.0e}")

    log = train(config, W, data)
    loss = {name: evaluate(W, *data[name]) for name in common.unless_stopped("train", "test")}
    loss["val"] = log.val
    model = Bigram(W.detach(), tokenizer)
    samples = [sample(model) for _ in range(20)]
    print("samples:", mark_known(samples[:10], splits))
    saved = {
        "config": common.settings(config),
        "chars": tokenizer.chars,
        "W": model.W,
        "earlier": log.kept,
    }
    common.save_run(
        config, log, "gradient descent finds the counts", {"model.pt": saved},
        **count_docs(splits), vocab_size=V, params=W.numel(),
        chars_seen=log.done * config.batch_size, loss=loss, samples=samples,
    )  # fmt: skip


if __name__ == "__main__":
    common.run(main)
