"""A multilayer perceptron that reads the last few characters, each as a learned vector.

Same as 03: the data, the loss, gradient descent in batches.
New in 04: a context of block_size characters, token embeddings, a hidden layer, AdamW.
Source: "A Neural Probabilistic Language Model", Bengio et al., 2003, in the form of
"Building makemore Part 2: MLP", A. Karpathy, 2022.
Run: python 04_embedding_mlp/main.py --block-size 8
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
    steps: int = 4000  # updates of the weights
    batch_size: int = 1024  # contexts in one step
    block_size: int = 3  # characters of context
    n_embd: int = 24  # numbers in the vector of a character
    n_hidden: int = 256  # neurons in the hidden layer
    learning_rate: float = 0.01  # of AdamW; falls linearly to 0
    weight_decay: float = 0.12  # of AdamW: share of each weight taken off, times the learning rate
    out: Path = ROOT / "out" / STAGE  # folder for result.json, model.pt and loss.png

    def __post_init__(self):
        plumbing.check_ranges(self, seed=(0, 2**32 - 1), steps=(0, 10**7), batch_size=(1, 10**6))
        plumbing.check_ranges(self, block_size=(1, 256), n_embd=(1, 4096), n_hidden=(1, 65536))
        plumbing.check_ranges(self, learning_rate=(0, 10), weight_decay=(0, 10))


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


def contexts(docs, tokenizer, block_size):
    """Every block_size characters and the one that follows; BOS fills up before a name begins.

    "ab" with a block_size of 3: (BOS BOS BOS -> a), (BOS BOS a -> b), (BOS a b -> BOS).
    """
    xs, ys = [], []
    for doc in docs:
        context = [tokenizer.BOS] * block_size
        for token in tokenizer.encode(doc)[1:]:
            xs.append(context)
            ys.append(token)
            context = [*context[1:], token]
    return torch.tensor(xs), torch.tensor(ys)  # (N, T), (N,)


# ---- model -----------------------------------------------------------------------------------
class MLP:
    """wte looks every character up, one hidden tanh layer mixes them, lm_head scores the next."""

    def __init__(self, config, vocab_size):
        T, C, H = config.block_size, config.n_embd, config.n_hidden
        self.wte = torch.randn(vocab_size, C)
        # Divided by the square root of the inputs, a neuron's sum keeps a spread of about 1, where
        # tanh still has a slope. Five thirds make up for what tanh takes off (Kaiming He, 2015).
        self.mlp_fc1 = torch.randn(T * C, H) * (5 / 3) / (T * C) ** 0.5
        self.mlp_bias = torch.zeros(H)
        # Small, so that the untrained model guesses evenly and starts at log(vocab_size).
        self.lm_head = torch.randn(H, vocab_size) * 0.1 / H**0.5
        self.lm_bias = torch.zeros(vocab_size)
        for p in self.parameters():
            p.requires_grad_()

    def parameters(self):
        return list(vars(self).values())

    def __call__(self, xb):
        """Logits of the next character. (B, T) -> (B, V)"""
        x = F.embedding(xb, self.wte)  # (B, T) -> (B, T, C); the row of a one-hot product, as in 03
        x = x.flatten(1)  # (B, T, C) -> (B, T * C)
        h = torch.tanh(x @ self.mlp_fc1 + self.mlp_bias)  # (B, T * C) -> (B, H)
        return h @ self.lm_head + self.lm_bias  # (B, H) -> (B, V)


# ---- training --------------------------------------------------------------------------------
def train(config, model, data):
    """AdamW on random batches. Returns the curve and the finished Progress."""
    xs, ys = data["train"]
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay, fused=True
    )
    look_every = max(1, config.steps // 10)
    curve = [[0, None, evaluate(model, *data["val"])]]
    losses = []
    for step in (progress := plumbing.Progress(config.steps)):
        batch = torch.randint(len(xs), (config.batch_size,))

        loss = F.cross_entropy(model(xs[batch]), ys[batch])

        optimizer.zero_grad()
        loss.backward()

        optimizer.param_groups[0]["lr"] = config.learning_rate * (1 - step / config.steps)
        optimizer.step()

        losses.append(loss.item())
        if (step + 1) % look_every == 0:
            curve.append([step + 1, sum(losses) / len(losses), evaluate(model, *data["val"])])
            losses = []
            print("step {:5d} | batch loss {:.4f} | val loss {:.4f}".format(*curve[-1]))
    return curve, progress


# ---- evaluation ------------------------------------------------------------------------------
@torch.no_grad()
def evaluate(model, xs, ys):
    """Mean of -log P(next | context) over a whole split, in nats per character."""
    losses = [
        F.cross_entropy(model(xb), yb, reduction="sum").item()
        for xb, yb in zip(xs.split(8192), ys.split(8192))  # in pieces, to bound the memory
    ]
    return sum(losses) / len(ys)


# ---- samples ---------------------------------------------------------------------------------
@torch.no_grad()
def sample(model, tokenizer, block_size, longest=100):
    """Draw one name: each character from what the model says of the block_size before it."""
    tokens = [tokenizer.BOS] * block_size
    while len(tokens) < block_size + longest:
        logits = model(torch.tensor([tokens[-block_size:]]))  # (1, T) -> (1, V)
        tokens.append(torch.multinomial(logits.softmax(dim=1), 1).item())
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
    data = {name: contexts(split, tokenizer, config.block_size) for name, split in splits.items()}
    torch.manual_seed(config.seed)
    model = MLP(config, V)
    params = sum(p.numel() for p in model.parameters())
    print(f"vocab size: {V}\nnum docs: {len(docs):,}\nnum params: {params:,}")

    curve, progress = train(config, model, data)
    loss = {name: evaluate(model, *data[name]) for name in SPLITS}
    samples = [sample(model, tokenizer, config.block_size) for _ in range(20)]
    print("samples:", ", ".join(samples[:10]))
    weights = {name: tensor.detach() for name, tensor in vars(model).items()}
    checkpoint = {"chars": "".join(tokenizer.chars), "weights": weights}
    plumbing.save_tensors(config.out / "model.pt", checkpoint)
    plumbing.save_result(
        config, progress, "embeddings share statistics between contexts", **plumbing.sizes(splits),
        vocab_size=V, params=params, chars_seen=progress.done * config.batch_size,
        loss=loss, curve=curve, samples=samples, torch=torch,
    )
    return progress.status


if __name__ == "__main__":
    plumbing.run(main)
