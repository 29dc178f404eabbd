"""How much each character of a text surprises every trained model, side by side.

    score [STAGES] TEXT...                such as: score emma, score 4 5 emma olivia
    score [STAGES] --scrambled [TEXT...]  real names against the same letters shuffled
    score [STAGES] --temperatures         what a lower or higher temperature changes

NAME=emma also means the text emma. A stage also means the modern GPT that extras/ trained on its
data.
"""

import argparse
import json
import math
import random
import re
import sys
import unicodedata
from contextlib import suppress
from pathlib import Path

from stages import ROOT, load_stage

from rich.console import Console
from rich.table import Table
from rich.text import Text

from atomic_write import write_atomically
from command_line import Parser, fail, run_tool
from progress_bar import track
from trained_models import MODELS, NoModel, has_model, how_to_train, load_model
from visible import visible

NAMES = ROOT / "data" / "names.txt"
TEXT_MODELS = [folder for folder in MODELS if folder != "01_micrograd"]
RUNNING_TEXT = "06_shakespeare_gpt"  # its models know no names, and no end of a text
TEMPERATURES = (0.2, 0.5, 0.8, 1.0, 1.3)
SEED = 42  # of the choice of names, their scrambling and the samples
# In nats: P above 0.37 is no surprise, below 0.14 a surprise, and below 0.018 a great one.
STYLES = ((1, "green"), (2, ""), (4, "yellow"), (math.inf, "red"))


class Problem(ValueError):
    """The user asked for something impossible. The message says why and what to do."""


def reads_running_text(folder):
    return folder.split("/")[0] == RUNNING_TEXT


# ---- the command line ------------------------------------------------------------------------
def read_words(words):
    """Return (stages, texts): leading numbers or folders name stages, the other words are texts."""
    stages, texts = [], []
    folders = {folder.split("/")[0] for folder in TEXT_MODELS}
    for word in words:
        name, equals, text = word.partition("=")
        if equals and name == "NAME":
            texts += [text] if text else []  # make passes an empty one if none was given
        elif not texts and word in folders:
            stages.append(word)
        elif not texts and word.isdecimal():
            number = word.lstrip("0").zfill(2)  # not int(), which refuses thousands of digits
            found = [folder for folder in folders if folder[:2] == number]
            if not found:
                problem = f"stage {word} has no texts to score"
                raise Problem(f"{problem}; give 2 to 6, or NAME={word} for the text {word!r}")
            stages += found
        else:
            texts.append(word)
    return stages, texts


def find_models(out, stages):
    """Return (folders, missing): the models of these stages in `out`, and the stages without one.

    No stages means all. Raises Problem if there is no model at all.
    """
    wanted = [f for f in TEXT_MODELS if not stages or f.split("/")[0] in stages]
    found = [folder for folder in wanted if has_model(out, folder)]
    present = {folder.split("/")[0] for folder in found}
    missing = [folder for folder in wanted if "/" not in folder and folder not in present]
    if not found:
        first = missing[0]
        raise Problem(f"{out} has no trained model: {how_to_train(first)} trains {first}")
    return found, missing


# ---- asking the models -----------------------------------------------------------------------
def ask_all(out, folders, parts, question):
    """Ask each model about each part. -> {folder: [question(module, model, part), ...]}

    A model that cannot answer is left out with a line on stderr. Raises Problem if none can.
    """
    models, answers, problems = {}, {}, {}
    jobs = [(folder, part) for folder in folders for part in parts]
    for folder, part in track(jobs, lambda job: f"{job[0]}, {visible(str(job[1])[:30])}"):
        if folder in problems:
            continue
        try:
            if folder not in models:
                models[folder] = load_model(out, folder)
            answers.setdefault(folder, []).append(question(*models[folder], part))
        except (Problem, NoModel) as problem:
            problems[folder] = problem
            answers.pop(folder, None)
    lines = [f"{folder}: {problem}" for folder, problem in problems.items()]
    if not answers:
        raise Problem(f"no model can answer; the first says: {lines[0]}")
    for line in lines:
        print(f"left out: {line}", file=sys.stderr)
    return answers


def score(module, model, text):
    """-log P of each character of a text and of its end, in nats, as a list.

    A running text has neither a beginning nor an end: only what follows a character has a score.
    """
    chars = set(model.tokenizer.chars)
    for ch in text:
        if ch not in chars:
            problem = f"it has never seen the character {ch!r}"
            if set(text.lower()) <= chars and not any(ch.isupper() for ch in chars):
                problem += f"; all its names are in lower case: give {text.lower()!r}"
            raise Problem(problem)
    followers = model.tokenizer.encode(text)[1:]
    if not followers:
        raise Problem(f"the text {text!r} is too short: give two characters or more")
    rows = module.log_probs(model, text)
    return [-row[token] for row, token in zip(rows, followers)]


def known_forms(out, folders, texts):
    """The texts, each in a form that one of these models can read, if there is one.

    An accent may be part of its letter (NFC), or follow it as a character of its own (NFD).
    """
    if all(text.isascii() for text in texts):
        return texts
    alphabets = []
    for folder in folders:
        with suppress(NoModel):
            _, model = load_model(out, folder)
            alphabets.append(set(model.tokenizer.chars))

    def known_form(text):
        forms = [text, *(unicodedata.normalize(form, text) for form in ("NFC", "NFD"))]
        return next((f for f in forms if any(set(f) <= chars for chars in alphabets)), text)

    return [known_form(text) for text in texts]


def score_all(out, folders, texts):
    """{folder: what score() returns for each text}, for the models that know all characters."""
    return ask_all(out, folders, texts, score)


def mean(numbers):
    return sum(numbers) / len(numbers)


# ---- side by side ----------------------------------------------------------------------------
def surprise(loss, is_highest, wide):
    """The cell of a character: P if there is room, its loss in nats, * if it is the highest."""
    style = next(style for limit, style in STYLES if loss <= limit)
    probability = f"{math.exp(-loss):.3f} " if wide else ""
    return Text(f"{probability}{loss:5.2f}{'*' if is_highest else ' '}", style)


def side_by_side(text, scores, width):
    """A rich Table: a row for each character of the text and its end, a column for each model.

    scores: {folder: what score() returns}. width: columns of the terminal.
    """
    wide = width >= 11 + 13 * len(scores)
    layout = {"title_justify": "left", "box": None, "padding": (0, 1, 0, 0)}
    table = Table(title=Text(repr(text), "bold"), **layout)
    table.add_column("")
    for folder in scores:
        header = re.sub("_.+/", "_", folder).replace("_", "\n")  # "05\ntwin"
        table.add_column(Text(header), justify="right", no_wrap=True)
    rows = [[Text(ch if ch.isprintable() and ch != " " else repr(ch))] for ch in text]
    rows.append([Text("(end)")])
    nats, bits = [Text("mean, nats")], [Text("mean, bits")]
    for losses in scores.values():
        highest = losses.index(max(losses))
        cells = [surprise(loss, i == highest, wide) for i, loss in enumerate(losses)]
        if len(losses) < len(rows):  # a running text: neither its first character nor its end
            cells = [Text("- "), *cells, Text("- ")]
        for row, cell in zip(rows, cells, strict=True):
            row.append(cell)
        nats.append(Text(f"{mean(losses):.2f} "))
        bits.append(Text(f"{mean(losses) / math.log(2):.2f} "))
    for row in [*rows, nats, bits]:
        table.add_row(*row)
    return table


def compare_models(console, out, folders, texts):
    texts = known_forms(out, folders, texts)
    scores = score_all(out, folders, texts)
    for i, text in enumerate(texts):
        of_text = {folder: all_texts[i] for folder, all_texts in scores.items()}
        console.print(side_by_side(text, of_text, console.width))
        console.print()
    console.print("A cell shows P, if there is room, and -log P in nats; * marks the highest.")
    kinds = {reads_running_text(folder) for folder in scores}
    if len(kinds) == 2:
        console.print(
            "06 reads a running text: it scores neither the first character nor an end, so do not "
            "compare its mean with those of the models of names."
        )


# ---- the default data set --------------------------------------------------------------------
def only_default(out, folders):
    """Return (names, folders): {"train", "val", "test"} of data/names.txt as the stages split it,
    and those of the folders whose model was trained on that file.
    """
    splits = load_stage("02_bigram_counts", "names").load_splits(NAMES)
    sha256 = load_stage("02_bigram_counts", "common").read_hashes[NAMES]
    kept = []
    for folder in folders:
        try:
            result = json.loads((out / folder / "result.json").read_text(encoding="utf-8"))
            same = result["dataset"]["sha256"] == sha256
        except (OSError, ValueError, KeyError, TypeError):
            same = False
        if same:
            kept.append(folder)
    others = [folder for folder in folders if folder not in kept]
    if not kept:
        problem = f"{' and '.join(others)} was not trained on {NAMES.name}, which this needs"
        raise Problem(f"{problem}; run the stage with its usual data")
    for folder in others:
        print(f"left out: {folder} was not trained on {NAMES.name}", file=sys.stderr)
    return splits, kept


# ---- real against scrambled ------------------------------------------------------------------
def scramble(name, rng):
    """The same letters in another order. Raises Problem if there is none."""
    if len(set(name)) < 2:
        raise Problem(f"{name!r} has no other order: give names of different letters")
    letters = list(name)
    while "".join(letters) == name:
        rng.shuffle(letters)
    return "".join(letters)


def compare_scrambled(real, scrambled):
    """Two means, and the share of names that are likelier than their scrambled form. -> dict

    real, scrambled: the mean loss of each name.
    """
    likelier = mean([a < b for a, b in zip(real, scrambled)])
    return {"real": mean(real), "scrambled": mean(scrambled), "likelier": likelier}


def show_scrambled(console, out, folders, names, count=200):
    """Print the comparison for these names, or for `count` names of the val split if none."""
    rng, what = random.Random(SEED), f"{len(names)} of yours"
    names = known_forms(out, folders, names)
    if not names:
        splits, folders = only_default(out, folders)
        val = [name for name in splits["val"] if len(set(name)) > 1]
        names, what = rng.sample(val, count), f"{count} drawn from val"
    shuffled = [scramble(name, rng) for name in names]
    table = Table(box=None, padding=(0, 2, 0, 0))
    for header in ("model", "real", "scrambled", "real likelier"):
        table.add_column(header, justify="left" if header == "model" else "right")
    for folder, scores in score_all(out, folders, [*names, *shuffled]).items():
        means = [mean(losses) for losses in scores]
        row = compare_scrambled(means[: len(names)], means[len(names) :])
        numbers = (f"{row['real']:.3f}", f"{row['scrambled']:.3f}", f"{row['likelier']:.1%}")
        table.add_row(*map(Text, (folder, *numbers)))
    console.print(f"Names: {what}. Loss in nats per character, the mean over names.\n")
    console.print(table)
    pairs = ", ".join(f"{a} as {b}" for a, b in list(zip(names, shuffled))[:5])
    console.print(f"\nScrambled: {visible(pairs)}{', ...' if len(names) > 5 else ''}")


# ---- temperatures ----------------------------------------------------------------------------
def draw(module, model, temperature, count):
    """`count` samples, the same ones each time."""
    import torch  # after the model, since the stages set what PyTorch reads when it is imported

    random.seed(SEED)
    torch.manual_seed(SEED)
    return [module.sample(model, temperature) for _ in range(count)]


def describe(samples, train, held_out):
    """What these samples are like, as a dict. train, held_out: sets of names.

    train_per_held_out: how many different names of train were drawn for each one held out, or
    None.
    """
    distinct = set(samples)
    known, unread = len(distinct & train), len(distinct & held_out)
    return {
        "samples": len(samples),
        "mean_length": mean([len(name) for name in samples]),
        "distinct": len(distinct),
        "in_train": mean([name in train for name in samples]),
        "held_out": mean([name in held_out for name in samples]),
        "new": mean([name not in train and name not in held_out for name in samples]),
        "distinct_in_train": known,
        "distinct_held_out": unread,
        "train_per_held_out": known / unread if unread else None,
        "first": samples[:10],
    }


def show_temperatures(console, out, folders, count):
    """Print what `count` samples at each temperature are like, and write it to out/score."""
    splits, folders = only_default(out, folders)
    train = set(splits["train"])
    held_out = {*splits["val"], *splits["test"]} - train

    def describe_samples(module, model, temperature):
        return describe(draw(module, model, temperature, count), train, held_out)

    rows = [
        {"model": folder, "temperature": temperature, **description}
        for folder, answers in ask_all(out, folders, TEMPERATURES, describe_samples).items()
        for temperature, description in zip(TEMPERATURES, answers)
    ]
    table = Table(box=None, padding=(0, 2, 0, 0))
    headers = "model", "temperature", "mean\nlength", "distinct"
    for header in (*headers, "in train", "held out", "new", "first"):
        table.add_column(header, justify="left" if header in ("model", "first") else "right")
    last = ""
    for row in rows:
        cells = (
            row["model"] if row["model"] != last else "", f"{row['temperature']}",
            f"{row['mean_length']:.2f}", f"{row['distinct']:,}",
            f"{row['in_train']:.1%}", f"{row['held_out']:.1%}", f"{row['new']:.1%}",
            visible(", ".join(row["first"][:3])),
        )  # fmt: skip
        table.add_row(*map(Text, cells))
        last = row["model"]
    console.print(f"{count} samples from each model at each temperature.\n")
    console.print(table)
    console.print(
        "\nin train: the share of the samples that are names of the training set; "
        "held out: names of val or test, which no model has read; new: in none of them."
    )
    path = out / "score" / "temperatures.json"
    content = {"dataset": NAMES.name, "seed": SEED, "samples": count, "rows": rows}
    write_atomically(path, json.dumps(content, indent=1, ensure_ascii=False) + "\n")
    console.print(f"written to {visible(str(path))}")


# ---- main ------------------------------------------------------------------------------------
def main():
    parser = Parser(
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
            folders = [folder for folder in folders if not reads_running_text(folder)]
            missing = [stage for stage in missing if stage != RUNNING_TEXT]
            if not folders:
                raise Problem(f"{RUNNING_TEXT} knows no names; give a trained stage from 2 to 5")
        if args.temperatures:
            if texts:
                raise Problem(f"--temperatures takes no text, and {texts[0]!r} was given: drop one")
            if not 200 <= args.samples <= 10**6:
                raise Problem(f"--samples {args.samples} is out of range: give 200 to 1000000")
            show_temperatures(console, args.out, folders, args.samples)
        elif args.scrambled:
            show_scrambled(console, args.out, folders, texts)
        elif texts:
            compare_models(console, args.out, folders, texts)
        else:
            raise Problem("which text? For example: make score NAME=emma")
    except Problem as problem:
        return fail("score", str(problem))
    if missing:
        print(f"Not trained yet: {', '.join(f'{s} ({how_to_train(s)})' for s in missing)}")
    return 0


if __name__ == "__main__":
    run_tool("score", main)
