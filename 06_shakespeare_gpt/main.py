"""A GPT in PyTorch that writes Shakespeare: stage 05's model, larger, on a running text.

Same as 05: embeddings, positions, causal attention, MLP, residuals.
New in 06: nn.Module, LayerNorm, dropout, GELU, Muon, warm-up and cosine decay, the best weights.
Source: "Let's build GPT: from scratch, in code, spelled out" and nanoGPT, A. Karpathy, 2022-2023.
Run: python 06_shakespeare_gpt/main.py --prompt "ROMEO:"
"""

import math
from dataclasses import dataclass
from pathlib import Path

import common
from common import OUT, ROOT, BadInput, flag, visible

import torch
import torch.nn.functional as F

import devices
import prompts
from devices import RANK, RANKS
from model import GPT
from muon import Muon

# ---- config ----------------------------------------------------------------------------------
# cpu: the defaults below, which take three to four minutes on two cores.
# nanogpt-cpu: the recipe for CPUs in nanoGPT's README.
# lecture: the recipe for a GPU in the lecture and in nanoGPT's train_shakespeare_char.
# microgpt: stage 05's sizes on its names, read as one text. A line end serves as BOS, and the last
# tenth of the text is val.
PRESETS = {
    "cpu": {},
    "nanogpt-cpu": dict(
        steps=2000, batch_size=12, block_size=64, n_embd=128, n_head=4, n_layer=4,
        learning_rate=1e-3, muon_learning_rate=0.0, weight_decay=0.1, warmup=100, final=0.1,
    ),
    "lecture": dict(
        steps=5000, batch_size=64, block_size=256, n_embd=384, n_head=6, n_layer=6, dropout=0.2,
        learning_rate=1e-3, muon_learning_rate=0.0, weight_decay=0.1, warmup=100, final=0.1,
        compile=torch.cuda.is_available(),
    ),
    "microgpt": dict(
        data=ROOT / "data/names.txt", batch_size=64, block_size=16, n_embd=16, n_head=4,
        n_layer=1, learning_rate=0.01, muon_learning_rate=0.0, weight_decay=0.0, warmup=0, clip=1e9,
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Config:
    data: Path = flag(
        ROOT / "data/tinyshakespeare.txt", "a text file, or a folder with train.txt and val.txt"
    )
    preset: str = flag("cpu", f"{', '.join(PRESETS)}; other flags override it", choices=[*PRESETS])
    seed: int = flag(1337, "seeds the random weights, batches and samples", 0, 2**32 - 1)
    steps: int = flag(3150, "updates of the weights", 0, 10**7)
    minutes: float = flag(0.0, "train for this long instead; 0: use --steps", 0, 10**5)
    batch_size: int = flag(32, "excerpts in one step", 1, 10**5)
    block_size: int = flag(96, "characters in an excerpt: the model sees no more", 1, 10**5)
    n_embd: int = flag(128, "numbers in each character's vector", 1, 10**5)
    n_head: int = flag(2, "attention heads that share those numbers", 1, 10**4)
    n_layer: int = flag(4, "blocks, each of attention and an MLP", 1, 1000)
    dropout: float = flag(0.0, "share of activations set to 0 in training", 0, 0.99)
    learning_rate: float = flag(0.005, "of AdamW at its maximum", 0, 10)
    muon_learning_rate: float = flag(
        0.02, "of Muon, for the matrices in the blocks; 0: AdamW trains them, too", 0, 10
    )
    weight_decay: float = flag(0.3, "pulls every matrix towards 0", 0, 10)
    warmup: int = flag(50, "steps in which the learning rate rises to its maximum", 0, 10**7)
    final: float = flag(0.0, "last learning rate, as a share of the maximum", 0, 1)
    clip: float = flag(1.0, "largest gradient norm; a longer gradient is scaled down", 1e-9, 1e9)
    eval_every: int = flag(400, "steps between two measurements of the val loss", 1, 10**7)
    prompt: str = flag(prompts.DEFAULT, r"the text that the sample continues; \n is a line end")
    temperature: float = flag(0.8, "of the sample; lower favours likely characters", 0.01, 100)
    top_k: int = flag(200, "draw the sample from this many of the likeliest characters", 1, 10**6)
    device: str = flag("auto", "auto, cpu, cuda or mps", choices=["auto", "cpu", "cuda", "mps"])
    dtype: str = flag(
        "auto", "of matrix products: float32 or bfloat16; auto picks the faster one",
        choices=["auto", "float32", "bfloat16"],
    )  # fmt: skip
    compile: bool = flag(False, "run torch.compile first: takes a minute, then faster on a GPU")
    resume: bool = flag(False, "go on with the training of a run that did not end")
    out: Path = flag(OUT, "folder for result.json and model.pt")

    def __post_init__(self):
        if self.n_embd % self.n_head:
            raise BadInput(f"--n-embd {self.n_embd} is not a multiple of --n-head {self.n_head}")
        if not self.prompt:
            raise BadInput("--prompt is empty: give at least one character")
        if self.batch_size % RANKS or (self.minutes and RANKS > 1):
            raise BadInput(f"{RANKS} ranks need --steps and a --batch-size that they share equally")
        if self.resume and RANKS > 1:
            raise BadInput("--resume works for one process only: start main.py without torchrun")


# ---- data ------------------------------------------------------------------------------------
def load_text(path, block_size):
    """{"train": str, "val": str}: a folder's two files, or the first 9 in 10 characters and the
    rest. BadInput if a part is too short for one excerpt and the character after it.
    """
    if common.is_folder(path):
        splits = {name: common.read_text(path / f"{name}.txt") for name in ("train", "val")}
    else:
        text = common.read_text(path)
        n = int(0.9 * len(text))
        splits = {"train": text[:n], "val": text[n:]}
    for name, text in splits.items():
        if len(text) <= block_size:
            few = f"its {name} part has {len(text)} characters, too few for"
            raise BadInput(f"--data {path}: {few} --block-size {block_size}; give a smaller one")
    return splits


class Tokenizer:
    """Characters to ids and back. A running text needs no BOS."""

    def __init__(self, text):
        self.chars = sorted(set(text))
        self.stoi = {ch: i for i, ch in enumerate(self.chars)}
        self.itos = dict(enumerate(self.chars))
        self.vocab_size = len(self.chars)

    def encode(self, text):
        return [self.stoi[ch] for ch in text]

    def decode(self, tokens):
        return "".join(self.itos[token] for token in tokens)


def pick_starts(length, config, step):
    """Where the excerpts of a step begin in a text of this length. -> (B,)

    Every epoch cuts the text at new places and shuffles the excerpts, so the model reads each of
    them once before it reads any of them again. The order depends only on the seed and the step.
    """
    T, B = config.block_size, config.batch_size
    n = max(1, (length - 1) // T - 1)  # excerpts in an epoch; one less leaves room for an offset
    first = step * B  # of this step's excerpts, counted from the start of the training
    order = []
    for epoch in range(first // n, (first + B - 1) // n + 1):  # a batch may span two
        generator = torch.Generator().manual_seed(1_000_000 * config.seed + epoch)
        offset = torch.randint(length - n * T, (1,), generator=generator)
        order.append(offset + T * torch.randperm(n, generator=generator))
    return torch.cat(order)[first % n :][:B]


def get_batch(data, config, step):
    """Excerpts, and the same one character later: the targets. -> xb (B, T), yb (B, T)"""
    starts = pick_starts(len(data), config, step)[:, None]  # (B, 1)
    starts = starts[RANK::RANKS]  # all ranks pick the same batch, and each takes its share of it
    excerpts = data[(starts + torch.arange(config.block_size + 1)).to(data.device)]  # (B, T + 1)
    return excerpts[:, :-1], excerpts[:, 1:]


# ---- model -----------------------------------------------------------------------------------
def make_model(config, tokenizer):
    """A new GPT (see model.py) with the sizes in config and random weights."""
    sizes = ("block_size", "n_embd", "n_head", "n_layer", "dropout")
    model = GPT(tokenizer.vocab_size, **{name: getattr(config, name) for name in sizes})
    model.tokenizer = tokenizer
    return model


# ---- training --------------------------------------------------------------------------------
def make_optimizers(config, model):
    """AdamW for embeddings, norms, biases and lm_head; Muon for the matrices inside the blocks.

    AdamW scales each number of a matrix on its own, and its updates favour a few directions. Muon's
    updates move all directions equally, which makes more progress in the same number of steps.
    """
    inner, outer, vectors = [], [], []
    for name, p in model.named_parameters():
        if not p.requires_grad:  # an ablation may freeze some
            continue
        if p.dim() == 1:
            vectors.append(p)
        elif name.startswith("blocks.") and config.muon_learning_rate:
            inner.append(p)
        else:
            outer.append(p)
    groups = [
        {"params": outer, "weight_decay": config.weight_decay},
        {"params": vectors, "weight_decay": 0.0},
    ]
    fused = torch.__version__ >= (2, 4)  # in one operation, on CPUs since 2.4
    lr = config.learning_rate
    optimizers = [torch.optim.AdamW(groups, lr=lr, betas=(0.9, 0.99), fused=fused)]
    if inner:
        optimizers.append(Muon(inner, config.muon_learning_rate, config.weight_decay))
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["highest_lr"] = group["lr"]
    return optimizers


def schedule(step, share, config):
    """The factor for the maximum learning rates: a linear warm-up, then half a cosine down to
    config.final. share: the share of the training that is done, from 0 to 1.
    """
    warmup = min(1.0, (step + 1) / max(1, config.warmup))
    return warmup * (config.final + (1 - config.final) * (1 + math.cos(math.pi * share)) / 2)


def train(config, model, data, device, dtype, scoring=0.0):
    """Returns the log and {"step", "val", "weights"} of the lowest val loss.

    The weights stay in memory until the end. scoring: see common.Log.
    """
    optimizers = make_optimizers(config, model)
    parallel = devices.share_gradients(model)
    compute = torch.compile(parallel) if config.compile else parallel
    best = {"val": math.inf}

    def keep(val):
        weights = {name: p.to("cpu", copy=True) for name, p in model.state_dict().items()}
        best.update(step=log.done, val=val, weights=weights)

    def val_loss():
        with devices.autocast(device, dtype):
            loss = evaluate(model, data["val"])
        if loss is not None and loss < best["val"]:
            keep(loss)
        return loss

    looks = range(config.eval_every, 10**9, config.eval_every)
    log = common.Log(
        config.steps, val_loss, looks=looks, minutes=config.minutes, scoring=scoring,
        state=[model, *optimizers, best],
    )  # fmt: skip
    for step in log:
        xb, yb = get_batch(data["train"], config, step)

        with devices.autocast(device, dtype):
            logits = compute(xb)  # (B, T) -> (B, T, V)
            loss = F.cross_entropy(logits.flatten(0, 1), yb.flatten())

        model.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), config.clip)

        for optimizer in optimizers:
            for group in optimizer.param_groups:
                group["lr"] = group["highest_lr"] * schedule(step, log.share, config)
            with devices.autocast(device, dtype):
                optimizer.step()

        log.add(devices.mean_over_ranks(loss.detach()))  # not item(), which would wait for the GPU
    if log.val is None:  # a second stop: keep the unscored last weights, which learned the most
        keep(None)
    return log, best


# ---- evaluation ------------------------------------------------------------------------------
@torch.no_grad()
def evaluate(model, data, batch_size=64):
    """Mean of -log P over every character of a text but its first, in nats, with dropout off.

    The text is read in blocks of block_size; no context carries over. Under autocast, the matrix
    products are in bfloat16, which changes the loss by about 0.0001. None after a stop.
    """
    was_training = model.training
    model.eval()
    T, total = model.block_size, 0.0
    batch_size = min(batch_size, max(1, 2**26 // T**2))  # attention needs T**2 numbers for a block
    whole = (len(data) - 1) // T * T  # characters in full blocks; the last block is shorter
    xs, ys = data[:whole].view(-1, T), data[1 : whole + 1].view(-1, T)  # (N, T)
    batches = list(zip(xs.split(batch_size), ys.split(batch_size)))
    if whole < len(data) - 1:
        batches.append((data[whole:-1][None], data[whole + 1 :][None]))
    steps = common.Steps(len(batches), "the evaluation")
    for i in steps:
        xb, yb = batches[i]
        logits = model(xb).flatten(0, 1)  # (B * T, V)
        total += F.cross_entropy(logits, yb.flatten(), reduction="sum").item()
    model.train(was_training)
    return None if steps.stopped else total / (len(data) - 1)


def letter_frequencies(data, vocab_size):
    """The losses of a guess that knows only how often each character occurs in train."""
    counts = torch.bincount(data["train"], minlength=vocab_size) + 0.1  # (V,), as in stage 02
    probs = counts / counts.sum()  # (V,)
    return {name: -probs[text].log().mean().item() for name, text in data.items()}


@torch.no_grad()
def log_probs(model, text):
    """For each character of a text: log P of every character that could follow it.

    -> list[N] of list[V], in float32. The model reads up to block_size characters, the last of them
    this one. evaluate() starts over in every block, so its loss is a little higher.
    """
    T, device = model.block_size, model.lm_head.weight.device
    tokens = torch.tensor(model.tokenizer.encode(text), dtype=torch.long, device=device)  # (N,)
    logits = [model(tokens[None, :T])[0]]  # (1, T) -> (T, V)
    if len(tokens) > T:
        for xb in tokens.unfold(0, T, 1)[1:].split(64):  # each window ends one character later
            logits.append(model(xb)[:, -1])  # (B, T) -> (B, V)
    return torch.cat(logits).log_softmax(dim=1).tolist()


@torch.no_grad()
def attention_weights(model, text):
    """What every position of a text looks at: list [layer][head][T][T]; each row adds up to 1.

    text: at most block_size characters.
    """
    tokens = torch.tensor([model.tokenizer.encode(text)], device=model.lm_head.weight.device)
    attentions = []
    model(tokens, attentions=attentions)
    return [weights[0].tolist() for weights in attentions]  # (1, n_head, T, T) each


# ---- samples ---------------------------------------------------------------------------------
def sample(model, prompt="\n", length=500, temperature=0.8, top_k=None):
    """The prompt and `length` more characters; see GPT.generate."""
    new = model.generate(model.tokenizer.encode(prompt), length, temperature, top_k)
    return prompt + model.tokenizer.decode(new)


# ---- main ------------------------------------------------------------------------------------
def load(folder, name="model.pt"):
    """The trained model that main() wrote, with dropout off."""
    saved = torch.load(folder / name, map_location="cpu", weights_only=True)  # runs no code from it
    model = make_model(Config(**saved["config"]), Tokenizer(saved["chars"]))
    model.load_state_dict(saved["weights"])
    return model.eval()


def main():
    config = common.parse_flags(Config, __doc__, PRESETS)
    device = devices.pick_device(config.device)
    devices.join_ranks(device)
    splits = load_text(config.data, config.block_size)
    if RANK == 0:
        common.begin_run(config)
    tokenizer = Tokenizer("".join(splits.values()))
    V = tokenizer.vocab_size
    prompt = prompts.read_prompt(config.prompt, tokenizer.chars)
    data = {k: torch.tensor(tokenizer.encode(text)) for k, text in splits.items()}

    torch.manual_seed(config.seed)
    model = make_model(config, tokenizer)
    device = devices.check_device(device, model, data["val"][: config.block_size + 1])
    dtype = devices.pick_dtype(config.dtype, device)
    if config.compile:
        devices.check_compiler(device)
    model, data = model.to(device), {name: ids.to(device) for name, ids in data.items()}
    params = sum(p.numel() for p in model.parameters())
    print(f"vocab size: {V}\nnum characters: {sum(map(len, data.values())):,}")
    print(f"num params: {params:,}\ndevice: {device}, {dtype}", flush=True)

    scoring = len(data["train"]) / len(data["val"])  # times as long as one val loss
    log, best = train(config, model, data, device, dtype, scoring)
    devices.leave_ranks()
    loss = {"val": log.val}
    if not log.stopped:  # scoring train takes ten times as long as val, too long after a stop
        with devices.autocast(device, dtype):
            loss["train"] = evaluate(model, data["train"])
    model.load_state_dict(best["weights"])
    torch.manual_seed(config.seed)
    text = sample(model, prompt, 500, config.temperature, config.top_k)
    print("---- sample ----", visible(text.strip(), "\n\t"), "----------------", sep="\n")
    if best["val"] is not None:
        print(f"best val loss {best['val']:.4f} at step {best['step']}, kept in model.pt")
    saved = {
        "config": common.settings(config),
        "chars": tokenizer.chars,
        "weights": best["weights"],
        "step": best["step"],
    }
    common.save_run(
        config, log, "a deeper Transformer on running text", {"model.pt": saved},
        docs={name: 1 for name in data}, targets={name: len(data[name]) - 1 for name in data},
        vocab_size=V, params=params,
        chars_seen=log.done * config.batch_size * config.block_size,
        loss=loss, best={"step": best["step"], "val": best["val"]}, samples=[text],
        device=device, dtype=dtype,
        baselines={"letter frequencies": letter_frequencies(data, V)},
    )  # fmt: skip


if __name__ == "__main__":
    common.run(main)
