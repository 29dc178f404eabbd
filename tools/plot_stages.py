"""Pictures of single stages. Each function draws one, from the folder of a run of that stage.

Every number in them comes from the stage's own code and from the model that it loads.
"""

import hashlib
import io

import numpy as np

from plot_style import (
    GREY,
    STAGE_COLOURS,
    Missing,
    letter_axes,
    marks,
    new_figure,
    read_json,
    readable,
)
from trained_models import load_model

# A larger picture takes minutes and gigabytes, and nobody could tell its parts apart.
MOST_CHARACTERS, MOST_POINTS, MOST_HEADS, MOST_POSITIONS = 80, 5000, 64, 2000
LINE = "\nO Romeo, Romeo!"  # begins with the line break that heads of stage 06 look for


def home(folder):
    """The stage's folder of a run: out/03_bigram_learned, also for one in its tries/."""
    return folder.parent.parent if folder.parent.name == "tries" else folder


def load(folder):
    """(module, model) of the run in this folder."""
    stage = home(folder)
    return load_model(stage.parent, stage.name, folder)


# ---- 01 --------------------------------------------------------------------------------------
def draw_boundary(folder):
    """Stage 01's decision boundary at four steps of the training."""
    main, (model, weights) = load(folder)
    result = read_json(folder / "result.json")
    readable(result["targets"]["train"], MOST_POINTS, "points")
    moons = folder / "moons.txt"
    read = moons.read_bytes() if moons.exists() else b""
    if hashlib.sha256(read).hexdigest() != result["dataset"]["sha256"]:
        raise Missing("the run's points are not in moons.txt")
    points = np.loadtxt(io.BytesIO(read))  # (N, 3): x, y, label; train is first
    points = points[: result["targets"]["train"]]
    xy, label = points[:, :2], points[:, 2]
    low, high = xy.min(axis=0) - 0.4, xy.max(axis=0) + 0.4
    # The engine computes number by number: these 4,800 points take a quarter of a second.
    grid_x, grid_y = np.meshgrid(np.linspace(low[0], high[0], 80), np.linspace(low[1], high[1], 60))

    def scores(points):
        return np.array([model(point)[0].data for point in points.tolist()])

    last = len(weights) - 1
    looks = sorted({round(last * share) for share in (0, 0.1, 0.4, 1)})  # it bends early
    figure = new_figure(10, 6.2)
    panels = figure.subplots(2, 2, sharex=True, sharey=True).flat
    for unused in panels[len(looks) :]:  # after few steps
        unused.remove()
    for axes, look in zip(panels, looks):
        step, numbers = weights[look]
        main.set_weights(model, numbers)
        grid_scores = scores(np.column_stack([grid_x.ravel(), grid_y.ravel()]))
        probability = 1 / (1 + np.exp(-grid_scores.reshape(grid_x.shape)))
        shades = axes.contourf(
            grid_x, grid_y, probability, np.linspace(0, 1, 11), cmap="PuOr_r", alpha=0.75
        )
        axes.contour(grid_x, grid_y, probability, [0.5], colors="black", linewidths=2)
        for value, colour, shape in ((1, "#B35806", "o"), (-1, "#542788", "s")):
            axes.plot(*xy[label == value].T, shape, color=colour, mec="white", ms=6, label=value)
        right = (scores(xy) * label > 0).mean()
        axes.set_title(f"step {step}: {right:.0%} of train right", fontsize=12)
        axes.set_aspect("equal")
    figure.supxlabel("x")
    figure.supylabel("y")
    figure.colorbar(shades, ax=figure.axes, label="probability of label 1 (circles)")
    return figure


# ---- 02 and 03 -------------------------------------------------------------------------------
def check_alphabet(folder):
    """Raise Missing if the run has too many characters for a table of all pairs.

    This asks result.json, because loading such a model takes long.
    """
    if (folder / "result.json").exists():
        readable(read_json(folder / "result.json")["vocab_size"], MOST_CHARACTERS, "characters")


def draw_counts(folder):
    """How often each character follows each character in train."""
    from matplotlib.colors import LogNorm

    check_alphabet(folder)
    _, model = load(folder)
    counts = np.array(read_json(folder / "model.json")["counts"])  # (V, V)
    symbols = [*marks(model.tokenizer.chars), "."]
    figure = new_figure(9.6, 8.4)
    axes = figure.subplots()
    seen = np.ma.masked_equal(counts, 0)
    image = axes.imshow(seen, norm=LogNorm(1, max(10, counts.max())), cmap="viridis_r")
    letter_axes(axes, symbols, symbols, size=11)
    axes.set(xlabel="next character", ylabel="character")
    axes.xaxis.set_label_position("top")
    figure.colorbar(image, label="times in train (white: never)", shrink=0.8)
    return figure


def next_character_table(main, model):
    """P(next | character) of a bigram model: a row for each character, then one for BOS. (V, V)"""
    rows = [main.log_probs(model, ch)[1] for ch in model.tokenizer.chars]
    return np.exp([*rows, main.log_probs(model, "")[0]])


def draw_tables(folder):
    """Stage 03's learned table, stage 02's counted one, and their difference."""
    from matplotlib.colors import LogNorm

    check_alphabet(folder)
    learning, learner = load(folder)
    counting, counter = load(home(folder).parent / "02_bigram_counts")
    if learner.tokenizer.chars != counter.tokenizer.chars:
        raise Missing("stages 02 and 03 ran on different alphabets")
    P_learned = next_character_table(learning, learner)
    P_counted = next_character_table(counting, counter)
    symbols = [*marks(learner.tokenizer.chars), "."]
    figure = new_figure(12, 10.8)
    ((learned, counted), (difference, scatter)) = figure.subplots(2, 2)
    scale = {"norm": LogNorm(1e-4, 1), "cmap": "viridis_r"}
    for axes, P, title in ((learned, P_learned, "learned"), (counted, P_counted, "counted")):
        image = axes.imshow(np.maximum(P, 1e-4), **scale)
        axes.set_title(f"{title}: P(next | character)", pad=24)
    figure.colorbar(image, ax=[learned, counted], shrink=0.8, extend="min", label="probability")
    delta = P_learned - P_counted
    widest = max(np.abs(delta).max(), 1e-9)
    image = difference.imshow(delta, cmap="RdBu_r", vmin=-widest, vmax=widest)
    difference.set_title("learned minus counted", pad=24)
    figure.colorbar(image, ax=difference, shrink=0.8, label="difference of probability")
    for axes in (learned, counted, difference):
        letter_axes(axes, symbols, symbols, size=9)
        axes.set_ylabel("character")
    colour = STAGE_COLOURS[home(folder).name]
    scatter.loglog(P_counted.ravel(), P_learned.ravel(), "o", ms=4, alpha=0.6, color=colour)
    ends = [min(P_counted.min(), P_learned.min()), 1]
    scatter.loglog(ends, ends, "-", lw=1, color=GREY)
    scatter.set(xlabel="counted probability", ylabel="learned probability", aspect="equal")
    scatter.set_title("a point for each pair of characters")
    return figure


# ---- 06 --------------------------------------------------------------------------------------
def heatmaps(rows, columns, panels, size):
    """A grid of attention heatmaps, row by row, each of this size in inches.

    panels: (title, attention (T, T), a mark for each of the T characters).
    """
    figure = new_figure(size * columns + 1, size * rows + 0.4)
    grid = figure.subplots(rows, columns, squeeze=False)
    for axes, (title, attention, symbols) in zip(grid.flat, panels):
        earlier = np.where(np.tri(len(symbols)), attention, np.nan)
        image = axes.imshow(earlier, cmap="viridis_r", vmin=0, vmax=1)
        letter_axes(axes, symbols, symbols, size=10)
        axes.set_title(title, fontsize=12)
    figure.supylabel("character that looks")
    label = "attention weight (each row adds up to 1)"
    figure.colorbar(image, ax=figure.axes, label=label, shrink=0.6)
    figure.suptitle("character looked at", fontsize=12)
    return figure


def draw_line_attention(folder):
    """The attention of each of stage 06's heads over one line."""
    main, model = load(folder)
    readable(len(model.blocks) * model.blocks[0].attn.n_head, MOST_HEADS, "heads")
    text = [ch for ch in LINE if ch in model.tokenizer.chars][: model.block_size]
    if len(text) < 2:
        raise Missing(f"the run's text does not have the characters of {LINE!r}")
    layers = main.attention_weights(model, "".join(text))  # [layer][head][T][T]
    panels = [
        (f"layer {i}, head {h}", head, marks(text))
        for i, heads in enumerate(layers)
        for h, head in enumerate(heads)
    ]
    return heatmaps(len(layers), len(layers[0]), panels, size=3.2)


def draw_line_positions(folder):
    """The similarity of the embeddings of every two positions of stage 06."""
    _, model = load(folder)
    readable(model.block_size, MOST_POSITIONS, "positions")
    wpe = model.wpe.weight.detach().double().numpy()  # (block_size, C)
    unit = wpe / np.maximum(np.linalg.norm(wpe, axis=1, keepdims=True), 1e-12)
    figure = new_figure(7.6, 6.4)
    axes = figure.subplots()
    image = axes.imshow(unit @ unit.T, cmap="RdBu_r", vmin=-1, vmax=1)
    axes.set(xlabel="position", ylabel="position")
    figure.colorbar(image, label="cosine similarity", shrink=0.85)
    return figure
