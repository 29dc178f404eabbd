"""Stage 06's GPT on byte pairs: the same model, but a token is often several characters long.

Same as stage 06: the model, the training, the flags.
New here: byte_pairs.py's tokens, and the loss in nats per character although tokens are longer.
Run: python extras/byte_pair_gpt.py --vocab-size 512

We cannot compare losses per token between vocabularies: a model with longer tokens predicts fewer
of them, and each one is harder. But we can compare the cost of the complete text. So we add up the
nats of all tokens of a split and divide them by the number of its characters. The first token is a
single character and is not scored, so this scores the same characters as main.py. (A text can be
cut into tokens in many ways, and only one of them counts here. The model's true loss is no higher
than the reported one.)

By default, it reads about as many characters as main.py. It needs less than half of the steps for
them, because these tokens contain more characters.
Only wte and lm_head grow with the vocabulary. --minutes 4 gives both programs the same time.
"""

import time
from dataclasses import dataclass
from pathlib import Path

from stage_code import load_stage

import torch

from byte_pairs import BytePairs, learn_merges

common = load_stage("06_shakespeare_gpt", "common")
stage = load_stage("06_shakespeare_gpt")
devices = load_stage("06_shakespeare_gpt", "devices")
prompts = load_stage("06_shakespeare_gpt", "prompts")


# ---- config ----------------------------------------------------------------------------------
@dataclass(frozen=True)
class Config(stage.Config):
    steps: int = common.flag(1450, "updates of the weights", 0, 10**7)
    vocab_size: int = common.flag(
        512, "tokens: the characters, and pairs learned from train", 2, 10**5
    )
    out: Path = common.flag(common.OUT / "tokens", "folder for result.json and model.pt")


# ---- data ------------------------------------------------------------------------------------
def encode(tokenizer, text):
    """The token ids of a text; the first token is its first character."""
    return torch.tensor(tokenizer.encode(text[:1]) + tokenizer.encode(text[1:]))


def encode_splits(config, tokenizer, splits, device):
    """{"train", "val"}: the token ids of both texts, on the device.

    Raises BadInput if a part has too few tokens for one excerpt and the token after it.
    """
    data = {name: encode(tokenizer, text).to(device) for name, text in splits.items()}
    for name, tokens in data.items():
        if len(tokens) <= config.block_size:
            few = f"its {name} part has {len(tokens)} tokens, too few for"
            few += f" --block-size {config.block_size}"
            raise common.BadInput(f"--data {config.data}: {few}; give a longer text")
    return data


def tokens_per_char(tokens, text):
    """Scored tokens per scored character. Nats per token times this is nats per character."""
    return (len(tokens) - 1) / (len(text) - 1)


def per_char(loss, share):
    """Nats per token -> nats per character. None, for a loss that was not measured, stays None."""
    return None if loss is None else loss * share


# ---- the protocol of stage 06, with tokens in place of characters ----------------------------
def log_probs(model, text):
    """log P of what could follow each token of a text. -> list[tokens] of list[vocab_size]"""
    return stage.log_probs(model, text)


def sample(model, prompt="\n", length=200, temperature=0.8, top_k=None):
    """The prompt and `length` more tokens."""
    return stage.sample(model, prompt, length, temperature, top_k)


def load(folder):
    """The trained model that main() wrote, with dropout off."""
    saved = torch.load(folder / "model.pt", map_location="cpu", weights_only=True)
    model = stage.make_model(Config(**saved["config"]), BytePairs(saved["chars"], saved["merges"]))
    model.load_state_dict(saved["weights"])
    return model.eval()


# ---- main ------------------------------------------------------------------------------------
def main():
    config = common.parse_flags(Config, __doc__, stage.PRESETS)
    device = devices.pick_device(config.device)
    dtype = devices.pick_dtype(config.dtype, device)
    splits = stage.load_text(config.data, config.block_size)
    common.begin_run(config)
    chars = sorted(set("".join(splits.values())))
    prompt = prompts.read_prompt(config.prompt, chars)
    began = time.perf_counter()
    tokenizer = BytePairs(chars, learn_merges(splits["train"], config.vocab_size))
    data = encode_splits(config, tokenizer, splits, device)
    share = {name: tokens_per_char(data[name], text) for name, text in splits.items()}
    print(f"{tokenizer.vocab_size} tokens, learned in {time.perf_counter() - began:.1f} s")
    longest = sorted(tokenizer.tokens, key=len)[-10:]
    print("the longest:", " ".join(repr(token) for token in longest))
    print(f"characters in a token: {1 / share['val']:.2f} (val)")

    torch.manual_seed(config.seed)
    model = stage.make_model(config, tokenizer).to(device)
    params = sum(p.numel() for p in model.parameters())
    print(f"num params: {params:,}\ndevice: {device}, {dtype}", flush=True)
    print("losses on the way are per token", flush=True)

    scoring = len(data["train"]) / len(data["val"])
    log, best = stage.train(config, model, data, device, dtype, scoring)
    # From here on, losses are per character.
    log.curve = [
        [step, per_char(train, share["train"]), per_char(val, share["val"])]
        for step, train, val in log.curve
    ]
    loss = {"val": log.val}
    if not log.stopped:  # as in main.py
        with devices.autocast(device, dtype):
            loss["train"] = per_char(stage.evaluate(model, data["train"]), share["train"])
    model.load_state_dict(best["weights"])
    torch.manual_seed(config.seed)
    text = sample(model, prompt, 200, config.temperature, config.top_k)
    shown = common.visible(text.strip(), "\n\t")
    print("---- sample ----", shown, "----------------", sep="\n")
    saved = {
        "config": common.settings(config),
        "chars": tokenizer.chars,
        "merges": tokenizer.merges,
        "weights": best["weights"],
        "step": best["step"],
    }
    trained = log.done * config.batch_size * config.block_size  # tokens
    common.save_run(
        config, log, "tokens of several characters", {"model.pt": saved},
        docs={name: 1 for name in data},
        targets={name: len(text) - 1 for name, text in splits.items()},
        vocab_size=len(chars),  # the unit is characters, so a uniform guess chooses among them
        tokens=tokenizer.vocab_size, tokens_per_char=share, params=params,
        chars_seen=round(trained / share["train"]), loss=loss,
        best={"step": best["step"], "val": per_char(best["val"], share["val"])}, samples=[text],
        device=device, dtype=dtype, variant="byte pairs",
    )  # fmt: skip


if __name__ == "__main__":
    common.run(main)
