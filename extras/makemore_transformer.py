"""makemore's transformer, trained and chosen as makemore does: does it reach the published loss?

Same as stage 05's twin: one name in each row, padded. Same as stage 06: the GPT, with dropout.
New here: makemore's names and its split, which leaves names in both parts; its optimizer, with one
learning rate from beginning to end; and the choice of the weights with the lowest test loss.
What is left of that loss without the names that are also in train, and without that choice?

--preset first is makemore as it was in June 2022, when its README got the loss. --preset last is
its last version, which has the same README, but no dropout and other first weights.
Source: makemore.py and its README, A. Karpathy, 2022, github.com/karpathy/makemore.
Run: python extras/makemore_transformer.py --steps 5000
"""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

from stage_code import ROOT, load_stage

import torch
import torch.nn.functional as F
from torch import nn

common = load_stage("05_microgpt", "common")
names = load_stage("05_microgpt", "names")
twin = load_stage("05_microgpt", "torch_twin")
gpt = load_stage("06_shakespeare_gpt", "model")


PRESETS = {
    "first": {},  # the defaults of Config
    "last": {"seed": 3407, "steps": 20_000, "dropout": 0.0, "weight_decay": 0.01, "clip": 0.0},
}


# ---- config ----------------------------------------------------------------------------------
@dataclass(frozen=True)
class Config:
    preset: str = common.flag("first", f"version of makemore: {' or '.join(PRESETS)}",
                              choices=list(PRESETS))  # fmt: skip
    data: Path = common.flag(ROOT / "data/makemore.txt", "one name per line; shuffled, then split")
    seed: int = common.flag(1337, "of the split, the weights and the batches", 0, 2**32 - 1)
    steps: int = common.flag(40_000, "updates of the weights; makemore never stops", 0, 10**7)
    batch_size: int = common.flag(32, "names in one step", 1, 10**6)
    n_layer: int = common.flag(4, "blocks", 1, 100)
    n_embd: int = common.flag(64, "numbers in each position's vector", 1, 4096)
    n_head: int = common.flag(4, "attention heads; must divide n_embd", 1, 256)
    dropout: float = common.flag(0.1, "share of activations set to 0 in training", 0, 0.99)
    learning_rate: float = common.flag(5e-4, "of AdamW; it stays the same", 0, 10)
    weight_decay: float = common.flag(0.1, "of AdamW: pulls weights towards 0", 0, 10)
    clip: float = common.flag(1.0, "largest norm of a gradient; 0: no limit", 0, 1e9)
    look_every: int = common.flag(500, "steps between two looks at the test names", 1, 10**7)
    resume: bool = common.flag(False, "go on with the training of a run that did not end")
    out: Path = common.flag(common.OUT / "makemore", "folder for result.json")

    def __post_init__(self):
        if self.n_embd % self.n_head:
            problem = f"--n-embd {self.n_embd} is not a multiple of --n-head {self.n_head}"
            raise common.BadInput(f"{problem}: change one of them")


# ---- data ------------------------------------------------------------------------------------
def makemore_splits(docs):
    """1,000 random names are test, or 1 in 10 if that is less; the rest is train.

    torch's random numbers decide. A name that the list has twice may land in both parts.
    """
    n = len(docs) - min(1000, len(docs) // 10)
    shuffled = [docs[i] for i in torch.randperm(len(docs)).tolist()]
    return {"train": shuffled[:n], "val": [], "test": shuffled[n:]}


# ---- model -----------------------------------------------------------------------------------
def make_model(config, vocab_size, block_size):
    """Stage 06's GPT with other first weights, and a last matrix without a bias.

    The first version draws every matrix with a standard deviation of 0.02. The last version has
    the first weights that PyTorch gives every nn.Embedding and nn.Linear, and GELU's tanh form.
    """
    last = config.preset == "last"
    model = gpt.GPT(
        vocab_size, block_size, config.n_embd, config.n_head, config.n_layer, config.dropout,
        activation=partial(F.gelu, approximate="tanh") if last else F.gelu,
    )  # fmt: skip
    model.lm_head = nn.Linear(config.n_embd, vocab_size, bias=False)
    for module in model.modules():
        if isinstance(module, (nn.Embedding, nn.Linear)):
            if last:
                module.reset_parameters()
            else:
                nn.init.normal_(module.weight, std=0.02)
    return model


def parameter_groups(config, model):
    """What AdamW needs: in the first version, only the matrices of nn.Linear decay."""
    if config.preset == "last":
        return [{"params": list(model.parameters())}]
    decaying = [module.weight for module in model.modules() if isinstance(module, nn.Linear)]
    ids = set(map(id, decaying))
    others = [p for p in model.parameters() if id(p) not in ids]
    return [{"params": decaying}, {"params": others, "weight_decay": 0.0}]


# ---- training --------------------------------------------------------------------------------
def train(config, model, data, halves):
    """AdamW on random names. Returns the log, the weights with the lowest test loss, and the looks.

    halves: two masks, (N,) of bool, over the test names. A row of the looks: the step, the test
    loss, and the loss on each half.
    """
    xs, ys = data["train"]
    lengths = (ys >= 0).sum(dim=1)  # (N,), the targets in each row; the rest is padding
    optimizer = torch.optim.AdamW(
        parameter_groups(config, model), lr=config.learning_rate, betas=(0.9, 0.99),
        weight_decay=config.weight_decay,
        fused=torch.__version__ >= (2, 4),  # in one operation, on CPUs since 2.4
    )  # fmt: skip
    best, looks = {}, []

    def look():
        losses, ys = name_losses(model, *data["test"]), data["test"][1]
        loss = mean_loss(losses, ys)
        if not looks or loss < min(row[1] for row in looks):
            best.update({name: w.clone() for name, w in model.state_dict().items()})
        looks.append([log.done, loss, *(mean_loss(losses[half], ys[half]) for half in halves)])
        return loss

    log = common.Log(
        config.steps, val_loss=look, state=[model, optimizer, best, looks],
        looks=range(config.look_every, config.steps + 1, config.look_every),
    )  # fmt: skip
    for _ in log:
        batch = torch.randint(len(xs), (config.batch_size,))
        T = lengths[batch].max()  # of the longest name in the batch
        xb, yb = xs[batch, :T], ys[batch, :T]  # (B, T)

        logits = model(xb).flatten(0, 1)  # (B, T) -> (B, T, V) -> (B * T, V)
        loss = F.cross_entropy(logits, yb.flatten(), ignore_index=-1)

        optimizer.zero_grad()
        loss.backward()
        if config.clip:
            nn.utils.clip_grad_norm_(model.parameters(), config.clip)
        optimizer.step()

        log.add(loss.item(), lengths[batch].sum().item())
    return log, best, looks


# ---- evaluation ------------------------------------------------------------------------------
@torch.no_grad()
def name_losses(model, xs, ys):
    """The sum of -log P over the characters and the end of each name. (N, T) twice -> (N,)"""
    model.eval()  # no dropout
    losses = [
        F.cross_entropy(model(xb).mT, yb, ignore_index=-1, reduction="none").sum(dim=1)
        for xb, yb in zip(xs.split(1024), ys.split(1024))  # in parts, to save memory
    ]  # the logits: (B, T, V) -> (B, V, T); the losses: (B, T) -> (B,)
    model.train()
    return torch.cat(losses)


def mean_loss(losses, ys):
    """In nats per character, over every character and end of these names. (N,), (N, T) -> number"""
    return (losses.double().sum() / (ys >= 0).sum()).item()


def lowest_by_halves(looks, targets):
    """The loss on all names of the halves, each half at the step where the other one was lowest.

    No name has a say in the choice of the weights that score it. targets: of each half.
    """
    ours = [min(looks, key=lambda row: row[3])[2], min(looks, key=lambda row: row[2])[3]]
    return sum(loss * n for loss, n in zip(ours, targets)) / sum(targets)


# ---- samples ---------------------------------------------------------------------------------
def sample(model, tokenizer):
    """Draw one name of at most block_size characters."""
    tokens = model.generate([tokenizer.BOS], model.block_size)
    length = (tokens + [tokenizer.BOS]).index(tokenizer.BOS)
    return tokenizer.decode(tokens[:length])


# ---- main ------------------------------------------------------------------------------------
def main():
    config = common.parse_flags(Config, __doc__, PRESETS)
    docs = names.read_docs(config.data)
    common.begin_run(config)
    torch.manual_seed(config.seed)
    splits = makemore_splits(docs)
    known = set(splits["train"])
    unseen = [i for i, doc in enumerate(splits["test"]) if doc not in known]
    if len(unseen) < 2:
        problem = f"only {len(unseen)} of the test names are not in train"
        raise common.BadInput(f"--data {config.data}: {problem}; give more different lines")
    tokenizer = names.Tokenizer(docs)
    block_size = max(map(len, docs)) + 1
    data = {part: twin.pad_docs(splits[part], tokenizer, block_size) for part in ("train", "test")}
    halves = torch.zeros(2, len(splits["test"]), dtype=torch.bool)
    halves[0, unseen[::2]] = halves[1, unseen[1::2]] = True
    model = make_model(config, tokenizer.vocab_size, block_size)
    params = sum(p.numel() for p in model.parameters())
    share = 1 - len(unseen) / len(splits["test"])
    print(f"{len(known):,} different train names; {share:.1%} of the test names are among them")
    print(f"num params: {params:,}")

    log, best, looks = train(config, model, data, halves)
    loss, unseen_loss = {}, {}
    for which, weights in (("last", model.state_dict()), ("best", best)):
        model.load_state_dict(weights)
        for part in data:
            losses, ys = name_losses(model, *data[part]), data[part][1]
            loss[part, which] = mean_loss(losses, ys)
        unseen_loss[which] = mean_loss(losses[unseen], ys[unseen])
    best_step = min(looks, key=lambda row: row[1])[0]
    targets = [(data["test"][1][half] >= 0).sum().item() for half in halves]
    print(f"lowest test loss: {loss['test', 'best']:.4f}, after step {best_step:,}")
    print(f"the same weights on the test names that are not in train: {unseen_loss['best']:.4f}")
    samples = [sample(model, tokenizer) for _ in range(20)]
    print("samples:", names.mark_known(samples[:10], splits))
    common.save_run(
        config, log, "makemore's transformer, chosen on test", {}, **names.count_docs(splits),
        vocab_size=tokenizer.vocab_size, params=params, chars_seen=log.chars_seen,
        loss={part: loss[part, "best"] for part in ("train", "test")}, samples=samples,
        variant=f"makemore, {config.preset} version", best_step=best_step, looks=looks,
        last={part: loss[part, "last"] for part in ("train", "test")},
        leak={
            "share_of_test_names": share, "test_loss_without": unseen_loss["best"],
            "last_test_loss_without": unseen_loss["last"],
            "chosen_on_the_other_half": lowest_by_halves(looks, targets),
        },
    )  # fmt: skip


if __name__ == "__main__":
    common.run(main)
