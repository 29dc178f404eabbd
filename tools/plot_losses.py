"""Pictures of losses, drawn from the results alone: of one run, and of all stages side by side."""

import math

import numpy as np

import table_rows
from plot_style import GREY, STAGE_COLOURS, Missing, new_figure


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
def read_results(folder):
    """{run: result} of every stage and of stage 05's twins, such as "05_microgpt/twin"."""
    results = {}
    for stage in STAGE_COLOURS:
        for run in (stage, f"{stage}/twin", f"{stage}/best"):
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
        if first["dataset"]["sha256"] == result["dataset"]["sha256"]:
            kind[run] = result
    return [
        (title, next(iter(kind.values()))["unit"], kind) for title, kind in kinds.items() if kind
    ]


def baselines(kind):
    """{name of a guess: its val loss}: what the runs of a kind have to beat."""
    found = {}
    for result in kind.values():
        if "vocab_size" in result:
            found["uniform guess"] = math.log(result["vocab_size"])
        letters = result.get("baselines", {}).get("letter frequencies")
        if letters:
            found["letter frequencies"] = letters["val"]
    return found or {"even guess": math.log(2)}


def style_of(run):
    """A run has the colour of its stage. The twins of stage 05 have other lines than main.py."""
    stage, _, variant = run.partition("/")
    return {"color": STAGE_COLOURS[stage], "ls": {"": "-", "twin": "--", "best": ":"}[variant]}


def short_name(run):
    return run.replace("/", ", ").replace("_", " ")


def draw_curves(folder):
    """The val losses of all runs against the characters seen so far.

    A stage that measures its val loss only once, at the end, also shows its train loss, thin.
    """
    from matplotlib.ticker import LogFormatterSciNotation, LogLocator

    groups = comparable(read_results(folder))
    figure = new_figure(5.2 * len(groups) + 0.6, 5)
    panels = figure.subplots(1, len(groups), squeeze=False)[0]
    for axes, (title, unit, kind) in zip(panels, groups):
        for run, result in kind.items():
            per_step = result["chars_seen"] / max(result["steps"], 1)
            rows = [row for row in result["curve"] if row[0] > 0]  # a log axis has no place for 0
            train = [(row[0] * per_step, row[1]) for row in rows if row[1] is not None]
            val = [(row[0] * per_step, row[2]) for row in rows if row[2] is not None]
            if val:
                marker = "o" if len(val) == 1 else None
                axes.plot(*zip(*val), **style_of(run), lw=2.2, marker=marker, label=short_name(run))
            if len(train) > 1 and len(val) < 2:
                label = f"{short_name(run)}, train loss"
                axes.plot(*zip(*train), **style_of(run), lw=1, label=label)
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
        axes.set(title=title, ylim=(0, 1.12 * max(baselines(kind).values())))
        axes.legend(fontsize=9, loc="lower left", frameon=False)
    return figure


def draw_ladder(folder):
    """What each idea is worth: the val loss of each stage, and those of two simple guesses."""

    def log(perplexity):
        return np.log(np.maximum(perplexity, 1e-9))  # the axis asks for 0 as well

    ranked = table_rows.RANKED_UNIT
    groups = [group for group in comparable(read_results(folder)) if group[1] == ranked]
    if not groups:
        raise Missing("no stage from 02 on has run")
    widths = [len(kind) + 0.6 for _, _, kind in groups]
    figure = new_figure(11, 5)
    panels = figure.subplots(1, len(groups), sharey=True, squeeze=False, width_ratios=widths)[0]
    for axes, (title, _, kind) in zip(panels, groups):
        for i, (run, result) in enumerate(kind.items()):
            loss, colour = result["loss"]["val"], style_of(run)["color"]
            is_twin = "/" in run
            look = {"fill": False, "hatch": "///", "ec": colour} if is_twin else {"color": colour}
            axes.bar(i, loss, 0.7, **look)
            axes.text(i, loss + 0.04, f"{loss:.2f}", ha="center", va="bottom", fontsize=13)
        for name, loss in baselines(kind).items():
            axes.axhline(loss, color=GREY, ls="--", lw=1.3, zorder=0)
            axes.text(-0.45, loss + 0.04, f"{name} {loss:.2f}", color=GREY, fontsize=11)
        names = [short_name(run).replace(" ", "\n") for run in kind]
        axes.set_xticks(range(len(kind)), names, fontsize=11)
        axes.set_xlim(-0.5, len(kind) - 0.45)
        axes.set_title(title)
    panels[0].set_ylabel("val loss, nats per character")
    top = max(max(baselines(kind).values()) for _, _, kind in groups)
    panels[0].set_ylim(0, top + 0.4)
    perplexity = panels[-1].secondary_yaxis("right", functions=(np.exp, log))
    perplexity.set_yticks([1, 2, 4, 8, 16, 32, 64], [1, 2, 4, 8, 16, 32, 64])
    perplexity.minorticks_off()
    perplexity.set_ylabel("perplexity (characters to guess among)")
    return figure
