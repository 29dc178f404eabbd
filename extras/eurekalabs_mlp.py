"""EurekaLabs' MLP: stage 04's model, larger, on all names in the order of one tape.

Same as stage 04: the network, the loss, AdamW. Same as eurekalabs_ngram.py: the tape.
New here: batches in the order of the tape, over and over, and a learning rate that falls along a
cosine.
Source: mlp_pytorch.py and its README, EurekaLabs, 2024, github.com/EurekaLabsAI/mlp.
Run: python extras/eurekalabs_mlp.py --steps 5000
"""

import math
from dataclasses import dataclass
from pathlib import Path

from stage_code import load_stage

import torch
import torch.nn.functional as F

from eurekalabs_ngram import make_tape, unseen_names

common = load_stage("04_embedding_mlp", "common")
names = load_stage("04_embedding_mlp", "names")
stage = load_stage("04_embedding_mlp")


# ---- config ----------------------------------------------------------------------------------
@dataclass(frozen=True)
class Config(stage.Config):
    steps: int = common.flag(50_000, "updates of the weights", 0, 10**7)
    batch_size: int = common.flag(128, "contexts in one step", 1, 10**6)
    n_embd: int = common.flag(48, "numbers in each character's vector", 1, 4096)
    n_hidden: int = common.flag(512, "neurons in the hidden layer", 1, 65536)
    learning_rate: float = common.flag(7e-4, "of AdamW; falls to 0 along a cosine", 0, 10)
    weight_decay: float = common.flag(1e-4, "of AdamW: pulls every weight towards 0", 0, 10)
    out: Path = common.flag(common.OUT / "eurekalabs", "folder for result.json")


# ---- data ------------------------------------------------------------------------------------
def contexts(docs, tokenizer, block_size):
    """Every block_size characters in a row on the tape of these names, and the next one.

    "ab", "c" with a block_size of 3: (a b BOS -> c), (b BOS c -> BOS).
    """
    chars = {**tokenizer.stoi, "\n": tokenizer.BOS}
    tape = torch.tensor([chars[ch] for ch in make_tape(docs)])
    windows = tape.unfold(0, block_size + 1, 1)  # (N, T + 1)
    return windows[:, :-1], windows[:, -1]  # (N, T), (N,)


# ---- model -----------------------------------------------------------------------------------
def make_model(config, tokenizer):
    """Stage 04's MLP with the first weights that PyTorch gives an nn.Embedding and an nn.Linear."""
    model = stage.MLP(config, tokenizer)
    for layer in ((model.mlp_fc1, model.mlp_bias), (model.lm_head, model.lm_bias)):
        largest = len(layer[0]) ** -0.5  # 1 / sqrt(number of inputs)
        for p in layer:
            torch.nn.init.uniform_(p, -largest, largest)
    return model


# ---- training --------------------------------------------------------------------------------
def train(config, model, data):
    """AdamW, from the beginning of the tape to its end and again. Returns the log."""
    xs, ys = data["train"]
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay,
        fused=torch.__version__ >= (2, 4),  # in one operation, on CPUs since 2.4
    )  # fmt: skip
    log = common.Log(
        config.steps,
        val_loss=lambda: stage.evaluate(model, *data["val"]),
        state=[model.parameters(), optimizer],
    )
    in_batch = torch.arange(config.batch_size)
    for step in log:
        batch = (step * config.batch_size + in_batch) % len(xs)

        loss = F.cross_entropy(model(xs[batch]), ys[batch])

        optimizer.zero_grad()
        loss.backward()

        share = (1 + math.cos(math.pi * step / config.steps)) / 2  # from 1 to 0
        optimizer.param_groups[0]["lr"] = config.learning_rate * share
        optimizer.step()

        log.add(loss.item())
    return log


# ---- main ------------------------------------------------------------------------------------
def main():
    config = common.parse_flags(Config, __doc__)
    splits = names.load_splits(config.data)
    for part, docs in splits.items():
        if len(make_tape(docs)) <= config.block_size:
            problem = f"{part} is not longer than --block-size {config.block_size}"
            raise common.BadInput(f"--data {config.data}: {problem}; give more lines")
    common.begin_run(config)
    unseen = unseen_names(splits)
    tokenizer = names.Tokenizer(sum(splits.values(), []))
    data = {part: contexts(docs, tokenizer, config.block_size) for part, docs in splits.items()}
    torch.manual_seed(config.seed)
    model = make_model(config, tokenizer)
    params = sum(p.numel() for p in model.parameters())
    print(f"num params: {params:,}")

    log = train(config, model, data)
    loss = {part: stage.evaluate(model, *data[part]) for part in ("train", "test")}
    loss["val"] = log.val
    unseen_loss = None
    if len(make_tape(unseen)) > config.block_size:
        unseen_loss = stage.evaluate(model, *contexts(unseen, tokenizer, config.block_size))
    common.save_run(
        config, log, "an MLP on one tape of names", {}, **names.count_docs(splits),
        vocab_size=tokenizer.vocab_size, params=params, chars_seen=log.done * config.batch_size,
        loss=loss, variant="EurekaLabs' MLP",
        leak={
            "share_of_test_names": 1 - len(unseen) / len(splits["test"]),
            "test_loss_without": unseen_loss,
        },
    )  # fmt: skip


if __name__ == "__main__":
    common.run(main)
