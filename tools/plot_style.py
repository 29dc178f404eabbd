"""What all pictures share: colours, fonts, marks for characters, the error for a missing input."""

import json

# Okabe and Ito's colours, which colour-blind readers can tell apart. The pale ones are darkened for
# white paper.
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
    "figure.constrained_layout.use": True,
}


class Missing(Exception):
    """An input of a picture is missing or does not fit. The message says which."""


def read_json(path):
    if not path.exists():
        raise Missing(f"{path.name} is missing; run the stage")
    return json.loads(path.read_text(encoding="utf-8"))


def readable(count, most, what):
    """Raise Missing if a picture would show more of something than anyone can tell apart."""
    if count > most:
        raise Missing(f"nobody could read it with {count:,} {what}, which is more than {most:,}")


def new_figure(width, height):
    """A figure of this size in inches, with 100 dots per inch."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), dpi=100)


def marks(chars):
    """A visible mark for each character."""
    return [{" ": "␣", "\n": "↵"}.get(ch, ch) for ch in chars]


def letter_axes(axes, rows, columns, size):
    """Put characters on both axes of a heatmap. Those of the columns are at the top, as in a table.

    rows, columns: a mark for each row and each column. size: of the font, for up to 28 rows.
    """
    size = min(size, 28 * size / len(rows))
    axes.set_xticks(range(len(columns)), columns, fontsize=size)
    axes.set_yticks(range(len(rows)), rows, fontsize=size)
    axes.tick_params(length=0, top=False, bottom=False, labeltop=True, labelbottom=False)
    axes.spines[:].set_visible(False)


def label_ends(axes, ends, least):
    """Write the name of each line at its end: (x, y, text, colour), on a logarithmic x axis.

    The names of the lines that reach furthest form a column on the right, at least `least` apart.
    The name of a line that ends far to their left is below its end.
    """
    furthest = max((x for x, *_ in ends), default=0)
    lowest = -float("inf")
    for x, y, text, colour in sorted(ends, key=lambda end: end[1]):
        style = {"color": colour, "fontsize": 10}
        if x < furthest / 10:
            axes.text(x, y - 0.4 * least, text, ha="center", va="top", **style)
        else:
            lowest = max(y, lowest + least)
            axes.text(1.15 * furthest, lowest, text, va="center", **style)
