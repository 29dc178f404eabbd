"""A GPT in PyTorch that writes Shakespeare: stage 05's model, larger, on a running text.

Same as 05: embeddings, positions, causal attention, MLP, residuals.
New in 06: nn.Module, LayerNorm, dropout, GELU, Muon, warm-up and cosine decay, the best weights.
Source: "Let's build GPT: from scratch, in code, spelled out" and nanoGPT, A. Karpathy, 2022-2023.
Run: python 06_shakespeare_gpt/main.py --prompt "ROMEO:"
"""

import math
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F

import devices
import forecast
import plumbing
from devices import RANK, RANKS
from model import GPT
from optimizers import make_optimizers, schedule
from plumbing import ROOT, SPLITS, STAGE, BadInput

# cpu: the defaults below, for five minutes on two cores. nanogpt-cpu: the CPU recipe of nanoGPT's
# README. lecture: that of the lecture and of nanoGPT's train_shakespeare_char, for a GPU. microgpt:
# stage 05's sizes on its names, read as one text: a line end is their BOS; val is its last tenth.
PRESETS = {
    "cpu": {},
    "nanogpt-cpu": dict(
        steps=2000, batch_size=12, block_size=64, n_embd=128, n_head=4, n_layer=4,
        learning_rate=1e-3, muon_learning_rate=0.0, weight_decay=0.1, warmup=100, final=0.1,
    ),
    "lecture": dict(
        steps=5000, batch_size=64, block_size=256, n_embd=384, n_head=6, n_layer=6, dropout=0.2,
        learning_rate=1e-3, muon_learning_rate=0.0, weight_decay=0.1, warmup=100, final=0.1,
        compile=True,
    ),
    "microgpt": dict(
        data=ROOT / "data" / "names.txt", batch_size=64, block_size=16, n_embd=16, n_head=4,
        n_layer=1, learning_rate=0.01, muon_learning_rate=0.0, weight_decay=0.0, warmup=0, clip=1e9,
    ),
}


# ---- config ----------------------------------------------------------------------------------
@dataclass(frozen=True)
class Config:
    data: Path = ROOT / "data" / "tinyshakespeare.txt"  # a text, or a folder of train and val.txt
    preset: str = "cpu"  # cpu, nanogpt-cpu, lecture or microgpt; flags given besides it win
    seed: int = 1337  # starts the random numbers of weights, batches and samples
    steps: int = 3600  # updates of the weights
    minutes: float = 0.0  # of training instead of steps; the schedule fits them. 0: go by steps
    batch_size: int = 32  # excerpts in one step
    block_size: int = 96  # characters in an excerpt, so the most the model can look back on
    n_embd: int = 128  # numbers in the vector that stands for a character
    n_head: int = 2  # attention heads that share those numbers
    n_layer: int = 4  # blocks of attention and MLP
    dropout: float = 0.0  # share of activations set to 0 in training
    learning_rate: float = 0.005  # of AdamW at its highest
    muon_learning_rate: float = 0.02  # of Muon, for the matrices in the blocks; 0: AdamW has all
    weight_decay: float = 0.3  # share of each matrix taken off, times the learning rate
    warmup: int = 50  # steps in which the learning rate rises to its highest
    final: float = 0.0  # share of the learning rate left at the end, after a cosine decay
    clip: float = 1.0  # largest norm of all gradients together; longer ones are shortened to it
    eval_every: int = 400  # steps between two looks at the val loss
    prompt: str = "\n"  # where the sample begins
    temperature: float = 0.8  # divides the logits when sampling
    top_k: int = 200  # only so many of the likeliest characters can be drawn
    device: str = "auto"  # auto, cpu, cuda or mps
    dtype: str = "auto"  # of matrix products: float32, or bfloat16 where that is faster
    compile: bool = False  # torch.compile first: a minute's wait, then faster on a GPU
    out: Path = ROOT / "out" / STAGE  # folder for result.json, model.pt and loss.png

    def __post_init__(self):
        check = plumbing.check_ranges
        check(self, seed=(0, 2**32 - 1), steps=(0, 10**7), minutes=(0, 10**5), warmup=(0, 10**7))
        check(self, batch_size=(1, 10**5), block_size=(1, 10**5), n_embd=(1, 10**5))
        check(self, n_head=(1, 10**4), n_layer=(1, 1000), dropout=(0, 0.99), clip=(1e-9, 1e9))
        check(self, learning_rate=(0, 10), muon_learning_rate=(0, 10), weight_decay=(0, 10))
        check(self, final=(0, 1), eval_every=(1, 10**7), temperature=(0.01, 100), top_k=(1, 10**6))
        if self.n_embd % self.n_head:
            raise BadInput(f"--n-embd {self.n_embd} does not divide by --n-head {self.n_head}")
        if not self.prompt:
            raise BadInput("--prompt is empty; give at least one character")
        if self.batch_size % RANKS or (self.minutes and RANKS > 1):
            raise BadInput(f"{RANKS} ranks need --steps, and a --batch-size that they divide")


# ---- data ------------------------------------------------------------------------------------
def load_text(path, block_size):
    """Return {"train": str, "val": str}: a folder's two files, or the first 9 in 10 characters and
    the rest. BadInput if a part is too short for one excerpt and the character after it.
    """
    if path.is_dir():
        splits = {name: plumbing.read_text(path / f"{name}.txt") for name in SPLITS[:2]}
    else:
        text = plumbing.read_text(path)
        n = int(0.9 * len(text))
        splits = {"train": text[:n], "val": text[n:]}
    for name, text in splits.items():
        if len(text) <= block_size:
            few = f"its {name} part has {len(text)} characters, too few for"
            raise BadInput(f"--data {path}: {few} --block-size {block_size}; lower that")
    return splits


def get_batch(data, config, generator):
    """Random excerpts and, one character later, what to predict. -> xb (B, T), yb (B, T)"""
    T = config.block_size
    starts = torch.randint(len(data) - T, (config.batch_size, 1), generator=generator)
    starts = starts[RANK::RANKS]  # all ranks draw the same batch, and each does its share of it
    excerpts = data[(starts + torch.arange(T + 1)).to(data.device)]  # (B, T + 1)
    return excerpts[:, :-1], excerpts[:, 1:]


# ---- training --------------------------------------------------------------------------------
def train(config, model, data, device, dtype, keep):
    """Returns the curve and the finished Progress; calls keep(step, val loss) at each new best."""
    optimizers = make_optimizers(config, model)
    parallel = devices.share_gradients(model)
    compute = torch.compile(parallel) if config.compile else parallel
    generator = torch.Generator().manual_seed(config.seed)
    curve, losses, best = [], [], math.inf

    def look(step):
        nonlocal best
        mean = devices.mean_over_ranks(torch.stack(losses).mean()).item() if losses else None
        val = evaluate(model, data["val"])
        curve.append([step, mean, val])
        if losses:
            print(f"step {step:5d} | batch loss {mean:.4f} | val loss {val:.4f}", flush=True)
        losses.clear()
        if val < best:
            best = val
            keep(step, best)

    look(0)
    for step in (progress := plumbing.Progress(config.steps, minutes=config.minutes)):
        xb, yb = get_batch(data["train"], config, generator)

        with devices.autocast(device, dtype):
            logits = compute(xb)  # (B, T, V)
            loss = F.cross_entropy(logits.flatten(0, 1), yb.flatten())

        model.zero_grad()
        loss.backward()

        torch.nn.utils.clip_grad_norm_(model.parameters(), config.clip)
        for optimizer in optimizers:
            for group in optimizer.param_groups:
                group["lr"] = group["highest_lr"] * schedule(step, progress.share, config)
            with devices.autocast(device, dtype):
                optimizer.step()

        losses.append(loss.detach())  # not item(), which would wait for the GPU
        if step == forecast.LOOK_AT:
            print(forecast.say(config, progress), flush=True)
        if (step + 1) % config.eval_every == 0:
            look(step + 1)
    if losses:
        look(progress.done)
    return curve, progress


# ---- evaluation ------------------------------------------------------------------------------
@torch.no_grad()
def evaluate(model, data, batch_size=64):
    """Mean of -log P over every character of a text but its first, in nats, with dropout off. The
    text is read in stretches of block_size, each of which knows nothing of those before.
    """
    was_training = model.training
    model.eval()
    T, total = model.block_size, 0.0
    whole = (len(data) - 1) // T * T  # the last stretch is shorter
    xs, ys = data[:whole].view(-1, T), data[1 : whole + 1].view(-1, T)  # (N, T)
    batches = list(zip(xs.split(batch_size), ys.split(batch_size)))
    if whole < len(data) - 1:
        batches.append((data[whole:-1][None], data[whole + 1 :][None]))
    for xb, yb in batches:
        logits = model(xb).flatten(0, 1)  # (B * T, V)
        total += F.cross_entropy(logits, yb.flatten(), reduction="sum").item()
    model.train(was_training)
    return total / (len(data) - 1)


def letter_frequencies(data, vocab_size):
    """The losses of a guess that knows only how often each character stands in train."""
    counts = torch.bincount(data["train"], minlength=vocab_size) + 0.1  # (V,), as in stage 02
    probs = counts / counts.sum()  # (V,)
    return {name: -probs[text].log().mean().item() for name, text in data.items()}


# ---- main ------------------------------------------------------------------------------------
def main():
    config = plumbing.parse_flags(Config, __doc__, PRESETS)
    device = devices.pick_device(config.device)
    dtype = devices.pick_dtype(config.dtype, device)
    devices.join_ranks(device)
    if config.data == Config.data:
        plumbing.get_data("tinyshakespeare")
    splits = load_text(config.data, config.block_size)
    plumbing.prepare_out(config.out)
    chars = sorted(set("".join(splits.values())))
    stoi = {ch: i for i, ch in enumerate(chars)}
    V = len(chars)
    if unknown := set(config.prompt) - set(chars):
        raise BadInput(f"--prompt holds {min(unknown)!r}, which the text does not have")
    data = {k: torch.tensor([stoi[c] for c in text]).to(device) for k, text in splits.items()}

    torch.manual_seed(config.seed)
    shape = ("block_size", "n_embd", "n_head", "n_layer", "dropout")
    sizes = {"vocab_size": V, **{name: getattr(config, name) for name in shape}}
    model = GPT(**sizes).to(device)
    params = sum(p.numel() for p in model.parameters())
    print(f"vocab size: {V}\nnum characters: {sum(map(len, data.values())):,}")
    print(f"num params: {params:,}\ndevice: {device}, {dtype}", flush=True)
    best = {}

    def keep(step, val):
        best.update(step=step, val=val)
        weights = {name: p.to("cpu") for name, p in model.state_dict().items()}
        checkpoint = {"sizes": sizes, "chars": "".join(chars), "step": step, "weights": weights}
        if RANK == 0:
            plumbing.save_tensors(config.out / "model.pt", checkpoint)

    curve, progress = train(config, model, data, device, dtype, keep)
    if RANK > 0:
        return progress.status
    loss = {name: evaluate(model, text) for name, text in data.items()} | {"test": None}
    checkpoint = torch.load(config.out / "model.pt", weights_only=True)
    model.load_state_dict(checkpoint["weights"])  # the best ones write the sample
    generator = torch.Generator().manual_seed(config.seed)
    tokens = [stoi[ch] for ch in config.prompt]
    new = model.generate(tokens, 500, config.temperature, config.top_k, generator)
    text = config.prompt + "".join(chars[token] for token in new)
    print(f"---- sample ----\n{text.strip()}\n----------------")
    print(f"best val loss {best['val']:.4f} at step {best['step']}, kept in model.pt")
    plumbing.save_result(
        config, progress, "a deeper Transformer on running text",
        docs={name: 1 for name in data}, targets={name: len(data[name]) - 1 for name in data},
        vocab_size=V, params=params,
        chars_seen=progress.done * config.batch_size * config.block_size,
        loss=loss, best=best, curve=curve, samples=[text], torch=torch, device=device,
        baselines={"letter frequencies": letter_frequencies(data, V)},
    )
    return progress.status


if __name__ == "__main__":
    plumbing.run(main)
