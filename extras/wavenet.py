"""A deeper MLP that fuses its context two by two, like a tree, instead of all at once.

Same as main.py: the data, the embeddings, the loss, AdamW, the loop.
Same as batchnorm.py: BatchNorm.
New here: three levels; 8 characters become 4 pairs, 2 groups of four and one summary of all.
Source: "WaveNet: A Generative Model for Raw Audio", van den Oord et al., 2016, in the form of
"Building makemore Part 5: Building a WaveNet", A. Karpathy, 2022.
Run: python 04_embedding_mlp/wavenet.py
"""

from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F

import plumbing
from batchnorm import BatchNorm
from main import Tokenizer, contexts, evaluate, load_splits, sample, train
from plumbing import ROOT, SPLITS, STAGE, BadInput


# ---- config ----------------------------------------------------------------------------------
@dataclass(frozen=True)
class Config:
    data: Path = ROOT / "data" / "names.txt"  # one name a line, or a folder of train, val, test.txt
    seed: int = 42  # starts the random numbers of weights, batches and samples
    steps: int = 4000  # updates of the weights
    batch_size: int = 512  # contexts in one step
    block_size: int = 8  # characters of context: a power of two, each power being a level
    n_embd: int = 24  # numbers in the vector of a character
    n_hidden: int = 128  # neurons in every level
    learning_rate: float = 0.01  # of AdamW; falls linearly to 0
    weight_decay: float = 0.12  # of AdamW: share of each weight taken off, times the learning rate
    out: Path = ROOT / "out" / STAGE / "wavenet"  # folder for result.json, model.pt and loss.png

    def __post_init__(self):
        plumbing.check_ranges(self, seed=(0, 2**32 - 1), steps=(0, 10**7), batch_size=(2, 10**6))
        plumbing.check_ranges(self, block_size=(2, 256), n_embd=(1, 4096), n_hidden=(1, 65536))
        plumbing.check_ranges(self, learning_rate=(0, 10), weight_decay=(0, 10))
        if self.block_size & (self.block_size - 1):
            raise BadInput(f"--block-size {self.block_size} is no power of two: 2, 4, 8, 16, ...")


# ---- model -----------------------------------------------------------------------------------
class Tree:
    """Each level sets neighbours side by side and mixes every two into one, until one is left.

    The weights of a level are the same for all its pairs, which makes it a convolution with a
    kernel of 2 and a stride of 2.
    """

    Norm = BatchNorm

    def __init__(self, config, vocab_size):
        C, H = config.n_embd, config.n_hidden
        levels = config.block_size.bit_length() - 1  # 8 = 2 ** 3
        inputs = [2 * C] + [2 * H] * (levels - 1)  # numbers in a pair, level by level
        self.wte = torch.randn(vocab_size, C)
        # Whatever the spread of these, BatchNorm sets the sums to 1; so much is about right.
        self.fc = [torch.randn(n, H) / n**0.5 for n in inputs]
        self.norm = [self.Norm(H) for _ in inputs]
        self.lm_head = torch.randn(H, vocab_size) * 0.1 / H**0.5  # small, as in main.py
        self.lm_bias = torch.zeros(vocab_size)
        for p in self.parameters():
            p.requires_grad_()

    def parameters(self):
        learned = [p for norm in self.norm for p in (norm.gain, norm.shift)]
        return [self.wte, *self.fc, *learned, self.lm_head, self.lm_bias]

    def state(self):
        """Name -> tensor: the parameters, and the running averages that evaluation needs."""
        state = {name: getattr(self, name) for name in ("wte", "lm_head", "lm_bias")}
        for level, (fc, norm) in enumerate(zip(self.fc, self.norm), 1):
            state[f"fc{level}"] = fc
            state |= {f"norm{level}.{name}": value for name, value in vars(norm).items()}
        return state

    def __call__(self, xb):
        """Logits of the next character. (B, T) -> (B, V)"""
        x = F.embedding(xb, self.wte)  # (B, T) -> (B, T, C)
        for fc, norm in zip(self.fc, self.norm):
            B, T, C = x.shape  # C is n_embd at the first level and n_hidden after it
            x = x.view(B, T // 2, 2 * C)  # neighbours 0 and 1 side by side, 2 and 3, ...
            x = torch.tanh(norm(x @ fc))  # (B, T / 2, 2 * C) -> (B, T / 2, H)
        return x.squeeze(1) @ self.lm_head + self.lm_bias  # (B, 1, H) -> (B, H) -> (B, V)


# ---- main ------------------------------------------------------------------------------------
def main():
    config = plumbing.parse_flags(Config, __doc__)
    splits = load_splits(config.data)
    plumbing.prepare_out(config.out)
    tokenizer = Tokenizer(sum(splits.values(), []))
    data = {name: contexts(docs, tokenizer, config.block_size) for name, docs in splits.items()}
    torch.manual_seed(config.seed)
    model = Tree(config, tokenizer.vocab_size)
    params = sum(p.numel() for p in model.parameters())
    print(f"a tree of {len(model.fc)} levels over {config.block_size} characters")
    print(f"num params: {params:,}")

    curve, progress = train(config, model, data)
    loss = {name: evaluate(model, *data[name]) for name in SPLITS}
    samples = [sample(model, tokenizer, config.block_size) for _ in range(20)]
    print("samples:", ", ".join(samples[:10]))
    weights = {name: tensor.detach() for name, tensor in model.state().items()}
    checkpoint = {"chars": "".join(tokenizer.chars), "weights": weights}
    plumbing.save_tensors(config.out / "model.pt", checkpoint)
    plumbing.save_result(
        config, progress, "a tree fuses the context two by two", **plumbing.sizes(splits),
        vocab_size=tokenizer.vocab_size, params=params,
        chars_seen=progress.done * config.batch_size,
        loss=loss, curve=curve, samples=samples, torch=torch, variant="wavenet",
    )
    return progress.status


if __name__ == "__main__":
    plumbing.run(main)
