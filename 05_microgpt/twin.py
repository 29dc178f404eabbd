"""main.py's model in PyTorch: the same weights by the same names, a batch of names at a time.

Same as main.py: every formula; on the same weights, logits and gradients agree to 1e-6.
New here: tensors instead of lists, so one operation does a whole batch.
Run: python 05_microgpt/twin.py --preset best
"""

import math
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import add  # by a name of its own, as relu: ablate.py puts others in their place
from torch.nn.functional import relu

import plumbing
from main import Tokenizer, load_splits
from plumbing import ROOT, SPLITS, STAGE, BadInput

# small: main.py's sizes, the defaults below. best: 48 times the weights, for two minutes on two
# cores; dropout and weight decay keep it from learning the names by heart.
PRESETS = {
    "small": {},
    "best": dict(
        steps=3200, n_embd=64, n_head=2, n_layer=4, learning_rate=0.008, weight_decay=0.25,
        dropout=0.1, bfloat16=True, out=ROOT / "out" / STAGE / "best",
    ),
}


# ---- config ----------------------------------------------------------------------------------
@dataclass(frozen=True)
class Config:
    data: Path = ROOT / "data" / "names.txt"  # one name a line, or a folder of train, val, test.txt
    preset: str = "small"  # small or best; flags given besides it win
    seed: int = 42  # starts the random numbers of weights, batches and samples
    steps: int = 1500  # updates of the weights
    batch_size: int = 256  # names in one step
    block_size: int = 16  # positions, so the most characters the model can look back on
    n_embd: int = 16  # numbers in the vector that stands for a character
    n_head: int = 4  # attention heads that share those numbers
    n_layer: int = 1  # blocks of attention and MLP
    learning_rate: float = 0.02  # of AdamW; falls linearly to 0
    weight_decay: float = 0.0  # share of each weight taken off, times the learning rate
    dropout: float = 0.0  # share of each name's numbers set to 0 in training
    bfloat16: bool = False  # matrix products in bfloat16, on CPUs that have instructions for it
    temperature: float = 0.5  # divides the logits when sampling; below 1 is bolder about favourites
    out: Path = ROOT / "out" / STAGE / "twin"  # folder for result.json, model.pt and loss.png

    def __post_init__(self):
        plumbing.check_ranges(self, seed=(0, 2**32 - 1), steps=(0, 10**7), learning_rate=(0, 10))
        plumbing.check_ranges(self, block_size=(1, 1024), n_embd=(1, 1024), n_head=(1, 1024))
        plumbing.check_ranges(self, n_layer=(1, 100), temperature=(0.01, 100))
        plumbing.check_ranges(self, batch_size=(1, 10**6), weight_decay=(0, 10), dropout=(0, 0.99))
        if self.n_embd % self.n_head:
            raise BadInput(f"--n-embd {self.n_embd} does not divide by --n-head {self.n_head}")


# ---- data ------------------------------------------------------------------------------------
def rectangle(docs, tokenizer, block_size):
    """All documents as two tensors (N, T), padded on the right; the target -1 is not scored.

    A document longer than block_size becomes several rows, each of which starts over.
    """
    tokens = [tokenizer.encode(doc) for doc in docs]
    T = block_size
    pieces = [doc[i : i + T + 1] for doc in tokens for i in range(0, len(doc) - 1, T)]
    xs = [piece[:-1] + [tokenizer.BOS] * (T + 1 - len(piece)) for piece in pieces]
    ys = [piece[1:] + [-1] * (T + 1 - len(piece)) for piece in pieces]
    return torch.tensor(xs), torch.tensor(ys)


# ---- model -----------------------------------------------------------------------------------
def init_weights(config, vocab_size):
    """Name -> tensor (n_out, n_in), normally distributed, spread 0.08, as in main.py."""
    C = config.n_embd
    shapes = {"wte": (vocab_size, C), "wpe": (config.block_size, C), "lm_head": (vocab_size, C)}
    for i in range(config.n_layer):
        for name in ("attn_wq", "attn_wk", "attn_wv", "attn_wo"):
            shapes[f"layer{i}.{name}"] = (C, C)
        shapes[f"layer{i}.mlp_fc1"] = (4 * C, C)
        shapes[f"layer{i}.mlp_fc2"] = (C, 4 * C)
    return {name: (0.08 * torch.randn(s)).requires_grad_() for name, s in shapes.items()}


def rmsnorm(x):
    return F.rms_norm(x, x.shape[-1:], eps=1e-5)


def gpt(config, weights, xb, dropout=0.0):
    """Logits of the token after each token, for all positions at once. (B, T) -> (B, T, V)"""
    B, T = xb.shape
    future = torch.full((T, T), -math.inf).triu(1)  # added to scores, it leaves them no weight

    def drop(x):  # the same numbers at all positions of a name: fewer to draw, and harder to miss
        return x * F.dropout(x.new_ones(B, 1, config.n_embd), dropout) if dropout else x

    x = F.embedding(xb, weights["wte"]) + weights["wpe"][:T]  # (B, T, C)
    x = drop(rmsnorm(x))
    for i in range(config.n_layer):
        residual, x = x, rmsnorm(x)
        q, k, v = (
            F.linear(x, weights[f"layer{i}.attn_{name}"])
            .view(B, T, config.n_head, -1)
            .transpose(1, 2)  # (B, T, C) -> (B, n_head, T, head_dim)
            for name in ("wq", "wk", "wv")
        )
        scores = (q / math.sqrt(q.shape[-1])) @ k.mT + future  # (B, n_head, T, T)
        x = scores.softmax(dim=-1).to(v.dtype) @ v  # (B, n_head, T, head_dim)
        x = x.transpose(1, 2).flatten(2)  # (B, n_head, T, head_dim) -> (B, T, C)
        x = add(drop(F.linear(x, weights[f"layer{i}.attn_wo"])), residual)
        residual, x = x, rmsnorm(x)
        x = relu(F.linear(x, weights[f"layer{i}.mlp_fc1"]))  # (B, T, 4C)
        x = add(drop(F.linear(x, weights[f"layer{i}.mlp_fc2"])), residual)  # (B, T, C)
    return F.linear(x, weights["lm_head"])  # (B, T, C) -> (B, T, V)


# ---- training --------------------------------------------------------------------------------
def has_bfloat16():
    capabilities = torch.cpu.get_capabilities()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))


def train(config, weights, data):
    """AdamW on random batches. Returns the curve, characters seen and the finished Progress."""
    xs, ys = data["train"]
    optimizer = torch.optim.AdamW(
        weights.values(), lr=config.learning_rate, betas=(0.85, 0.99), eps=1e-8,
        weight_decay=config.weight_decay, fused=True,
    )  # fmt: skip
    fast = config.bfloat16 and has_bfloat16()
    look_every = max(1, config.steps // 10)
    curve = [[0, None, evaluate(config, weights, *data["val"])]]
    losses, chars_seen = [], 0
    for step in (progress := plumbing.Progress(config.steps)):
        batch = torch.randint(len(xs), (config.batch_size,))
        T = (ys[batch] >= 0).any(dim=0).sum()  # of the longest name here; the rest is padding
        xb, yb = xs[batch, :T], ys[batch, :T]  # (B, T)

        with torch.autocast("cpu", torch.bfloat16, enabled=fast):
            logits = gpt(config, weights, xb, config.dropout)
        logits = logits.flatten(0, 1).type_as(weights["wte"])  # (B * T, V)
        loss = F.cross_entropy(logits, yb.flatten(), ignore_index=-1)

        optimizer.zero_grad()
        loss.backward()

        optimizer.param_groups[0]["lr"] = config.learning_rate * (1 - step / config.steps)
        optimizer.step()

        losses.append(loss.item())
        chars_seen += (yb >= 0).sum().item()
        if (step + 1) % look_every == 0:
            val = evaluate(config, weights, *data["val"])
            curve.append([step + 1, sum(losses) / len(losses), val])
            losses = []
            print("step {:5d} | batch loss {:.4f} | val loss {:.4f}".format(*curve[-1]), flush=True)
    return curve, chars_seen, progress


# ---- evaluation ------------------------------------------------------------------------------
@torch.no_grad()
def evaluate(config, weights, xs, ys):
    """Mean of -log P over every character and end of a split, in nats per character."""
    total = 0.0
    for xb, yb in zip(xs.split(1024), ys.split(1024)):  # in pieces, to bound the memory
        logits = gpt(config, weights, xb).flatten(0, 1)  # (B * T, V)
        total += F.cross_entropy(logits, yb.flatten(), ignore_index=-1, reduction="sum").item()
    return total / (ys >= 0).sum().item()


# ---- samples ---------------------------------------------------------------------------------
@torch.no_grad()
def sample(config, weights, tokenizer):
    """Draw one name of at most block_size characters."""
    tokens = [tokenizer.BOS]
    while len(tokens) <= config.block_size:
        logits = gpt(config, weights, torch.tensor([tokens]))[0, -1]  # (V,)
        token = torch.multinomial((logits / config.temperature).softmax(0), 1).item()
        if token == tokenizer.BOS:
            break
        tokens.append(token)
    return tokenizer.decode(tokens[1:])


# ---- main ------------------------------------------------------------------------------------
def main():
    config = plumbing.parse_flags(Config, __doc__, PRESETS)
    variant, idea = "twin", "the same model on batches, in PyTorch"
    if config.preset == "best":
        variant, idea = "best", "the same model, larger, with dropout and weight decay"
    splits = load_splits(config.data)
    plumbing.prepare_out(config.out)
    tokenizer = Tokenizer([doc for split in splits.values() for doc in split])
    data = {name: rectangle(docs, tokenizer, config.block_size) for name, docs in splits.items()}
    torch.manual_seed(config.seed)
    weights = init_weights(config, tokenizer.vocab_size)
    params = sum(w.numel() for w in weights.values())
    print(f"{idea}, {config.batch_size} names a step; num params: {params:,}")

    curve, chars_seen, progress = train(config, weights, data)
    loss = {name: evaluate(config, weights, *data[name]) for name in SPLITS}
    samples = [sample(config, weights, tokenizer) for _ in range(20)]
    print("samples:", ", ".join(samples[:10]))
    tensors = {name: w.detach() for name, w in weights.items()}
    checkpoint = {"chars": "".join(tokenizer.chars), "weights": tensors}
    plumbing.save_tensors(config.out / "model.pt", checkpoint)
    plumbing.save_result(
        config, progress, idea, **plumbing.sizes(splits),
        vocab_size=tokenizer.vocab_size, params=params, chars_seen=chars_seen,
        loss=loss, curve=curve, samples=samples, torch=torch, variant=variant,
    )
    return progress.status


if __name__ == "__main__":
    plumbing.run(main)
