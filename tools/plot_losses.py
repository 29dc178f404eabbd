"""Pictures of losses, drawn from the results alone: of one run, and of all stages side by side."""

import math
import textwrap

import numpy as np

import table_rows
from plot_style import GREY, STAGE_COLOURS, Missing, label_ends, new_figure


# ---- one run ---------------------------------------------------------------------------------
def draw_loss(folder):
    """The losses of one run against its steps."""
    if not (folder / "result.json").exists():
        raise Missing("result.json is missing; run the stage")
    result = table_rows.read_result(folder / "result.json")
    figure = new_figure(6.4, 4)
    axes = figure.subplots()
    for column, label in ((1, "train loss during training"), (2, "val loss, whole split")):
        points = [(row[0], row[column]) for row in result["curve"] if row[column] is not None]
        if points:
            axes.plot(*zip(*points), ".-", label=label)
    if "vocab_size" in result:
        uniform = math.log(result["vocab_size"])
        axes.axhline(uniform, color=GREY, ls=":", label="uniform guess")
    if [row[0] for row in result["curve"]][:3] == [0, 1, 10]:  # measured at powers of ten
        axes.set_xscale("symlog", linthresh=1)
        axes.set_xlim(-0.5, 2 * result["steps"])
    title = ", ".join(filter(None, (result["stage"], result.get("variant"))))
    axes.set(title=title, xlabel="step", ylabel=f"loss ({result['unit']})")
    axes.legend(fontsize=10)
    return figure


# ---- all stages ------------------------------------------------------------------------------
VARIANTS = {  # runs of a stage that are shown next to its main.py: (name, line)
    "04_embedding_mlp/context-8": ("04 mlp, 8 characters", "--"),
    "05_microgpt/twin": ("05 twin", "--"),
    "05_microgpt/best": ("05 best", "-"),
}
BEST_COLOUR = "#7A2E00"  # darker than the stage's, because the curve of the twin is close


def read_results(folder):
    """{run: result} of every stage and of VARIANTS."""
    results = {}
    for stage in STAGE_COLOURS:
        for run in (stage, *(run for run in VARIANTS if run.startswith(stage))):
            path = folder / run / "result.json"
            if path.exists():
                results[run] = table_rows.read_result(path)
    if not results:
        raise Missing("no stage has a result.json")
    return results


def comparable(results):
    """[(title, unit, {run: result})] for names, Shakespeare and the two moons, without empty ones.

    A run on a different data set from the first run of its kind is left out, as in the loss table.
    """
    kinds = {"names": {}, "Shakespeare": {}, "two moons": {}}
    for run, result in results.items():
        kind = kinds[{"01": "two moons", "06": "Shakespeare"}.get(run[:2], "names")]
        first = next(iter(kind.values()), result)
        if first is result or table_rows.task(first) == table_rows.task(result):
            kind[run] = result
    return [
        (title, next(iter(kind.values()))["unit"], kind) for title, kind in kinds.items() if kind
    ]


def add_best_ngram(kind, folder):
    """The runs of a kind and the n-gram with the lowest val loss on the same data, in order."""
    data = table_rows.task(next(iter(kind.values())))
    ngrams = {
        path.parent.relative_to(folder).as_posix(): table_rows.read_result(path)
        for path in sorted(folder.glob("02_bigram_counts/ngram/*/result.json"))
    }
    losses = {
        run: result["loss"]["val"]
        for run, result in ngrams.items()
        if table_rows.task(result) == data and result["loss"].get("val") is not None
    }
    if not losses:
        return kind
    best = min(losses, key=losses.get)
    return dict(sorted({**kind, best: ngrams[best]}.items(), key=lambda item: item[0][:2]))


def baselines(kind):
    """{name of a guess: its val loss}: what the runs of a kind have to beat."""
    found = {}
    for result in kind.values():
        if "vocab_size" in result:
            found["uniform guess"] = math.log(result["vocab_size"])
        letters = result.get("baselines", {}).get("letter frequencies")
        if letters and letters.get("val") is not None:
            found["letter frequencies"] = letters["val"]
    return found or {"even guess": math.log(2)}


def style_of(run):
    """A run has the colour of its stage. Variants of a stage have other lines than its main.py."""
    colour = BEST_COLOUR if run == "05_microgpt/best" else STAGE_COLOURS[run.split("/")[0]]
    return {"color": colour, "ls": VARIANTS[run][1] if run in VARIANTS else "-"}


def name_of(run, result):
    """Such as "04 mlp, 8 characters" or, for a counted model, "02 6-gram"."""
    if "/ngram/" in run:
        return f"{run[:2]} {result['variant']}"
    return VARIANTS[run][0] if run in VARIANTS else run.replace("_", " ")


def draw_curves(folder):
    """The val losses of all runs against the characters seen so far.

    A stage that measures its val loss only once, at the end, also shows its train loss, thin.
    """
    from matplotlib.ticker import LogFormatterSciNotation, LogLocator

    groups = comparable(read_results(folder))
    widths = [2 if len(kind) > 1 else 1 for _, _, kind in groups]
    figure = new_figure(3.8 * sum(widths), 5)
    panels = figure.subplots(1, len(groups), squeeze=False, width_ratios=widths)[0]
    for axes, (title, unit, kind) in zip(panels, groups):
        ends, lowest = [], math.inf
        for run, result in kind.items():
            per_step = result["chars_seen"] / max(result["steps"], 1)
            rows = [row for row in result["curve"] if row[0] > 0]  # a log axis has no place for 0
            train = [(row[0] * per_step, row[1]) for row in rows if row[1] is not None]
            val = [(row[0] * per_step, row[2]) for row in rows if row[2] is not None]
            style = style_of(run)
            if val:
                marker = "o" if len(val) == 1 else None
                axes.plot(*zip(*val), **style, lw=2.2, marker=marker)
                ends.append((*val[-1], name_of(run, result), style["color"]))
                lowest = min(lowest, *(loss for _, loss in val))
            if len(train) > 1 and len(val) < 2:
                axes.plot(*zip(*train), **style, lw=1)
                x, loss = train[len(train) // 2]
                text = {"ha": "right", "va": "top", "fontsize": 10, "color": style["color"]}
                axes.text(x, loss - 0.02, f"{name_of(run, result)}, train loss ", **text)
        for name, loss in baselines(kind).items():
            axes.axhline(loss, color=GREY, ls=":", lw=1.3)
            axes.text(
                0.99, loss, name, color=GREY, fontsize=10, ha="right", va="bottom",
                transform=axes.get_yaxis_transform(),
            )  # fmt: skip
        seen = "points" if title == "two moons" else "characters"
        axes.set(xscale="log", xlabel=f"{seen} seen in training", ylabel=f"loss, {unit}")
        # An axis with one or two powers of ten also labels 2 and 5 times each of them.
        axes.xaxis.set_minor_locator(LogLocator(subs=(2, 5)))
        axes.xaxis.set_minor_formatter(LogFormatterSciNotation(minor_thresholds=(2, 2)))
        top = 1.06 * max(baselines(kind).values())
        bottom = 0.9 * lowest if 0.2 * top <= lowest < top else 0
        axes.set(title=title, ylim=(bottom, top))
        label_ends(axes, ends, 0.045 * (top - bottom))
    return figure


def draw_ladder(folder):
    """What each idea is worth: the val loss of each stage, and those of two simple guesses.

    The foot of a bar says how many characters the run read in its training.
    """

    def log(perplexity):
        return np.log(np.maximum(perplexity, 1e-9))  # the axis asks for 0 as well

    ranked = table_rows.RANKED_UNIT
    groups = [
        (title, add_best_ngram(kind, folder))
        for title, unit, kind in comparable(read_results(folder))
        if unit == ranked
    ]
    if not groups:
        raise Missing("no stage from 02 on has run")
    widths = [len(kind) + 0.6 for _, kind in groups]
    figure = new_figure(1.08 * sum(widths) + 1, 5.2)
    panels = figure.subplots(1, len(groups), sharey=True, squeeze=False, width_ratios=widths)[0]
    for axes, (title, kind) in zip(panels, groups):
        for i, (run, result) in enumerate(kind.items()):
            loss, colour = result["loss"].get("val"), style_of(run)["color"]
            hatched = {"fill": False, "hatch": "///", "ec": colour}
            look = hatched if "/" in run else {"color": colour}
            if loss is None:  # it has no bar
                why = "diverged" if result.get("diverged") else "not\nmeasured"
                axes.text(i, 1.0, why, ha="center", va="bottom", fontsize=13)
            else:
                axes.bar(i, loss, 0.76, **look)
                axes.text(i, loss + 0.04, f"{loss:.2f}", ha="center", va="bottom", fontsize=13)
            read = f"read\n{result['chars_seen']:,}\ncharacters"
            box = {"fc": "white", "ec": "none", "pad": 2}
            axes.text(i, 0.1, read, ha="center", va="bottom", fontsize=10, bbox=box)
        for name, loss in baselines(kind).items():
            axes.axhline(loss, color=GREY, ls="--", lw=1.3, zorder=0)
            axes.text(-0.45, loss + 0.04, f"{name} {loss:.2f}", color=GREY, fontsize=11)
        names = [textwrap.fill(name_of(run, result), 12) for run, result in kind.items()]
        axes.set_xticks(range(len(kind)), names, fontsize=11)
        axes.set_xlim(-0.5, len(kind) - 0.45)
        axes.set_title(title)
    panels[0].set_ylabel("val loss, nats per character")
    top = max(max(baselines(kind).values()) for _, kind in groups)
    panels[0].set_ylim(0, top + 0.4)
    perplexity = panels[-1].secondary_yaxis("right", functions=(np.exp, log))
    perplexity.set_yticks([1, 2, 4, 8, 16, 32, 64], [1, 2, 4, 8, 16, 32, 64])
    perplexity.minorticks_off()
    perplexity.set_ylabel("perplexity (characters to guess among)")
    return figure
