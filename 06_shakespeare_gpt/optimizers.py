"""Which optimizer moves which weights, and how fast at which time."""

import math

import torch

from muon import Muon


def make_optimizers(config, model):
    """AdamW for embeddings, norms, biases and lm_head; Muon for the matrices inside the blocks.

    AdamW scales each number of a matrix by itself, and its updates favour a few directions. Muon's
    move all directions equally, which gets further in the same number of steps.
    """
    inner = [p for p in model.blocks.parameters() if p.dim() == 2 and config.muon_learning_rate]
    rest = [p for p in model.parameters() if not any(p is q for q in inner)]
    groups = [
        {"params": [p for p in rest if p.dim() == 2], "weight_decay": config.weight_decay},
        {"params": [p for p in rest if p.dim() == 1], "weight_decay": 0.0},
    ]
    optimizers = [torch.optim.AdamW(groups, lr=config.learning_rate, betas=(0.9, 0.99), fused=True)]
    if inner:
        optimizers.append(Muon(inner, config.muon_learning_rate, config.weight_decay))
    for group in (group for optimizer in optimizers for group in optimizer.param_groups):
        group["highest_lr"] = group["lr"]
    return optimizers


def schedule(step, share, config):
    """Factor for the highest learning rates: a linear warm-up times half a cosine down to `final`.

    share is how much of the training is done, from 0 to 1.
    """
    warmup = min(1.0, (step + 1) / max(1, config.warmup))
    return warmup * (config.final + (1 - config.final) * (1 + math.cos(math.pi * share)) / 2)
