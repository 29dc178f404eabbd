"""Longer contexts, counted: n-grams up to 6 characters, on the names and on Tiny Shakespeare.

Same as main.py: the names' splits and the loss. On a text: the splits and targets of stage 06.
New here: an n-gram blended with all shorter ones, as most long contexts are rare or new.
Source: "An Empirical Study of Smoothing Techniques for Language Modeling", Chen and Goodman, 1999.
Run: python 02_bigram_counts/ngram.py --data data/names.txt --n 4

What is said of a position i of a text: its n-gram is the n characters that end there, text[i-n+1]
to text[i]; the n-1 before the last one are the context, the last one is the target. Near the start
of a text there are fewer, so its n-gram is shorter. A name is a text that begins and ends with
BOS, here the line end, which no name holds.
"""

import math
import time
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np

import plumbing
from main import load_splits
from plumbing import ROOT, SPLITS, STAGE, BadInput

BOS = "\n"
FALLBACK = (0.5, 1.0, 1.5)  # discounts where there are too few n-grams to estimate them


# ---- config ----------------------------------------------------------------------------------
@dataclass(frozen=True)
class Config:
    data: Path = ROOT / "data"  # one name a line, or a folder of splits; by default both data sets
    text: bool = False  # --data is one running text, not a name a line
    n: int = 6  # the longest n-gram; there is a result for each length from 2 on
    smoothing: str = "kneser-ney"  # kneser-ney (the modified one) or witten-bell
    seed: int = 42  # starts the random numbers that draw the samples
    out: Path = ROOT / "out" / STAGE / "ngram"  # folder for a folder per data set and length

    def __post_init__(self):
        plumbing.check_ranges(self, n=(2, 20), seed=(0, 2**32 - 1))
        if self.smoothing not in ("kneser-ney", "witten-bell"):
            raise BadInput(f"--smoothing {self.smoothing} is neither kneser-ney nor witten-bell")
        if self.text and self.data == Config.data:
            raise BadInput("--text says what --data is: give that, too")


# ---- data ------------------------------------------------------------------------------------
def load_text(path):
    """Return {"train": [text], "val": [text]}: a folder's two files, or the first 9 in 10
    characters and the rest, as in stage 06. BadInput if a part has no character to predict.
    """
    if path.is_dir():
        splits = {name: plumbing.read_text(path / f"{name}.txt") for name in SPLITS[:2]}
    else:
        text = plumbing.read_text(path)
        n = int(0.9 * len(text))
        splits = {"train": text[:n], "val": text[n:]}
    for name, text in splits.items():
        if len(text) < 2:
            raise BadInput(f"--data {path}: its {name} part is too short; give a longer text")
    return {name: [text] for name, text in splits.items()}


def ngrams(texts, n, start=1):
    """Count the n-gram of every position from `start` on; those before it are only context."""
    return Counter(
        text[max(0, i - n + 1) : i + 1] for text in texts for i in range(start, len(text))
    )


# ---- model -----------------------------------------------------------------------------------
class NGram:
    """P(last character | those before it), blended over all lengths up to n.

        P(c | context) = (kept[context + c] + given[context] * P(c | context without its first))
                         / (the sum of kept over all characters + given[context])

    Every context gives some of its weight away to the next shorter one, which knows less and has
    seen more; the shortest, no context at all, gives it to the even guess 1 / vocab_size.

    Witten-Bell: kept is the count, and given is the number of different characters that followed.
    The more often a context was followed by something new, the less it is trusted.

    Kneser-Ney: kept is the count less a discount, and given is what the discounts sum to. Counts of
    1, of 2 and of 3 or more have discounts of their own, estimated from how many n-grams occurred
    once, twice, ...: the "modified" form. And below the longest length a count is the number of
    different characters that stood before the n-gram, for it is asked only after contexts that are
    new, and what goes with many contexts goes with new ones.
    """

    def __init__(self, counts, vocab_size, smoothing):
        """counts: what ngrams(texts, n) returned for n = 1, 2, ..., the longest last."""
        self.vocab_size = vocab_size
        self.kept, self.given, self.total = {}, {}, {}
        for n, (count, longer) in enumerate(zip(counts, [*counts[1:], None]), 1):
            count = {gram: times for gram, times in count.items() if len(gram) == n}
            if smoothing == "kneser-ney":
                if longer is not None:
                    count = different_before(count, longer)
                discounts = estimate_discounts(Counter(count.values()))
            for gram, times in count.items():
                if smoothing == "kneser-ney":
                    gift = discounts[min(times, 3) - 1]
                    kept = times - gift
                else:
                    gift, kept = 1, times
                context = gram[:-1]
                self.kept[gram] = kept
                self.given[context] = self.given.get(context, 0) + gift
                self.total[context] = self.total.get(context, 0) + kept + gift

    def probability(self, gram):
        """P(the last character of gram | the others); of the empty gram: the even guess."""
        if not gram:
            return 1 / self.vocab_size
        context, shorter = gram[:-1], self.probability(gram[1:])
        if context not in self.total:  # never seen, so all weight goes to the shorter one
            return shorter
        blend = self.kept.get(gram, 0) + self.given[context] * shorter
        return blend / self.total[context]


def different_before(count, longer):
    """For each n-gram in `count`: how many different characters stood before it.

    longer counts the same n-grams with the character before them. Nothing stands before an n-gram
    that opens a text: each such occurrence counts as one.
    """
    before = Counter(count)
    for gram, times in longer.items():
        if gram[1:] in count:
            before[gram[1:]] += 1 - times  # all that have the same character before them are one
    return before


def estimate_discounts(times):
    """What is taken off a count of 1, of 2, and of 3 or more; times[k]: n-grams that occur k times.

    Chen and Goodman, equation 26. FALLBACK where that is undefined or leaves less than nothing.
    """
    if not all(times[k] for k in (1, 2, 3, 4)):
        return FALLBACK
    Y = times[1] / (times[1] + 2 * times[2])
    discounts = tuple(k - (k + 1) * Y * times[k + 1] / times[k] for k in (1, 2, 3))
    return discounts if all(0 < d < k for k, d in enumerate(discounts, 1)) else FALLBACK


# ---- training --------------------------------------------------------------------------------
def train(config, splits, vocab_size, lengths):
    """Count one length after another, 1 to n, and yield (model, loss, curve, progress) after each.

    lengths: a plumbing.Progress. curve: a row (n, train loss, val loss) for each n so far; 0 is the
    even guess. progress.seconds: the time to count all lengths up to n, without scoring the splits.
    """
    counts, curve, seconds = [], [[0, None, math.log(vocab_size)]], 0.0
    for step in lengths:
        began = time.perf_counter()
        counts.append(ngrams(splits["train"], step + 1))
        model = NGram(counts, vocab_size, config.smoothing)
        seconds += time.perf_counter() - began
        loss = {name: evaluate(model, texts, step + 1) for name, texts in splits.items()}
        curve.append([step + 1, loss["train"], loss["val"]])
        yield model, loss, curve, SimpleNamespace(done=step + 1, seconds=seconds, interrupted=False)


# ---- evaluation ------------------------------------------------------------------------------
def evaluate(model, texts, n, start=1):
    """Mean of -log P over every position from `start` on, in nats per character.

    An n-gram that occurs often is scored once and counts as often as it occurs.
    """
    count = ngrams(texts, n, start)
    total = sum(times * math.log(model.probability(gram)) for gram, times in count.items())
    return -total / sum(count.values())


# ---- samples ---------------------------------------------------------------------------------
def sample(model, n, chars, rng, longest, end=None):
    """Draw characters after a line end, until `end` comes or there are `longest` of them."""
    text = "\n"
    while len(text) <= longest:
        context = text[max(0, len(text) - n + 1) :]
        text += rng.choice(chars, p=[model.probability(context + ch) for ch in chars])
        if text[-1] == end:
            break
    return text.strip("\n")


# ---- main ------------------------------------------------------------------------------------
def run_data_set(config):
    """Read one data set, write a result for each length from 2 on, and return the exit status."""
    if config.text:
        splits = load_text(config.data)
        size = {
            "docs": {name: 1 for name in splits},
            "targets": {name: len(texts[0]) - 1 for name, texts in splits.items()},
        }
    else:
        docs = load_splits(config.data)
        size = plumbing.sizes(docs)
        splits = {name: [BOS + doc + BOS for doc in split] for name, split in docs.items()}
    chars = sorted(set().union(*(text for texts in splits.values() for text in texts)))
    lengths = plumbing.Progress(config.n, what="length")
    for model, loss, curve, progress in train(config, splits, len(chars), lengths):
        n, counts = progress.done, len(model.kept)
        print(f"{config.data.stem}, {n}-gram: {counts:,} counts; val loss {loss['val']:.4f}")
        if n == 1:  # letter frequencies, which stand in the table as a baseline
            continue
        rng = np.random.default_rng(config.seed)
        if config.text:
            samples = [sample(model, n, chars, rng, longest=500)]
        else:
            samples = [sample(model, n, chars, rng, longest=100, end=BOS) for _ in range(20)]
        own = replace(config, n=n, out=config.out / f"{config.data.stem}-{n}")
        plumbing.prepare_out(own.out)
        plumbing.save_result(
            own, progress, "longer contexts, counted", **size,
            vocab_size=len(chars), params=counts, chars_seen=size["targets"]["train"],
            loss={**dict.fromkeys(SPLITS), **loss}, curve=curve, samples=samples,
            variant=f"{n}-gram" + ("" if config.smoothing == Config.smoothing else ", Witten-Bell"),
        )
    return lengths.status


def main():
    config = plumbing.parse_flags(Config, __doc__)
    plumbing.prepare_out(config.out)
    if config.data == Config.data:
        status = run_data_set(replace(config, data=ROOT / "data" / "names.txt"))
        if status != 0:
            return status
        config = replace(config, data=plumbing.get_data("tinyshakespeare"), text=True)
    return run_data_set(config)


if __name__ == "__main__":
    plumbing.run(main)
