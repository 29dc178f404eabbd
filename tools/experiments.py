"""The Markdown tables of docs/experiments.md: one function for each kind of experiment."""

import sys

from stages import ROOT

sys.path.append(str(ROOT / "extras"))

import bench
import compare_runs
import tries
from published import CHECKS
from published import rows as published_rows
from table import duration, plain
from tries import read_json


def table(headers, rows, left=2):
    """A table in Markdown. The first `left` columns hold words, the others numbers."""
    rules = ["---" if column < left else "---:" for column in range(len(headers))]
    lines = [headers, rules, *([plain(str(cell)) for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def series(results, folder):
    """Runs that were compared with each other. folder: such as 05_microgpt/ablate"""
    rows = [compare_runs.cells(row) for row in read_json(results / folder / "table.json")["rows"]]
    against = "the row before" if folder.endswith("bridge") else "the baseline"
    return table(compare_runs.headers(against), rows)


def modern(results, folder):
    """Parts of a modern GPT at equal time: the runs of extras/ablate_modern.py."""
    rows, chain = read_json(results / folder / "table.json")["rows"], folder.endswith("chain")
    headers = ["part", "what", "params", "time of a step", "steps", "val loss", "difference"]
    lines = [
        (row["entry"], row["what"], f"{row['params']:,}", f"{row['pace']:.2f}", f"{row['steps']:,}",
         compare_runs.val_loss(row), compare_runs.plus_minus(row["difference"], "+"),
         *(["yes" if row["kept"] else "no"] if chain else []))
        for row in rows
    ]  # fmt: skip
    return table([*headers, "kept"] if chain else headers, lines)


def mixtures(results, folder):
    """Averages of seeds, a 6-gram mixed in, a sliding window: the rows of extras/mixtures.py."""
    content = read_json(results / folder / "table.json")
    splits = [split for split in ("val", "test") if split in content]
    rows = [
        (row["what"], *(compare_runs.plus_minus(content[split][i]["loss"]) for split in splits))
        for i, row in enumerate(content["val"])
    ]
    weight = f"The 6-gram has a weight of {content['weight']:.2f}."
    return f"{weight}\n\n" + table(["what", *splits], rows, left=1)


def families(results, folder):
    """Counts, MLPs and GPTs side by side: the runs of extras/families.py."""
    rows = [
        (row["entry"], row["what"], f"{row['params']:,}", f"{row['chars_seen']:,}",
         *(f"{row['loss'][split]:.3f}" for split in ("train", "val", "test")),
         duration(row["seconds"]))
        for row in read_json(results / folder / "table.json")["rows"]
    ]  # fmt: skip
    headers = ["run", "model", "params", "characters seen", "train", "val", "test", "seconds"]
    return table(headers, rows)


def tokens(results, folder):
    """The runs of extras/compare_tokens.py, and what an unknown word costs in them."""
    import compare_tokens  # it imports PyTorch, which no other table needs

    rows = read_json(results / folder / "table.json")["rows"]
    runs = table(compare_tokens.HEADERS, map(compare_tokens.cells, rows))
    unknown = map(compare_tokens.unknown_cells, filter(compare_tokens.has_unknown, rows))
    return f"{runs}\n\n{table(compare_tokens.UNKNOWN_HEADERS, unknown)}"


def published(results, _):
    """Published numbers against ours, in the order of tools/published.py."""
    rows = []
    for check in CHECKS:
        path = results / "published" / f"{check.name}.json"
        if not path.exists():
            rows.append((check.name, f"not run: {check.what}", "", "", "", ""))
            continue
        name = f"[{check.name}]({check.url})"
        for cells in published_rows(check, read_json(path)["ours"]):
            rows.append((name, *cells))
            name = ""
    return table(["check", "number", "published", "ours", "tolerance", "verdict"], rows)


def temperatures(results, _):
    """Samples at several temperatures, and how many of them are names of the data."""
    content = read_json(results / "score" / "temperatures.json")
    rows = [
        (row["model"], row["temperature"], f"{row['mean_length']:.2f}", f"{row['distinct']:,}",
         f"{row['in_train']:.1%}", f"{row['held_out']:.1%}", ", ".join(row["first"][:4]))
        for row in content["rows"]
    ]  # fmt: skip
    headers = ["model", "temperature", "mean length", "distinct", "in train", "held out", "first"]
    return f"{content['samples']:,} samples at each temperature.\n\n" + table(headers, rows, left=1)


def known(results, _):
    """Samples at temperatures 1 and 0.5: are they in train, held out or new? Known by heart?"""
    content = read_json(results / "score" / "temperatures.json")
    rows = [
        (row["model"], f"{row['temperature']:.1f}", f"{row['in_train']:.1%}",
         f"{row['held_out']:.1%}", f"{row['new']:.1%}", f"{row['distinct_in_train']:,}",
         f"{row['distinct_held_out']:,}", ratio(row))
        for row in sorted(content["rows"], key=lambda row: row["temperature"], reverse=True)
        if row["temperature"] in (1.0, 0.5)
    ]  # fmt: skip
    headers = [
        "model", "temperature", "in train", "held out", "new", "different in train",
        "different held out", "ratio",
    ]  # fmt: skip
    return f"{content['samples']:,} samples at each temperature.\n\n" + table(headers, rows, left=1)


def ratio(row):
    """Different names of train for each one held out, ± the standard deviation by chance.

    Chance moves a count of n by about the root of n, and so the ratio of two counts a and b by its
    (1 / a + 1 / b) ** 0.5th part.
    """
    spread = (1 / row["distinct_in_train"] + 1 / row["distinct_held_out"]) ** 0.5
    return f"{row['train_per_held_out']:.1f} ± {row['train_per_held_out'] * spread:.1f}"


def drawn(results, model, temperature, key):
    """A number of the samples of a model, for a line of a page."""
    for row in read_json(results / "score" / "temperatures.json")["rows"]:
        if (row["model"], row["temperature"]) == (model, float(temperature)) and key in row:
            return row[key]
    raise ValueError(f"no {key} is known for samples of {model} at temperature {temperature}")


def speed(results, _):
    """What make bench measured: the machines, then the lines with a column for each machine."""
    reports = [bench.read_report(path) for path in sorted((results / "bench").glob("*.json"))]
    if not reports:
        raise ValueError("results/bench/ has no report: run make bench, then make reference")
    machines = [(number, *machine_cells(report)) for number, report in enumerate(reports, 1)]
    headers = ["machine", "processor", "cores", "bfloat16", "system", "Python", "PyTorch",
               "measured", "N, seconds"]  # fmt: skip
    return f"{table(headers, machines, left=8)}\n\n{speed_table(reports)}"


def machine_cells(report):
    about, dates = report["machine"], [row["date"] for row in report["lines"]]
    n = {row["name"]: row["quantities"] for row in report["lines"]}.get(bench.N_LINE)
    return (
        ", ".join(filter(None, (about["processor"], about["gpu"]))),
        *(about[key] for key in ("cores", "bfloat16", "system", "python", "torch")),
        " to ".join(dict.fromkeys((min(dates), max(dates)))),
        median_cell(n[bench.IN_SECONDS]) if n else "",
    )


def speed_table(reports):
    """The lines of today in their order, and then those that only older reports have."""
    today = {line.name: line for line in bench.lines(None, None)}
    of_machine = [{row["name"]: row for row in report["lines"]} for report in reports]
    rows, short = [], []
    for name in dict.fromkeys([*today, *(name for old in of_machine for name in old)]):
        found = [old.get(name) for old in of_machine]
        line = today.get(name)
        what, bars = (line.what, line.bars) if line else (next(filter(None, found))["what"], {})
        measured = [row["quantities"] if row else {} for row in found]
        met = [bench.verdict(bars, quantities) for quantities in measured]
        for key in dict.fromkeys([key for keys in (*measured, bars) for key in keys]):
            cells = [
                median_cell(quantities.get(key)) + (" NO" if judged.get(key) is False else "")
                for quantities, judged in zip(measured, met)
            ]
            bar = bench.limit(bars[key]) if key in bars else ""
            rows.append((name, f"{what}: {key}", bar, *cells, range_cell(measured, key)))
            short += [f"{name} ({key})"] if any(cell.endswith("NO") for cell in cells) else []
    names = [f"machine {number}" for number in range(1, len(reports) + 1)]
    if len(names) == 1:
        rows = [row[:-1] for row in rows]
    headers = ["line", "what", "bar", *names, *(["range"] if len(names) > 1 else [])]
    end = f"Short of the bar: {', '.join(short)}." if short else f"{bench.ALL_MET.capitalize()}."
    return f"{table(headers, rows)}\n\n{end}"


def median_cell(values):
    """The median, and how many runs it is of."""
    return f"{bench.number(values['median'])} ({len(values['runs'])})" if values else ""


def range_cell(measured, key):
    """The smallest and the largest median of all machines, if they differ."""
    medians = sorted(quantities[key]["median"] for quantities in measured if key in quantities)
    ends = dict.fromkeys(bench.number(median) for median in (medians[:1] + medians[-1:]))
    return " to ".join(ends) if len(ends) > 1 else ""


def answers(results, stage):
    """The runs behind the answers to a lesson's "Try this"."""
    return table(["run", "train", "val", "time, about"], tries.table_rows(results, stage), left=1)


KINDS = {
    "tries": answers,
    "try-text": tries.text_block,
    "series": series,
    "modern": modern,
    "mixtures": mixtures,
    "families": families,
    "tokens": tokens,
    "published": published,
    "temperatures": temperatures,
    "known": known,
    "bench": speed,
}
