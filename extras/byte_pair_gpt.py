"""main.py's GPT on byte pairs: the same model, but a token is often several characters long.

Losses per token do not compare between vocabularies: who predicts longer pieces has fewer of them
to predict, each of them harder. What compares is what the whole text costs, so the nats of all the
tokens of a split are shared out among its characters. The first token is one character, which stays
unscored: so what is scored is what main.py scores. (A text can be cut into tokens in many ways, of
which only one counts here: the model's true loss is no higher than the reported one.)

Compute is main.py's: as many steps of as many tokens, which hold more characters. Only wte and
lm_head grow with the vocabulary. --minutes 4 gives both the same time instead.
Run: python 06_shakespeare_gpt/tokens.py --vocab-size 512
"""

import time
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

import main as stage
import plumbing
from bpe import BytePairs, learn_merges
from devices import pick_device, pick_dtype
from model import GPT
from plumbing import ROOT, STAGE, BadInput


# ---- config ----------------------------------------------------------------------------------
@dataclass(frozen=True)
class Config:
    data: Path = ROOT / "data" / "tinyshakespeare.txt"  # a text, or a folder of train and val.txt
    vocab_size: int = 512  # tokens: the characters, and merges learned from the train text
    seed: int = stage.Config.seed  # starts the random numbers of weights, batches and samples
    steps: int = stage.Config.steps  # updates of the weights
    minutes: float = 0.0  # of training instead of steps; the schedule fits them. 0: go by steps
    batch_size: int = stage.Config.batch_size  # excerpts in one step
    block_size: int = stage.Config.block_size  # tokens in an excerpt
    n_embd: int = stage.Config.n_embd  # numbers in the vector that stands for a token
    n_head: int = stage.Config.n_head  # attention heads that share those numbers
    n_layer: int = stage.Config.n_layer  # blocks of attention and MLP
    dropout: float = stage.Config.dropout  # share of activations set to 0 in training
    device: str = "auto"  # auto, cpu, cuda or mps
    out: Path = ROOT / "out" / STAGE / "tokens"  # folder for result.json, model.pt and bpe.json

    def __post_init__(self):
        plumbing.check_ranges(self, vocab_size=(2, 10**5))
        self.of_main()

    def of_main(self):
        """main.py's Config with these fields; BadInput for one out of range."""
        fields = {name: value for name, value in asdict(self).items() if name != "vocab_size"}
        return stage.Config(preset="tokens", **fields)


# ---- data ------------------------------------------------------------------------------------
def encode(tokenizer, text):
    """The text's token ids; the first token is its first character."""
    return torch.tensor(tokenizer.encode(text[:1]) + tokenizer.encode(text[1:]))


def tokens_per_char(tokens, text):
    """Scored tokens for each scored character; nats per token times this are nats per character."""
    return (len(tokens) - 1) / (len(text) - 1)


# ---- main ------------------------------------------------------------------------------------
def main():
    flags = plumbing.parse_flags(Config, __doc__)
    config, device = flags.of_main(), pick_device(flags.device)
    dtype = pick_dtype(config.dtype, device)
    if config.data == Config.data:
        plumbing.get_data("tinyshakespeare")
    splits = stage.load_text(config.data, config.block_size)
    plumbing.prepare_out(config.out)
    chars = "".join(sorted(set("".join(splits.values()))))
    start = time.perf_counter()
    tokenizer = BytePairs(chars, learn_merges(splits["train"], flags.vocab_size))
    data = {name: encode(tokenizer, text).to(device) for name, text in splits.items()}
    for name, tokens in data.items():
        if len(tokens) <= config.block_size:
            few = f"its {name} part has {len(tokens)} tokens, too few for"
            raise BadInput(f"--data {config.data}: {few} --block-size {config.block_size}")
    share = {name: tokens_per_char(data[name], text) for name, text in splits.items()}
    tokenizer.save(config.out / "bpe.json")
    V = len(tokenizer.tokens)
    print(f"{V} tokens, learned in {time.perf_counter() - start:.1f} s; the longest:")
    print(" ".join(repr(token) for token in sorted(tokenizer.tokens, key=len)[-10:]))
    print(f"characters in a token: {1 / share['val']:.2f} (val)")

    torch.manual_seed(config.seed)
    shape = ("block_size", "n_embd", "n_head", "n_layer", "dropout")
    sizes = {"vocab_size": V, **{name: getattr(config, name) for name in shape}}
    model = GPT(**sizes).to(device)
    params = sum(p.numel() for p in model.parameters())
    print(f"num params: {params:,}\ndevice: {device}, {dtype}", flush=True)
    print("losses on the way are per token", flush=True)
    best = {}

    def keep(step, val):
        best.update(step=step, val=val * share["val"])
        weights = {name: p.to("cpu") for name, p in model.state_dict().items()}
        checkpoint = {"sizes": sizes, "tokens": tokenizer.tokens, "step": step, "weights": weights}
        plumbing.save_tensors(config.out / "model.pt", checkpoint)

    per_token, progress = stage.train(config, model, data, device, dtype, keep)
    curve = [
        [step, None if mean is None else mean * share["train"], val * share["val"]]
        for step, mean, val in per_token
    ]
    loss = {name: stage.evaluate(model, data[name]) * share[name] for name in data}
    weights = torch.load(config.out / "model.pt", weights_only=True)["weights"]
    model.load_state_dict(weights)  # the best ones write the sample
    generator = torch.Generator().manual_seed(config.seed)
    new = model.generate([data["train"][0].item()], 200, 0.8, None, generator)
    text = tokenizer.decode(new)
    print(f"---- sample ----\n{text.strip()}\n----------------")
    trained = progress.done * config.batch_size * config.block_size  # tokens
    plumbing.save_result(
        flags, progress, "tokens of several characters",
        docs={name: 1 for name in data}, targets={k: len(text) - 1 for k, text in splits.items()},
        vocab_size=len(chars),  # the unit is characters, and an even guess is one among these
        tokens=V, tokens_per_char=share, params=params, chars_seen=round(trained / share["train"]),
        loss=loss | {"test": None}, best=best, curve=curve, samples=[text],
        torch=torch, device=device, variant="byte pairs",
    )
    return progress.status


if __name__ == "__main__":
    plumbing.run(main)
