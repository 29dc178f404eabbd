"""The networks of the lectures, trained as in the lectures: do we get the published losses?

Same as stage 04: contexts, embeddings, the loss.
Same as wavenet.py: the tree.
New here: makemore's names with the lectures' shuffled split, plain gradient descent for 200,000
steps, and a checkpoint, so that the same command continues a run that was stopped.
Source: "Building makemore" Part 2 (MLP), Part 3 (Activations & Gradients, BatchNorm) and Part 5
(Building a WaveNet), A. Karpathy, 2022; their notebooks are in github.com/karpathy/nn-zero-to-hero.
Run: python extras/makemore_lectures.py --variant kaiming
"""

import dataclasses
import random
from dataclasses import dataclass
from pathlib import Path

from stage_code import ROOT, load_stage

import torch
import torch.nn.functional as F

import wavenet
from batchnorm import BatchNormModel, evaluate, log_probs, sample

common = load_stage("04_embedding_mlp", "common")
names = load_stage("04_embedding_mlp", "names")
stage = load_stage("04_embedding_mlp")

__all__ = ["Config", "evaluate", "load", "log_probs", "main", "sample"]

# The spread of the first layer's weights and biases, then of the last layer's weights and biases.
# Part 3 repairs the network of Part 2 in these steps.
GAIN = (5 / 3) / 30**0.5  # 30 inputs: 3 characters of 10 numbers
SPREADS = {
    "original": (1.0, 1.0, 1.0, 1.0),
    "softmax": (1.0, 1.0, 0.01, 0.0),  # no longer confidently wrong at the start
    "tanh": (0.2, 0.01, 0.01, 0.0),  # no longer saturated at the start
    "kaiming": (GAIN, 0.01, 0.01, 0.0),  # the same, by a formula instead of by trial
    "batchnorm": (GAIN, None, 0.01, 0.0),  # None: this layer has no bias
}
VARIANTS = [*SPREADS, "wavenet"]


# ---- config ----------------------------------------------------------------------------------
@dataclass(frozen=True)
class Config:
    data: Path = common.flag(ROOT / "data/makemore.txt", "one name per line; shuffled, then split")
    variant: str = common.flag("original", ", ".join(VARIANTS), choices=VARIANTS)
    seed: int = common.flag(0, "0 means the lecture's own, 2147483647 (wavenet: 42)", 0, 2**32 - 1)
    steps: int = common.flag(200_000, "updates of the weights", 0, 10**7)
    batch_size: int = common.flag(32, "contexts in one step", 2, 10**6)
    out: Path = common.flag(common.OUT / "lecture", "folder with a subfolder for each variant")


# ---- data ------------------------------------------------------------------------------------
class LectureTokenizer(names.Tokenizer):
    """The lectures' ids: BOS, which they write as a dot, has the id 0, and the letters follow."""

    def __init__(self, docs):
        super().__init__(docs)
        self.stoi = {ch: i for i, ch in enumerate(self.chars, 1)}
        self.itos = dict(enumerate(self.chars, 1))
        self.BOS = 0


def shuffled_splits(docs):
    """Shuffle the names, then cut them at 80% and 90%. Duplicates may land in different splits."""
    docs = list(docs)
    random.Random(42).shuffle(docs)
    n1, n2 = int(0.8 * len(docs)), int(0.9 * len(docs))
    return {"train": docs[:n1], "val": docs[n1:n2], "test": docs[n2:]}


# ---- model -----------------------------------------------------------------------------------
class LectureBatchNorm:
    """Part 3's BatchNorm. Unlike batchnorm.py's, it averages standard deviations, not variances."""

    momentum = 0.001  # share of each new batch in the running averages

    def __init__(self, n):
        self.training = True
        self.gain, self.shift = torch.ones(n), torch.zeros(n)
        self.running_mean, self.running_std = torch.zeros(n), torch.ones(n)

    def parameters(self):
        return [self.gain, self.shift]

    def buffers(self):
        return [self.running_mean, self.running_std]

    def __call__(self, x):
        """(B, H) -> (B, H)"""
        if self.training:
            std, mean = torch.std_mean(x, 0)  # (H,), (H,)
            self.running_mean.lerp_(mean.detach(), self.momentum)
            self.running_std.lerp_(std.detach(), self.momentum)
        else:
            mean, std = self.running_mean, self.running_std
        return torch.addcmul(self.shift, x - mean, self.gain / std)


class LectureMLP(BatchNormModel):
    """3 characters of 10 numbers, 200 neurons: 11,897 parameters, 12,097 with BatchNorm."""

    block_size, n_embd, n_hidden = 3, 10, 200

    def __init__(self, variant, tokenizer):
        T, C, H, V = self.block_size, self.n_embd, self.n_hidden, tokenizer.vocab_size
        self.tokenizer = tokenizer
        fc1, bias, head, head_bias = SPREADS[variant]
        # The lecture draws its numbers in this order, so with its seed these are its weights.
        self.wte = torch.randn(V, C)
        self.mlp_fc1 = torch.randn(T * C, H) * fc1
        self.mlp_bias = None if bias is None else torch.randn(H) * bias
        self.lm_head = torch.randn(H, V) * head
        self.lm_bias = torch.randn(V) * head_bias
        self.norms = [LectureBatchNorm(H)] if variant == "batchnorm" else []
        for p in self.parameters():
            p.requires_grad_()

    def parameters(self):
        hidden = self.norms[0].parameters() if self.norms else [self.mlp_bias]
        return [self.wte, self.mlp_fc1, *hidden, self.lm_head, self.lm_bias]

    def __call__(self, xb):
        """Logits of the next character. (B, T) -> (B, V)"""
        x = F.embedding(xb, self.wte)  # (B, T) -> (B, T, C)
        x = x.flatten(1) @ self.mlp_fc1  # (B, T, C) -> (B, T * C) -> (B, H)
        x = self.norms[0](x) if self.norms else x + self.mlp_bias
        return torch.tanh(x) @ self.lm_head + self.lm_bias  # (B, H) -> (B, V)


def make_model(variant, tokenizer):
    """The network of Part 2, 3 or 5; torch's random numbers are its weights."""
    if variant != "wavenet":
        return LectureMLP(variant, tokenizer)
    # 8 characters of 24 numbers, 128 neurons on each of 3 levels: 76,579 parameters. In the
    # lecture, the variance of a batch divides by N - 1, too.
    sizes = wavenet.Config(block_size=8, n_embd=24, n_hidden=128)
    return wavenet.Tree(sizes, tokenizer, correction=1)


# ---- training --------------------------------------------------------------------------------
@dataclass
class Run:
    """How far a training has come. It may have been stopped and continued on the way."""

    done: int = 0  # steps
    seconds: float = 0.0
    loss_sum: float = 0.0  # of the batches since the last row of the curve
    curve: list = dataclasses.field(default_factory=list)  # [step, train loss, val loss]


def train(config, model, data, run, write_checkpoint):
    """Gradient descent from step run.done to the last step or a stop. This updates run.

    write_checkpoint() is called ten times on the way and at the end.
    """
    common.stop.training_began = True
    model.train()
    xs, ys = data["train"]
    parameters = model.parameters()
    lower_rate_from = config.steps * 3 // 4 if config.variant == "wavenet" else config.steps // 2
    look_every = max(1, config.steps // 10)
    seconds_before = run.seconds
    if not run.curve:
        run.curve.append([0, None, evaluate(model, *data["val"])])
    steps = common.Steps(config.steps - run.done, "the training")
    for _ in steps:
        batch = torch.randint(len(xs), (config.batch_size,))

        loss = F.cross_entropy(model(xs[batch]), ys[batch])

        gradients = torch.autograd.grad(loss, parameters)

        learning_rate = 0.1 if run.done < lower_rate_from else 0.01
        for p, gradient in zip(parameters, gradients):
            p.data.sub_(gradient, alpha=learning_rate)

        run.loss_sum += loss.item()
        run.done += 1
        if run.done % look_every == 0:
            train_loss, val_loss = run.loss_sum / look_every, evaluate(model, *data["val"])
            run.curve.append([run.done, train_loss, val_loss])
            run.loss_sum = 0.0
            run.seconds = seconds_before + steps.seconds
            write_checkpoint()
            print(
                f"step {run.done:7,} / {config.steps:,} | batch loss {train_loss:.4f}"
                f" | val loss {val_loss:.4f}",
                flush=True,
            )
    run.seconds = seconds_before + steps.seconds
    write_checkpoint()


def save_checkpoint(folder, settings, model, run):
    """Write everything that the rest of the run depends on."""
    checkpoint = {
        "settings": settings,
        "run": dataclasses.asdict(run),
        "weights": model.state(),
        "rng": torch.get_rng_state(),
    }
    common.write_files(folder, {"checkpoint.pt": checkpoint})


def resume(folder, settings, model):
    """Return the Run of the checkpoint, and set the model and torch's random numbers to it.

    Without a checkpoint, return a new Run. Raises BadInput if the checkpoint has other settings.
    """
    path = folder / "checkpoint.pt"
    if not path.exists():
        return Run()
    try:
        saved = torch.load(path, weights_only=True)
        weights, run, rng = saved["weights"], Run(**saved["run"]), saved["rng"]
        if saved["settings"] == settings:
            assert 0 <= run.done <= settings["steps"] and run.seconds >= 0 and list(run.curve)
            model.load_state(weights)
            torch.set_rng_state(rng)
    except Exception as error:  # a broken file can raise nearly anything
        raise common.BadInput(f"{path} is broken: delete it to begin again") from error
    if saved["settings"] != settings:
        raise common.BadInput(
            f"{path} is from a run with other flags or data: delete it or give another --out"
        )
    return run


# ---- main ------------------------------------------------------------------------------------
@torch.no_grad()
def load(folder):
    """The trained model that main() wrote, in evaluation mode.

    The id of its BOS is the last one, as in the stages, and not the first one, as in the lectures.
    """
    saved = torch.load(folder / "model.pt", weights_only=True)
    model = make_model(saved["config"]["variant"], names.Tokenizer(saved["chars"]))
    model.load_state(saved["weights"])
    model.wte.copy_(model.wte.roll(-1, dims=0))  # (V, C)
    model.lm_head.copy_(model.lm_head.roll(-1, dims=1))  # (H, V)
    model.lm_bias.copy_(model.lm_bias.roll(-1))  # (V,)
    model.eval()
    return model


def main():
    config = common.parse_flags(Config, __doc__, tries=False)
    docs = names.read_docs(config.data)
    splits = shuffled_splits(docs)
    # Names of val that the model has met in training say little about new names.
    known = set(splits["train"])
    unseen = [doc for doc in splits["val"] if doc not in known]
    parts = splits | {"unseen": unseen}
    for name, part in parts.items():
        if not part:
            raise common.BadInput(
                f"--data {config.data}: the {name} split is empty; give more different lines"
            )
    config = dataclasses.replace(config, out=config.out / config.variant)
    common.prepare_out(config.out)
    tokenizer = LectureTokenizer(docs)
    torch.manual_seed(config.seed or (42 if config.variant == "wavenet" else 2147483647))
    model = make_model(config.variant, tokenizer)
    params = sum(p.numel() for p in model.parameters())
    data = {name: stage.contexts(part, tokenizer, model.block_size) for name, part in parts.items()}
    leak = 1 - len(unseen) / len(splits["val"])
    print(f"the lecture's network, {config.variant}\nnum docs: {len(docs):,}")
    print(f"num params: {params:,}\n{leak:.1%} of the val names are in train, too", flush=True)

    settings = common.settings(config) | {"sha256": common.read_hashes[config.data]}
    run = resume(config.out, settings, model)
    if run.done:
        print(f"continuing at step {run.done:,}", flush=True)
    train(config, model, data, run, lambda: save_checkpoint(config.out, settings, model, run))
    if run.done < config.steps:
        print(f"stopped at step {run.done:,}; the same command continues from there")
        return
    loss = {name: evaluate(model, *data[name]) for name in ("train", "val")}
    unseen_loss = evaluate(model, *data["unseen"])
    print(f"loss on the val names that are not in train: {unseen_loss:.4f}")
    samples = [sample(model) for _ in range(20)]
    print("samples:", names.mark_known(samples[:10], splits))
    saved = {
        "config": common.settings(config),
        "chars": tokenizer.chars,
        "weights": model.state(),
    }
    common.save_run(
        config, run, "the lecture's recipe to the letter", {"model.pt": saved},
        **names.count_docs(splits), vocab_size=tokenizer.vocab_size, params=params,
        chars_seen=run.done * config.batch_size, loss=loss, samples=samples,
        variant=f"lecture {config.variant}",
        leak={"share_of_val_names": leak, "val_loss_without": unseen_loss},
    )  # fmt: skip


if __name__ == "__main__":
    common.run(main)
