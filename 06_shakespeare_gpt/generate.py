"""Continue a prompt with the weights that main.py kept.

Run: python 06_shakespeare_gpt/generate.py --prompt "ROMEO:" --length 1000
"""

from dataclasses import dataclass
from pathlib import Path

import torch

import plumbing
from devices import pick_device
from model import GPT
from plumbing import ROOT, STAGE, BadInput


@dataclass(frozen=True)
class Config:
    model: Path = ROOT / "out" / STAGE / "model.pt"  # written by main.py
    prompt: str = "\n"  # where the text begins
    length: int = 500  # characters to add
    temperature: float = 0.8  # divides the logits; below 1 is bolder about favourites
    top_k: int = 200  # only so many of the likeliest characters can be drawn
    seed: int = 1337  # starts the random numbers
    device: str = "auto"  # auto, cpu, cuda or mps

    def __post_init__(self):
        plumbing.check_ranges(self, seed=(0, 2**32 - 1), length=(0, 10**7), top_k=(1, 10**6))
        plumbing.check_ranges(self, temperature=(0.01, 100))
        if not self.prompt:
            raise BadInput("--prompt is empty; give at least one character")


def load(path, device):
    """Return (model, chars) from a checkpoint, executing nothing in it. BadInput if it is none."""
    try:
        checkpoint = torch.load(path, map_location=device, weights_only=True)
        model = GPT(**checkpoint["sizes"]).to(device)
        model.load_state_dict(checkpoint["weights"])
    except OSError as error:
        message = f"--model {path}: {error.strerror}; run main.py first"
        raise BadInput(message) from error
    except Exception as error:  # torch.load has no one error of its own for files of another kind
        message = f"--model {path} is no checkpoint of this stage; run main.py first"
        raise BadInput(message) from error
    return model, checkpoint["chars"]


def main():
    config = plumbing.parse_flags(Config, __doc__)
    model, chars = load(config.model, pick_device(config.device))
    if unknown := set(config.prompt) - set(chars):
        raise BadInput(f"--prompt holds {min(unknown)!r}, which the model has never seen")
    generator = torch.Generator().manual_seed(config.seed)
    tokens = [chars.index(ch) for ch in config.prompt]
    print(config.prompt, end="")
    new = model.generate(tokens, config.length, config.temperature, config.top_k, generator)
    for token in new:
        print(chars[token], end="", flush=True)
    print()


if __name__ == "__main__":
    plumbing.run(main)
