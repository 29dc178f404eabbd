"""EurekaLabs' n-gram: all names on one tape, a pseudo-count, and settings that are chosen on val.

Same as stage 02: counts, and a pseudo-count for every character.
New here: up to 5 characters in a row, and a tape of names with line ends between them. A context on
the tape does not stop at a line end. So the first letters of a name are predicted from the last
ones of the name before, which have nothing to do with them.
Source: ngram.py and its README, EurekaLabs, 2024, github.com/EurekaLabsAI/ngram.
Run: python extras/eurekalabs_ngram.py
"""

import math
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

from stage_code import ROOT, load_stage

import ngrams

common = load_stage("02_bigram_counts", "common")
names = load_stage("02_bigram_counts", "names")

BOS = ngrams.BOS  # a line end
LENGTHS, SMOOTHINGS = (3, 4, 5), (0.03, 0.1, 0.3, 1.0)  # each pair of them is tried


# ---- config ----------------------------------------------------------------------------------
@dataclass(frozen=True)
class Config:
    data: Path = common.flag(
        ROOT / "data/names.txt", "one name per line, or a folder with train, val and test.txt"
    )
    out: Path = common.flag(common.OUT / "eurekalabs", "folder for result.json")


# ---- data ------------------------------------------------------------------------------------
def make_tape(docs):
    return BOS.join(docs) + BOS


def tape_windows(docs, n):
    """How often each n characters in a row are on the tape of these names."""
    tape = make_tape(docs)
    return Counter(tape[i : i + n] for i in range(len(tape) - n + 1))


def name_windows(docs, n):
    """The same if each name has a tape of its own, which begins with line ends only."""
    windows = Counter()
    for doc in docs:
        tape = BOS * (n - 1) + doc + BOS
        windows.update(tape[i : i + n] for i in range(len(doc) + 1))
    return windows


def unseen_names(splits):
    """The names of test that are not in train."""
    known = set(splits["train"])
    return [doc for doc in splits["test"] if doc not in known]


# ---- model and evaluation --------------------------------------------------------------------
def evaluate(counts, smoothing, vocab_size, windows):
    """Mean of -log P(last character | those before it) over the windows, in nats per character.

    None if there is no window.
    P = (count of the window + smoothing) / (count of its context + smoothing * vocab_size)
    """
    if not windows:
        return None
    contexts = Counter()
    for window, times in counts.items():
        contexts[window[:-1]] += times
    total = 0.0
    for window, times in windows.items():
        context = contexts[window[:-1]] + smoothing * vocab_size
        total += times * math.log((counts[window] + smoothing) / context)
    return -total / sum(windows.values())


def kneser_ney_loss(n, tokenizer, train, *parts):
    """The loss of an n-gram of ngrams.py on each part, each name on its own; None without names."""
    texts = [[BOS + doc + BOS for doc in docs] for docs in (train, *parts)]
    model = ngrams.NGram(ngrams.count_ngrams(texts[0], n), n, "kneser-ney", tokenizer)
    return [ngrams.evaluate(model, part) if part else None for part in texts[1:]]


# ---- main ------------------------------------------------------------------------------------
def main():
    config = common.parse_flags(Config, __doc__)
    splits = names.load_splits(config.data)
    for part, docs in splits.items():
        if len(make_tape(docs)) < max(LENGTHS):
            raise common.BadInput(f"--data {config.data}: {part} is too short; give more lines")
    common.prepare_out(config.out)
    tokenizer = names.Tokenizer(sum(splits.values(), []))
    vocab_size = tokenizer.vocab_size
    common.stop.training_began = True
    tried, began = [], time.perf_counter()
    for n in LENGTHS:
        windows = {part: tape_windows(docs, n) for part, docs in splits.items()}
        for smoothing in SMOOTHINGS:
            train, val = (
                evaluate(windows["train"], smoothing, vocab_size, windows[part])
                for part in ("train", "val")
            )
            tried.append({"n": n, "smoothing": smoothing, "train": train, "val": val})
            losses = f"train loss {train:.4f} | val loss {val:.4f}"
            print(f"{n}-gram, smoothing {smoothing:4} | {losses}")
    seconds = time.perf_counter() - began
    best = min(tried, key=lambda row: row["val"])
    n, smoothing = best["n"], best["smoothing"]
    on_tape = tape_windows(splits["train"], n)
    loss = {part: best[part] for part in ("train", "val")}
    loss["test"] = evaluate(on_tape, smoothing, vocab_size, tape_windows(splits["test"], n))
    print(f"the lowest val loss has: {n}-gram, smoothing {smoothing}; test loss {loss['test']:.6f}")
    unseen = unseen_names(splits)
    by_name = name_windows(splits["train"], n)
    alone = evaluate(by_name, smoothing, vocab_size, name_windows(splits["test"], n))
    print(f"the same with each name on its own: test loss {alone:.6f}")
    unseen_loss = evaluate(on_tape, smoothing, vocab_size, tape_windows(unseen, n))
    kneser_ney = {}
    for n in (best["n"], 6):
        test, unseen_test = kneser_ney_loss(n, tokenizer, splits["train"], splits["test"], unseen)
        kneser_ney[n] = {"test": test, "test_without": unseen_test}
        print(f"Kneser-Ney {n}-gram: test loss {test:.6f}")
    log = SimpleNamespace(done=len(tried), seconds=seconds, curve=[])
    common.save_run(
        config, log, "counts on one tape of names", {}, **names.count_docs(splits),
        vocab_size=vocab_size, params=len(on_tape), chars_seen=sum(on_tape.values()), loss=loss,
        variant="EurekaLabs' n-gram", tried=tried, chosen={"n": best["n"], "smoothing": smoothing},
        each_name_alone={"test": alone}, kneser_ney=kneser_ney,
        leak={
            "share_of_test_names": 1 - len(unseen) / len(splits["test"]),
            "test_loss_without": unseen_loss,
        },
    )  # fmt: skip


if __name__ == "__main__":
    common.run(main)
