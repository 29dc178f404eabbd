"""A neural network that learns to tell two moons apart, with its own autodiff engine.

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

import common
from common import OUT, SPLITS, BadInput, flag

from nn import MLP


# ---- config ----------------------------------------------------------------------------------
@dataclass(frozen=True)
class Config:
    data: Path = flag(Path("moons"), 'moons, or a file of lines "x y label", label -1 or 1')
    seed: int = flag(42, "seeds the random points and weights", 0, 2**32 - 1)
    steps: int = flag(150, "updates of the weights, each on all train points", 0, 10**7)
    points: int = flag(100, "points to make for each of train, val and test", 2, 10**6)
    noise: float = flag(0.1, "spread of the points around their moon, whose radius is 1", 0, 100)
    n_hidden: int = flag(8, "neurons in each of the two hidden layers", 1, 1000)
    learning_rate: float = flag(2.0, "weight change per unit of gradient; falls to 1/10", 0, 1000)
    resume: bool = flag(False, "go on with the training of a run that did not end")
    out: Path = flag(OUT, "folder for result.json, model.json and moons.txt")


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


def moons_text(config):
    """The text of a file with moons for all splits: first train, then val, then test."""
    return "\n".join(line for _ in SPLITS for line in make_moons(config.points, config.noise))


def read_lines(path):
    """The lines of a file without surrounding spaces and blank lines."""
    return [line.strip() for line in common.read_text(path).split("\n") if line.strip()]


def load_lines(path):
    """{"train": lines, "val": lines, "test": lines}: the hash of each line decides.

    A folder's train.txt, val.txt and test.txt are used as they are. Raises BadInput for an empty
    split.
    """
    if common.is_folder(path):
        splits = {name: read_lines(path / f"{name}.txt") for name in SPLITS}
    else:
        splits = {name: [] for name in SPLITS}
        for line in read_lines(path):
            bucket = zlib.crc32(line.encode()) % 10
            splits[{8: "val", 9: "test"}.get(bucket, "train")].append(line)
    for name, lines in splits.items():
        if not lines:
            raise BadInput(f"--data {path}: the {name} split is empty; give more different lines")
    return splits


def parse_points(lines, path):
    """A list of ((x, y), label). Raises BadInput for a line that has any other form."""
    points = []
    for line in lines:
        try:
            x, y, label = map(float, line.split())
            if label not in (-1, 1) or not (math.isfinite(x) and math.isfinite(y)):
                raise ValueError
        except ValueError:
            problem = f'{line!r} is not a line "x y label" with a label of -1 or 1'
            raise BadInput(f"--data {path}: {problem}") from None
        points.append(((x, y), label))
    return points


def load_points(config):
    """The file of the points, {"train": points, "val": points, "test": points}, and {} or, if the
    user gave no file and this makes moons, {"moons.txt": the text of their file}.
    """
    if config.data == Config.data:
        path, n, text = config.out / "moons.txt", config.points, moons_text(config)
        common.note_hash(path, text.encode("utf-8"))
        lines, files = text.split("\n"), {"moons.txt": text}
        splits = {"train": lines[:n], "val": lines[n : 2 * n], "test": lines[2 * n :]}
    else:
        path, splits, files = config.data, load_lines(config.data), {}
    return path, {name: parse_points(lines, path) for name, lines in splits.items()}, files


# ---- training --------------------------------------------------------------------------------
def point_loss(score, label):
    """-log of the probability given to the right label, 1 / (1 + exp(-label * score)), in nats."""
    z = score * -label
    if z.data > 0:  # log(1 + exp(z)) = z + log(1 + exp(-z)), which does not overflow
        return z + (1 + (-z).exp()).log()
    return (1 + z.exp()).log()


def train(config, model, points):
    """Gradient descent on all train points at once.

    Returns rows of [step, weights], one for each row of the log's curve, and the log.
    """
    parameters = model.parameters()
    weights = []

    def train_loss():
        weights.append([log.done, [p.data for p in parameters]])
        return evaluate(model, points["train"])[0]

    def val_loss():
        return evaluate(model, points["val"])[0]

    log = common.Log(config.steps, val_loss, train_loss, state=[parameters, weights])
    for step in log:
        losses = [point_loss(model(x)[0], label) for x, label in points["train"]]
        loss = sum(losses) / len(losses)

        for p in parameters:
            p.grad = 0.0
        loss.backward()

        learning_rate = config.learning_rate * (1 - 0.9 * step / config.steps)
        for p in parameters:
            p.data -= learning_rate * p.grad

        log.add(loss.data)
    return weights, log


# ---- evaluation ------------------------------------------------------------------------------
def evaluate(model, points):
    """The mean loss in nats per point, and the share of points on the right side of 0."""
    scores = [(model(x)[0], label) for x, label in points]
    loss = sum(point_loss(score, label).data for score, label in scores) / len(points)
    return loss, sum(score.data * label > 0 for score, label in scores) / len(points)


# ---- main ------------------------------------------------------------------------------------
def set_weights(model, weights):
    """Set the parameters to these numbers, in the order of model.parameters()."""
    for p, weight in zip(model.parameters(), weights):
        p.data = weight


def load(folder):
    """The trained model that main() wrote, and its weights during the training.

    Returns an MLP and rows of [step, weights]; the last row holds the weights of the MLP.
    set_weights() gives the model the weights of another row.
    """
    saved = json.loads((folder / "model.json").read_text(encoding="utf-8"))
    model = MLP(saved["layers"])
    set_weights(model, saved["weights"][-1][1])
    return model, saved["weights"]


def main():
    config = common.parse_flags(Config, __doc__)
    random.seed(config.seed)
    path, points, files = load_points(config)
    common.begin_run(config, path)
    sizes = {name: len(points[name]) for name in SPLITS}
    layers = [2, config.n_hidden, config.n_hidden, 1]
    model = MLP(layers)
    params = len(model.parameters())
    print(f"points: {', '.join(f'{size} {name}' for name, size in sizes.items())}")
    print(f"num params: {params}")

    weights, log = train(config, model, points)
    scores = {name: evaluate(model, points[name]) for name in SPLITS}
    loss = {name: loss for name, (loss, _) in scores.items()}
    accuracy = {name: right for name, (_, right) in scores.items()}
    print("accuracy:", ", ".join(f"{name} {right:.0%}" for name, right in accuracy.items()))
    saved = {"config": common.settings(config), "layers": layers, "weights": weights}
    files["model.json"] = json.dumps(saved)
    common.save_run(
        config, log, "the chain rule trains a network", files, unit="nats/point",
        data=path, docs=sizes, targets=sizes, params=params,
        chars_seen=log.done * sizes["train"], loss=loss, samples=[], accuracy=accuracy,
    )  # fmt: skip


if __name__ == "__main__":
    common.run(main)
