"""Is attention better? Pictures of the runs of extras/families.py, drawn from their table.json."""

from plot_style import STAGE_COLOURS, Missing, label_ends, new_figure, read_json

# A line: its name, the stage that gives its colour, how it is drawn, the runs that it joins.
COUNTS, MLP, GPT = "02_bigram_counts", "04_embedding_mlp", "05_microgpt"
BY_SIZE = (
    ("counts, up to 5 letters", COUNTS, "o-", [f"counts-{n}" for n in (1, 2, 3, 4, 5)]),
    ("MLP, 3 letters", MLP, "o:", ["small-mlp-3", "mlp-3"]),
    ("MLP, 8 letters", MLP, "o-", ["small-mlp-8", "mlp-8-26816", "mlp-8", "mlp-8-201088"]),
    ("GPT, as the twin", GPT, "D", ["small-gpt-16", "gpt-26816", "gpt-58656"]),
    ("GPT, as best", GPT, "o-", ["best-4192", "best-26816", "best-58656", "best-201088"]),
)
# Each of these lines is a single model, trained for longer and longer.
BY_TRAINING = (
    ("6-gram", COUNTS, "o", ["counts-5"]),
    ("MLP, 4,174", MLP, "o:", ["small-mlp-8-short", "small-mlp-8", "small-mlp-8-long"]),
    ("MLP, 56,995", MLP, "o-", ["mlp-8-short", "mlp-8", "mlp-8-long"]),
    ("GPT, 4,192", GPT, "o:", ["small-gpt-16-short", "small-gpt-16", "small-gpt-16-long"]),
    ("GPT, 26,816", GPT, "o--", ["best-26816-short", "best-26816"]),
    ("GPT, 201,088", GPT, "o-", ["best-201088-short", "best-201088"]),
)
BY_CONTEXT = (
    ("counts", COUNTS, "o-", [f"counts-{n}" for n in (1, 2, 3, 4, 5, 8, 12, 16)]),
    ("MLP of stage 04", MLP, "o-", [f"mlp-{n}" for n in (1, 2, 3, 5, 8, 12, 16)]),
    ("MLP, 4,192", MLP, "o:", [f"small-mlp-{n}" for n in (1, 2, 3, 5, 8, 12, 16)]),
    ("GPT, 4,192", GPT, "o:", [f"small-gpt-{n}" for n in (2, 3, 4, 6, 8, 16)]),
)


def read_rows(folder):
    """{entry: row} of the runs. Missing if one is not there."""
    path = folder / "table.json"
    if not path.exists():
        raise Missing("table.json is missing; run make families")
    rows = {row["entry"]: row for row in read_json(path)["rows"]}
    lines = (*BY_SIZE, *BY_TRAINING, *BY_CONTEXT)
    for entry in (entry for *_, entries in lines for entry in entries):
        if entry not in rows:
            raise Missing(f"table.json lacks the run {entry}; run make families")
    return rows


def draw_lines(axes, rows, lines, key):
    """Val loss against row[key]. Each line has its name at its end."""
    ends = []
    for name, stage, look, entries in lines:
        points = [(rows[entry][key], rows[entry]["loss"]["val"]) for entry in entries]
        points = sorted(points)
        axes.plot(*zip(*points), look, color=STAGE_COLOURS[stage], lw=1.8, ms=5)
        ends.append((*points[-1], name, STAGE_COLOURS[stage]))
    return ends


def draw_families(folder):
    """The val loss of all families against their parameters, characters seen and seconds."""
    rows = read_rows(folder)
    figure = new_figure(15, 5.4)
    panels = figure.subplots(1, 3, sharey=True)
    views = (
        (BY_SIZE, "params", "parameters", "size"),
        (BY_TRAINING, "chars_seen", "characters seen in training", "reading"),
        (BY_TRAINING, "seconds", "seconds of training", "time"),
    )
    for axes, (lines, key, label, title) in zip(panels, views):
        axes.set_xscale("log")
        ends = draw_lines(axes, rows, lines, key)
        axes.set(xlabel=label, title=title)
        label_ends(axes, ends, 0.02)
    panels[0].set_ylabel("val loss, nats per character")
    return figure


def draw_context(folder):
    """The val loss against the number of characters that a model sees."""
    rows = read_rows(folder)
    figure = new_figure(7.6, 5)
    axes = figure.subplots()
    ends = draw_lines(axes, rows, BY_CONTEXT, "context")
    label_ends(axes, ends, 0.02)
    axes.set(xlabel="characters that the model sees", ylabel="val loss, nats per character")
    return figure
