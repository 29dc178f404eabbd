"""Muon, an optimizer for the matrices inside a network.

Source: K. Jordan et al., "Muon: An optimizer for hidden layers in neural networks", 2024.
torch.optim.Muon updates one matrix after another, always in bfloat16. On a CPU that is slow at
bfloat16, this can take longer than the complete forward and backward pass. The Muon here updates
all matrices of the same shape at once, and it uses bfloat16 only within torch.autocast.
"""

import torch


def orthogonalize(matrix, steps=5):
    """Replace the singular values of a matrix with values near 1. (..., m, n) -> (..., m, n)

    Newton-Schulz: each step applies the odd polynomial ax + bx^3 + cx^5 to all singular values.
    Five steps with these coefficients take every value from 0.0016 to 1 to between 0.68 and 1.21.
    A smaller value grows at most 485-fold (3.4445^5).
    """
    a, b, c = 3.4445, -4.7750, 2.0315
    x = matrix / (matrix.norm(dim=(-2, -1), keepdim=True) + 1e-7)  # no singular value is above 1
    tall = x.shape[-2] > x.shape[-1]
    x = x.mT if tall else x  # so that x @ x.mT is the smaller of the two products
    for _ in range(steps):
        s = x @ x.mT
        x = a * x + (b * s + c * s @ s) @ x
    return x.mT if tall else x


class Muon(torch.optim.Optimizer):
    """Momentum, with every update orthogonalized: it moves all directions by the same amount.

    Within torch.autocast, matrices are multiplied in bfloat16, which is precise enough here.
    """

    def __init__(self, params, lr=0.02, weight_decay=0.0, momentum=0.95):
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            by_shape = {}
            for p in group["params"]:
                by_shape.setdefault(p.shape, []).append(p)
            for (m, n), params in by_shape.items():
                grads = torch.stack([p.grad for p in params])  # (N, m, n)
                average = self.state[params[0]].setdefault("average", torch.zeros_like(grads))
                average.lerp_(grads, 1 - group["momentum"])
                updates = orthogonalize(grads.lerp(average, group["momentum"]))  # Nesterov momentum
                # A tall matrix needs a longer step for its outputs to change as much.
                scale = max(1, m / n) ** 0.5
                torch._foreach_mul_(params, 1 - group["lr"] * group["weight_decay"])
                torch._foreach_add_(params, list(updates), alpha=-group["lr"] * scale)
