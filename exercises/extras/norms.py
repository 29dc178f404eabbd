"""Two norms, which keep the numbers inside a network near 0 and near a spread of 1.

LayerNorm looks along the numbers of one example, BatchNorm along the examples of one number.
"""

import torch


def layer_norm(x, gain, bias, eps=1e-5):
    """Normalize each vector to mean 0 and variance 1; then scale and shift it.

    x: (..., C). gain, bias: (C,). eps is added to the variance. -> (..., C)
    """
    mean = x.mean(dim=-1, keepdim=True)  # (..., 1)
    variance = ((x - mean) ** 2).mean(dim=-1, keepdim=True)  # (..., 1)
    return gain * (x - mean) / torch.sqrt(variance + eps) + bias


class BatchNorm:
    """Normalizes each of C numbers over the batch in training, by running averages otherwise."""

    momentum = 0.1  # share of a new batch in the running averages
    eps = 1e-5

    def __init__(self, C):
        self.training = True
        self.gain, self.bias = torch.ones(C), torch.zeros(C)
        self.running_mean, self.running_var = torch.zeros(C), torch.ones(C)

    def __call__(self, x):
        """(N, C) -> (N, C)"""
        if self.training:
            mean, variance = x.mean(dim=0), x.var(dim=0, correction=0)  # (C,), (C,)
            with torch.no_grad():  # the averages need no gradients
                unbiased = x.var(dim=0)  # an estimate for all data, so it divides by N - 1
                self.running_mean = self.running_mean + self.momentum * (mean - self.running_mean)
                self.running_var = self.running_var + self.momentum * (unbiased - self.running_var)
        else:
            mean, variance = self.running_mean, self.running_var
        return self.gain * (x - mean) / torch.sqrt(variance + self.eps) + self.bias
