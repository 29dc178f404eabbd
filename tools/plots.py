"""Pictures of what the stages learned, drawn from their results and saved weights alone.

    python run.py plots [--stage 4] [--from out] [--into results]

A picture whose input is not there is skipped with one line. A file is written only when its bytes
change, so drawing again changes nothing.
"""

import argparse
import hashlib
import io
import itertools
import json
import math
import sys
from pathlib import Path

import numpy as np
import table
from files import split_names, write_if_changed

ROOT = Path(__file__).resolve().parent.parent
# Okabe and Ito's colours, apart for colour-blind eyes too, the pale ones darkened for white paper.
STAGE_COLOURS = {
    "01_micrograd": "#7A5195",
    "02_bigram_counts": "#000000",
    "03_bigram_learned": "#009E73",
    "04_embedding_mlp": "#0072B2",
    "05_microgpt": "#D55E00",
    "06_shakespeare_gpt": "#C0689A",
}
GREY = "#6B6B6B"
STYLE = {
    "font.size": 12,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "savefig.facecolor": "white",  # opaque, or dark pages would swallow the black text
    "svg.hashsalt": "zero",  # the ids in an SVG are random otherwise
    "figure.constrained_layout.use": True,
}
SATURATED = 0.97  # |tanh| beyond which its slope, 1 - tanh**2, is below 0.06
LINE = "O Romeo, Romeo!\n"  # what stage 06's heads are shown reading


class Missing(Exception):
    """An input of a picture is not there or not of the default run; the message says which."""


# --- reading what the stages saved ---


def read_json(path):
    if not path.exists():
        raise Missing(f"{path.name} is missing; run the stage")
    return json.loads(path.read_text(encoding="utf-8"))


def read_tensors(path):
    """{name: array or what else was saved} of a model.pt, one level of nesting deep."""
    import torch  # imported late: slow, and half of the pictures do without

    if not path.exists():
        raise Missing(f"{path.name} is missing; run the stage")
    saved = torch.load(path, weights_only=True)
    arrays = {k: v.numpy() if isinstance(v, torch.Tensor) else v for k, v in saved.items()}
    weights = {k: v.double().numpy() for k, v in saved.get("weights", {}).items()}
    return {**arrays, "weights": weights}


def labels(chars):
    """A mark for each token id: the characters, then "." for BOS; spaces and line ends visible."""
    return [{" ": "␣", "\n": "↵"}.get(ch, ch) for ch in chars] + ["."]


def val_names(result):
    """The val names, in the file's order. Missing where the run read another file."""
    names = (ROOT / "data" / "names.txt").read_bytes()
    if hashlib.sha256(names).hexdigest() != result["dataset"]["sha256"]:
        raise Missing("the run read another file than data/names.txt")
    return split_names(names.decode("utf-8"))["val"]


# --- the models once more, in numpy ---


def softmax(logits):
    """Probabilities along the last axis."""
    e = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def moons_score(layers, weights, points):
    """Stage 01's score of points (N, 2); weights is the flat list, each neuron's w, then its b."""
    x, at = points, 0
    for i, (n_in, n_out) in enumerate(zip(layers, layers[1:])):
        neurons = np.reshape(weights[at : at + n_out * (n_in + 1)], (n_out, n_in + 1))
        at += neurons.size
        x = x @ neurons[:, :-1].T + neurons[:, -1]  # (N, n_in) -> (N, n_out)
        x = np.tanh(x) if i < len(layers) - 2 else x
    return x[:, 0]


def hidden(weights, xs):
    """Stage 04's tanh outputs for contexts (N, T). -> (N, n_hidden)"""
    x = weights["wte"][xs].reshape(len(xs), -1)
    return np.tanh(x @ weights["mlp_fc1"] + weights["mlp_bias"])


def rms_norm(x):
    return x / np.sqrt((x**2).mean(axis=-1, keepdims=True) + 1e-5)


def layer_norm(x, weight, bias):
    deviation = x - x.mean(axis=-1, keepdims=True)
    return deviation / np.sqrt((deviation**2).mean(axis=-1, keepdims=True) + 1e-5) * weight + bias


def gelu(x):
    return x * 0.5 * (1 + np.vectorize(math.erf)(x / math.sqrt(2)))


def attend(q, k, v, n_head):
    """Causal attention on (T, C) each. -> (n_head, T, T) the weights, (T, C) what they gather"""
    T, C = q.shape
    q, k, v = (x.reshape(T, n_head, C // n_head).swapaxes(0, 1) for x in (q, k, v))
    scores = q @ k.swapaxes(1, 2) / math.sqrt(C // n_head)  # (n_head, T, T)
    attention = softmax(np.where(np.tri(T, dtype=bool), scores, -np.inf))
    return attention, (attention @ v).swapaxes(0, 1).reshape(T, C)


def microgpt(weights, tokens, n_head):
    """Stage 05 on T tokens. -> logits (T, V), attention (n_layer, n_head, T, T)"""
    x = rms_norm(weights["wte"][tokens] + weights["wpe"][: len(tokens)])  # (T, C)
    attention = []
    for i in range(sum(name.endswith("attn_wq") for name in weights)):
        layer = {name: weights[f"layer{i}.{name}"].T for name in
                 ("attn_wq", "attn_wk", "attn_wv", "attn_wo", "mlp_fc1", "mlp_fc2")}
        h = rms_norm(x)
        heads, gathered = attend(*(h @ layer[f"attn_w{w}"] for w in "qkv"), n_head)
        x = x + gathered @ layer["attn_wo"]
        x = x + np.maximum(rms_norm(x) @ layer["mlp_fc1"], 0) @ layer["mlp_fc2"]
        attention.append(heads)
    return x @ weights["lm_head"].T, np.array(attention)


def shakespeare_gpt(weights, tokens, n_head, n_layer):
    """Stage 06 on T tokens. -> logits (T, V), attention (n_layer, n_head, T, T)"""

    def apply(function, name, *x):
        return function(*x, weights[f"{name}.weight"], weights[f"{name}.bias"])

    def linear(x, weight, bias):
        return x @ weight.T + bias

    x = weights["wte.weight"][tokens] + weights["wpe.weight"][: len(tokens)]  # (T, C)
    attention = []
    for block in (f"blocks.{i}" for i in range(n_layer)):
        h = apply(layer_norm, f"{block}.ln_1", x)
        qkv = (apply(linear, f"{block}.attn.attn_w{w}", h) for w in "qkv")
        heads, gathered = attend(*qkv, n_head)
        x = x + apply(linear, f"{block}.attn.attn_wo", gathered)
        h = apply(layer_norm, f"{block}.ln_2", x)
        x = x + apply(linear, f"{block}.mlp_fc2", gelu(apply(linear, f"{block}.mlp_fc1", h)))
        attention.append(heads)
    return apply(linear, "lm_head", apply(layer_norm, "ln_f", x)), np.array(attention)


# --- drawing ---


def new_figure(width, height):
    """A figure of so many inches, at 100 dots each."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), dpi=100)


def letter_axes(axes, rows, columns=None, size=10):
    """Put characters on both axes of a heatmap, the columns' at its top as in a table."""
    columns = rows if columns is None else columns
    axes.set_xticks(range(len(columns)), columns, fontsize=size)
    axes.set_yticks(range(len(rows)), rows, fontsize=size)
    axes.tick_params(length=0, top=False, bottom=False, labeltop=True, labelbottom=False)
    axes.spines[:].set_visible(False)


# --- 01 ---

# Stage 01's lesson works this expression out by hand: name, operation, inputs, number.
EXPRESSION = [
    ("a", "", (), 2.0),
    ("b", "", (), -3.0),
    ("c", "*", ("a", "b"), None),
    ("d", "+", ("c", "a"), None),
    ("L", "**2", ("d",), None),
]
OPERATIONS = {  # value, derivative with respect to each input
    "*": lambda x, y: (x * y, (y, x)),
    "+": lambda x, y: (x + y, (1, 1)),
    "**2": lambda x: (x**2, (2 * x,)),
}


def differentiate(expression):
    """{name: number}, {name: gradient of the last node} by the chain rule."""
    data, local, grad = {}, {}, dict.fromkeys((name for name, *_ in expression), 0.0)
    for name, operation, inputs, number in expression:
        data[name], local[name] = number, ()
        if operation:
            data[name], local[name] = OPERATIONS[operation](*(data[i] for i in inputs))
    grad[expression[-1][0]] = 1.0
    for name, _, inputs, _ in reversed(expression):
        for child, slope in zip(inputs, local[name]):
            grad[child] += slope * grad[name]
    return data, grad


def lay_out(expression):
    """{name: (x, y)}: a column for each depth; leaves in rows, the others amid their inputs."""
    depth, y, leaves = {}, {}, itertools.count()
    for name, _, inputs, _ in expression:
        depth[name] = 1 + max((depth[i] for i in inputs), default=-1)
        y[name] = sum(y[i] for i in inputs) / len(inputs) if inputs else -1.0 * next(leaves)
    return {name: (depth[name], y[name]) for name in depth}


def draw_graph(folder):
    """The computation graph of an expression, each node with its data and its gradient."""
    data, grad = differentiate(EXPRESSION)
    place = lay_out(EXPRESSION)
    figure = new_figure(9, 2.8)
    axes = figure.subplots()
    colour = STAGE_COLOURS["01_micrograd"]
    for name, operation, inputs, _ in EXPRESSION:
        x, y = place[name]
        text = f"{name}\ndata {data[name]:g}\ngrad {grad[name]:g}"
        box = {"boxstyle": "round,pad=0.45", "fc": "white" if inputs else "#EFE6F5", "ec": colour}
        axes.text(x, y, text, ha="center", va="center", bbox=box, zorder=3)
        if operation:
            axes.text(x - 0.42, y, {"*": "×", "**2": "x²"}.get(operation, operation), ha="center",
                      va="center", bbox={"boxstyle": "circle,pad=0.25", "fc": colour, "ec": colour},
                      color="white", zorder=3)
            axes.plot([x - 0.4, x], [y, y], color=colour, lw=1.5, zorder=1)
        for i in inputs:
            start, end = place[i], (x - 0.5, y)
            bend = 0.25 if start[0] < place[name][0] - 1 else 0.0  # round the nodes in between
            axes.annotate("", end, start, zorder=1, arrowprops={
                "arrowstyle": "-|>", "color": colour, "shrinkA": 36, "shrinkB": 4, "lw": 1.5,
                "connectionstyle": f"arc3,rad={-bend}"})
    xs, ys = zip(*place.values())
    axes.set(xlim=(min(xs) - 0.3, max(xs) + 0.3), ylim=(min(ys) - 0.35, max(ys) + 0.35))
    axes.axis("off")
    return figure


def draw_boundary(folder):
    """Stage 01's decision boundary at four steps of the training."""
    saved, result = read_json(folder / "weights.json"), read_json(folder / "result.json")
    moons = folder / "moons.txt"
    same = moons.exists() and hashlib.sha256(moons.read_bytes()).hexdigest()
    if same != result["dataset"]["sha256"]:
        raise Missing("the run's points are not in moons.txt")
    points = np.loadtxt(moons)[: result["targets"]["train"]]  # (N, 3): x, y, label; train is first
    xy, label = points[:, :2], points[:, 2]
    last = len(saved["weights"]) - 1
    panels = sorted({round(last * share) for share in (0, 0.1, 0.4, 1)})  # it bends early
    low, high = xy.min(axis=0) - 0.4, xy.max(axis=0) + 0.4
    grid_x, grid_y = np.meshgrid(*(np.linspace(low[i], high[i], 120) for i in (0, 1)))
    grid = np.column_stack([grid_x.ravel(), grid_y.ravel()])
    figure = new_figure(10, 6.2)
    for axes, (step, weights) in zip(
        figure.subplots(2, 2, sharex=True, sharey=True).flat, (saved["weights"][i] for i in panels)
    ):
        probability = 1 / (1 + np.exp(-moons_score(saved["layers"], weights, grid)))
        probability = probability.reshape(grid_x.shape)
        shades = axes.contourf(grid_x, grid_y, probability, np.linspace(0, 1, 11), cmap="PuOr_r",
                               alpha=0.75)
        axes.contour(grid_x, grid_y, probability, [0.5], colors="black", linewidths=2)
        for value, colour, mark in ((1, "#B35806", "o"), (-1, "#542788", "s")):
            axes.plot(*xy[label == value].T, mark, color=colour, mec="white", ms=6, label=value)
        right = (moons_score(saved["layers"], weights, xy) * label > 0).mean()
        axes.set_title(f"step {step}: {right:.0%} of train right", fontsize=12)
        axes.set_aspect("equal")
    figure.supxlabel("x")
    figure.supylabel("y")
    figure.colorbar(shades, ax=figure.axes, label="probability of label 1 (circles)")
    return figure


# --- 02 and 03 ---


def draw_counts(folder):
    """How often each character follows each other one in train."""
    from matplotlib.colors import LogNorm

    saved = read_json(folder / "counts.json")
    counts = np.array(saved["counts"], dtype=float)
    marks = labels(saved["chars"])
    figure = new_figure(9.6, 8.4)
    axes = figure.subplots()
    seen = np.ma.masked_equal(counts, 0)
    image = axes.imshow(seen, norm=LogNorm(1, max(10, counts.max())), cmap="viridis_r")
    letter_axes(axes, marks, size=11)
    axes.set(xlabel="next character", ylabel="character")
    axes.xaxis.set_label_position("top")
    figure.colorbar(image, label="times in train (white: never)", shrink=0.8)
    return figure


def draw_tables(folder):
    """Stage 03's learned table, stage 02's counted one, and their difference."""
    from matplotlib.colors import LogNorm

    saved = read_tensors(folder / "model.pt")
    counts_folder = folder.parent / "02_bigram_counts"
    counted = read_json(counts_folder / "counts.json")
    if counted["chars"] != saved["chars"]:
        raise Missing("stages 02 and 03 ran on different alphabets")
    smoothing = read_json(counts_folder / "result.json")["config"]["smoothing"]
    counts = np.array(counted["counts"]) + smoothing
    P_counted = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1e-300)
    P_learned = softmax(saved["W"].astype(float))
    marks = labels(saved["chars"])
    figure = new_figure(12, 10.8)
    ((learned, compared), (difference, scatter)) = figure.subplots(2, 2)
    scale = {"norm": LogNorm(1e-4, 1), "cmap": "viridis_r"}
    for axes, P, title in ((learned, P_learned, "learned"), (compared, P_counted, "counted")):
        image = axes.imshow(np.maximum(P, 1e-4), **scale)
        axes.set_title(f"{title}: P(next | character)", pad=24)
        letter_axes(axes, marks, size=9)
    figure.colorbar(image, ax=[learned, compared], shrink=0.8, extend="min", label="probability")
    delta = P_learned - P_counted
    widest = max(np.abs(delta).max(), 1e-9)
    image = difference.imshow(delta, cmap="RdBu_r", vmin=-widest, vmax=widest)
    difference.set_title("learned less counted", pad=24)
    letter_axes(difference, marks, size=9)
    figure.colorbar(image, ax=difference, shrink=0.8, label="difference of probability")
    for axes in (learned, compared, difference):
        axes.set_ylabel("character")
    colour = STAGE_COLOURS[folder.name]
    scatter.loglog(P_counted.ravel(), P_learned.ravel(), "o", ms=4, alpha=0.6, color=colour)
    ends = [min(P_counted.min(), P_learned.min()), 1]
    scatter.loglog(ends, ends, "-", lw=1, color=GREY)
    scatter.set(xlabel="counted probability", ylabel="learned probability", aspect="equal")
    scatter.set_title("each pair of characters a point")
    return figure


# --- 04 ---


def draw_embeddings(folder):
    """Stage 04's character vectors, flattened to the two directions in which they differ most."""
    saved = read_tensors(folder / "model.pt")
    points, shares = two_components(saved["weights"]["wte"])
    figure = new_figure(7.6, 7.6)
    axes = figure.subplots()
    axes.axhline(0, color="#DDDDDD", lw=1, zorder=0)
    axes.axvline(0, color="#DDDDDD", lw=1, zorder=0)
    vowel = {"fc": "#D7E9F5", "ec": STAGE_COLOURS[folder.name], "boxstyle": "circle,pad=0.25"}
    plain = {"fc": "white", "ec": "#AAAAAA", "boxstyle": "circle,pad=0.25"}
    reach = 1.1 * np.abs(points).max()
    places = spread_out(points, 0.09 * reach)
    for point, (x, y), mark in zip(points, places, labels(saved["chars"])):
        axes.plot(*zip(point, (x, y)), ".-", color=GREY, lw=0.8, ms=4)
        axes.text(x, y, mark, ha="center", va="center", bbox=vowel if mark in "aeiou" else plain,
                  fontsize=12, weight="bold" if mark in "aeiou" else "normal")
    axes.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal")
    axes.set(xlabel=f"first principal component ({shares[0]:.0%} of the variance)",
             ylabel=f"second principal component ({shares[1]:.0%})")
    axes.set_title("blue: vowels; the mark with a dot: BOS", fontsize=12)
    return figure


def spread_out(points, least):
    """Points (V, 2) pushed apart until no two are closer than `least`, as marks need room."""
    places = points.copy()
    for _ in range(500):
        between = places[:, None] - places  # (V, V, 2)
        apart = np.linalg.norm(between, axis=-1) + 1e9 * np.eye(len(places))  # (V, V)
        push = np.maximum(least - apart, 0) / 2 / np.maximum(apart, 1e-9)
        places = places + (push[:, :, None] * between).sum(axis=1)
    return places


def two_components(vectors):
    """Principal components 1 and 2 of (V, C). -> (V, 2), their shares of the variance.

    The SVD leaves the sign of a component open: its largest entry is made positive.
    """
    U, S, _ = np.linalg.svd(vectors - vectors.mean(axis=0), full_matrices=False)
    points = U[:, :2] * S[:2]
    points = points * np.sign(points[np.abs(points).argmax(axis=0), [0, 1]])
    return points, (S**2 / (S**2).sum())[:2]


def draw_activations(folder):
    """Stage 04's tanh outputs on the val names, before and after training."""
    saved, result = read_tensors(folder / "model.pt"), read_json(folder / "result.json")
    names, T = val_names(result), result["config"]["block_size"]
    stoi, BOS = {ch: i for i, ch in enumerate(saved["chars"])}, len(saved["chars"])
    rows = [[BOS] * T + [stoi[ch] for ch in name] for name in names]
    xs = np.array([row[i : i + T] for row in rows for i in range(len(row) - T + 1)])
    trained = saved["weights"]
    n_in, n_hidden = trained["mlp_fc1"].shape
    # The first weights were not kept. These are drawn alike, so the histogram is alike.
    rng = np.random.default_rng(0)
    fresh = {"wte": rng.normal(size=trained["wte"].shape), "mlp_bias": 0.0,
             "mlp_fc1": rng.normal(size=(n_in, n_hidden)) * (5 / 3) / n_in**0.5}
    large = {**fresh, "mlp_fc1": rng.normal(size=(n_in, n_hidden))}
    panels = (
        ("before training", fresh),
        (f"after {result['steps']:,} steps", trained),
        ("before, not divided by √inputs", large),
    )
    figure = new_figure(11, 4)
    for axes, (title, weights) in zip(figure.subplots(1, 3, sharey=True), panels):
        h = hidden(weights, xs)  # (N, n_hidden)
        shares, edges = np.histogram(h, np.linspace(-1, 1, 51))
        beyond = (np.abs(h) > SATURATED).mean()
        axes.bar(edges[:-1], 100 * shares / h.size, np.diff(edges), align="edge",
                 color=STAGE_COLOURS[folder.name])
        axes.set_title(f"{title}\n{beyond:.1%} have |h| > {SATURATED}", fontsize=12)
        axes.set_xlabel("h, output of tanh")
    figure.axes[0].set_ylabel("share of outputs, %")
    return figure


# --- 05 and 06 ---


def heatmaps(rows, columns, panels, size):
    """A grid of attention heatmaps, `size` inches each, row by row.

    panels: (title, attention (T, T), a mark for each of the T characters).
    """
    figure = new_figure(size * columns + 1, size * rows + 0.4)
    for axes, (title, attention, marks) in zip(figure.subplots(rows, columns).flat, panels):
        image = axes.imshow(np.where(np.tri(len(marks)), attention, np.nan), cmap="viridis_r",
                            vmin=0, vmax=1)
        letter_axes(axes, marks, size=10)
        axes.set_title(title, fontsize=12)
    figure.supylabel("character that looks")
    figure.colorbar(image, ax=figure.axes, label="attention weight (each row adds up to 1)",
                    shrink=0.6)
    figure.suptitle("character looked at", fontsize=12)
    return figure


def draw_name_attention(folder):
    """The attention of each of stage 05's heads, in its last layer, over three val names."""
    saved, result = read_json(folder / "weights.json"), read_json(folder / "result.json")
    weights = {name: np.array(matrix) for name, matrix in saved["weights"].items()}
    n_head, T = result["config"]["n_head"], result["config"]["block_size"]
    names = [name for name in val_names(result) if len(name) == 7 < T][:3]
    panels = []
    for name in names:
        tokens = [len(saved["chars"]), *(saved["chars"].index(ch) for ch in name)]
        _, attention = microgpt(weights, tokens, n_head)
        marks = [labels(saved["chars"])[token] for token in tokens]
        panels += [(f"{name}, head {h}", attention[-1][h], marks) for h in range(n_head)]
    if not panels:
        raise Missing(f"no val name of 7 letters fits a block_size of {T}")
    return heatmaps(len(names), n_head, panels, size=2.8)


def draw_line_attention(folder):
    """The attention of each of stage 06's heads over one line."""
    saved = read_tensors(folder / "model.pt")
    sizes, chars = saved["sizes"], saved["chars"]
    text = [ch for ch in LINE if ch in chars][: sizes["block_size"]]
    if len(text) < 2:
        raise Missing(f"the run's text does not have the characters of {LINE!r}")
    tokens = [chars.index(ch) for ch in text]
    n_layer, n_head = sizes["n_layer"], sizes["n_head"]
    _, attention = shakespeare_gpt(saved["weights"], tokens, n_head, n_layer)
    panels = [
        (f"layer {i}, head {h}", attention[i, h], labels(text)[:-1])
        for i in range(n_layer)
        for h in range(n_head)
    ]
    return heatmaps(n_layer, n_head, panels, size=3.2)


def draw_positions(wpe):
    """How alike the embeddings of each two positions are."""
    unit = wpe / np.maximum(np.linalg.norm(wpe, axis=1, keepdims=True), 1e-12)
    figure = new_figure(7.6, 6.4)
    axes = figure.subplots()
    image = axes.imshow(unit @ unit.T, cmap="RdBu_r", vmin=-1, vmax=1)
    axes.set(xlabel="position", ylabel="position")
    figure.colorbar(image, label="cosine similarity", shrink=0.85)
    return figure


def draw_name_positions(folder):
    return draw_positions(np.array(read_json(folder / "weights.json")["weights"]["wpe"]))


def draw_line_positions(folder):
    return draw_positions(read_tensors(folder / "model.pt")["weights"]["wpe.weight"])


# --- all stages ---


def read_results(folder):
    """{place: result} of every stage's own run and stage 05's twins, in order; Missing if none."""
    results = {}
    for stage in STAGE_COLOURS:
        for place in (stage, f"{stage}/twin", f"{stage}/best"):
            path = folder / place / "result.json"
            if path.exists():
                results[place] = table.read_result(path)
    if not results:
        raise Missing("there is no result.json of any stage")
    return results


def comparable(results):
    """[(title, unit, {place: result})]: names, then Shakespeare, then stage 01; none empty.

    Runs on another data set than the first one of their kind stay out, as in the loss table.
    """
    kinds = {"names": {}, "Shakespeare": {}, "two moons": {}}
    for place, result in results.items():
        kind = {"01": "two moons", "06": "Shakespeare"}.get(place[:2], "names")
        first = next(iter(kinds[kind].values()), result)
        if first["dataset"]["sha256"] == result["dataset"]["sha256"]:
            kinds[kind][place] = result
    return [
        (title, next(iter(kind.values()))["unit"], kind) for title, kind in kinds.items() if kind
    ]


def baselines(kind):
    """{what: val loss} that the runs of a kind are held against."""
    found = {}
    for result in kind.values():
        if "vocab_size" in result:
            found["uniform guess"] = math.log(result["vocab_size"])
        for name, losses in result.get("baselines", {}).items():
            if name == "letter frequencies":
                found[name] = losses["val"]
    return found or {"even guess": math.log(2)}


def style_of(place):
    """The colour of a run's stage; the twins, which are stage 05 trained otherwise, are dashed."""
    return {"color": STAGE_COLOURS[place.split("/")[0]], "ls": "--" if "/" in place else "-"}


def short_name(place):
    return place.replace("/", ", ").replace("_", " ")


def draw_curves(folder):
    """Every val curve against the characters seen so far.

    Where a stage looks at val only once, at the end, its train loss stands in, thin.
    """
    groups = comparable(read_results(folder))
    figure = new_figure(5.2 * len(groups) + 0.6, 5)
    for axes, (title, unit, kind) in zip(figure.subplots(1, len(groups), squeeze=False)[0], groups):
        for place, result in kind.items():
            per_step = result["chars_seen"] / max(result["steps"], 1)
            rows = [row for row in result["curve"] if row[0] > 0]  # 0 has no place on the axis
            train = [(row[0] * per_step, row[1]) for row in rows if row[1] is not None]
            val = [(row[0] * per_step, row[2]) for row in rows if row[2] is not None]
            if val:
                axes.plot(*zip(*val), **style_of(place), lw=2.2, label=short_name(place),
                          marker="o" if len(val) == 1 else None)
            if len(train) > 1 and len(val) < 2:
                axes.plot(*zip(*train), **style_of(place), lw=1,
                          label=short_name(place) + ", train loss")
        for name, loss in baselines(kind).items():
            axes.axhline(loss, color=GREY, ls=":", lw=1.3)
            axes.text(0.99, loss, name, color=GREY, fontsize=10, ha="right", va="bottom",
                      transform=axes.get_yaxis_transform())
        seen = "points" if title == "two moons" else "characters"
        axes.set(xscale="log", xlabel=f"{seen} seen in training", ylabel=f"loss, {unit}",
                 title=title, ylim=(0, 1.12 * max(baselines(kind).values())))
        axes.legend(fontsize=9, loc="lower left", frameon=False)
    return figure


def draw_ladder(folder):
    """What each idea is worth: the val loss of each stage beside that of two guesses."""

    def log(perplexity):
        return np.log(np.maximum(perplexity, 1e-9))  # the axis asks for 0 as well

    groups = [group for group in comparable(read_results(folder)) if group[1] == table.RANKED_UNIT]
    if not groups:
        raise Missing("no stage from 02 on has run")
    widths = [len(kind) + 0.6 for _, _, kind in groups]
    figure = new_figure(11, 5)
    panels = figure.subplots(1, len(groups), sharey=True, squeeze=False, width_ratios=widths)[0]
    for axes, (title, _, kind) in zip(panels, groups):
        for i, (place, result) in enumerate(kind.items()):
            loss, style = result["loss"]["val"], style_of(place)
            twin = {"fill": False, "hatch": "///", "ec": style["color"]}
            axes.bar(i, loss, 0.7, **(twin if style["ls"] == "--" else {"color": style["color"]}))
            axes.text(i, loss + 0.04, f"{loss:.2f}", ha="center", va="bottom", fontsize=13)
        for name, loss in baselines(kind).items():
            axes.axhline(loss, color=GREY, ls="--", lw=1.3, zorder=0)
            axes.text(-0.45, loss + 0.04, f"{name} {loss:.2f}", color=GREY, fontsize=11)
        names = [short_name(place).replace(" ", "\n") for place in kind]
        axes.set_xticks(range(len(kind)), names, fontsize=11)
        axes.set_xlim(-0.5, len(kind) - 0.5 + 0.05)
        axes.set_title(title)
    panels[0].set_ylabel("val loss, nats per character")
    top = max(max(baselines(kind).values()) for _, _, kind in groups)
    panels[0].set_ylim(0, top + 0.4)
    perplexity = panels[-1].secondary_yaxis("right", functions=(np.exp, log))
    perplexity.set_yticks([1, 2, 4, 8, 16, 32, 64], [1, 2, 4, 8, 16, 32, 64])
    perplexity.minorticks_off()
    perplexity.set_ylabel("perplexity (characters to guess among)")
    return figure


# --- all pictures ---

PICTURES = {  # file: the function that draws it from the folder the file is in
    "01_micrograd/graph.svg": draw_graph,
    "01_micrograd/boundary.png": draw_boundary,
    "02_bigram_counts/counts.png": draw_counts,
    "03_bigram_learned/tables.png": draw_tables,
    "04_embedding_mlp/embeddings.png": draw_embeddings,
    "04_embedding_mlp/activations.png": draw_activations,
    "05_microgpt/attention.png": draw_name_attention,
    "05_microgpt/positions.png": draw_name_positions,
    "06_shakespeare_gpt/attention.png": draw_line_attention,
    "06_shakespeare_gpt/positions.png": draw_line_positions,
    "curves.png": draw_curves,
    "ladder.png": draw_ladder,
}


def render(draw, folder, suffix):
    """The bytes of one picture, the same every time."""
    import matplotlib

    with matplotlib.rc_context(STYLE):
        buffer = io.BytesIO()
        blank = {"Software": None} if suffix == ".png" else {"Date": None, "Creator": None}
        draw(folder).savefig(buffer, format=suffix[1:], metadata=blank)
    return buffer.getvalue()


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="plots", description="Pictures of what was learned.")
    parser.add_argument("--stage", help="only that stage's pictures, and those of all stages")
    parser.add_argument("--from", dest="source", type=Path, default=ROOT / "out", metavar="DIR",
                        help="the folder of the runs (default: out)")
    parser.add_argument("--into", type=Path, metavar="DIR", help="default: the same folder")
    args = parser.parse_args(arguments)
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        print("no pictures: matplotlib is not installed", file=sys.stderr)
        return 0
    number = (args.stage or "").zfill(2)[:2]
    if args.stage and number not in {stage[:2] for stage in STAGE_COLOURS}:
        print(f"plots: there is no stage {args.stage!r}; give 1 to 6", file=sys.stderr)
        return 2
    into = args.into or args.source
    for name, draw in PICTURES.items():
        if args.stage and "/" in name and not name.startswith(number):
            continue
        folder = (args.source / name).parent
        try:
            if write_if_changed(into / name, render(draw, folder, Path(name).suffix)):
                print(f"{name} drawn")
        except Missing as reason:
            print(f"{name} skipped: {reason}")
        except Exception as error:  # a picture is an extra: it must never fail the run it follows
            print(f"{name} skipped: {type(error).__name__}: {error}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
