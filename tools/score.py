"""Texts under every trained model side by side: where is the surprise, and whose is it?

    python run.py score [STAGES] TEXT...               score emma, score 4 5 emma olivia
    python run.py score [STAGES] --scrambled [TEXT...]  real names against their letters shuffled
    python run.py score [STAGES] --temperatures        what sampling colder or hotter brings

NAME=emma is the text emma too. Each model is asked through its stage's own score.py.
"""

import argparse
import hashlib
import json
import math
import os
import random
import subprocess
import sys
from pathlib import Path

from files import split_names, write_atomically
from rich.console import Console
from rich.progress import track
from rich.table import Table
from rich.text import Text

ROOT = Path(__file__).resolve().parent.parent
NAMES = ROOT / "data" / "names.txt"
CHECKPOINTS = {  # folder below out/: the file in it without which there is nothing to ask
    "02_bigram_counts": "counts.json",
    "03_bigram_learned": "model.pt",
    "04_embedding_mlp": "model.pt",
    "05_microgpt": "weights.json",
    "05_microgpt/twin": "model.pt",
    "05_microgpt/best": "model.pt",
    "06_shakespeare_gpt": "model.pt",
}
RUNNING_TEXT = "06_shakespeare_gpt"  # knows no names, and no end of a text
END = "<end>"
TEMPERATURES = (0.2, 0.5, 0.8, 1.0, 1.3)
SEED = 42  # of the choice of names, their scrambling and the samples
# In nats: P above 0.37 is no surprise, below 0.14 some, and below 0.018 a great one.
STYLES = ((1, "green"), (2, ""), (4, "yellow"), (math.inf, "red"))


class Problem(ValueError):
    """What the user asked cannot be done; the message says why and what to do."""


# --- the command line ---


def read_words(words):
    """Return (stages, texts): leading numbers or folders name stages, the rest are texts."""
    stages, texts = [], []
    folders = {folder.split("/")[0] for folder in CHECKPOINTS}
    for word in words:
        name, equals, text = word.partition("=")
        if equals and name == "NAME":
            texts += [text] if text else []  # make passes an empty one where none was given
        elif not texts and word in folders:
            stages.append(word)
        elif not texts and word.isdecimal():
            found = [folder for folder in folders if int(folder[:2]) == int(word)]
            if not found:
                why = f"stage {word} has no texts to score"
                raise Problem(f"{why}; give 2 to 6, or NAME={word} for the text {word!r}")
            stages += found
        else:
            texts.append(word)
    return stages, texts


def find_models(out, stages):
    """Return (folders, missing): which of these stages' models are in `out`, and which stages have
    none. No stages means all. Problem if nothing is there.
    """
    asked = [f for f in CHECKPOINTS if not stages or f.split("/")[0] in stages]
    found = [folder for folder in asked if (out / folder / CHECKPOINTS[folder]).exists()]
    present = {folder.split("/")[0] for folder in found}
    missing = [folder for folder in asked if "/" not in folder and folder not in present]
    if not found:
        first = missing[0]
        raise Problem(f"no model is trained in {out}: make stage {int(first[:2])} trains {first}")
    return found, missing


# --- asking the stages ---


def ask(out, folder, words):
    """Run a stage's score.py on one model; return its lines of JSON. Problem with its message."""
    script = ROOT / folder.split("/")[0] / "score.py"
    command = [sys.executable, script, "--json", "--out", out / folder, *words]
    done = subprocess.run(
        [str(word) for word in command], stdin=subprocess.DEVNULL, capture_output=True,
        encoding="utf-8", env={**os.environ, "PYTHONUTF8": "1"},
    )
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines() or [f"ended with status {done.returncode}"]
        raise Problem(f"{folder}: {lines[-1]}")
    return [json.loads(line) for line in done.stdout.splitlines()]


def ask_all(out, folders, words):
    """Return {folder: answers}; a model that cannot answer is left out with a line on stderr.

    Problem if none can.
    """
    answers, problems, terminal = {}, [], Console(stderr=True)
    progress = {"console": terminal, "transient": True, "disable": not terminal.is_terminal}
    for folder in track(folders, description="asking the models", **progress):
        try:
            answers[folder] = ask(out, folder, words)
        except Problem as problem:
            problems.append(str(problem))
    if not answers:
        raise Problem(f"no model can answer; the first says: {problems[0]}")
    for problem in problems:
        print(f"left out: {problem}", file=sys.stderr)
    return answers


def number(loss):
    """JSON has no infinity: a loss of null is that of a character that was held impossible."""
    return math.inf if loss is None else loss


# --- side by side ---


def surprise(loss, is_highest, wide):
    """The cell of a character: P if there is room, its loss in nats, * if it surprises most."""
    style = next(style for limit, style in STYLES if loss <= limit)
    probability = f"{math.exp(-loss):.3f} " if wide else ""
    return Text(f"{probability}{loss:5.2f}{'*' if is_highest else ' '}", style)


def side_by_side(text, answers, width):
    """A rich Table: a row for each character of the text and its end, a column for each model.

    answers: {folder: what its score.py says of this text}. width: columns of the terminal.
    """
    wide = width >= 11 + 13 * len(answers)
    layout = {"title_justify": "left", "box": None, "padding": (0, 1, 0, 0)}
    table = Table(title=Text(repr(text), "bold"), **layout)
    table.add_column("")
    for folder in answers:
        header = folder.replace("05_microgpt/", "05_").replace("_", "\n")
        table.add_column(Text(header), justify="right", no_wrap=True)
    rows = [[Text(ch if ch.isprintable() and ch != " " else repr(ch))] for ch in text]
    rows.append([Text("(end)")])
    nats, bits = [Text("mean, nats")], [Text("mean, bits")]
    for answer in answers.values():
        losses = [number(loss) for loss in answer["losses"]]
        highest = losses.index(max(losses))
        cells = [surprise(loss, i == highest, wide) for i, loss in enumerate(losses)]
        if answer["chars"][-1] != END:  # a running text: its first character is not scored
            cells = [Text("- "), *cells, Text("- ")]
        for row, cell in zip(rows, cells, strict=True):
            row.append(cell)
        mean = number(answer["mean"])
        nats.append(Text(f"{mean:.2f} "))
        bits.append(Text(f"{mean / math.log(2):.2f} "))
    for row in [*rows, nats, bits]:
        table.add_row(*row)
    return table


def compare_models(console, out, folders, texts):
    if texts == ["-"]:
        raise Problem("the text '-' would mean stdin to a stage; give another")
    answers = ask_all(out, folders, ["--", *texts])
    for i, text in enumerate(texts):
        of_text = {folder: all_texts[i] for folder, all_texts in answers.items()}
        console.print(side_by_side(text, of_text, console.width))
        console.print()
    console.print("In a cell: P, where there is room, and -log P in nats; * where that is highest.")
    if RUNNING_TEXT in answers:
        console.print(
            "06 reads a running text: it scores neither the first character nor an end, so compare "
            "its mean with no other."
        )


# --- the default data set ---


def only_default(out, folders):
    """Return (names, folders): the {"train", "val", "test"} split of data/names.txt as the stages
    make it, and of the folders those whose model was trained on it.
    """
    raw = NAMES.read_bytes()
    kept = []
    for folder in folders:
        try:
            result = json.loads((out / folder / "result.json").read_text(encoding="utf-8"))
            same = result["dataset"]["sha256"] == hashlib.sha256(raw).hexdigest()
        except (OSError, ValueError, KeyError, TypeError):
            same = False
        if same:
            kept.append(folder)
        else:
            print(f"left out: {folder} was not trained on {NAMES.name}", file=sys.stderr)
    if not kept:
        raise Problem(f"no model here was trained on data/{NAMES.name}, which this compares with")
    return split_names(raw.decode("utf-8")), kept


# --- real against scrambled ---


def scramble(name, rng):
    """The same letters in another order; Problem where there is none."""
    if len(set(name)) < 2:
        raise Problem(f"{name!r} has no other order: give names of different letters")
    letters = list(name)
    while "".join(letters) == name:
        rng.shuffle(letters)
    return "".join(letters)


def compare_scrambled(answers):
    """Return {"real", "scrambled", "likelier"}: the mean over names of their mean losses, and the
    share of names that are likelier than their scrambled form. answers: all real ones, then theirs.
    """
    means = [number(answer["mean"]) for answer in answers]
    n = len(means) // 2
    likelier = sum(a < b for a, b in zip(means[:n], means[n:])) / n
    return {"real": sum(means[:n]) / n, "scrambled": sum(means[n:]) / n, "likelier": likelier}


def show_scrambled(console, out, folders, names, count=200):
    """Print the comparison for these names, or for `count` names of the val split if none."""
    rng, what = random.Random(SEED), f"{len(names)} of yours"
    if not names:
        splits, folders = only_default(out, folders)
        val = [name for name in splits["val"] if len(set(name)) > 1]
        names, what = rng.sample(val, count), f"{count} drawn from val"
    shuffled = [scramble(name, rng) for name in names]
    answers = ask_all(out, folders, ["--", *names, *shuffled])
    table = Table(box=None, padding=(0, 2, 0, 0))
    for header in ("model", "real", "scrambled", "real likelier"):
        table.add_column(header, justify="left" if header == "model" else "right")
    for folder, answer in answers.items():
        row = compare_scrambled(answer)
        numbers = (f"{row['real']:.3f}", f"{row['scrambled']:.3f}", f"{row['likelier']:.1%}")
        table.add_row(*map(Text, (folder, *numbers)))
    console.print(f"Names: {what}. Loss in nats per character, the mean over names.\n")
    console.print(table)
    pairs = ", ".join(f"{a} as {b}" for a, b in list(zip(names, shuffled))[:5])
    console.print(f"\nScrambled: {pairs}{', ...' if len(names) > 5 else ''}")


# --- temperatures ---


def describe(samples, train, everything):
    """What one temperature brought, as a dict. train, everything: sets of names."""
    n = len(samples)
    return {
        "samples": n,
        "mean_length": sum(map(len, samples)) / n,
        "distinct": len(set(samples)),
        "in_train": sum(name in train for name in samples) / n,
        "in_data": sum(name in everything for name in samples) / n,
        "first": samples[:10],
    }


def show_temperatures(console, out, folders, count):
    """Print what `count` samples at each temperature are like, and keep it as JSON in out/score."""
    splits, folders = only_default(out, folders)
    train, everything = set(splits["train"]), set(sum(splits.values(), []))
    flags = ["--sample", count, "--seed", SEED, "--temperature", *TEMPERATURES]
    answers = ask_all(out, folders, flags)
    rows = [
        {"model": f, "temperature": a["temperature"], **describe(a["samples"], train, everything)}
        for f, by_temperature in answers.items()
        for a in by_temperature
    ]
    table = Table(box=None, padding=(0, 2, 0, 0))
    headers = ("model", "temperature", "mean\nlength", "distinct", "in train", "in data", "first")
    for header in headers:
        table.add_column(header, justify="left" if header in ("model", "first") else "right")
    last = ""
    for row in rows:
        shares = f"{row['mean_length']:.2f}", f"{row['distinct']:,}"
        shares += f"{row['in_train']:.1%}", f"{row['in_data']:.1%}"
        cells = (row["model"] if row["model"] != last else "", f"{row['temperature']}", *shares)
        table.add_row(*map(Text, (*cells, ", ".join(row["first"][:3]))))
        last = row["model"]
    console.print(f"{count} samples from each model at each temperature.\n")
    console.print(table)
    console.print(
        "\nin train: the share that stands in the training set, copied rather than invented; "
        "in data: in train, val or test."
    )
    path = out / "score" / "temperatures.json"
    content = {"dataset": NAMES.name, "seed": SEED, "samples": count, "rows": rows}
    write_atomically(path, json.dumps(content, indent=1, ensure_ascii=False) + "\n")
    console.print(f"written to {path}")


def main():
    parser = argparse.ArgumentParser(
        prog="score", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("words", nargs="*", metavar="[STAGES] TEXT", help="stages 2 to 6, texts")
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--scrambled", action="store_true", help="against the same letters shuffled")
    how.add_argument("--temperatures", action="store_true", help="compare samples; takes no text")
    parser.add_argument("--from", dest="out", type=Path, default=ROOT / "out", help="default: out")
    parser.add_argument("--samples", type=int, default=500, help="at each temperature, 200 or more")
    args = parser.parse_intermixed_args()
    console = Console(markup=False, emoji=False, highlight=False)
    console.width = console.width if console.is_terminal else 120
    try:
        stages, texts = read_words(args.words)
        folders, missing = find_models(args.out, stages)
        if args.temperatures or args.scrambled:
            folders = [folder for folder in folders if folder != RUNNING_TEXT]
            missing = [stage for stage in missing if stage != RUNNING_TEXT]
            if not folders:
                raise Problem(f"{RUNNING_TEXT} knows no names; give a trained one of stages 2 to 5")
        if args.temperatures:
            if texts:
                raise Problem(f"--temperatures draws samples: {texts[0]!r} has no place there")
            if not 200 <= args.samples <= 10**6:
                raise Problem(f"--samples {args.samples} is out of range: give 200 to 1000000")
            show_temperatures(console, args.out, folders, args.samples)
        elif args.scrambled:
            show_scrambled(console, args.out, folders, texts)
        elif texts:
            compare_models(console, args.out, folders, texts)
        else:
            raise Problem("which text? For example: python run.py score emma")
    except Problem as problem:
        print(f"score: {problem}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    if missing:
        print(f"Not trained yet: {', '.join(f'{s} (make stage {int(s[:2])})' for s in missing)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
