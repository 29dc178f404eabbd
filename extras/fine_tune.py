"""Fine-tuning: the trained GPT of stage 06 learns another text, from plays to names.

Same as stage 06: the model, the loop, the optimizers, the evaluation.
New here: the first weights are not random. They come from a training on another text.

Before and after, the program measures the val loss on both texts: the new one, which the model
learns, and the old one, which it forgets. A second model starts from random weights and trains on
the same batches. The difference between the two is what the first training was worth.
It needs the model of stage 06: run `make stage 6` first.
Run: python extras/fine_tune.py
"""

import random
from dataclasses import dataclass, replace
from pathlib import Path

from stage_code import ROOT, load_stage

import torch

common = load_stage("06_shakespeare_gpt", "common")
stage = load_stage("06_shakespeare_gpt")
devices = load_stage("06_shakespeare_gpt", "devices")
prompts = load_stage("06_shakespeare_gpt", "prompts")
names = load_stage("05_microgpt", "names")
names_common = load_stage("05_microgpt", "common")


# ---- config ----------------------------------------------------------------------------------
@dataclass(frozen=True)
class Config:
    data: Path = common.flag(ROOT / "data/names.txt", "the new text: a file, or a folder")
    kind: str = common.flag(
        "names", "of --data: names, one per line and split by their hash, or text, whose last "
        "tenth is val", choices=["names", "text"],
    )  # fmt: skip
    old: Path = common.flag(
        ROOT / "data/tinyshakespeare.txt", "the text that --model was trained on"
    )
    model: Path = common.flag(common.OUT / "model.pt", "the model to begin with")
    seed: int = common.flag(1337, "seeds the order of the names, batches and samples", 0, 2**31)
    steps: int = common.flag(200, "updates of the weights", 0, 10**7)
    batch_size: int = common.flag(32, "excerpts in one step", 1, 10**5)
    rate: float = common.flag(
        0.3, "learning rates of the fine-tuning, as a share of those of main.py", 0, 10
    )
    device: str = common.flag(
        "auto", "auto, cpu, cuda or mps", choices=["auto", "cpu", "cuda", "mps"]
    )
    out: Path = common.flag(common.OUT / "fine_tune", "folder for result.json and model.pt")


# ---- data ------------------------------------------------------------------------------------
def load_names(path, seed):
    """The names as two running texts {"train", "val"}: a line end before, between and after them.

    The targets of val are those of stages 02 to 05. The names come in random order: names.txt has
    equally frequent names in alphabetical order, so that one name would tell how the next begins.
    """
    try:
        splits = names.load_splits(path)
    except names.BadInput as error:  # stage 05's BadInput, which common.run() does not know
        raise common.BadInput(str(error)) from error
    common.read_hashes.update(names_common.read_hashes)  # save_run() looks there
    order, texts = random.Random(seed), {}
    for name in ("train", "val"):
        docs = order.sample(splits[name], len(splits[name]))
        texts[name] = "\n" + "\n".join(docs) + "\n"
    return texts


def load_new(config, block_size):
    """The new text as {"train": str, "val": str}."""
    if config.kind == "text":
        return stage.load_text(config.data, block_size)
    texts = load_names(config.data, config.seed)
    if len(texts["val"]) <= block_size or len(texts["train"]) <= block_size:
        problem = f"too few names for the model's block_size of {block_size}; give more"
        raise common.BadInput(f"--data {config.data}: {problem}")
    return texts


def load_old(config, block_size):
    """The val part of the old text."""
    try:
        return stage.load_text(config.old, block_size)["val"]
    except common.BadInput as error:
        raise common.BadInput(str(error).replace("--data", "--old")) from error


def encode(tokenizer, text, path, flag):
    """A text as token ids. BadInput if the model has no token for one of its characters."""
    unknown = set(text) - set(tokenizer.chars)
    if unknown:
        problem = f"holds {min(unknown)!r}, which the model has never seen; remove it"
        raise common.BadInput(f"{flag} {path} {problem}")
    return torch.tensor(tokenizer.encode(text))


# ---- model -----------------------------------------------------------------------------------
def load_model(path, first):
    """A model of stage 06 and its Config. BadInput if there is none: run the command `first`."""
    try:
        saved = torch.load(path, map_location="cpu", weights_only=True)
        model, config = stage.load(path.parent, path.name), stage.Config(**saved["config"])
        tokens = model.tokenizer.encode(model.tokenizer.chars[0])
        logits = model(torch.tensor([tokens]))  # weights that do not fit each other fail here
    except OSError as error:
        raise common.BadInput(f"--model {path}: {error.strerror}; run {first} first") from error
    except Exception as error:  # torch.load has no error of its own for other kinds of files
        problem = f"--model {path} is not a model of stage 06; run {first} first"
        raise common.BadInput(problem) from error
    if not logits.isfinite().all():
        raise common.BadInput(f"--model {path}: its training diverged; run {first} again")
    return model, config


# ---- main ------------------------------------------------------------------------------------
def main():
    config = common.parse_flags(Config, __doc__)
    device = devices.pick_device(config.device)
    model, first = load_model(config.model, "`make stage 6`")
    dtype = devices.pick_dtype(first.dtype, device)
    tokenizer = model.tokenizer
    new = load_new(config, model.block_size)
    old = load_old(config, model.block_size)
    common.prepare_out(config.out)
    prompt = prompts.read_prompt(prompts.DEFAULT, tokenizer.chars)
    data = {k: encode(tokenizer, text, config.data, "--data").to(device) for k, text in new.items()}
    old = encode(tokenizer, old, config.old, "--old").to(device)
    recipe = replace(
        first, data=config.data, out=config.out, seed=config.seed, steps=config.steps, minutes=0.0,
        batch_size=config.batch_size, eval_every=max(1, config.steps // 5), compile=False,
    )  # fmt: skip
    gentle = replace(
        recipe,
        learning_rate=config.rate * first.learning_rate,
        muon_learning_rate=config.rate * first.muon_learning_rate,
    )

    def show_sample(title):
        torch.manual_seed(config.seed)
        text = stage.sample(model, prompt, length=150, temperature=1.0)
        shown = common.visible(text.strip(), "\n\t")
        print(f"---- sample {title} ----", shown, "----------------", sep="\n", flush=True)
        return text

    def old_loss():
        with devices.autocast(device, dtype):
            return stage.evaluate(model, old)

    model.to(device)
    samples = [show_sample("before")]
    losses = {"old": {"before": old_loss()}}
    print("fine-tuning; the losses are those of the new text", flush=True)
    log, best = stage.train(gentle, model, data, device, dtype)
    model.load_state_dict(best["weights"])
    losses["new"] = {"before": log.curve[0][2], "after": best["val"]}
    samples.append(show_sample("after"))
    if not log.stopped:
        losses["old"]["after"] = old_loss()
        print("the same batches, but from random weights", flush=True)
        torch.manual_seed(config.seed)
        other = stage.make_model(recipe, tokenizer).to(device)
        other_log, other_best = stage.train(recipe, other, data, device, dtype)
        if not other_log.stopped:
            losses["new"]["from random weights"] = other_best["val"]
    for text, measured in losses.items():
        shown = [f"{when} {loss:.4f}" for when, loss in measured.items() if loss is not None]
        print(f"val loss on the {text} text: {', '.join(shown)}")
    saved = {
        "config": common.settings(gentle),
        "chars": tokenizer.chars,
        "weights": best["weights"],
        "step": best["step"],
    }
    common.save_run(
        gentle, log, "a trained model learns another text", {"model.pt": saved},
        docs={name: 1 for name in data}, targets={name: len(data[name]) - 1 for name in data},
        vocab_size=tokenizer.vocab_size, params=sum(p.numel() for p in model.parameters()),
        chars_seen=log.done * config.batch_size * model.block_size,
        loss={"val": best["val"]}, losses=losses, samples=samples,
        device=device, dtype=dtype, variant="fine-tuned",
    )  # fmt: skip


if __name__ == "__main__":
    common.run(main)
