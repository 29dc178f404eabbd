"""Continue a prompt with the model that main.py trained, for a text of any length.

model.py's GPT.generate computes all positions again for every character. Here a cache keeps the
keys and values of earlier positions, so the model computes only one new position per character.
Positions are counted from the start of the window. So when the window is full, the cache becomes
useless, and the later half of the window starts a new one.
Run: python 06_shakespeare_gpt/generate.py --prompt "ROMEO:" --length 1000
"""

import sys
from dataclasses import dataclass
from pathlib import Path

import common
from common import OUT, BadInput, flag, visible

import torch

import prompts
from devices import pick_device
from main import load
from model import draw


# ---- config ----------------------------------------------------------------------------------
@dataclass(frozen=True)
class Config:
    model: Path = flag(OUT / "model.pt", "the model that main.py wrote")
    prompt: str = flag(prompts.DEFAULT, r"the text to continue; \n is a line end")
    prompt_file: str = flag("", "a text file to continue instead")
    stop: str = flag("", r"end after the model has written this, such as '\n\n'")
    length: int = flag(500, "characters to add at most", 0, 10**7)
    temperature: float = flag(0.8, "below 1, samples favour likely characters", 0.01, 100)
    top_k: int = flag(200, "draw from this many of the likeliest characters", 1, 10**6)
    seed: int = flag(1337, "seeds the random numbers", 0, 2**32 - 1)
    device: str = flag("auto", "auto, cpu, cuda or mps", choices=["auto", "cpu", "cuda", "mps"])

    def __post_init__(self):
        if not self.prompt:
            raise BadInput("--prompt is empty: give at least one character")


# ---- generation ------------------------------------------------------------------------------
class Cache:
    """The keys and values of a block's attention at all positions so far.

    keys, values: (B, n_head, length, head_dim)
    """

    def __init__(self):
        self.keys = self.values = None
        self.length = 0

    def add(self, keys, values):
        """Add the keys and values of new positions, and return all of them."""
        if self.length > 0:
            keys = torch.cat((self.keys, keys), dim=2)
            values = torch.cat((self.values, values), dim=2)
        self.keys, self.values, self.length = keys, values, keys.shape[2]
        return keys, values


@torch.no_grad()
def generate(model, tokens, length, temperature=1.0, top_k=None):
    """Yield the same ids as model.generate, one at a time. The model's dropout must be off."""
    window = new = tokens[-model.block_size :]
    caches = [Cache() for _ in model.blocks]
    for _ in range(length):
        xb = torch.tensor([new], device=model.lm_head.weight.device)  # (1, T), then (1, 1)
        token = draw(model(xb, caches)[0, -1], temperature, top_k)
        yield token
        window, new = [*window, token], [token]
        if len(window) > model.block_size:
            window = new = window[-(model.block_size // 2 + 1) :]
            caches = [Cache() for _ in model.blocks]


# ---- main ------------------------------------------------------------------------------------
def load_model(path):
    """The model in a file. Raises BadInput if there is none, or if its weights are not numbers."""
    try:
        model = load(path.parent, path.name)
        tokens = model.tokenizer.encode(model.tokenizer.chars[0])
        logits = model(torch.tensor([tokens]))  # weights that do not fit each other fail here
    except OSError as error:
        raise BadInput(f"--model {path}: {error.strerror}; run main.py first") from error
    except Exception as error:  # torch.load has no error of its own for other kinds of files
        raise BadInput(f"--model {path} is not a model of this stage: run main.py first") from error
    if not logits.isfinite().all():
        raise BadInput(f"--model {path}: its training diverged; train again with a lower rate")
    return model


def main():
    config = common.parse_flags(Config, __doc__)
    device = pick_device(config.device)
    model = load_model(config.model).to(device)
    chars = set(model.tokenizer.chars)
    prompt = prompts.read_prompt(config.prompt, chars, config.prompt_file)
    stop = prompts.known_form("--stop", prompts.unescape(config.stop), chars)
    torch.manual_seed(config.seed)
    tokens = model.tokenizer.encode(prompt)
    print(visible(prompt, "\n\t"), end="", flush=True)
    written = ""
    try:
        for token in generate(model, tokens, config.length, config.temperature, config.top_k):
            ch = model.tokenizer.decode([token])
            print(visible(ch, "\n\t"), end="", flush=True)
            written += ch
            if stop and written.endswith(stop):
                break
    except KeyboardInterrupt:
        print(flush=True)
        print(f"stopped after {len(written):,} of {config.length:,} characters", file=sys.stderr)
        sys.exit(130)  # as common.run() does
    print()


if __name__ == "__main__":
    common.run(main)
