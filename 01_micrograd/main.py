"""A neural network that learns to tell two moons apart, on an autodiff engine of 100 lines.

New in 01: a number that knows its gradient, neurons, a loss, gradient descent.
Source: micrograd, A. Karpathy, 2020.
Run: python 01_micrograd/main.py --steps 50
"""

import json
import math
import random
import zlib
from dataclasses import dataclass
from pathlib import Path

import plumbing
from nn import MLP
from plumbing import ROOT, SPLITS, STAGE, BadInput


# ---- config ----------------------------------------------------------------------------------
@dataclass(frozen=True)
class Config:
    data: Path = Path("moons")  # moons makes two; else a file of lines "x y label", label -1 or 1
    seed: int = 42  # starts the random numbers of points and weights
    steps: int = 150  # updates of the weights, each on all train points
    points: int = 100  # made for each of train, val and test
    noise: float = 0.1  # spread of the points around their moon; its radius is 1
    n_hidden: int = 8  # neurons in each of two hidden layers
    learning_rate: float = 2.0  # weight change per unit of gradient; falls linearly to a tenth
    out: Path = ROOT / "out" / STAGE  # folder for result.json, weights.json, loss.png

    def __post_init__(self):
        plumbing.check_ranges(self, seed=(0, 2**32 - 1), steps=(0, 10**7), points=(2, 10**6))
        plumbing.check_ranges(self, noise=(0, 100), n_hidden=(1, 1000), learning_rate=(0, 1000))


# ---- data ------------------------------------------------------------------------------------
def make_moons(n, noise):
    """Lines "x y label": half circles around (0, 0) and (1, 0.5), the second one upside down."""
    lines = []
    for i in range(n):
        angle, label = math.pi * random.random(), 1 if i % 2 else -1
        x, y = math.cos(angle), math.sin(angle)
        if label == 1:
            x, y = 1 - x, 0.5 - y
        lines.append(f"{x + random.gauss(0, noise):.6f} {y + random.gauss(0, noise):.6f} {label}")
    return lines


def load_lines(path):
    """Return {"train": lines, "val": lines, "test": lines}; a line's own hash decides."""
    if path.is_dir():
        return {name: plumbing.read_docs(path / f"{name}.txt") for name in SPLITS}
    splits = {name: [] for name in SPLITS}
    for line in plumbing.read_docs(path):
        bucket = zlib.crc32(line.encode()) % 10
        splits[{8: "val", 9: "test"}.get(bucket, "train")].append(line)
    return splits


def parse_points(lines, path):
    """Return a list of ((x, y), label). BadInput for a line that is not three such numbers."""
    points = []
    for line in lines:
        try:
            x, y, label = map(float, line.split())
            if label not in (-1, 1) or not (math.isfinite(x) and math.isfinite(y)):
                raise ValueError
        except ValueError:
            message = f'{line!r} is no "x y label" with a label of -1 or 1'
            raise BadInput(f"--data {path}: {message}") from None
        points.append(((x, y), label))
    return points


# ---- training --------------------------------------------------------------------------------
def point_loss(score, label):
    """-log of the probability given to the right label, 1 / (1 + exp(-label * score)), in nats."""
    z = score * -label
    if z.data > 0:  # log(1 + exp(z)) = z + log(1 + exp(-z)), which does not overflow
        return z + (1 + (-z).exp()).log()
    return (1 + z.exp()).log()


def train(config, model, points):
    """Gradient descent on all train points at once.

    Returns the curve, the weights at each of its steps and the finished Progress.
    """
    parameters = model.parameters()
    look_every = max(1, config.steps // 10)
    curve = [[0, *(evaluate(model, points[name])[0] for name in ("train", "val"))]]
    weights = [[0, [p.data for p in parameters]]]
    for step in (progress := plumbing.Progress(config.steps)):
        batch = points["train"]

        losses = [point_loss(model(x)[0], label) for x, label in batch]
        loss = sum(losses) / len(batch)

        for p in parameters:
            p.grad = 0.0
        loss.backward()

        learning_rate = config.learning_rate * (1 - 0.9 * step / config.steps)
        for p in parameters:
            p.data -= learning_rate * p.grad

        if (step + 1) % look_every == 0:
            curve.append([step + 1, loss.data, evaluate(model, points["val"])[0]])
            weights.append([step + 1, [p.data for p in parameters]])
            print("step {:4d} | train loss {:.4f} | val loss {:.4f}".format(*curve[-1]), flush=True)
    return curve, weights, progress


# ---- evaluation ------------------------------------------------------------------------------
def evaluate(model, points):
    """Return (mean loss in nats per point, share of points on the right side of 0)."""
    scores = [(model(x)[0], label) for x, label in points]
    loss = sum(point_loss(score, label).data for score, label in scores) / len(points)
    return loss, sum(score.data * label > 0 for score, label in scores) / len(points)


# ---- main ------------------------------------------------------------------------------------
def main():
    config = plumbing.parse_flags(Config, __doc__)
    random.seed(config.seed)
    data = config.data
    if data == Config.data:
        lines = {name: make_moons(config.points, config.noise) for name in SPLITS}
    else:
        lines = load_lines(data)
    plumbing.check_splits(data, lines)
    points = {name: parse_points(lines[name], data) for name in SPLITS}
    plumbing.prepare_out(config.out)
    if data == Config.data:
        data = config.out / "moons.txt"
        plumbing.write_atomically(data, "\n".join(sum(lines.values(), [])).encode())
    model = MLP(layers := [2, config.n_hidden, config.n_hidden, 1])
    params = len(model.parameters())
    print(f"points: {', '.join(f'{len(points[name])} {name}' for name in SPLITS)}")
    print(f"num params: {params}")

    curve, weights, progress = train(config, model, points)
    checkpoint = json.dumps({"layers": layers, "weights": weights})
    plumbing.write_atomically(config.out / "weights.json", checkpoint.encode())
    scored = {name: evaluate(model, points[name]) for name in SPLITS}
    accuracy = {name: right for name, (_, right) in scored.items()}
    print("accuracy:", ", ".join(f"{name} {right:.0%}" for name, right in accuracy.items()))
    sizes = {name: len(points[name]) for name in SPLITS}
    plumbing.save_result(
        config, progress, "the chain rule trains a network", unit="nats/point", data=data,
        docs=sizes, targets=sizes, params=params, chars_seen=progress.done * sizes["train"],
        loss={name: loss for name, (loss, _) in scored.items()}, accuracy=accuracy,
        curve=curve, samples=[],
    )
    return progress.status


if __name__ == "__main__":
    plumbing.run(main)
