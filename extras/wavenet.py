"""A deeper MLP that fuses its context two by two, like a tree, instead of all at once.

Same as stage 04: the data, the embeddings, the loss, AdamW.
Same as batchnorm.py: BatchNorm, the loop.
New here: three levels; 8 characters become 4 pairs, then 2 groups of four, then one of eight.
Source: "WaveNet: A Generative Model for Raw Audio", van den Oord et al., 2016, in the form of
"Building makemore Part 5: Building a WaveNet", A. Karpathy, 2022.
Run: python extras/wavenet.py
"""

from dataclasses import dataclass
from pathlib import Path

from stage_code import load_stage

import torch
import torch.nn.functional as F

from batchnorm import BatchNorm, BatchNormModel, evaluate, log_probs, sample, train

common = load_stage("04_embedding_mlp", "common")
names = load_stage("04_embedding_mlp", "names")
stage = load_stage("04_embedding_mlp")

__all__ = ["Config", "Tree", "evaluate", "load", "log_probs", "main", "sample", "train"]


# ---- config ----------------------------------------------------------------------------------
@dataclass(frozen=True)
class Config(stage.Config):
    batch_size: int = common.flag(512, "contexts in one step, normalized together", 2, 10**6)
    block_size: int = common.flag(
        8, "characters of context, a power of two: every level halves them",
        choices=[2, 4, 8, 16, 32, 64, 128, 256],
    )  # fmt: skip
    n_hidden: int = common.flag(128, "neurons in every level", 1, 65536)
    out: Path = common.flag(common.OUT / "wavenet", "folder for result.json and model.pt")


# ---- model -----------------------------------------------------------------------------------
class Tree(BatchNormModel):
    """Each level joins neighbours in pairs and mixes every pair into one, until one is left.

    All pairs of a level share their weights, so a level is a convolution with a kernel of 2 and a
    stride of 2.
    """

    def __init__(self, config, tokenizer, correction=0):
        """correction: of the variance in BatchNorm."""
        T, C, H, V = config.block_size, config.n_embd, config.n_hidden, tokenizer.vocab_size
        self.block_size, self.tokenizer = T, tokenizer
        levels = T.bit_length() - 1  # 8 = 2 ** 3
        inputs = [2 * C] + [2 * H] * (levels - 1)  # numbers in a pair, level by level
        self.wte = torch.randn(V, C)
        # Their spread matters little, because BatchNorm scales the sums to a variance of 1.
        self.fc = [torch.randn(n, H) / n**0.5 for n in inputs]
        self.norms = [BatchNorm(H, correction) for _ in inputs]
        self.lm_head = torch.randn(H, V) * 0.1 / H**0.5  # small, as in stage 04
        self.lm_bias = torch.zeros(V)
        for p in self.parameters():
            p.requires_grad_()

    def parameters(self):
        of_norms = [p for norm in self.norms for p in norm.parameters()]
        return [self.wte, *self.fc, *of_norms, self.lm_head, self.lm_bias]

    def __call__(self, xb):
        """Logits of the next character. (B, T) -> (B, V)"""
        x = F.embedding(xb, self.wte)  # (B, T) -> (B, T, C)
        for fc, norm in zip(self.fc, self.norms):
            B, T, C = x.shape  # C is n_embd at the first level and n_hidden after it
            x = x.view(B, T // 2, 2 * C)  # neighbours 0 and 1 side by side, 2 and 3, ...
            x = torch.tanh(norm(x @ fc))  # (B, T / 2, 2 * C) -> (B, T / 2, H)
        return x.squeeze(1) @ self.lm_head + self.lm_bias  # (B, 1, H) -> (B, H) -> (B, V)


# ---- main ------------------------------------------------------------------------------------
def load(folder):
    """The trained model that main() wrote, in evaluation mode."""
    saved = torch.load(folder / "model.pt", weights_only=True)
    model = Tree(Config(**saved["config"]), names.Tokenizer(saved["chars"]))
    model.load_state(saved["weights"])
    model.eval()
    return model


def main():
    config = common.parse_flags(Config, __doc__)
    splits = names.load_splits(config.data)
    common.begin_run(config)
    tokenizer = names.Tokenizer(sum(splits.values(), []))
    data = {
        name: stage.contexts(docs, tokenizer, config.block_size) for name, docs in splits.items()
    }
    torch.manual_seed(config.seed)
    model = Tree(config, tokenizer)
    params = sum(p.numel() for p in model.parameters())
    print(f"a tree of {len(model.fc)} levels over {config.block_size} characters")
    print(f"num params: {params:,}")

    log = train(config, model, data)
    loss = {name: evaluate(model, *data[name]) for name in common.unless_stopped("train", "test")}
    loss["val"] = log.val
    samples = [sample(model) for _ in range(20)]
    print("samples:", names.mark_known(samples[:10], splits))
    saved = {
        "config": common.settings(config),
        "chars": tokenizer.chars,
        "weights": model.state(),
    }
    common.save_run(
        config, log, "a tree fuses the context two by two", {"model.pt": saved},
        **names.count_docs(splits), vocab_size=tokenizer.vocab_size, params=params,
        chars_seen=log.done * config.batch_size, loss=loss, samples=samples, variant="wavenet",
    )  # fmt: skip


if __name__ == "__main__":
    common.run(main)
