"""main.py's model in PyTorch: the same weights under the same names, on a batch of names at a time.

Same as main.py: every formula; with the same weights, logits and gradients agree to 1e-6.
New here: tensors instead of lists, so that one operation computes a complete batch.
Run: python 05_microgpt/torch_twin.py --preset best
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import common
from common import OUT, ROOT, BadInput, flag

import torch
import torch.nn.functional as F

from names import Tokenizer, count_docs, load_splits, mark_known

# small: main.py's sizes, which are the defaults below. best: 48 times as many weights, which train
# for two minutes on two cores. Dropout and weight decay keep it from learning the names by heart.
PRESETS = {
    "small": {},
    "best": dict(
        steps=3200, n_embd=64, n_head=2, n_layer=4, learning_rate=0.008, weight_decay=0.25,
        dropout=0.1, bfloat16=True, out=OUT / "best",
    ),
}


# ---- config ----------------------------------------------------------------------------------
@dataclass(frozen=True)
class Config:
    data: Path = flag(
        ROOT / "data/names.txt", "one name per line, or a folder with train, val and test.txt"
    )
    preset: str = flag("small", "small or best; other flags override it", choices=[*PRESETS])
    seed: int = flag(42, "seeds the random weights, batches and samples", 0, 2**32 - 1)
    steps: int = flag(1500, "updates of the weights", 0, 10**7)
    batch_size: int = flag(256, "names in one step", 1, 10**6)
    block_size: int = flag(16, "positions: the model sees at most this many characters", 1, 1024)
    n_embd: int = flag(16, "numbers in each character's vector", 1, 1024)
    n_head: int = flag(4, "attention heads, which share these numbers equally", 1, 1024)
    n_layer: int = flag(1, "layers, each of attention and an MLP", 1, 100)
    learning_rate: float = flag(0.02, "of AdamW; falls linearly to 0", 0, 10)
    weight_decay: float = flag(0.0, "of AdamW: pulls every weight towards 0", 0, 10)
    dropout: float = flag(0.0, "share of each name's activations set to 0 in training", 0, 0.99)
    bfloat16: bool = flag(False, "matrix products in bfloat16, on CPUs with instructions for it")
    temperature: float = flag(0.5, "of more samples; below 1 favours likely characters", 0.01, 100)
    resume: bool = flag(False, "go on with the training of a run that did not end")
    out: Path = flag(OUT / "twin", "folder for result.json and model.pt")

    def __post_init__(self):
        if self.n_embd % self.n_head:
            raise BadInput(f"--n-embd {self.n_embd} is not a multiple of --n-head {self.n_head}")


# ---- data ------------------------------------------------------------------------------------
def pad_docs(docs, tokenizer, block_size):
    """All documents as two tensors (N, T), padded on the right; a target of -1 is not scored.

    A document longer than block_size becomes several rows, and each row starts over.
    """
    tokens = [tokenizer.encode(doc) for doc in docs]
    T = block_size
    pieces = [doc[i : i + T + 1] for doc in tokens for i in range(0, len(doc) - 1, T)]
    xs = [piece[:-1] + [tokenizer.BOS] * (T + 1 - len(piece)) for piece in pieces]
    ys = [piece[1:] + [-1] * (T + 1 - len(piece)) for piece in pieces]
    return torch.tensor(xs), torch.tensor(ys)


# ---- model -----------------------------------------------------------------------------------
def rmsnorm(x):
    return x * (x.pow(2).mean(dim=-1, keepdim=True) + 1e-5).rsqrt()


@dataclass
class Model:
    config: Config
    weights: dict  # name -> tensor (n_out, n_in)
    tokenizer: Tokenizer
    # The parts that extras/ablate_microgpt.py swaps, to find out what each is worth.
    norm: Callable = rmsnorm
    activation: Callable = F.relu
    residual: bool = True


def init_weights(config, vocab_size):
    """The weights of an untrained model: normally distributed, standard deviation 0.08."""
    C = config.n_embd
    shapes = {"wte": (vocab_size, C), "wpe": (config.block_size, C), "lm_head": (vocab_size, C)}
    for i in range(config.n_layer):
        for name in ("attn_wq", "attn_wk", "attn_wv", "attn_wo"):
            shapes[f"layer{i}.{name}"] = (C, C)
        shapes[f"layer{i}.mlp_fc1"] = (4 * C, C)
        shapes[f"layer{i}.mlp_fc2"] = (C, 4 * C)
    return {name: (0.08 * torch.randn(s)).requires_grad_() for name, s in shapes.items()}


def attention(q, k, v):
    """For each query, the mean of the values up to its position, weighted by how well keys match.

    (B, n_head, T, head_dim) three times -> the same, and the weights, (B, n_head, T, T)
    """
    T, head_dim = q.shape[-2:]
    # A score of minus infinity gives a position in the future a weight of 0.
    future = torch.full((T, T), -math.inf).triu(1)
    scores = (q / math.sqrt(head_dim)) @ k.mT + future  # (B, n_head, T, T)
    att = scores.softmax(dim=-1)  # (B, n_head, T, T), each row adds up to 1
    return att.to(v.dtype) @ v, att


def gpt(model, xb, dropout=0.0, attentions=None):
    """Logits of what comes after each token, for all positions at once. (B, T) -> (B, T, V)

    attentions: a list to which each layer appends its attention weights, (B, n_head, T, T).
    """
    config, weights = model.config, model.weights
    B, T = xb.shape

    def drop(x):
        # Drop the same numbers at all positions of a name. Then there are fewer random numbers to
        # draw, and the model finds it harder to do without the dropped ones.
        return x * F.dropout(x.new_ones(B, 1, config.n_embd), dropout) if dropout else x

    x = F.embedding(xb, weights["wte"]) + weights["wpe"][:T]  # (B, T, C)
    x = drop(model.norm(x))
    for i in range(config.n_layer):
        # Attention: each position looks back and collects what it needs.
        residual = x if model.residual else 0.0
        x = model.norm(x)
        q, k, v = (
            F.linear(x, weights[f"layer{i}.attn_{name}"])
            .view(B, T, config.n_head, -1)
            .transpose(1, 2)  # (B, T, C) -> (B, n_head, T, head_dim)
            for name in ("wq", "wk", "wv")
        )
        x, att = attention(q, k, v)  # (B, n_head, T, head_dim)
        x = x.transpose(1, 2).flatten(2)  # (B, n_head, T, head_dim) -> (B, T, C)
        x = F.linear(x, weights[f"layer{i}.attn_wo"])
        x = drop(x) + residual
        # MLP: each position computes on its own.
        residual = x if model.residual else 0.0
        x = model.norm(x)
        x = F.linear(x, weights[f"layer{i}.mlp_fc1"])  # (B, T, C) -> (B, T, 4C)
        x = model.activation(x)
        x = F.linear(x, weights[f"layer{i}.mlp_fc2"])  # (B, T, 4C) -> (B, T, C)
        x = drop(x) + residual
        if attentions is not None:
            attentions.append(att)
    return F.linear(x, weights["lm_head"])  # (B, T, C) -> (B, T, V)


# ---- training --------------------------------------------------------------------------------
def has_bfloat16():
    capabilities = getattr(torch.cpu, "get_capabilities", dict)()  # older versions cannot tell
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))


def train(model, data):
    """AdamW on random batches. Returns the log and the number of targets seen.

    data: the tensors of each split, as from pad_docs().
    """
    config = model.config
    xs, ys = data["train"]
    lengths = (ys >= 0).sum(dim=1)  # (N,), the targets in each row; the rest is padding
    optimizer = torch.optim.AdamW(
        model.weights.values(), lr=config.learning_rate, betas=(0.85, 0.99), eps=1e-8,
        weight_decay=config.weight_decay,
        fused=torch.__version__ >= (2, 4),  # in one operation, on CPUs since 2.4
    )  # fmt: skip
    fast = config.bfloat16 and has_bfloat16()
    log = common.Log(
        config.steps,
        val_loss=lambda: evaluate(model, *data["val"]),
        weights=lambda: {name: w.detach().clone() for name, w in model.weights.items()},
        state=[model.weights, optimizer],
    )
    for step in log:
        batch = torch.randint(len(xs), (config.batch_size,))
        T = lengths[batch].max()  # of the longest name in the batch
        xb, yb = xs[batch, :T], ys[batch, :T]  # (B, T)

        with torch.autocast("cpu", torch.bfloat16, enabled=fast):
            logits = gpt(model, xb, config.dropout)  # (B, T, V)
        logits = logits.flatten(0, 1).type_as(model.weights["wte"])  # (B * T, V)
        loss = F.cross_entropy(logits, yb.flatten(), ignore_index=-1)

        optimizer.zero_grad()
        loss.backward()

        optimizer.param_groups[0]["lr"] = config.learning_rate * (1 - step / config.steps)
        optimizer.step()

        log.add(loss.item(), lengths[batch].sum().item())
    return log, log.chars_seen


# ---- evaluation ------------------------------------------------------------------------------
@torch.no_grad()
def evaluate(model, xs, ys):
    """Mean of -log P over every character and end of a split, in nats per character."""
    total, T = 0.0, xs.shape[1]
    V, n_head = len(model.weights["lm_head"]), model.config.n_head
    numbers = T * max(V, T * n_head)  # of each row: logits, or attention weights
    rows = min(1024, max(1, 2**24 // numbers))
    for xb, yb in zip(xs.split(rows), ys.split(rows)):  # in parts, to save memory
        logits = gpt(model, xb).flatten(0, 1)  # (B, T, V) -> (B * T, V)
        total += F.cross_entropy(logits, yb.flatten(), ignore_index=-1, reduction="sum").item()
    return total / (ys >= 0).sum().item()


@torch.no_grad()
def log_probs(model, text):
    """One row for each character of a text and one for its end: log P of every token there.

    -> list[N + 1] of list[V]

    A text longer than block_size is read in pieces, as in evaluate().
    """
    xs, ys = pad_docs([text], model.tokenizer, model.config.block_size)  # (pieces, T)
    rows = gpt(model, xs).log_softmax(dim=-1)  # (pieces, T, V)
    return rows[ys >= 0].tolist()  # (pieces, T, V) -> (N + 1, V)


@torch.no_grad()
def attention_weights(model, text):
    """How much each position takes from each position, for BOS and the characters of a text.

    [layer][head][T][T]: row t holds the weights of positions 0 to t, then zeros. T is at most
    block_size.
    """
    tokens = model.tokenizer.encode(text)[:-1][: model.config.block_size]
    attentions = []
    gpt(model, torch.tensor([tokens]), attentions=attentions)
    return [att[0].tolist() for att in attentions]


# ---- samples ---------------------------------------------------------------------------------
@torch.no_grad()
def sample(model, temperature=1.0):
    """Draw one name of at most block_size characters.

    A temperature below 1 favours likely characters.
    """
    tokens = [model.tokenizer.BOS]
    while len(tokens) <= model.config.block_size:
        logits = gpt(model, torch.tensor([tokens]))[0, -1]  # (V,)
        probs = (logits / temperature).softmax(dim=0)
        token = torch.multinomial(probs, 1).item()
        if token == model.tokenizer.BOS:
            break
        tokens.append(token)
    return model.tokenizer.decode(tokens[1:])


# ---- main ------------------------------------------------------------------------------------
def load(folder, step=None):
    """The trained model that main() wrote, or the model as it was after `step` updates.

    KeyError if the run did not keep that step: result.json lists them under kept_steps.
    """
    saved = torch.load(folder / "model.pt", weights_only=True)
    weights = saved["weights"] if step is None else dict(saved["earlier"])[step]
    return Model(Config(**saved["config"]), weights, Tokenizer(saved["chars"]))


def main():
    config = common.parse_flags(Config, __doc__, PRESETS)
    variant, idea = "twin", "the same model on batches, in PyTorch"
    if config.preset == "best":
        variant, idea = "best", "the same model, larger, with dropout and weight decay"
    splits = load_splits(config.data)
    common.begin_run(config)
    tokenizer = Tokenizer(sum(splits.values(), []))
    data = {name: pad_docs(docs, tokenizer, config.block_size) for name, docs in splits.items()}
    torch.manual_seed(config.seed)
    model = Model(config, init_weights(config, tokenizer.vocab_size), tokenizer)
    params = sum(w.numel() for w in model.weights.values())
    print(f"{idea}, {config.batch_size} names a step; num params: {params:,}")

    log, chars_seen = train(model, data)

    loss = {name: evaluate(model, *data[name]) for name in common.unless_stopped("train", "test")}
    loss["val"] = log.val
    at_temperature = [sample(model, config.temperature) for _ in range(20)]
    samples = [sample(model) for _ in range(20)]
    print("samples:", mark_known(samples[:10], splits))
    print(f"samples at temperature {config.temperature}:", mark_known(at_temperature[:10], splits))
    saved = {
        "config": common.settings(config),
        "chars": tokenizer.chars,
        "weights": {name: w.detach() for name, w in model.weights.items()},
        "earlier": log.kept,
    }
    common.save_run(
        config, log, idea, {"model.pt": saved}, **count_docs(splits),
        vocab_size=tokenizer.vocab_size, params=params, chars_seen=chars_seen, loss=loss,
        samples=samples, samples_at_temperature=at_temperature, variant=variant,
    )  # fmt: skip


if __name__ == "__main__":
    common.run(main)
