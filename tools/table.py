"""The loss table: the results below a folder, side by side.

    python3 run.py table [--from DIR] [--format text|markdown|json|csv]

Two results share a table only if the data set, the number of targets in each split and the unit are
the same. A loss such as 2.094 ± 0.002 (3) is the mean over 3 seeds and its sample standard
deviation; `python3 run.py seeds` makes those runs.
"""

import csv
import json
import sys
from pathlib import Path

from stages import ROOT, STAGES

from rich.console import Console
from rich.table import Table
from rich.text import Text

from command_line import Parser, run_tool
from table_rows import RANKED_UNIT, SPLITS, SPREAD, group_rows, read_results

WIDE = 110  # columns; a narrower terminal does not get the ideas and the characters seen


# --- words and numbers ---


def title(group):
    """One line with the data set, the unit and the size of each split."""
    many_docs = any((count or 0) > 1 for count in group["docs"].values())
    sizes, what = (group["docs"], "documents") if many_docs else (group["targets"], "characters")
    splits = ", ".join(f"{split} {sizes[split]:,}" for split in SPLITS if sizes.get(split))
    return f"{group['dataset']}, {group['unit']} ({what}: {splits})"


def decimal(value):
    return "" if value is None else f"{value:.3f}"


def loss_text(row, name):
    """A loss with three decimals, or for several seeds such as 2.094 ± 0.002 (3)."""
    spread = row.get(f"{name}_sd")
    many = "" if spread is None else f" ± {decimal(spread)} ({row['seeds']})"
    return decimal(row.get(name)) + many


def duration(seconds):
    return f"{seconds:.1f}" if seconds < 10 else f"{seconds:,.0f}"


def is_best(row, group):
    """Whether this row is a result with the lowest val loss of its group, and not a baseline."""
    losses = [other["val"] for other in group["rows"] if other["val"] is not None]
    return "result" in row and bool(losses) and row["val"] == min(losses)


def cells(row):
    """The row as strings, by the keys of HEADERS. A baseline has only a label and losses."""
    texts = {
        "label": row["label"] + (" *" if row.get("interrupted") else ""),
        **{name: loss_text(row, name) for name in SPREAD},
        "bits_per_char": decimal(row["bits_per_char"]),
        "perplexity": decimal(row["perplexity"]),
    }
    if "result" in row:
        texts["idea"] = row["idea"]
        texts["params"] = f"{row['params']:,}"
        texts["chars_seen"] = f"{row['chars_seen']:,}"
        texts["seconds"] = duration(row["seconds"])
    return texts


HEADERS = {
    "label": "stage",
    "idea": "idea",
    "params": "params",
    "train": "train",
    "val": "val",
    "best_val": "best val",
    "test": "test",
    "bits_per_char": "bits/char (val)",
    "perplexity": "perplexity (val)",
    "chars_seen": "characters seen",
    "seconds": "seconds",
}
WORDS = ("label", "idea")  # the columns of words; numbers are aligned right
STOPPED = "* stopped early"
DIVERGED = "diverged: the loss was infinite or not a number; lower the learning rate"


def columns(group):
    """The keys of HEADERS for this group: test and best val only if a run measured them."""
    unknown = {
        name for name in ("best_val", "test") if all(row[name] is None for row in group["rows"])
    }
    return [column for column in HEADERS if column not in unknown]


def sentence(row, unit):
    """One line for a result in a unit that has no table."""
    numbers = [f"{split} {loss_text(row, split)}" for split in SPLITS if row[split] is not None]
    accuracy = row["result"].get("accuracy", {})
    measured = [split for split in SPLITS if accuracy.get(split) is not None]
    shares = [f"{split} {accuracy[split]:.1%}" for split in measured]
    parts = [f"loss {', '.join(numbers) or 'not measured'} {unit}"]
    parts += [f"accuracy {', '.join(shares)}"] if shares else []
    parts += [f"{row['params']:,} parameters", f"{duration(row['seconds'])} s"]
    mark = f" {STOPPED}" if row["interrupted"] else ""
    mark += f" {DIVERGED}" if row["diverged"] else ""
    return f"{row['label']} ({row['idea']}): {'; '.join(parts)}{mark}"


def not_run(rows, stages):
    """One line that names the stages without a result, or "" if all have one."""
    present = {row["stage"] for row in rows}
    missing = [f"{s} (make stage {int(s[:2])})" for s in stages if s not in present]
    return f"Not run yet: {', '.join(missing)}" if missing else ""


# --- the four formats ---


def print_text(groups, console):
    """Print tables for people. The texts come from files, so the console must not read markup."""
    narrow = console.width < WIDE
    layout = {"box": None, "pad_edge": False, "padding": (0, 1 if narrow else 2, 0, 0)}
    style = {"title_justify": "left", "title_style": "bold", "header_style": ""}
    for group in groups:
        if group["unit"] != RANKED_UNIT:
            for row in group["rows"]:
                console.print(sentence(row, group["unit"]) + "\n")
            continue
        omitted = {"idea", "chars_seen"} if narrow else set()
        if narrow and any(row["seeds"] > 1 for row in group["rows"]):
            omitted.add("perplexity")  # makes room for the deviations
        shown = [column for column in columns(group) if column not in omitted]
        table = Table(title=title(group), **layout, **style)
        for column in shown:
            header = HEADERS[column].replace(" ", "\n")
            words = column in WORDS
            side = "left" if words else "right"
            table.add_column(header, justify=side, no_wrap=not words, overflow="fold")
        # Fits the longest stage and a comma, or the star of a run that was stopped early.
        table.columns[0].width = 2 + max(len(row["stage"]) for row in group["rows"])
        for row in [*group["baselines"], *group["rows"]]:
            texts = cells(row)
            for name in SPREAD:  # put a deviation below its mean
                texts[name] = texts[name].replace(" ± ", "\n± ").replace(" (", "\n(")
            styles = {"val": "bold"} if is_best(row, group) else {}
            table.add_row(*(Text(texts.get(c, ""), styles.get(c, "")) for c in shown))
        console.print(table)
        if any(row["interrupted"] for row in group["rows"]):
            console.print(STOPPED)
        if any(row["diverged"] for row in group["rows"]):
            console.print(DIVERGED)
        console.print()


def markdown(groups):
    """The tables in Markdown, without the ideas, and with a deviation only in the column val.

    That keeps each row on one line where GitHub shows it.
    """
    parts = []
    for group in groups:
        if group["unit"] == RANKED_UNIT:
            shown = [column for column in columns(group) if column != "idea"]
            rows = [*group["baselines"], *group["rows"]]
            parts += [plain(title(group)), markdown_table(group, rows, shown)]
        else:
            parts += [plain(sentence(row, group["unit"])) for row in group["rows"]]
    return "\n\n".join(parts) + "\n" if parts else ""


def short_markdown(groups):
    """The table for the first page of the project, with the rows that choose_rows() chooses.

    A title gives the loss of a uniform guess. Bits per character replace a missing test loss.
    """
    parts = []
    for group in groups:
        rows = choose_rows(group["rows"])
        if rows and group["unit"] == RANKED_UNIT:
            heading = f"{group['dataset']}, {group['unit']}"
            for baseline in group["baselines"]:
                if baseline["label"] == "uniform guess":
                    heading += f" (a uniform guess has {decimal(baseline['val'])})"
            last = "test" if "test" in columns(group) else "bits_per_char"
            table = markdown_table(group, rows, ["label", "params", "val", last, "seconds"])
            parts += [plain(heading), table]
    return "\n\n".join(parts) + "\n" if parts else ""


def choose_rows(rows):
    """Every stage's own run, its important variants, and the n-gram with the lowest val loss."""
    ngrams = [row for row in rows if "/ngram/" in row["folder"] and row["val"] is not None]
    best_ngram = min(ngrams, key=lambda row: row["val"], default=None)
    variants = ("04_embedding_mlp/context-8", "05_microgpt/twin", "05_microgpt/best")
    return [row for row in rows if row["folder"] in (row["stage"], *variants) or row is best_ngram]


def markdown_table(group, rows, shown):
    """Rows of a group in Markdown. shown: the columns, keys of HEADERS."""
    lines = [
        [HEADERS[column] for column in shown],
        ["---" if column in WORDS else "---:" for column in shown],
    ]
    for row in rows:
        texts = {column: plain(text) for column, text in cells(row).items()}
        texts.update({name: decimal(row.get(name)) for name in SPREAD if name != "val"})
        texts["val"] = texts["val"].replace(" ", "&nbsp;")
        if is_best(row, group):
            texts["val"] = f"**{texts['val']}**"
        lines.append([texts.get(column, "") for column in shown])
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    notes = {"interrupted": STOPPED, "diverged": DIVERGED}
    shown = [plain(note) for key, note in notes.items() if any(row.get(key) for row in rows)]
    return "\n\n".join([table, *shown])


def plain(text):
    """The text with everything escaped that Markdown would read as a table, emphasis or a tag."""
    for character in "\\|*<`":
        text = text.replace(character, "\\" + character)
    return " ".join(text.split())


def as_json(groups):
    """The groups with every number in full, without the results that the rows come from."""
    rows = [[{k: v for k, v in row.items() if k != "result"} for row in g["rows"]] for g in groups]
    flat = [{**group, "rows": rows} for group, rows in zip(groups, rows, strict=True)]
    return json.dumps(flat, indent=2, ensure_ascii=False) + "\n"


def write_csv(groups, file):
    """One table for all groups. Only rows with the same number under `group` can be compared."""
    spread = [f"{name}_sd" for name in SPREAD]
    keys = ["stage", "variant", "folder", "interrupted", "diverged", "seeds", *spread]
    columns = ["group", "dataset", "unit", *HEADERS, *keys]
    writer = csv.DictWriter(file, columns, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    for number, group in enumerate(groups, 1):
        shared = {"group": number, "dataset": group["dataset"], "unit": group["unit"]}
        for row in [*group["baselines"], *group["rows"]]:
            writer.writerow({**shared, **row})


def main():
    parser = Parser(prog="table", description="Print the loss table.")
    parser.add_argument("--from", dest="folder", type=Path, help="folder of results (default: out)")
    parser.add_argument("--format", choices=("text", "markdown", "json", "csv"), default="text")
    parser.add_argument("--quiet", action="store_true", help="do not name stages without a run")
    args = parser.parse_args()
    if args.folder and not args.folder.is_dir():
        parser.error(f"--from {args.folder}: there is no such folder; give a folder with results")
    rows, problems = read_results(args.folder or ROOT / "out")
    for problem in problems:
        print(f"left out: {problem}", file=sys.stderr)
    groups, missing = group_rows(rows), "" if args.quiet else not_run(rows, STAGES)
    if args.format == "text":
        console = Console(markup=False, emoji=False, highlight=False)
        console.width = console.width if console.is_terminal else 120
        print_text(groups, console)
    elif args.format == "markdown":
        print(markdown(groups), end="")
    elif args.format == "json":
        print(as_json(groups), end="")
    else:
        write_csv(groups, sys.stdout)
    if missing:
        print(missing, file=sys.stdout if args.format == "text" else sys.stderr)
    return 0 if rows else 1


if __name__ == "__main__":
    run_tool("table", main)
