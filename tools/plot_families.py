"""Is attention better? Pictures of the runs of extras/families.py, drawn from their table.json."""

from plot_style import STAGE_COLOURS, Missing, new_figure, read_json

COUNTS, MLP, GPT = "02_bigram_counts", "04_embedding_mlp", "05_microgpt"
# A line: its name, the stage that gives its colour, how it is drawn, the runs that it joins.
BY_SIZE = (
    ("counts, 1 to 5 letters", COUNTS, "o-", [f"counts-{n}" for n in (1, 2, 3, 4, 5)]),
    ("MLP, 3 letters", MLP, "o:", ["small-mlp-3", "mlp-3"]),
    ("MLP, 8 letters", MLP, "o-", ["small-mlp-8", "mlp-8-26816", "mlp-8", "mlp-8-201088"]),
    ("with dropout", MLP, "o--", ["mlp-8-dropout", "mlp-8-201088-dropout"]),
    ("GPT, like the twin", GPT, "o:", ["small-gpt-16", "gpt-26816", "gpt-58656"]),
    ("GPT, like best", GPT, "o-", ["best-4192", "best-26816", "best-58656", "best-201088"]),
)
# Each of these lines is a model with one number of parameters, trained for longer and longer.
BY_TRAINING = (
    ("6-gram", COUNTS, "o", ["counts-5"]),
    ("MLP, 4,174", MLP, "o:", ["small-mlp-8-short", "small-mlp-8", "small-mlp-8-long"]),
    ("MLP, 56,995", MLP, "o-", ["mlp-8-short", "mlp-8", "mlp-8-long"]),
    ("MLP, 200,853,\nwith dropout", MLP, "s", ["mlp-8-201088-dropout"]),
    ("GPT, 4,192", GPT, "o:", ["small-gpt-16-short", "small-gpt-16", "small-gpt-16-long"]),
    ("GPT, 26,816", GPT, "o--", ["best-26816-short", "best-26816"]),
    ("GPT, 201,088", GPT, "o-", ["best-201088-short", "best-201088"]),
)
BY_CONTEXT = (
    ("counts", COUNTS, "o-", [f"counts-{n}" for n in (1, 2, 3, 4, 5, 8, 12, 16)]),
    ("MLP of stage 04", MLP, "o-", [f"mlp-{n}" for n in (1, 2, 3, 5, 8, 12, 16)]),
    ("MLP, 4,192 parameters", MLP, "o:", [f"small-mlp-{n}" for n in (1, 2, 3, 5, 8, 12, 16)]),
    ("GPT, 4,192 parameters", GPT, "o:", [f"small-gpt-{n}" for n in (2, 3, 4, 6, 8, 16)]),
)
# There is no room at the end of these lines.
NAMED_AT_START = ("GPT, like the twin", "MLP, 200,853,\nwith dropout")


def read_rows(folder):
    """{entry: row} of the runs. Raises Missing if one of the runs to draw is not there."""
    path = folder / "table.json"
    if not path.exists():
        raise Missing("table.json is missing; run make families")
    rows = {row["entry"]: row for row in read_json(path)["rows"]}
    for *_, entries in (*BY_SIZE, *BY_TRAINING, *BY_CONTEXT):
        for entry in entries:
            if entry not in rows:
                raise Missing(f"table.json lacks the run {entry}; run make families")
    return rows


def draw_lines(axes, rows, lines, key):
    """The val loss against row[key], with a name at the end of each line."""
    for name, stage, look, entries in lines:
        points = sorted((rows[entry][key], rows[entry]["loss"]["val"]) for entry in entries)
        colour = STAGE_COLOURS[stage]
        axes.plot(*zip(*points), look, color=colour, lw=1.8, ms=5)
        at_start = name in NAMED_AT_START
        axes.annotate(
            name, points[0 if at_start else -1], (-8 if at_start else 8, 0), fontsize=10,
            textcoords="offset points", ha="right" if at_start else "left", va="center",
            color=colour, annotation_clip=False,
        )  # fmt: skip


def draw_families(folder):
    """The val loss of all families against their parameters, characters seen and seconds."""
    rows = read_rows(folder)
    figure = new_figure(15, 5.4)
    panels = figure.subplots(1, 3, sharey=True)
    views = (
        ("What parameters buy", BY_SIZE, "params", "parameters"),
        ("What reading buys (by parameters)", BY_TRAINING, "chars_seen", "characters seen"),
        ("What time buys (by parameters)", BY_TRAINING, "seconds", "seconds of training"),
    )
    for axes, (title, lines, key, label) in zip(panels, views):
        draw_lines(axes, rows, lines, key)
        axes.set(title=title, xscale="log", xlabel=label)
    # The bigram is far above all others: leave it out, to have room for the differences.
    losses = sorted(rows[entry]["loss"]["val"] for *_, entries in BY_SIZE for entry in entries)
    panels[0].set_ylim(losses[0] - 0.02, losses[-2] + 0.02)
    panels[0].set_xlim(left=300)
    panels[0].set_ylabel("val loss, nats per character")
    return figure


def draw_context(folder):
    """The val loss against the number of characters that a model sees."""
    figure = new_figure(8, 5)
    axes = figure.subplots()
    draw_lines(axes, read_rows(folder), BY_CONTEXT, "context")
    axes.set_xticks([1, 2, 3, 4, 5, 6, 8, 12, 16])
    axes.set(xlabel="characters that the model sees", ylabel="val loss, nats per character")
    return figure
