"""Rerun published numbers and compare them with ours.

    python3 run.py published                  the quick checks, one minute
    python3 run.py published --long           also the long trainings, and those for a GPU with CUDA
    python3 run.py published mlp wavenet      only these checks

The result of a check is kept in out/published/NAME.json. A finished check runs again only with
--again. After Ctrl-C the same command continues, even in the middle of a lecture's training.
"""

import json
import math
import os
import platform
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from importlib.metadata import version
from pathlib import Path

from stages import ROOT, load_stage

from rich.console import Console
from rich.table import Table
from rich.text import Text

from atomic_write import write_atomically
from command_line import Parser, fail, run_tool
from visible import visible

OUT = ROOT / "out" / "published"
INTERRUPTED = 130  # the exit status of a run after Ctrl-C


class Failed(Exception):
    """A check could not run. The message says why in one line."""


@dataclass(frozen=True)
class Number:
    """A published number or text, and how far ours may differ from it."""

    label: str
    published: float | str
    tolerance: float = 0.0  # the largest difference that passes; a text must be equal

    def passes(self, ours):
        if isinstance(self.published, str) or not isinstance(ours, (int, float)):
            return ours == self.published
        slack = 1e-9  # because 2.18 - 2.17 is slightly more than 0.01 in binary
        return math.isfinite(ours) and abs(ours - self.published) <= self.tolerance + slack


@dataclass(frozen=True)
class Check:
    """A publication, its numbers, and the function that measures ours."""

    name: str
    what: str
    source: str  # title
    url: str
    numbers: tuple[Number, ...]
    measure: Callable[[Path], dict]  # a folder for its files -> {label: our number}, and others
    kind: str = "quick"  # quick, long or gpu

    def passes(self, ours):
        return all(number.passes(ours.get(number.label)) for number in self.numbers)


# --- measuring ---


def run_child(*command, **options):
    """Run a Python child to its end. Failed for a bad status, KeyboardInterrupt after Ctrl-C."""
    previous_handler = signal.signal(signal.SIGINT, lambda *_: None)  # the child handles it
    env = {**os.environ, "PYTHONUTF8": "1", "PYTHONUNBUFFERED": "1"}
    try:
        words = [sys.executable, *map(str, command)]
        done = subprocess.run(words, env=env, encoding="utf-8", **options)
    finally:
        signal.signal(signal.SIGINT, previous_handler)
    if done.returncode in (INTERRUPTED, -signal.SIGINT):
        raise KeyboardInterrupt
    if done.returncode:
        raise Failed(f"{command[0]} ended with status {done.returncode}")
    return done.stdout


def run_stage(script, out, *flags):
    """Run a script, show what it prints, and return the result.json that it writes into `out`."""
    run_child(ROOT / script, *flags, "--out", out)
    (path,) = out.rglob("result.json")
    return json.loads(path.read_text(encoding="utf-8"))


def run_once(script, out, *flags):
    """As run_stage(), but go on with a training that was stopped, and repeat no finished one."""
    path = out / "result.json"
    if path.exists():
        result = json.loads(path.read_text(encoding="utf-8"))
        if not result["interrupted"]:
            return result
    stopped = any(out.glob("checkpoint*"))
    return run_stage(script, out, *flags, *(["--resume"] if stopped else []))


def makemore():
    """The path of makemore's 32,033 names. Fetches them if they are missing."""
    path = ROOT / "data" / "makemore.txt"
    if not path.exists():
        run_child(ROOT / "data" / "prepare.py", "makemore")
    return path


def eurekalabs(folder):
    """Write EurekaLabs' train.txt, val.txt and test.txt, made from makemore's names as they did.

    Python's random numbers decide, so a name that the list has twice may land in two splits. The
    last line of the list has no line end, so in train.txt two names became one, zzyzxasani.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lines = makemore().read_text(encoding="utf-8").splitlines(keepends=True)
    random.Random(42).shuffle(lines)
    for split, part in (
        ("test", lines[:1000]), ("val", lines[1000:2000]), ("train", lines[2000:]),
    ):  # fmt: skip
        (folder / f"{split}.txt").write_text("".join(part), encoding="utf-8", newline="\n")
    return folder


def micrograd(out):
    """The example in the README of micrograd, computed by the engine of stage 01."""
    Value = load_stage("01_micrograd", "engine").Value
    a, b = Value(-4.0), Value(2.0)
    c, d = a + b, a * b + b**3
    c = c + c + 1
    c = c + 1 + c - a
    d = d + d * 2 + (b + a).relu()
    d = d + 3 * d + (b - a).relu()
    f = (c - d) ** 2
    g = f / 2.0 + 10.0 / f
    g.backward()
    return {"g": g.data, "dg/da": a.grad, "dg/db": b.grad}


def bigram_counts(out):
    result = run_stage("02_bigram_counts/main.py", out, "--data", makemore())
    return {"loss": result["whole_file_unsmoothed"]}


def bigram_learned(out):
    """Gradient descent on all pairs at once, learning rate 50, from the lecture's first weights.

    The mean over all pairs is computed over the 27 x 27 different ones, weighted by their counts.
    """
    import torch  # here, because it is slow to import and most checks do not need it

    names = makemore().read_text(encoding="utf-8").split()
    ids = {ch: i for i, ch in enumerate("." + "".join(sorted(set("".join(names)))))}
    pairs = torch.tensor([(ids[a], ids[b]) for n in names for a, b in zip("." + n, n + ".")])
    share = torch.bincount(pairs[:, 0] * 27 + pairs[:, 1], minlength=729).view(27, 27) / len(pairs)

    def train(steps, pull):
        generator = torch.Generator().manual_seed(2147483647)
        W = torch.randn((27, 27), generator=generator, requires_grad=True)
        for step in range(steps + 1):
            loss = -(share * W.log_softmax(dim=1)).sum() + pull * (W**2).mean()
            if step < steps:
                (gradient,) = torch.autograd.grad(loss, W)
                W.data -= 50 * gradient
        return loss.item()

    return {"loss after 1,000 steps": train(1000, 0), "loss + 0.01 mean W²": train(300, 0.01)}


def microgpt(out):
    """The loss of the last name alone is only in what the run prints."""
    command = (ROOT / "05_microgpt" / "main.py", "--published", "--out", out)
    printed = run_child(*command, stdout=subprocess.PIPE)
    print(printed, flush=True)
    (last,) = re.findall(r"^step 1,000 / 1,000 \| loss (\S+)$", printed, re.M)
    (samples,) = re.findall(r"^samples: (.+)$", printed, re.M)
    return {"last loss": float(last), "first samples": ", ".join(samples.split(", ")[:5])}


def first_microgpt(out):
    """As published, and with the bug mended: gradients inside the graph cleared in between."""
    ours = {}
    for how, flags in (("", ()), ("mended, ", ("--mended",))):
        command = (ROOT / "extras" / "first_microgpt.py", "--data", makemore(), *flags)
        printed = run_child(*command, stdout=subprocess.PIPE)
        print(printed, flush=True)
        for step, loss in re.findall(r"^step +(\d+) / 100 \| loss (\S+)$", printed, re.M):
            if int(step) >= 98 or (int(step) <= 3 and not how):
                ours[f"{how}loss at step {step}"] = float(loss)
        (ours[f"{how}samples"],) = re.findall(r"^samples: (.+)$", printed, re.M)
    return ours


def lecture(variant):
    def measure(out):
        data = makemore()
        flags = ["--variant", variant, "--data", data]
        result = run_stage("extras/makemore_lectures.py", out, *flags)
        loss, leak = result["loss"], result["leak"]
        return {
            "train": loss["train"],
            "val": loss["val"],
            "share of val names in train": leak["share_of_val_names"],
            "val, names not in train": leak["val_loss_without"],
        }

    return measure


def eurekalabs_ngram(out):
    """Theirs, and better smoothed ones on the same splits."""
    data = eurekalabs(out / "splits")
    result = run_stage("extras/eurekalabs_ngram.py", out / "ngram", "--data", data)
    chosen, leak, longest = result["chosen"], result["leak"], result["kneser_ney"]["6"]
    return {
        "chosen on val": f"{chosen['n']}-gram, smoothing {chosen['smoothing']}",
        **result["loss"],
        "share of test names in train": leak["share_of_test_names"],
        "test, names not in train": leak["test_loss_without"],
        "test, each name on its own": result["each_name_alone"]["test"],
        "Kneser-Ney 4-gram, test": result["kneser_ney"]["4"]["test"],
        "Kneser-Ney 4-gram, test, names not in train": result["kneser_ney"]["4"]["test_without"],
        "Kneser-Ney 6-gram, test": longest["test"],
        "Kneser-Ney 6-gram, test, names not in train": longest["test_without"],
    }


def eurekalabs_mlp(out):
    """Theirs, and stage 04's with a context of 8 on the same splits."""
    data, place = eurekalabs(out / "splits"), out / "stage04"
    result = run_once("extras/eurekalabs_mlp.py", out / "mlp", "--data", data)
    flags = ["--data", data, "--block-size", 8]
    ours = run_once("04_embedding_mlp/main.py", place, *flags)
    stage, names = load_stage("04_embedding_mlp"), load_stage("04_embedding_mlp", "names")
    model, splits = stage.load(place), names.load_splits(data)
    known = set(splits["train"])
    unseen = [doc for doc in splits["test"] if doc not in known]
    return {
        "val": result["loss"]["val"],
        "test": result["loss"]["test"],
        "share of test names in train": result["leak"]["share_of_test_names"],
        "test, names not in train": result["leak"]["test_loss_without"],
        "stage 04, context 8, test": ours["loss"]["test"],
        "stage 04, context 8, test, names not in train": stage.evaluate(
            model, *stage.contexts(unseen, model.tokenizer, 8)
        ),
    }


def makemore_transformer(out):
    """The version of makemore that the README's loss is from, and the last one, with the same."""
    ours = {}
    for preset, prefix in (("first", ""), ("last", "last version: ")):
        flags = ["--preset", preset, "--data", makemore()]
        result = run_once("extras/makemore_transformer.py", out / preset, *flags)
        leak = result["leak"]
        ours |= {
            f"{prefix}lowest test loss": result["loss"]["test"],
            f"{prefix}after how many steps": result["best_step"],
            f"{prefix}share of test names in train": leak["share_of_test_names"],
            f"{prefix}the same weights, names not in train": leak["test_loss_without"],
            f"{prefix}these, steps chosen on other names": leak["chosen_on_the_other_half"],
            f"{prefix}after {result['steps']:,} steps": result["last"]["test"],
            f"{prefix}these, names not in train": leak["last_test_loss_without"],
        }
    return ours


def nanogpt_cpu(out):
    result = run_stage("06_shakespeare_gpt/main.py", out, "--preset", "nanogpt-cpu")
    return {"val": result["loss"]["val"]}


def nanogpt_gpu(out):
    flags = ["--preset", "lecture", "--device", "cuda"]
    result = run_stage("06_shakespeare_gpt/main.py", out, *flags)
    best = result["best"]["val"]
    return {"best val": best, "best val, lecture": best}


# --- the checks ---

NOTEBOOKS = "https://github.com/karpathy/nn-zero-to-hero/blob/master/lectures/makemore"
PART3 = ("Building makemore Part 3, notebook, loss log", f"{NOTEBOOKS}/makemore_part3_bn.ipynb")
NANOGPT = ("nanoGPT, README", "https://github.com/karpathy/nanoGPT")


def part3(name, variant, what, train, val):
    """A check of a network of Part 3.

    The same seed gives the same batches. But 200,000 steps magnify differences in rounding, so a
    loss may differ by 0.01 between versions and machines.
    """
    numbers = (Number("train", train, 0.01), Number("val", val, 0.01))
    return Check(name, what, *PART3, numbers, lecture(variant), "long")


CHECKS = (
    Check(
        "micrograd", "worked example", "micrograd, README", "https://github.com/karpathy/micrograd",
        (
            Number("g", 24.7041, 5e-5),  # four decimals are printed
            Number("dg/da", 138.8338, 5e-5),
            Number("dg/db", 645.5773, 5e-5),
        ),
        micrograd,
    ),
    Check(
        "counts", "bigrams, all names, unsmoothed",
        "The spelled-out intro to language modeling: building makemore (lecture)",
        "https://www.youtube.com/watch?v=PaCmpygFfXo",
        (Number("loss", 2.454, 5e-4),),
        bigram_counts,
    ),
    Check(
        # The notebook does not say after how many steps it printed 2.4818; the loss ends at 2.4804.
        "bigram", "the same by gradient descent", "Building makemore Part 1, notebook",
        f"{NOTEBOOKS}/makemore_part1_bigrams.ipynb",
        (
            Number("loss after 1,000 steps", 2.454, 0.005),
            Number("loss + 0.01 mean W²", 2.4818, 0.002),
        ),
        bigram_learned,
    ),
    Check(
        "microgpt", "1,000 steps of one name each", "microgpt",
        "https://karpathy.github.io/2026/02/12/microgpt/",
        (
            Number("last loss", 2.6497, 5e-5),
            Number("first samples", "kamon, ann, karai, jaire, vialan"),
        ),
        microgpt,
    ),
    Check(
        # Its gradients were wrong; exercises/museum/first-microgpt.toml explains why.
        "first-microgpt", "100 steps, with its bug",
        "microgpt, first published version, demo log, February 2026",
        "https://gist.github.com/karpathy/8627fe009c40f57531cb18360106ce95",
        (
            Number("loss at step 1", 3.3325, 5e-5),
            Number("loss at step 2", 3.3320, 5e-5),
            Number("loss at step 3", 3.3306, 5e-5),
            Number("loss at step 98", 3.0563, 5e-5),
            Number("loss at step 99", 2.6571, 5e-5),
            Number("loss at step 100", 3.6758, 5e-5),
            Number("samples", "peino, hwl, lsg, eisddr, tnrdjbk"),
        ),
        first_microgpt,
    ),
    part3("mlp", "original", "MLP, context 3", 2.1245, 2.1682),  # Part 2: 2.1260, 2.1701
    part3("mlp-softmax", "softmax", "less sure at the start", 2.07, 2.13),
    part3("mlp-tanh", "tanh", "tanh not saturated", 2.0356, 2.1027),
    part3("mlp-kaiming", "kaiming", "the same by Kaiming's formula", 2.0377, 2.1070),
    part3("mlp-batchnorm", "batchnorm", "BatchNorm before tanh", 2.0668, 2.1048),
    Check(
        "wavenet", "tree of 3 levels, context 8", "Building makemore Part 5, notebook",
        f"{NOTEBOOKS}/makemore_part5_cnn1.ipynb",
        (Number("train", 1.7690, 0.01), Number("val", 1.9937, 0.01)),
        lecture("wavenet"), "long",
    ),
    Check(
        "eurekalabs-ngram", "4-gram on one tape of names", "EurekaLabs' ngram, README",
        "https://github.com/EurekaLabsAI/ngram",
        (
            Number("chosen on val", "4-gram, smoothing 0.1"),
            Number("train", 1.9028, 5e-5),
            Number("val", 2.1118, 5e-5),
            Number("test", 2.10637, 1e-5),
        ),
        eurekalabs_ngram,
    ),
    Check(
        # Its README says "currently seeing val loss 2.06", of one run.
        "eurekalabs-mlp", "MLP on one tape of names, context 3", "EurekaLabs' mlp, README",
        "https://github.com/EurekaLabsAI/mlp",
        (Number("val", 2.06, 0.01),),
        eurekalabs_mlp, "long",
    ),
    Check(
        # The README says "~1.92" since June 2022, and not after how many steps. In August 2022,
        # makemore lost its dropout, and the README kept the number.
        "transformer", "GPT, 4 layers, best of its looks at test", "makemore, README",
        "https://github.com/karpathy/makemore/tree/054568e",
        (Number("lowest test loss", 1.92, 0.02),),
        makemore_transformer, "long",
    ),
    Check(
        # nanoGPT averages 20 random batches at its end, which alone moves the number by 0.02.
        "nanogpt-cpu", "GPT, 4 layers, 2,000 steps", *NANOGPT,
        (Number("val", 1.88, 0.02),),
        nanogpt_cpu, "long",
    ),
    Check(
        # The lecture trains the same network at a lower rate, and says "1.48".
        "nanogpt-gpu", "GPT, 6 layers, 5,000 steps",
        "nanoGPT, README; Let's build GPT (lecture, youtube.com/watch?v=kCc8FmEb1nY)", NANOGPT[1],
        (Number("best val", 1.4697, 0.02), Number("best val, lecture", 1.48, 0.03)),
        nanogpt_gpu, "gpu",
    ),
)  # fmt: skip


# --- keeping ---


def read_record(check, out):
    """The record of an earlier run, {"ours", "seconds", ...}, or None if the check has to run."""
    try:
        record = json.loads((out / f"{check.name}.json").read_text(encoding="utf-8"))
        complete = all(number.label in record["ours"] for number in check.numbers)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return record if complete else None


def write_record(check, ours, seconds, out):
    record = {
        "schema": 1,
        "name": check.name,
        "what": check.what,
        "source": check.source,
        "url": check.url,
        "published": {number.label: number.published for number in check.numbers},
        "tolerance": {number.label: number.tolerance for number in check.numbers},
        "ours": ours,
        "passed": check.passes(ours),
        "seconds": round(seconds, 1),
        "environment": {"python": platform.python_version(), "torch": version("torch")},
    }
    content = json.dumps(record, indent=2, ensure_ascii=False) + "\n"
    write_atomically(out / f"{check.name}.json", content)


def run_check(check, out):
    """Measure and keep the record. Raises Failed and KeyboardInterrupt."""
    out.mkdir(parents=True, exist_ok=True)
    start = time.perf_counter()
    try:
        ours = check.measure(out / check.name)
    except (OSError, ValueError, KeyError) as error:  # the result is missing or different
        raise Failed(f"{type(error).__name__}: {error}") from error
    write_record(check, ours, time.perf_counter() - start, out)


def expected_seconds(check):
    """How long the check took for the committed results; 0 if it is not in them."""
    record = read_record(check, ROOT / "results" / "published")
    return record["seconds"] if record else 0


def forget(check, out):
    """Delete everything that an earlier run left, with its checkpoints."""
    (out / f"{check.name}.json").unlink(missing_ok=True)
    shutil.rmtree(out / check.name, ignore_errors=True)


# --- showing ---


def shown(value):
    """A measured value. Losses have four decimals in every publication."""
    if isinstance(value, float):
        return f"{value:.4f}"
    return "none" if value is None else visible(str(value))


def plain(value):
    """A published value or a tolerance without trailing zeros: 2.454, 0.00005."""
    return value if isinstance(value, str) else f"{value:.5f}".rstrip("0").rstrip(".")


def rows(check, ours):
    """A row (number, published, ours, tolerance, verdict) for each number of a check.

    The verdict uses today's tolerance. Other numbers that were measured come last, without one.
    """
    for number in check.numbers:
        tolerance = plain(number.tolerance) if number.tolerance else "equal"
        good = number.passes(ours[number.label])
        verdict = Text("pass", "green") if good else Text("FAIL", "bold red")
        yield number.label, plain(number.published), shown(ours[number.label]), tolerance, verdict
    published = {number.label for number in check.numbers}
    for label, value in ours.items():
        if label not in published:
            yield label, "", shown(value), "", ""


def report(checks, failures, out, console):
    """Print what is known about `checks`. Returns whether all of it is good."""
    records = [(check, read_record(check, out)) for check in checks]
    records = [(check, record) for check, record in records if record is not None]
    sources = list(dict.fromkeys((check.source, check.url) for check, _ in records))
    table = Table(box=None, pad_edge=False, header_style="", padding=(0, 2, 0, 0))
    for name in ("check", "number", "published", "ours", "tolerance", "verdict", "source"):
        right = name in ("published", "ours", "tolerance")
        table.add_column(name, justify="right" if right else "left")
    for check, record in records:
        first, last = f"{check.name}: {check.what}", sources.index((check.source, check.url)) + 1
        for cells in rows(check, record["ours"]):
            table.add_row(first, *cells, f"({last})" if first else "")
            first = ""
    console.print()
    if records:
        console.print(table)
        console.print()
    for number, (title, url) in enumerate(sources, 1):
        console.print(f"({number}) {title}: {url}", soft_wrap=True)
    for name, problem in failures.items():
        console.print(f"{name} could not run: {visible(problem)}", soft_wrap=True)
    done = {check.name for check, _ in records}
    hints = {"quick": "", "long": " (--long)", "gpu": " (--long, on a GPU with CUDA)"}
    if missing := [c.name + hints[c.kind] for c in checks if c.name not in done]:
        console.print(f"Not run: {', '.join(missing)}", soft_wrap=True)
    return not failures and all(check.passes(record["ours"]) for check, record in records)


# --- main ---


def has_cuda():
    import torch  # slow to import

    return torch.cuda.is_available()


def select(names, long):
    """The checks to run, in order. ValueError for an unknown name."""
    known = {check.name: check for check in CHECKS}
    for name in names:
        if name not in known:
            raise ValueError(f"there is no check {name!r}; the checks are {', '.join(known)}")
    kinds = {"quick", "long", "gpu"} if long else {"quick"}
    chosen = [c for c in CHECKS if (c.name in names if names else c.kind in kinds)]
    if any(check.kind == "gpu" for check in chosen) and not has_cuda():
        if any(known[name].kind == "gpu" for name in names):
            raise ValueError("nanogpt-gpu needs a GPU with CUDA, but PyTorch finds none")
        chosen = [check for check in chosen if check.kind != "gpu"]
    return chosen


def main(words=None, out=OUT):
    parser = Parser(prog="published", description="Published numbers and ours.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="only these checks")
    parser.add_argument("--long", action="store_true", help="also the trainings that take minutes")
    parser.add_argument("--again", action="store_true", help="repeat finished checks")
    args = parser.parse_args(words)
    try:
        chosen = select(args.names, args.long)
    except ValueError as error:
        return fail("published", str(error))
    console = Console(markup=False, emoji=False, highlight=False)
    console.width = console.width if console.is_terminal else 120
    failures = {}
    todo = [check for check in chosen if args.again or read_record(check, out) is None]
    try:
        for number, check in enumerate(todo):
            left = timedelta(seconds=round(sum(map(expected_seconds, todo[number:]))))
            title = f"{number + 1} of {len(todo)}: {check.name}: {check.what}"
            console.print(f"\n=== {title}; about {left} left (hours:minutes:seconds)")
            if args.again:
                forget(check, out)
            try:
                run_check(check, out)
            except Failed as error:
                failures[check.name] = str(error)
    except KeyboardInterrupt:
        report(chosen, failures, out, console)
        console.print("stopped; the same command continues")
        return INTERRUPTED
    return 0 if report(chosen if args.names else CHECKS, failures, out, console) else 1


if __name__ == "__main__":
    run_tool("published", main)
