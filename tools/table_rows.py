"""The rows of the loss table: result.json files, checked, joined over seeds and grouped.

Runs of one stage that differ only in their seed become one row, with the mean of each loss and its
sample standard deviation. These are the run in out/STAGE and those in out/STAGE/seeds/. Rows that
must not be compared, because data set, splits or unit differ, end up in different groups.
"""

import hashlib
import json
import math
import re
import statistics
import sys
from pathlib import Path

from visible import visible

SPLITS = ("train", "val", "test")
SPREAD = (*SPLITS, "best_val")  # what has a standard deviation if there are several seeds
RANKED_UNIT = "nats/char"  # another unit means another task, so its results get no table
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
LARGEST = 10**18
# What a result says of data that could not be hashed: the hash of nothing.
UNKNOWN_DATA = ("", hashlib.sha256(b"").hexdigest())
SEED_FOLDER = re.compile(r"/seeds/\d+(?=/|$)")


# --- reading ---


def read_result(path):
    """Return the dict in a result.json, with None for NaN and infinity, its texts safe to print.

    Raises OSError if the file cannot be read, and ValueError, which says why, for a bad result.
    """
    try:
        result = json.loads(
            path.read_text(encoding="utf-8"),
            parse_constant=lambda _: None,
            parse_float=finite,
            object_pairs_hook=lambda pairs: {visible(k): safe(v) for k, v in pairs},
        )
    except RecursionError as error:
        raise ValueError("its lists are nested too deep for a result") from error
    check("the file", result, dict)
    for key, kind in REQUIRED.items():
        check(key, result.get(key), kind)
    dataset, baselines = result["dataset"], result.get("baselines", {})
    check("dataset.name", dataset.get("name"), str)
    check("dataset.sha256", dataset.get("sha256"), str)
    check("vocab_size", result.get("vocab_size", 1), int)
    if result.get("vocab_size", 1) < 1:
        raise ValueError(f"vocab_size is {result['vocab_size']}, but a vocabulary has a character")
    check("baselines", baselines, dict)
    check("best", result.get("best", {}), dict)
    check("config", result.get("config", {}), dict)
    check("config.seed", result.get("config", {}).get("seed"), (int, type(None)))
    check("variant", result.get("variant"), (str, type(None)))
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
            if value is not None and abs(value) > sys.float_info.max:
                raise ValueError(f"{key}.{split} is too large")
    return result


def finite(text):
    """The float in a text; None if it is infinite, such as 1e999."""
    number = float(text)
    return number if math.isfinite(number) else None


def safe(value):
    """A text that can neither move the cursor nor end its line; any other value as it is."""
    return visible(value.replace("\n", " ")) if isinstance(value, str) else value


def check(name, value, kind):
    """ValueError unless the value has this type, and is not too large a number for a float."""
    if not isinstance(value, kind):
        raise ValueError(f"{name} is missing or has the wrong type: {repr(value)[:80]}")
    if isinstance(value, int) and abs(value) > LARGEST:
        raise ValueError(f"{name} is larger than any number of a run")


def read_results(folder):
    """Return (rows, problems): the results below a folder in stage order, a line for each bad one.

    published/ is left out: `make published` repeats other people's runs, and has its own table.
    """
    rows, problems = [], []
    for path in sorted(folder.rglob("result.json")):
        if path.is_relative_to(folder / "published"):
            continue
        try:
            rows.append(make_row(read_result(path), path.parent, folder))
        except (ValueError, OSError, RecursionError) as error:
            problems.append(visible(f"{path}: {error}"))
    rows = join_seeds(rows, folder)
    return sorted(rows, key=order), problems


def order(row):
    """By stage: its own run, then its variants, then its tries."""
    return row["stage"], "/tries/" in row["folder"], row["folder"] != row["stage"]


def perplexity(loss):
    """exp(loss in nats), or None if there is no loss or this overflows a float."""
    return None if loss is None or loss > math.log(sys.float_info.max) else math.exp(loss)


def measures(loss, unit):
    """The losses of the splits, and bits and perplexity of the val loss. None if unknown."""
    losses = {split: loss.get(split) for split in SPLITS}
    val = losses["val"] if unit == RANKED_UNIT else None
    bits = None if val is None else val / math.log(2)
    return {**losses, "bits_per_char": bits, "perplexity": perplexity(val)}


def make_row(result, place, folder):
    """The row for the result in the folder `place`, which is somewhere below `folder`."""
    below = visible(place.relative_to(folder).as_posix())
    variant = result.get("variant")
    label = f"{result['stage']}, {variant}" if variant else result["stage"]
    home, _, settings = below.partition("/tries/")
    at_home = home == result["stage"] or (variant and home.startswith(f"{result['stage']}/"))
    if home == f"my/{result['stage']}":
        label += ", yours"  # the learner's own code, trained by `make check`
    elif not at_home:
        label += f" ({(Path(visible(folder.resolve().name)) / home).as_posix()})"
    if settings:  # a run with other settings than the usual ones
        label += f", try: {settings.replace(',', ', ')}"
    if result.get("diverged"):
        label += ", diverged"
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
        "diverged": bool(result.get("diverged")),
        "seeds": 1,
        **{f"{name}_sd": None for name in SPREAD},
        "result": result,
    }


# --- several seeds ---


def join_seeds(rows, folder):
    """Join the rows that differ only in their seed.

    Only a run in a folder and those in its seeds/ are joined, because runs elsewhere may come from
    different code. A seed that is in both counts once. Runs that were interrupted or
    diverged are never joined.
    """
    joined = {}
    for number, row in enumerate(rows):
        result = row["result"]
        config = {**result.get("config", {})}
        seed = config.pop("seed", None)
        home = SEED_FOLDER.sub("", row["folder"])
        if seed is None or row["interrupted"] or row["diverged"]:
            joined[number] = {seed: row}
            continue
        # Stage 01, which has another unit, draws even its data from the seed.
        data = task(result) if result["unit"] == RANKED_UNIT else result["unit"]
        key = (home, row["stage"], row["variant"], json.dumps(config, sort_keys=True), data)
        seeds = joined.setdefault(key, {})
        if seed not in seeds or row["folder"] == home:
            seeds[seed] = row
    return [average([*seeds.values()], folder) for seeds in joined.values()]


def average(rows, folder):
    """One row for several seeds. What was not measured in every run is None."""
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

    Rows are in the same group only if data set, targets in every split and unit are the same.
    """
    groups = {}
    for row in rows:
        groups.setdefault(task(row["result"]), []).append(row)
    return [make_group(rows) for rows in groups.values()]


def task(result):
    """What two results must have in common for their losses to be compared."""
    sha256 = result["dataset"]["sha256"]
    if sha256 in UNKNOWN_DATA:
        sha256 = object()  # equal to no other
    targets = tuple(result["targets"].get(split) or 0 for split in SPLITS)
    return sha256, targets, result["unit"]


def make_group(rows):
    """Collect what the rows share. Each baseline comes from the first result that has it."""
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


