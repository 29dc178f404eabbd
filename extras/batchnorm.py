"""The MLP of main.py with BatchNorm before its tanh, so that no neuron starts or drifts to where
tanh is flat.

Same as main.py: the data, the embeddings, the loss, AdamW, the loop.
New here: BatchNorm, which has one formula in training and another in evaluation.
Source: "Batch Normalization: Accelerating Deep Network Training by Reducing Internal Covariate
Shift", Ioffe and Szegedy, 2015; "Building makemore Part 3: Activations & Gradients, BatchNorm",
A. Karpathy, 2022.
Run: python 04_embedding_mlp/batchnorm.py
"""

from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F

import plumbing
from main import MLP, Tokenizer, contexts, evaluate, load_splits, sample, train
from plumbing import ROOT, SPLITS, STAGE


# ---- config ----------------------------------------------------------------------------------
@dataclass(frozen=True)
class Config:
    data: Path = ROOT / "data" / "names.txt"  # one name a line, or a folder of train, val, test.txt
    seed: int = 42  # starts the random numbers of weights, batches and samples
    steps: int = 4000  # updates of the weights
    batch_size: int = 1024  # contexts in one step, so what a batch's mean and variance are taken of
    block_size: int = 3  # characters of context
    n_embd: int = 24  # numbers in the vector of a character
    n_hidden: int = 256  # neurons in the hidden layer
    learning_rate: float = 0.01  # of AdamW; falls linearly to 0
    weight_decay: float = 0.12  # of AdamW: share of each weight taken off, times the learning rate
    out: Path = ROOT / "out" / STAGE / "batchnorm"  # folder for result.json, model.pt and loss.png

    def __post_init__(self):
        plumbing.check_ranges(self, seed=(0, 2**32 - 1), steps=(0, 10**7), batch_size=(2, 10**6))
        plumbing.check_ranges(self, block_size=(1, 256), n_embd=(1, 4096), n_hidden=(1, 65536))
        plumbing.check_ranges(self, learning_rate=(0, 10), weight_decay=(0, 10))


# ---- model -----------------------------------------------------------------------------------
class BatchNorm:
    """Shift and scale each neuron to mean 0 and variance 1, then by a learned shift and gain.

    In training the mean and variance are those of the batch, so every example changes a little what
    comes out for the others. A single example has no batch, and its answer should not hang on its
    company: evaluation takes running averages of what the batches had. Which of the two it is, is
    read from whether gradients are being recorded: only training does, and nobody can forget to
    switch. (torch.nn.BatchNorm1d has .train() and .eval() for it.)
    """

    momentum = 0.1  # share of each new batch in the running averages
    eps = 1e-5  # keeps a neuron that never changes from a division by 0
    correction = 0  # the variance of a batch divides by n; the running one, an estimate, by n - 1

    def __init__(self, n):
        self.gain = torch.ones(n)
        self.shift = torch.zeros(n)
        self.running_mean = torch.zeros(n)
        self.running_var = torch.ones(n)

    def __call__(self, x):
        """(..., H) -> (..., H); the statistics run over all dimensions but the last."""
        if torch.is_grad_enabled():
            n = x[..., 0].numel()  # numbers that a neuron has in this batch
            over = tuple(range(x.dim() - 1))
            var, mean = torch.var_mean(x, over, correction=self.correction)  # (H,), (H,)
            with torch.no_grad():
                self.running_mean.lerp_(mean, self.momentum)
                unbiased = var * ((n - self.correction) / (n - 1))
                self.running_var.lerp_(unbiased, self.momentum)
        else:
            mean, var = self.running_mean, self.running_var
        return self.gain * (x - mean) / torch.sqrt(var + self.eps) + self.shift


class NormMLP(MLP):
    """main.py's MLP; mlp_bias is gone, since BatchNorm takes off any constant it is given."""

    def __init__(self, config, vocab_size):
        self.norm = BatchNorm(config.n_hidden)
        super().__init__(config, vocab_size)
        del self.mlp_bias

    def parameters(self):
        return [self.wte, self.mlp_fc1, self.norm.gain, self.norm.shift, self.lm_head, self.lm_bias]

    def state(self):
        """Name -> tensor: the parameters, and the running averages that evaluation needs."""
        own = {name: value for name, value in vars(self).items() if name != "norm"}
        return own | {f"norm.{name}": value for name, value in vars(self.norm).items()}

    def __call__(self, xb):
        """Logits of the next character. (B, T) -> (B, V)"""
        x = F.embedding(xb, self.wte).flatten(1)  # (B, T) -> (B, T, C) -> (B, T * C)
        h = torch.tanh(self.norm(x @ self.mlp_fc1))  # (B, T * C) -> (B, H)
        return h @ self.lm_head + self.lm_bias  # (B, H) -> (B, V)


# ---- main ------------------------------------------------------------------------------------
def main():
    config = plumbing.parse_flags(Config, __doc__)
    splits = load_splits(config.data)
    plumbing.prepare_out(config.out)
    tokenizer = Tokenizer(sum(splits.values(), []))
    data = {name: contexts(docs, tokenizer, config.block_size) for name, docs in splits.items()}
    torch.manual_seed(config.seed)
    model = NormMLP(config, tokenizer.vocab_size)
    params = sum(p.numel() for p in model.parameters())
    print(f"the MLP with BatchNorm before tanh; num params: {params:,}")

    curve, progress = train(config, model, data)
    loss = {name: evaluate(model, *data[name]) for name in SPLITS}
    samples = [sample(model, tokenizer, config.block_size) for _ in range(20)]
    print("samples:", ", ".join(samples[:10]))
    weights = {name: tensor.detach() for name, tensor in model.state().items()}
    checkpoint = {"chars": "".join(tokenizer.chars), "weights": weights}
    plumbing.save_tensors(config.out / "model.pt", checkpoint)
    plumbing.save_result(
        config, progress, "BatchNorm keeps tanh where it has a slope", **plumbing.sizes(splits),
        vocab_size=tokenizer.vocab_size, params=params,
        chars_seen=progress.done * config.batch_size,
        loss=loss, curve=curve, samples=samples, torch=torch, variant="batchnorm",
    )
    return progress.status


if __name__ == "__main__":
    plumbing.run(main)
