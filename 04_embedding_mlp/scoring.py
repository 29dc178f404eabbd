"""What every score.py does alike: its flags, the loss of each character, the table and the JSON.

Word for word the same file in stages 02 to 06, so that each stage stands alone.
"""

import json
import math
import sys
from argparse import Namespace
from pathlib import Path

import plumbing
from plumbing import ROOT, STAGE, BadInput

END = "<end>"  # of a name; longer than a character, so it cannot be one


def read_flags(description):
    """The Namespace of the command line. BadInput names a flag that is out of range."""
    parser = plumbing.OneLineParser(description=description, allow_abbrev=False)
    add, out = parser.add_argument, ROOT / "out" / STAGE
    add("text", nargs="*", help="what to score; without any, or with -, it comes from stdin")
    add("--out", type=Path, default=out, help=f"folder that main.py wrote to (default: {out})")
    add("--json", action="store_true", help="one line of JSON for each text or temperature")
    add("--sample", type=int, metavar="N", help="draw N samples instead and print one a line")
    add("--temperature", type=float, nargs="+", default=[1.0], help="of the samples (default: 1)")
    add("--seed", type=int, default=42, help="of the samples (default: 42)")
    flags = parser.parse_args()
    plumbing.check_ranges(flags, seed=(0, 2**32 - 1))
    if flags.sample is not None:
        plumbing.check_ranges(flags, sample=(1, 10**6))
        if flags.text:
            raise BadInput(f"--sample takes no text, and {flags.text[0]!r} was given: drop one")
    for temperature in flags.temperature:
        plumbing.check_ranges(Namespace(temperature=temperature), temperature=(0.01, 100))
    return flags


def read_texts(texts, whole):
    """Yield the texts of the command line; if none or - is given, stdin: its lines or the whole."""
    if texts not in ([], ["-"]):
        yield from texts
        return
    sys.stdin.reconfigure(encoding="utf-8-sig", errors="replace")
    if sys.stdin.isatty():
        print("what to score? Type it here and end with Ctrl-D (Windows: Ctrl-Z)", file=sys.stderr)
    yield from [sys.stdin.read()] if whole else filter(None, map(str.strip, sys.stdin))


def score(model, predict, text):
    """{"model", "text", "chars", "losses", "mean", "others"} of one text.

    losses: -log P of each scored character, in nats. others: next to each, the likeliest character
    that did not come, and its P. predict(model, text) yields (what came, {what could: log P}).
    """
    if unknown := set(text) - set(model.chars):
        raise BadInput(f"{min(unknown)!r} is a character that {model.name} has never seen")
    chars, losses, others = [], [], []
    for ch, log_probs in predict(model, text):
        other = max((c for c in log_probs if c != ch), key=log_probs.get, default=ch)
        chars.append(ch)
        losses.append(-log_probs[ch])
        others.append([other, math.exp(log_probs[other])])
    numbers = {"losses": losses, "mean": sum(losses) / len(losses), "others": others}
    return {"model": model.name, "text": text, "chars": chars, **numbers}


def visible(ch):
    return ch if ch.isprintable() and ch != " " else repr(ch)


def show(scores):
    """Print what score() returned as a table."""
    print(f"{scores['text']!r} under {scores['model']}")
    print("           P       -log P  likeliest other")
    for ch, loss, (other, p) in zip(scores["chars"], scores["losses"], scores["others"]):
        print(f"  {visible(ch):7}{math.exp(-loss):8.4f}{loss:9.4f}  {visible(other):7}{p:.4f}")
    print(f"  mean           {scores['mean']:9.4f}  nats per character\n")


def main(doc, load, predict, draw, whole=False):
    """Score texts, or draw samples. whole: stdin is one text, not a list of lines.

    load(folder) returns a model with a name and its chars, which predict(model, text) and
    draw(model, n, temperature, seed) are given; draw returns n samples, none with a line end.
    """
    flags = read_flags(doc.splitlines()[0])
    try:
        model = load(flags.out)
    except Exception as error:  # torch.load has no one error of its own for files of another kind
        message = f"--out {flags.out} holds no checkpoint of this stage: run main.py first"
        raise BadInput(message) from error
    if flags.sample is None:
        for text in read_texts(flags.text, whole):
            scores = score(model, predict, text)
            print(json.dumps(plumbing.finite(scores)), flush=True) if flags.json else show(scores)
        return 0
    for temperature in flags.temperature:
        samples = draw(model, flags.sample, temperature, flags.seed)
        drawn = {"model": model.name, "temperature": temperature, "samples": samples}
        print(json.dumps(drawn) if flags.json else "\n".join(samples), flush=True)
    return 0
