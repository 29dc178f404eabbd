"""The loss table: the results below a folder side by side, never ranked across data or splits.

    python run.py table [--from DIR] [--format text|markdown|json|csv]

Two results share a table only where the data set, the number of targets in each split and the unit
are the same. Runs of one stage that differ in nothing but their seed are one row: the mean of each
loss, its sample standard deviation and the number of seeds, such as 2.094 ± 0.002 (3). They are the
run in out/STAGE and those in out/STAGE/seeds/, which `python run.py seeds` makes.
"""

import argparse
import csv
import json
import math
import re
import statistics
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

ROOT = Path(__file__).resolve().parent.parent
SPLITS = ("train", "val", "test")
SPREAD = (*SPLITS, "best_val")  # what has a standard deviation where there are several seeds
RANKED_UNIT = "nats/char"  # other units mean another task: such results stay out of the tables
REQUIRED = {
    "stage": str,
    "idea": str,
    "unit": str,
    "dataset": dict,
    "targets": dict,
    "params": int,
    "chars_seen": int,
    "seconds": (int, float),
    "loss": dict,
}
SEED_FOLDER = re.compile(r"/seeds/\d+(?=/|$)")
WIDE = 110  # columns of a terminal; narrower ones do without the idea and the characters seen


# --- reading ---


def stage_names(root=ROOT):
    """The folders of the stages, in order."""
    return sorted(main.parent.name for main in root.glob("[0-9][0-9]_*/main.py"))


def read_result(path):
    """Return the dict in a result.json, NaN and infinities as None.

    Raises ValueError that says what is wrong, OSError where the file cannot be read.
    """
    result = json.loads(path.read_text(encoding="utf-8"), parse_constant=lambda _: None)
    check("the file", result, dict)
    for key, kind in REQUIRED.items():
        check(key, result.get(key), kind)
    dataset, baselines = result["dataset"], result.get("baselines", {})
    check("dataset.name", dataset.get("name"), str)
    check("dataset.sha256", dataset.get("sha256"), str)
    check("vocab_size", result.get("vocab_size", 0), int)
    check("baselines", baselines, dict)
    check("best", result.get("best", {}), dict)
    check("config", result.get("config", {}), dict)
    by_split = {
        "targets": result["targets"],
        "loss": result["loss"],
        "accuracy": result.get("accuracy", {}),
        "dataset.docs": dataset.get("docs", {}),
        "best": {"val": result.get("best", {}).get("val")},
        **{f"baselines.{name}": loss for name, loss in baselines.items()},
    }
    for key, values in by_split.items():
        check(key, values, dict)
        for split, value in values.items():
            check(f"{key}.{split}", value, (int, float, type(None)))
    return result


def check(name, value, kind):
    if not isinstance(value, kind):
        raise ValueError(f"{name} is missing or of the wrong kind: {value!r}")


def read_results(folder):
    """Return (rows, problems): the results below a folder in stage order; a line for each other.

    What `make published` leaves in published/ are other people's runs, and has a table of its own.
    """
    rows, problems = [], []
    for path in sorted(folder.rglob("result.json")):
        if path.is_relative_to(folder / "published"):
            continue
        try:
            rows.append(make_row(read_result(path), path.parent, folder))
        except (ValueError, OSError) as error:
            problems.append(f"{path}: {error}")
    rows = join_seeds(rows, folder)
    return sorted(rows, key=lambda row: (row["stage"], row["folder"] != row["stage"])), problems


def perplexity(loss):
    """exp(loss in nats), or None without a loss or past what a float holds."""
    return None if loss is None or loss > math.log(sys.float_info.max) else math.exp(loss)


def measures(loss, unit):
    """The losses of the three splits, and bits and perplexity of the val loss; None if unknown."""
    losses = {split: loss.get(split) for split in SPLITS}
    val = losses["val"] if unit == RANKED_UNIT else None
    bits = None if val is None else val / math.log(2)
    return {**losses, "bits_per_char": bits, "perplexity": perplexity(val)}


def make_row(result, place, folder):
    """What the table says of one result that lies in `place`, somewhere below `folder`."""
    below = place.relative_to(folder).as_posix()
    variant = result.get("variant")
    label = f"{result['stage']}, {variant}" if variant else result["stage"]
    at_home = below == result["stage"] or (variant and below.startswith(f"{result['stage']}/"))
    if not at_home:
        label += f" ({(Path(folder.resolve().name) / below).as_posix()})"
    return {
        "label": label,
        "stage": result["stage"],
        "variant": variant,
        "folder": below,
        "idea": result["idea"],
        "params": result["params"],
        **measures(result["loss"], result["unit"]),
        "best_val": result.get("best", {}).get("val"),
        "chars_seen": result["chars_seen"],
        "seconds": result["seconds"],
        "interrupted": bool(result.get("interrupted")),
        "seeds": 1,
        **{f"{name}_sd": None for name in SPREAD},
        "result": result,
    }


# --- several seeds ---


def join_seeds(rows, folder):
    """Return the rows with those that differ in nothing but their seed made one.

    Only runs in a folder and in its seeds/ are joined: elsewhere a run may be of changed code. A
    seed that stands in both counts once. Interrupted runs stay rows of their own.
    """
    joined = {}
    for number, row in enumerate(rows):
        result = row["result"]
        config = {**result.get("config", {})}
        seed = config.pop("seed", None)
        home = SEED_FOLDER.sub("", row["folder"])
        if seed is None or row["interrupted"]:
            joined[number] = {seed: row}
            continue
        # A stage with another unit may draw its very data from the seed, as stage 01 does.
        data = result["dataset"]["sha256"] if result["unit"] == RANKED_UNIT else result["unit"]
        key = (home, row["stage"], row["variant"], json.dumps(config, sort_keys=True), data)
        seeds = joined.setdefault(key, {})
        if seed not in seeds or row["folder"] == home:
            seeds[seed] = row
    return [average([*seeds.values()], folder) for seeds in joined.values()]


def average(rows, folder):
    """One row for several seeds; a single row as it is. What some run did not measure is None."""
    if len(rows) == 1:
        return rows[0]
    results = [row["result"] for row in rows]
    accuracies = [result.get("accuracy", {}) for result in results]
    mean = {
        **results[0],
        "loss": {split: mean_of(row[split] for row in rows) for split in SPLITS},
        "best": {"val": mean_of(row["best_val"] for row in rows)},
        "accuracy": {s: mean_of(accuracy.get(s) for accuracy in accuracies) for s in SPLITS},
        "chars_seen": round(mean_of(row["chars_seen"] for row in rows)),
        "seconds": mean_of(row["seconds"] for row in rows),
    }
    row = make_row(mean, folder / SEED_FOLDER.sub("", rows[0]["folder"]), folder)
    spread = {f"{name}_sd": sd_of(other[name] for other in rows) for name in SPREAD}
    return {**row, **spread, "seeds": len(rows)}


def mean_of(values):
    values = list(values)
    return None if None in values else statistics.fmean(values)


def sd_of(values):
    """The sample standard deviation: the squares are divided by n - 1."""
    values = list(values)
    return None if None in values else statistics.stdev(values)


# --- groups ---


def group_rows(rows):
    """Return a list of groups {"dataset", "unit", "docs", "targets", "baselines", "rows"}.

    Rows are in one group only where data set, targets in every split and unit are the same.
    """
    groups = {}
    for row in rows:
        result = row["result"]
        targets = tuple(result["targets"].get(split) or 0 for split in SPLITS)
        key = (result["dataset"]["sha256"], targets, result["unit"])
        groups.setdefault(key, []).append(row)
    return [make_group(rows) for rows in groups.values()]


def make_group(rows):
    """Gather what the rows share. Baselines come from whichever result holds them."""
    first = rows[0]["result"]
    unit, baselines = first["unit"], {}
    for row in rows:
        size = row["result"].get("vocab_size")
        if size and "uniform guess" not in baselines:
            present = [split for split in SPLITS if first["targets"].get(split)]
            baselines["uniform guess"] = dict.fromkeys(present, math.log(size))
        for name, loss in row["result"].get("baselines", {}).items():
            if name != "uniform":
                baselines.setdefault(name, loss)
    return {
        "dataset": first["dataset"]["name"],
        "sha256": first["dataset"]["sha256"],
        "unit": unit,
        "docs": first["dataset"].get("docs", {}),
        "targets": first["targets"],
        "baselines": [{"label": name, **measures(loss, unit)} for name, loss in baselines.items()],
        "rows": rows,
    }


# --- words and numbers ---


def title(group):
    """One line: the data set, the unit and how much is in each split."""
    many_docs = any((count or 0) > 1 for count in group["docs"].values())
    sizes, what = (group["docs"], "documents") if many_docs else (group["targets"], "characters")
    splits = ", ".join(f"{split} {sizes[split]:,}" for split in SPLITS if sizes.get(split))
    return f"{group['dataset']}, {group['unit']} ({what}: {splits})"


def decimal(value):
    return "" if value is None else f"{value:.3f}"


def loss_text(row, name):
    """A loss with three decimals; of several seeds such as 2.094 ± 0.002 (3)."""
    spread = row.get(f"{name}_sd")
    many = "" if spread is None else f" ± {decimal(spread)} ({row['seeds']})"
    return decimal(row.get(name)) + many


def duration(seconds):
    return f"{seconds:.1f}" if seconds < 10 else f"{seconds:,.0f}"


def is_best(row, group):
    """Whether this result has the lowest val loss of its group. A baseline is no result."""
    losses = [other["val"] for other in group["rows"] if other["val"] is not None]
    return "result" in row and bool(losses) and row["val"] == min(losses)


def cells(row):
    """The row as a dict of strings, keyed as in HEADERS. A baseline has no result behind it."""
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
WORDS = ("label", "idea")  # the columns of words; the others are numbers, set to the right
STOPPED = "* stopped early"


def columns(group):
    """The keys of HEADERS for this group; test and best val only where a run measured them."""
    unknown = {
        name for name in ("best_val", "test") if all(row[name] is None for row in group["rows"])
    }
    return [column for column in HEADERS if column not in unknown]


def sentence(row, unit):
    """One line for a result whose unit has no table."""
    numbers = [f"{split} {loss_text(row, split)}" for split in SPLITS if row[split] is not None]
    accuracy = row["result"].get("accuracy", {})
    measured = [split for split in SPLITS if accuracy.get(split) is not None]
    shares = [f"{split} {accuracy[split]:.1%}" for split in measured]
    parts = [f"loss {', '.join(numbers) or 'not measured'} {unit}"]
    parts += [f"accuracy {', '.join(shares)}"] if shares else []
    parts += [f"{row['params']:,} parameters", f"{duration(row['seconds'])} s"]
    mark = f" {STOPPED}" if row["interrupted"] else ""
    return f"{row['label']} ({row['idea']}): {'; '.join(parts)}{mark}"


def not_run(rows, stages):
    """One line that names the stages without a result; "" if there is none."""
    present = {row["stage"] for row in rows}
    missing = [f"{s} (make stage {int(s[:2])})" for s in stages if s not in present]
    return f"Not run yet: {', '.join(missing)}" if missing else ""


# --- the four formats ---


def print_text(groups, console):
    """Print tables for people. The console must not read markup: the texts come from files."""
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
            omitted.add("perplexity")  # deviations take its place
        shown = [column for column in columns(group) if column not in omitted]
        table = Table(title=title(group), **layout, **style)
        for column in shown:
            header = HEADERS[column].replace(" ", "\n")
            words = column in WORDS
            side = "left" if words else "right"
            table.add_column(header, justify=side, no_wrap=not words, overflow="fold")
        # The longest stage and a comma, or the star of a run that was stopped early.
        table.columns[0].width = 2 + max(len(row["stage"]) for row in group["rows"])
        for row in [*group["baselines"], *group["rows"]]:
            texts = cells(row)
            for name in SPREAD:  # a deviation stands below its mean
                texts[name] = texts[name].replace(" ± ", "\n± ").replace(" (", "\n(")
            styles = {"val": "bold"} if is_best(row, group) else {}
            table.add_row(*(Text(texts.get(c, ""), styles.get(c, "")) for c in shown))
        console.print(table)
        if any(row["interrupted"] for row in group["rows"]):
            console.print(STOPPED)
        console.print()


def markdown(groups):
    """The tables as GitHub draws them, for a README: narrow, so that rows keep to one line. The
    ideas stay out, and only val has its deviation.
    """
    parts = []
    for group in groups:
        if group["unit"] != RANKED_UNIT:
            parts += [plain(sentence(row, group["unit"])) for row in group["rows"]]
            continue
        shown = [column for column in columns(group) if column != "idea"]
        rules = ["---" if column in WORDS else "---:" for column in shown]
        lines = [[HEADERS[column] for column in shown], rules]
        for row in [*group["baselines"], *group["rows"]]:
            texts = {column: plain(text) for column, text in cells(row).items()}
            texts.update({name: decimal(row.get(name)) for name in SPREAD if name != "val"})
            texts["val"] = texts["val"].replace(" ", "&nbsp;")
            if is_best(row, group):
                texts["val"] = f"**{texts['val']}**"
            lines.append([texts.get(column, "") for column in shown])
        table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
        stopped = any(row["interrupted"] for row in group["rows"])
        parts += [plain(title(group)), table, *([plain(STOPPED)] if stopped else [])]
    return "\n\n".join(parts) + "\n" if parts else ""


def plain(text):
    """The text with what Markdown would read as a table, emphasis or a tag escaped."""
    for character in "\\|*<`":
        text = text.replace(character, "\\" + character)
    return " ".join(text.split())


def as_json(groups):
    """Groups with every number in full; the results themselves stay in their files."""
    rows = [[{k: v for k, v in row.items() if k != "result"} for row in g["rows"]] for g in groups]
    flat = [{**group, "rows": rows} for group, rows in zip(groups, rows, strict=True)]
    return json.dumps(flat, indent=2, ensure_ascii=False) + "\n"


def write_csv(groups, file):
    """One flat table. Compare only rows with the same number under `group`."""
    spread = [f"{name}_sd" for name in SPREAD]
    keys = ["stage", "variant", "folder", "interrupted", "seeds", *spread]
    columns = ["group", "dataset", "unit", *HEADERS, *keys]
    writer = csv.DictWriter(file, columns, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    for number, group in enumerate(groups, 1):
        shared = {"group": number, "dataset": group["dataset"], "unit": group["unit"]}
        for row in [*group["baselines"], *group["rows"]]:
            writer.writerow({**shared, **row})


def main():
    parser = argparse.ArgumentParser(prog="table", description="The loss table.")
    parser.add_argument("--from", dest="folder", type=Path, help="folder of results (default: out)")
    parser.add_argument("--format", choices=("text", "markdown", "json", "csv"), default="text")
    args = parser.parse_args()
    if args.folder and not args.folder.is_dir():
        parser.error(f"--from {args.folder}: there is no such folder; give one that holds results")
    rows, problems = read_results(args.folder or ROOT / "out")
    for problem in problems:
        print(f"left out: {problem}", file=sys.stderr)
    groups, missing = group_rows(rows), not_run(rows, stage_names())
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
    sys.exit(main())
