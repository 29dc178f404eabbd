"""A prompt and its answer: the GPT of stage 06 learns to do what a line asks for.

Same as stage 06: the model, the optimizers, the schedule.
New here: a format, such as `reverse emma>amme`, and a loss that counts the answer only.

A language model continues a text. If every text that it learns from is a prompt, a mark and an
answer, then the continuation of a prompt and the mark is an answer. The loss skips the characters
of the prompt, because the model will never have to write them: their targets are masked.

The names are split by their hash, as in stages 02 to 05, so the model has seen no name of a val or
test prompt. An answer counts as right if every character of it is right, and its end.
A second model trains on the same batches without the mask, for comparison.
Run: python extras/prompt_answer.py
"""

from dataclasses import dataclass
from pathlib import Path

from stage_code import ROOT, load_stage

import torch
import torch.nn.functional as F

common = load_stage("06_shakespeare_gpt", "common")
stage = load_stage("06_shakespeare_gpt")
names = load_stage("05_microgpt", "names")
names_common = load_stage("05_microgpt", "common")

TASKS = {
    "reverse": lambda name: name[::-1],
    "sort": lambda name: "".join(sorted(name)),
}
# Fields of stage 06's Config. The text is longer than the training, so nothing is learned by heart.
SMALL = dict(n_embd=64, n_head=2, n_layer=2, weight_decay=0.0, warmup=20)
MASKED = -100  # F.cross_entropy skips targets with this id


# ---- config ----------------------------------------------------------------------------------
@dataclass(frozen=True)
class Config:
    data: Path = common.flag(
        ROOT / "data/names.txt", "the names: a text file, or a folder with train, val and test.txt"
    )
    seed: int = common.flag(1337, "seeds the random weights and batches", 0, 2**31)
    steps: int = common.flag(600, "updates of the weights", 0, 10**7)
    batch_size: int = common.flag(64, "lines in one step", 1, 10**5)
    out: Path = common.flag(common.OUT / "prompt_answer", "folder for result.json and model.pt")


# ---- data ------------------------------------------------------------------------------------
def load_lines(path):
    """{"train", "val", "test"}: for each name and task a pair such as ("sort emma>", "aemm\\n")."""
    try:
        splits = names.load_splits(path)
    except names.BadInput as error:  # stage 05's BadInput, which common.run() does not know
        raise common.BadInput(str(error)) from error
    common.read_hashes.update(names_common.read_hashes)  # save_run() looks there
    return {
        split: [(f"{task} {doc}>", do(doc) + "\n") for doc in docs for task, do in TASKS.items()]
        for split, docs in splits.items()
    }


def encode(lines, tokenizer, T):
    """Inputs and targets of lines, N of them. -> xb (N, T), yb (N, T), answers (N, T) of bool

    answers marks the targets that belong to an answer. Behind a line's end, targets are MASKED.
    """
    xb = torch.full((len(lines), T), tokenizer.stoi["\n"])
    yb = torch.full((len(lines), T), MASKED)
    answers = torch.zeros((len(lines), T), dtype=torch.bool)
    for i, (prompt, answer) in enumerate(lines):
        tokens = torch.tensor(tokenizer.encode(prompt + answer))
        n = len(tokens) - 1
        xb[i, :n], yb[i, :n] = tokens[:-1], tokens[1:]
        answers[i, len(prompt) - 1 : n] = True  # the last input of the prompt is ">"
    return xb, yb, answers


# ---- training --------------------------------------------------------------------------------
def train(recipe, model, xb, yb, val_loss):
    """Updates on random lines. recipe: stage 06's Config. Returns the log."""
    optimizers = stage.make_optimizers(recipe, model)
    generator = torch.Generator().manual_seed(recipe.seed)
    third = max(1, recipe.steps // 3)
    log = common.Log(recipe.steps, val_loss, looks=range(third, recipe.steps + 1, third))
    for step in log:
        chosen = torch.randint(len(xb), (recipe.batch_size,), generator=generator)

        logits = model(xb[chosen])  # (B, T) -> (B, T, V)
        loss = F.cross_entropy(logits.flatten(0, 1), yb[chosen].flatten())

        model.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), recipe.clip)

        for optimizer in optimizers:
            for group in optimizer.param_groups:
                group["lr"] = group["highest_lr"] * stage.schedule(step, log.share, recipe)
            optimizer.step()

        log.add(loss.item())
    return log


# ---- evaluation ------------------------------------------------------------------------------
@torch.no_grad()
def evaluate(model, xb, yb, answers):
    """The loss in nats per character of the answers, and which answers are right: (N,) of bool.

    Answering means to write the likeliest character, again and again. The model sees the right
    characters so far, not its own. That finds the same answers right: up to its first mistake, the
    model's own characters are the right ones.
    """
    total, right = 0.0, []
    for x, y, mask in zip(xb.split(1000), yb.split(1000), answers.split(1000)):
        logits = model(x)  # (B, T) -> (B, T, V)
        total += F.cross_entropy(logits[mask], y[mask], reduction="sum").item()
        right.append(((logits.argmax(dim=2) == y) | ~mask).all(dim=1))
    return total / answers.sum().item(), torch.cat(right)


# ---- samples ---------------------------------------------------------------------------------
@torch.no_grad()
def answer(model, prompt):
    """What the model answers to a prompt such as "reverse emma>"."""
    tokenizer = model.tokenizer
    tokens = tokenizer.encode(prompt)
    while len(tokens) < model.block_size:
        token = model(torch.tensor([tokens]))[0, -1].argmax().item()
        if tokenizer.itos[token] == "\n":
            break
        tokens.append(token)
    return tokenizer.decode(tokens)[len(prompt) :]


# ---- main ------------------------------------------------------------------------------------
def main():
    config = common.parse_flags(Config, __doc__)
    lines = load_lines(config.data)
    common.prepare_out(config.out)
    everything = [prompt + answer for part in lines.values() for prompt, answer in part]
    tokenizer = stage.Tokenizer("".join(everything))
    T = max(map(len, everything)) - 1
    data = {split: encode(part, tokenizer, T) for split, part in lines.items()}
    recipe = stage.Config(
        **SMALL, data=config.data, seed=config.seed, steps=config.steps,
        batch_size=config.batch_size, block_size=T, out=config.out,
    )  # fmt: skip
    print(f"{len(lines['train']):,} lines to learn from, such as {everything[0]!r}")

    def new_model():
        torch.manual_seed(config.seed)
        return stage.make_model(recipe, tokenizer)

    def train_model(model, masked):
        """Returns the log."""
        xb, yb, answers = data["train"]
        targets = yb.where(answers, MASKED) if masked else yb
        return train(recipe, model, xb, targets, lambda: evaluate(model, *data["val"])[0])

    def accuracy(model, split, when=""):
        """The share of right answers for each task, and the loss."""
        loss, right = evaluate(model, *data[split])
        shares = {t: right[i :: len(TASKS)].float().mean().item() for i, t in enumerate(TASKS)}
        text = ", ".join(f"{task} {share:.1%}" for task, share in shares.items())
        print(f"right answers{when}, {split}: {text}", flush=True)
        return shares, loss

    model, right = new_model(), {}
    params = sum(p.numel() for p in model.parameters())
    print(f"num params: {params:,}")
    right["val, before"], _ = accuracy(model, "val", " before")
    log = train_model(model, masked=True)
    loss = {"val": log.val}
    right["val"], _ = accuracy(model, "val")
    right["test"], loss["test"] = accuracy(model, "test")
    samples = [prompt + answer(model, prompt) for prompt, _ in lines["val"][:10]]
    print("samples:", common.visible(", ".join(samples)), flush=True)
    if not log.stopped:
        print("the same batches without the mask; losses on the way include the prompts")
        other = new_model()
        if not train_model(other, masked=False).stopped:
            right["val, no mask"], _ = accuracy(other, "val")
    saved = {
        "config": common.settings(recipe),
        "chars": tokenizer.chars,
        "weights": model.state_dict(),
    }
    targets = {split: answers.sum().item() for split, (_, _, answers) in data.items()}
    common.save_run(
        recipe, log, "a format makes a language model answer", {"model.pt": saved},
        unit="nats/answer char", docs={split: len(part) for split, part in lines.items()},
        targets=targets, vocab_size=tokenizer.vocab_size, params=params,
        chars_seen=round(log.done * config.batch_size * targets["train"] / len(lines["train"])),
        loss=loss, right=right, samples=samples, variant="prompt and answer",
        accuracy={s: sum(right[s].values()) / len(TASKS) for s in ("val", "test")},
    )  # fmt: skip


if __name__ == "__main__":
    common.run(main)
