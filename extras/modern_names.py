"""The best model of names: modern_gpt.py's GPT, nearly as large as the best twin of stage 05.

Same as stage 05: the names, their splits, the losses.
New here: parts of a modern GPT, Muon, and epochs. An epoch reads every name once.
Run: python extras/modern_names.py
"""

from dataclasses import dataclass
from pathlib import Path

from stage_code import ROOT, load_stage

import torch
import torch.nn.functional as F

import modern_gpt

common = load_stage("05_microgpt", "common")
names = load_stage("05_microgpt", "names")
twin = load_stage("05_microgpt", "torch_twin")
stage = load_stage("06_shakespeare_gpt")
devices = load_stage("06_shakespeare_gpt", "devices")


# modern_gpt.py's parts without gates, which did not help on names.
PARTS = "no_biases,rmsnorm,rotary,qk_norm,swiglu,previous"


# ---- config ----------------------------------------------------------------------------------
@dataclass(frozen=True)
class Config:
    data: Path = common.flag(
        ROOT / "data/names.txt", "one name per line, or a folder with train, val and test.txt"
    )
    parts: str = common.flag(PARTS, "parts of modern_gpt.py, separated by commas")
    reach: int = common.flag(2, "how many characters back `previous` looks", 1, 100)
    seed: int = common.flag(42, "seeds the random weights, batches and samples", 0, 2**32 - 1)
    steps: int = common.flag(3000, "updates of the weights", 0, 10**7)
    batch_size: int = common.flag(256, "names in one step", 1, 10**6)
    block_size: int = common.flag(16, "positions: the model sees no more characters", 1, 1024)
    n_embd: int = common.flag(72, "numbers in each character's vector", 1, 1024)
    n_head: int = common.flag(2, "attention heads, which share these numbers equally", 1, 1024)
    n_layer: int = common.flag(3, "layers, each of attention and an MLP", 1, 100)
    dropout: float = common.flag(0.15, "share of each name's activations set to 0", 0, 0.99)
    learning_rate: float = common.flag(0.005, "of AdamW at its maximum", 0, 10)
    muon_learning_rate: float = common.flag(0.02, "of Muon, for the matrices inside", 0, 10)
    weight_decay: float = common.flag(0.1, "pulls every matrix towards 0", 0, 10)
    warmup: int = common.flag(50, "steps in which the learning rate rises", 0, 10**7)
    final: float = common.flag(0.0, "last learning rate, as a share of the maximum", 0, 1)
    clip: float = common.flag(1.0, "largest gradient norm", 1e-9, 1e9)
    resume: bool = common.flag(False, "go on with the training of a run that did not end")
    out: Path = common.flag(common.OUT / "modern", "folder for result.json and model.pt")

    def __post_init__(self):
        if self.n_embd % self.n_head:
            problem = f"--n-embd {self.n_embd} is not a multiple of --n-head {self.n_head}"
            raise common.BadInput(problem)
        try:
            modern_gpt.check_heads(self)
        except ValueError as error:  # stage 06's BadInput, which is not stage 05's
            raise common.BadInput(str(error)) from None


# ---- data ------------------------------------------------------------------------------------
def pick_rows(n, config, step):
    """Which of n rows are in a step's batch: every epoch shuffles them. -> (B,)"""
    first, order = step * config.batch_size, []
    for epoch in range(first // n, (first + config.batch_size - 1) // n + 1):
        generator = torch.Generator().manual_seed(1_000_000 * config.seed + epoch)
        order.append(torch.randperm(n, generator=generator))
    return torch.cat(order)[first % n :][: config.batch_size]


def shuffled_batches(config, xs, ys):
    """get_batch() of modern_gpt.train(). xs, ys: as from twin.pad_docs()"""
    lengths = (ys >= 0).sum(dim=1)  # (N,), the targets in each row; the rest is padding

    def get_batch(step, share):
        rows = pick_rows(len(xs), config, step)
        T = lengths[rows].max()  # of the longest name in the batch
        return xs[rows, :T], ys[rows, :T]  # (B, T) each

    return get_batch


# ---- evaluation ------------------------------------------------------------------------------
@torch.no_grad()
def evaluate(model, xs, ys):
    """Mean of -log P over every character and end of a split, in nats per character, in float32."""
    was_training = model.training
    model.eval()
    total = 0.0
    for xb, yb in zip(xs.split(1024), ys.split(1024)):
        logits = model(xb).flatten(0, 1)  # (B, T, V) -> (B * T, V)
        total += F.cross_entropy(logits, yb.flatten(), ignore_index=-1, reduction="sum").item()
    model.train(was_training)
    return total / (ys >= 0).sum().item()


@torch.no_grad()
def log_probs(model, text):
    """One row for each character of a text and one for its end: log P of every token there.

    -> list[N + 1] of list[V]; a text longer than block_size is read in pieces.
    """
    xs, ys = twin.pad_docs([text], model.tokenizer, model.block_size)  # (pieces, T)
    rows = model(xs).log_softmax(dim=-1)  # (pieces, T, V)
    return rows[ys >= 0].tolist()


# ---- samples ---------------------------------------------------------------------------------
@torch.no_grad()
def sample(model, temperature=1.0):
    """Draw one name of at most block_size characters."""
    tokens = [model.tokenizer.BOS]
    while len(tokens) <= model.block_size:
        logits = model(torch.tensor([tokens]))[0, -1]  # (V,)
        token = torch.multinomial((logits / temperature).softmax(dim=0), 1).item()
        if token == model.tokenizer.BOS:
            break
        tokens.append(token)
    return model.tokenizer.decode(tokens[1:])


# ---- main ------------------------------------------------------------------------------------
def make_model(config, tokenizer):
    """A new ModernGPT with the sizes and parts in config and random weights."""
    parts = modern_gpt.read_parts(config.parts)
    model = modern_gpt.ModernGPT(tokenizer.vocab_size, config, parts)
    model.tokenizer = tokenizer
    return model


def load(folder):
    """The trained model that main() wrote, with dropout off."""
    saved = torch.load(folder / "model.pt", map_location="cpu", weights_only=True)
    model = make_model(Config(**saved["config"]), names.Tokenizer(saved["chars"]))
    model.load_state_dict(saved["weights"])
    return model.eval()


def main():
    config = common.parse_flags(Config, __doc__)
    splits = names.load_splits(config.data)
    common.begin_run(config)
    tokenizer = names.Tokenizer(sum(splits.values(), []))
    data = {k: twin.pad_docs(docs, tokenizer, config.block_size) for k, docs in splits.items()}
    torch.manual_seed(config.seed)
    model = make_model(config, tokenizer)
    params = sum(p.numel() for p in model.parameters())
    dtype = devices.pick_dtype("auto", "cpu")
    print(f"parts: {config.parts}\nnum params: {params:,}\n{dtype}", flush=True)

    optimizers = stage.make_optimizers(config, model)
    log = common.Log(
        config.steps, lambda: evaluate(model, *data["val"]), state=[model, *optimizers]
    )  # fmt: skip
    batches = shuffled_batches(config, *data["train"])
    modern_gpt.train(config, model, optimizers, log, batches, "cpu", dtype)

    model.eval()
    loss = {k: evaluate(model, *data[k]) for k in common.unless_stopped("train", "test")}
    loss["val"] = log.val
    samples = [sample(model) for _ in range(20)]
    print("samples:", names.mark_known(samples[:10], splits))
    saved = {
        "config": common.settings(config),
        "chars": tokenizer.chars,
        "weights": model.state_dict(),
    }
    common.save_run(
        config, log, "the parts of a modern GPT", {"model.pt": saved}, **names.count_docs(splits),
        vocab_size=tokenizer.vocab_size, params=params, chars_seen=log.chars_seen, loss=loss,
        samples=samples, dtype=dtype, variant="modern",
    )  # fmt: skip


if __name__ == "__main__":
    common.run(main)
