"""The lectures' own networks, trained exactly as there: do the published losses come out?

Same as main.py: contexts, embeddings, the loss.
New here: makemore's names with the lectures' shuffled split, plain gradient descent for 200,000
steps, and a checkpoint, so that a run that was stopped goes on where it was.
Source: "Building makemore" Part 2 (MLP), Part 3 (Activations & Gradients, BatchNorm) and Part 5
(Building a WaveNet), A. Karpathy, 2022; their notebooks are in github.com/karpathy/nn-zero-to-hero.
Run: python 04_embedding_mlp/lecture.py --variant kaiming
"""

import dataclasses
import random
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F

import plumbing
import wavenet
from batchnorm import BatchNorm
from main import Tokenizer, contexts, evaluate, sample
from plumbing import ROOT, STAGE, BadInput

# The spread of the first layer's weights and biases, then of the last layer's weights and biases.
# Part 3 mends the network of Part 2 in these steps.
GAIN = (5 / 3) / 30**0.5  # 30 inputs: 3 characters of 10 numbers
SPREADS = {
    "original": (1.0, 1.0, 1.0, 1.0),
    "softmax": (1.0, 1.0, 0.01, 0.0),  # no longer confidently wrong at the start
    "tanh": (0.2, 0.01, 0.01, 0.0),  # no longer saturated at the start
    "kaiming": (GAIN, 0.01, 0.01, 0.0),  # the same by a formula instead of by trial
    "batchnorm": (GAIN, None, 0.01, 0.0),  # None: there is no such bias
}
VARIANTS = (*SPREADS, "wavenet")


# ---- config ----------------------------------------------------------------------------------
@dataclass(frozen=True)
class Config:
    data: Path = ROOT / "data" / "makemore.txt"  # one name a line; it is shuffled, then split
    variant: str = "original"  # original, softmax, tanh, kaiming, batchnorm or wavenet
    seed: int = 0  # starts all random numbers; 0: the lecture's own, 2147483647 (wavenet: 42)
    steps: int = 200_000  # updates of the weights
    batch_size: int = 32  # contexts in one step
    out: Path = ROOT / "out" / STAGE / "lecture"  # its folder VARIANT gets checkpoint and result

    def __post_init__(self):
        plumbing.check_ranges(self, seed=(0, 2**32 - 1), steps=(0, 10**7), batch_size=(2, 10**6))
        if self.variant not in VARIANTS:
            raise BadInput(f"--variant {self.variant} is none of {', '.join(VARIANTS)}")


# ---- data ------------------------------------------------------------------------------------
class LectureTokenizer(Tokenizer):
    """BOS, written as a dot in the lectures, is 0 there, and the letters follow from 1 on."""

    def __init__(self, docs):
        super().__init__(docs)
        self.stoi = {ch: i for i, ch in enumerate(self.chars, 1)}
        self.itos = dict(enumerate(self.chars, 1))
        self.BOS = 0


def lecture_splits(docs):
    """Shuffled, then cut at 80% and 90%. A name that stands twice may fall on both sides."""
    docs = list(docs)
    random.Random(42).shuffle(docs)
    n1, n2 = int(0.8 * len(docs)), int(0.9 * len(docs))
    return {"train": docs[:n1], "val": docs[n1:n2], "test": docs[n2:]}


# ---- model -----------------------------------------------------------------------------------
class LectureMLP:
    """3 characters of 10 numbers, 200 neurons: 11,897 parameters, 12,097 with BatchNorm."""

    block_size, n_embd, n_hidden = 3, 10, 200
    gain = shift = running_mean = running_std = None  # of BatchNorm

    def __init__(self, variant, vocab_size):
        T, C, H = self.block_size, self.n_embd, self.n_hidden
        fc1, bias, head, head_bias = SPREADS[variant]
        # Drawn in this order, one number after the other, they are the very weights of the lecture.
        self.wte = torch.randn(vocab_size, C)
        self.mlp_fc1 = torch.randn(T * C, H) * fc1
        self.mlp_bias = None if bias is None else torch.randn(H) * bias
        self.lm_head = torch.randn(H, vocab_size) * head
        self.lm_bias = torch.randn(vocab_size) * head_bias
        if variant == "batchnorm":
            self.gain, self.shift = torch.ones(H), torch.zeros(H)
            self.running_mean, self.running_std = torch.zeros(H), torch.ones(H)
        for p in self.parameters():
            p.requires_grad_()

    def state(self):
        """Name -> tensor: all that a trained model consists of."""
        return {name: value for name, value in vars(self).items() if value is not None}

    def parameters(self):
        return [p for name, p in self.state().items() if not name.startswith("running")]

    def __call__(self, xb):
        """Logits of the next character. (B, T) -> (B, V)"""
        x = F.embedding(xb, self.wte).flatten(1) @ self.mlp_fc1  # (B, T) -> (B, T * C) -> (B, H)
        x = x + self.mlp_bias if self.gain is None else self.normalize(x)
        return torch.tanh(x) @ self.lm_head + self.lm_bias  # (B, H) -> (B, V)

    def normalize(self, x):
        """Part 3's BatchNorm; unlike batchnorm.py's it averages the spread, not the variance."""
        if torch.is_grad_enabled():
            std, mean = torch.std_mean(x, 0)  # (H,), (H,)
            self.running_mean.lerp_(mean.detach(), 0.001)
            self.running_std.lerp_(std.detach(), 0.001)
        else:
            mean, std = self.running_mean, self.running_std
        return torch.addcmul(self.shift, x - mean, self.gain / std)


class Part5Norm(BatchNorm):
    correction = 1  # in the lecture the variance of a batch divides by n - 1 as well


class LectureTree(wavenet.Tree):
    """8 characters of 24 numbers, 128 neurons on each of 3 levels: 76,579 parameters."""

    block_size = 8
    Norm = Part5Norm

    def __init__(self, vocab_size):
        sizes = wavenet.Config(block_size=self.block_size, n_embd=24, n_hidden=128)
        super().__init__(sizes, vocab_size)


def make_model(variant, vocab_size):
    """The network of Part 2, 3 or 5, its weights drawn from torch's random numbers."""
    return LectureTree(vocab_size) if variant == "wavenet" else LectureMLP(variant, vocab_size)


# ---- training --------------------------------------------------------------------------------
def train(config, model, data, run, keep):
    """Gradient descent from step run["step"] on. Keeps run up to date and calls keep() ten times on
    the way, and at the end. Returns the finished Progress, which counts from the very first step.
    """
    xs, ys = data["train"]
    parameters = model.parameters()
    drop = config.steps * 3 // 4 if config.variant == "wavenet" else config.steps // 2
    look_every = max(1, config.steps // 10)
    first, seconds = run["step"], run["seconds"]
    if first == 0:
        run["curve"] = [[0, None, evaluate(model, *data["val"])]]
    for i in (progress := plumbing.Progress(config.steps - first)):
        step = first + i
        batch = torch.randint(len(xs), (config.batch_size,))

        loss = F.cross_entropy(model(xs[batch]), ys[batch])

        gradients = torch.autograd.grad(loss, parameters)

        learning_rate = 0.1 if step < drop else 0.01
        for p, gradient in zip(parameters, gradients):
            p.data.sub_(gradient, alpha=learning_rate)

        run["loss_sum"] += loss.item()
        run["step"] = step + 1
        if run["step"] % look_every == 0:
            mean, run["loss_sum"] = run["loss_sum"] / look_every, 0.0
            run["curve"].append([run["step"], mean, evaluate(model, *data["val"])])
            run["seconds"] = seconds + progress.seconds
            keep()
            row = "step {:6d} | batch loss {:.4f} | val loss {:.4f}".format(*run["curve"][-1])
            print(row, flush=True)
    progress.done += first
    progress.seconds += seconds
    run["seconds"] = progress.seconds
    keep()
    return progress


def save(path, flags, model, run):
    """Write everything that the rest of the run depends on."""
    weights = {name: tensor.detach() for name, tensor in model.state().items()}
    rng = torch.get_rng_state()
    plumbing.save_tensors(path, {"flags": flags, "run": run, "weights": weights, "rng": rng})


@torch.no_grad()
def resume(path, flags, model):
    """Return the run that lies at `path`, its weights in model and its random numbers in torch.

    Without a file it is a new one. BadInput if that run had other flags, or other data.
    """
    if not path.exists():
        return {"step": 0, "seconds": 0.0, "loss_sum": 0.0, "curve": []}
    saved = torch.load(path, weights_only=True)
    if saved["flags"] != flags:
        raise BadInput(f"{path} is of a run with other flags: delete it or give another --out")
    for name, tensor in model.state().items():
        tensor.copy_(saved["weights"][name])
    torch.set_rng_state(saved["rng"])
    return saved["run"]


# ---- main ------------------------------------------------------------------------------------
def main():
    config = plumbing.parse_flags(Config, __doc__)
    if config.data == Config.data:
        plumbing.get_data("makemore")
    docs = plumbing.read_docs(config.data)
    splits = lecture_splits(docs)
    # Names of the val split that the model has met in training say little about new names.
    known = set(splits["train"])
    parts = splits | {"unseen": [doc for doc in splits["val"] if doc not in known]}
    plumbing.check_splits(config.data, parts)
    config = dataclasses.replace(config, out=config.out / config.variant)
    plumbing.prepare_out(config.out)
    tokenizer = LectureTokenizer(docs)
    torch.manual_seed(config.seed or (42 if config.variant == "wavenet" else 2147483647))
    model = make_model(config.variant, tokenizer.vocab_size)
    params = sum(p.numel() for p in model.parameters())
    data = {name: contexts(part, tokenizer, model.block_size) for name, part in parts.items()}
    leak = 1 - len(parts["unseen"]) / len(parts["val"])
    print(f"the lecture's network, {config.variant}\nnum docs: {len(docs):,}")
    print(f"num params: {params:,}\n{leak:.1%} of the val names also stand in train", flush=True)

    flags = {"variant": config.variant, "seed": config.seed, "steps": config.steps}
    flags |= {"batch_size": config.batch_size, "sha256": plumbing.sha256(config.data)}
    checkpoint = config.out / "checkpoint.pt"
    run = resume(checkpoint, flags, model)
    if run["step"]:
        print(f"going on at step {run['step']:,}", flush=True)
    progress = train(config, model, data, run, lambda: save(checkpoint, flags, model, run))
    if progress.interrupted:
        print(f"stopped at step {run['step']:,}; the same command goes on from there")
        return progress.status
    loss = {name: evaluate(model, *data[name]) for name in ("train", "val")}
    unseen = evaluate(model, *data["unseen"])
    print(f"loss on the val names that do not stand in train: {unseen:.4f}")
    samples = [sample(model, tokenizer, model.block_size) for _ in range(20)]
    plumbing.save_result(
        config, progress, "the lecture's recipe to the letter", **plumbing.sizes(splits),
        vocab_size=tokenizer.vocab_size, params=params,
        chars_seen=progress.done * config.batch_size,
        loss=loss | {"test": None}, curve=run["curve"], samples=samples, torch=torch,
        variant=f"lecture {config.variant}",
        leak={"share_of_val_names": leak, "val_loss_without": unseen},
    )
    return progress.status


if __name__ == "__main__":
    plumbing.run(main)
