"""Counting longer contexts: n-grams of up to 6 characters, on the names and on Tiny Shakespeare.

Same as stage 02: the splits of the names, the loss. Same as stage 06: the splits of a text.
New here: every n-gram is blended with all shorter ones, because most long contexts are rare or new.
Source: "An Empirical Study of Smoothing Techniques for Language Modeling", Chen and Goodman, 1999.
Run: python extras/ngrams.py --data data/names.txt --n 4

An n-gram is n characters in a row. The last one is the target, and the n - 1 before it are its
context. A target near the start of a text has a shorter context, so its n-gram is shorter, too.
A name is a text that begins and ends with BOS. BOS is a line end here, which no name contains.
"""

import json
import math
import random
import time
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace

from stage_code import ROOT, load_stage

common = load_stage("02_bigram_counts", "common")
names = load_stage("02_bigram_counts", "names")

BOS = "\n"
FALLBACK = (0.5, 1.0, 1.5)  # discounts if there are too few n-grams to estimate them


# ---- config ----------------------------------------------------------------------------------
@dataclass(frozen=True)
class Config:
    data: Path = common.flag(
        ROOT / "data", "one name per line, or a folder of splits; default: names, Tiny Shakespeare"
    )
    text: bool = common.flag(False, "--data is one running text, not one name per line")
    n: int = common.flag(6, "the longest n-gram; each length from 2 up gets a result", 2, 20)
    smoothing: str = common.flag(
        "kneser-ney", "kneser-ney, in its modified form, or witten-bell",
        choices=["kneser-ney", "witten-bell"],
    )  # fmt: skip
    seed: int = common.flag(42, "seeds the random samples", 0, 2**32 - 1)
    out: Path = common.flag(common.OUT / "ngram", "folder with a subfolder for each result")

    def __post_init__(self):
        if self.text and self.data == Config.data:
            raise common.BadInput("--text describes --data: give --data, too")


# ---- data ------------------------------------------------------------------------------------
def load_text(path):
    """{"train": str, "val": str}: the first 9 in 10 characters and the rest, as in stage 06.

    A folder's train.txt and val.txt are used as they are. Raises BadInput if a part is too short.
    """
    if common.is_folder(path):
        splits = {name: common.read_text(path / f"{name}.txt") for name in ("train", "val")}
    else:
        text = common.read_text(path)
        n = int(0.9 * len(text))
        splits = {"train": text[:n], "val": text[n:]}
    for name, text in splits.items():
        if len(text) < 2:
            problem = f"--data {path}: its {name} part is too short"
            raise common.BadInput(f"{problem}; give a longer text")
    return splits


class TextTokenizer:
    """Characters to ids and back. A running text needs no BOS."""

    def __init__(self, texts):
        self.chars = sorted(set("".join(texts)))
        self.stoi = {ch: i for i, ch in enumerate(self.chars)}
        self.vocab_size = len(self.chars)

    def encode(self, text):
        return [self.stoi[ch] for ch in text]

    def decode(self, tokens):
        return "".join(self.chars[token] for token in tokens)


def count_ngrams(texts, n):
    """Count the n-gram of every target; the first character of a text is only context.

    "\\nava\\n" with n = 3: "\\na", "\\nav", "ava", "va\\n".
    """
    return Counter(text[max(0, i - n + 1) : i + 1] for text in texts for i in range(1, len(text)))


def count_of_length(counts, length):
    """The counts of the n-grams of that length which end the n-grams in `counts`."""
    shorter = Counter()
    for gram, times in counts.items():
        if len(gram) >= length:
            shorter[gram[-length:]] += times
    return shorter


# ---- model -----------------------------------------------------------------------------------
class NGram:
    """P(next character | context), blended from n-grams of every length up to n.

        P(c | context) = (kept[context + c] + given[context] * P(c | context without its first))
                         / total[context]

    Each context gives a part of its counts to the next shorter context, which knows less but has
    been seen more often. The shortest context, which is empty, gives it to the uniform guess
    1 / vocab_size.

    Witten-Bell: an n-gram keeps its full count and gives 1 more. So the more different characters
    followed a context, the less the model trusts it.

    Kneser-Ney: an n-gram keeps its count minus a discount, and gives the discount. For all lengths
    but the longest, its count is the number of different characters that came before it. The model
    asks a shorter context only if the longer one is rare, and an n-gram that follows many different
    characters is likely to follow another one.
    """

    def __init__(self, counts, n, smoothing, tokenizer):
        """counts: as count_ngrams(texts, n) returns them, which contains the shorter n-grams."""
        self.counts, self.n, self.tokenizer = counts, n, tokenizer
        # What can come next, in the order of the ids. A name has an end, a running text has none.
        self.end = BOS if isinstance(tokenizer, names.Tokenizer) else None
        self.symbols = [*tokenizer.chars, BOS] if self.end else tokenizer.chars
        self.kept, self.given, self.total = {}, Counter(), Counter()
        by_length = [count_of_length(counts, length) for length in range(1, n + 1)]
        for count, longer in zip(by_length, [*by_length[1:], None]):
            if smoothing == "kneser-ney":
                if longer is not None:
                    count = continuation_counts(count, longer)
                discounts = estimate_discounts(Counter(count.values()))
            for gram, times in count.items():
                if smoothing == "kneser-ney":
                    given = discounts[min(times, 3) - 1]
                    kept = times - given
                else:
                    given, kept = 1, times
                context = gram[:-1]
                self.kept[gram] = kept
                self.given[context] += given
                self.total[context] += kept + given

    def probability(self, context, ch):
        """P(ch | context). Only the last n - 1 characters of the context count."""
        shorter = self.probability(context[1:], ch) if context else 1 / len(self.symbols)
        if context not in self.total:  # never seen
            return shorter
        blend = self.kept.get(context + ch, 0) + self.given[context] * shorter
        return blend / self.total[context]

    def probabilities(self, context):
        """P of every symbol after this context. -> list[V]"""
        context = context[max(0, len(context) - self.n + 1) :]
        return [self.probability(context, ch) for ch in self.symbols]


def continuation_counts(counts, longer):
    """For each n-gram in `counts`, the number of different characters that came before it.

    longer: counts of the same n-grams together with the character before them. Nothing comes before
    an n-gram at the start of a text, so each of those occurrences counts as one.
    """
    before = Counter(counts)
    for gram, times in longer.items():
        before[gram[1:]] += 1 - times  # `times` occurrences have the same character before them
    return before


def estimate_discounts(occurring):
    """What to subtract from a count of 1, of 2, and of 3 or more.

    occurring[k]: how many n-grams occur k times. Chen and Goodman, equation 26. Returns FALLBACK if
    the formula divides by 0, or if it gives a discount that is negative or larger than the count.
    """
    if not all(occurring[k] for k in (1, 2, 3, 4)):
        return FALLBACK
    Y = occurring[1] / (occurring[1] + 2 * occurring[2])
    discounts = tuple(k - (k + 1) * Y * occurring[k + 1] / occurring[k] for k in (1, 2, 3))
    return discounts if all(0 < d < k for k, d in enumerate(discounts, 1)) else FALLBACK


# ---- training --------------------------------------------------------------------------------
def train(config, texts, tokenizer):
    """Count one length after another, 1 to n. Yields (model, loss, log) after each.

    texts: {split: list of str}. log: what save_run() needs of a log. Its seconds are the time to
    count all lengths so far, without scoring the splits. Its curve has a row for each length.
    """
    common.stop.training_began = True
    log = SimpleNamespace(done=0, seconds=0.0, curve=[[0, None, math.log(tokenizer.vocab_size)]])
    for step in common.Steps(config.n, "the counting"):
        began = time.perf_counter()
        n = step + 1
        model = NGram(count_ngrams(texts["train"], n), n, config.smoothing, tokenizer)
        log.seconds += time.perf_counter() - began
        log.done = n
        loss = {split: evaluate(model, texts[split]) for split in texts}
        log.curve.append([n, loss["train"], loss["val"]])
        yield model, loss, log


# ---- evaluation ------------------------------------------------------------------------------
def evaluate(model, texts):
    """Mean of -log P(target | context) over all targets, in nats per character.

    An n-gram that occurs several times is scored once and weighted with its count.
    """
    counts = count_ngrams(texts, model.n)
    total = sum(
        times * math.log(model.probability(gram[:-1], gram[-1])) for gram, times in counts.items()
    )
    return -total / sum(counts.values())


def log_probs(model, text):
    """log P of every symbol at each place of a text. -> list of list[V]

    A name has N + 1 rows, as in stage 02: one for each character and one for its end. A running
    text has N rows, as in stage 06: one for what follows each character.
    """
    text = BOS + text if model.end else text
    contexts = [text[max(0, i - model.n + 1) : i] for i in range(1, len(text) + 1)]
    return [[math.log(p) for p in model.probabilities(context)] for context in contexts]


# ---- samples ---------------------------------------------------------------------------------
def sample(model, temperature=1.0, longest=100):
    """Draw one name, or `longest` characters of a running text. Both begin after a line end.

    P ** (1 / temperature) favours likely characters at a temperature below 1.
    """
    text = ""
    while len(text) < longest:
        row = model.probabilities(BOS + text)
        most = max(row)  # divide by the largest, so that not all round to 0
        weights = [(p / most) ** (1 / temperature) for p in row]
        ch = random.choices(model.symbols, weights)[0]
        if ch == model.end:
            break
        text += ch
    return text


# ---- main ------------------------------------------------------------------------------------
def load(folder):
    """The trained model that main() wrote."""
    saved = json.loads((folder / "model.json").read_text(encoding="utf-8"))
    tokenizer = TextTokenizer if saved["config"]["text"] else names.Tokenizer
    n, smoothing = saved["config"]["n"], saved["config"]["smoothing"]
    return NGram(saved["counts"], n, smoothing, tokenizer(saved["chars"]))


def run_data_set(config):
    """Read one data set and write a model and a result for each length from 2 on."""
    if config.text:
        splits = load_text(config.data)
        tokenizer = TextTokenizer(splits.values())
        texts = {name: [text] for name, text in splits.items()}
        size = {
            "docs": {name: 1 for name in splits},
            "targets": {name: len(text) - 1 for name, text in splits.items()},
        }
    else:
        splits = names.load_splits(config.data)
        tokenizer = names.Tokenizer(sum(splits.values(), []))
        texts = {name: [BOS + doc + BOS for doc in docs] for name, docs in splits.items()}
        size = names.count_docs(splits)
    variant = "" if config.smoothing == Config.smoothing else ", Witten-Bell"
    for model, loss, log in train(config, texts, tokenizer):
        params = len(model.kept)
        name = common.visible(config.data.stem)
        print(f"{name}, {model.n}-gram: {params:,} counts; val loss {loss['val']:.4f}")
        if model.n == 1:  # letter frequencies, which the table has as a baseline
            continue
        random.seed(config.seed)
        if config.text:
            samples = [sample(model, longest=500)]
        else:
            samples = [sample(model) for _ in range(20)]
            print("samples:", names.mark_known(samples[:10], splits))
        own = replace(config, n=model.n, out=config.out / f"{config.data.stem}-{model.n}")
        common.prepare_out(own.out)
        saved = {
            "config": common.settings(own),
            "chars": tokenizer.chars,
            "counts": model.counts,
        }
        common.save_run(
            own, log, "longer contexts, counted", {"model.json": json.dumps(saved)}, **size,
            vocab_size=tokenizer.vocab_size, params=params, chars_seen=size["targets"]["train"],
            loss=loss, samples=samples, variant=f"{model.n}-gram{variant}",
        )  # fmt: skip


def main():
    config = common.parse_flags(Config, __doc__, tries=False)
    common.prepare_out(config.out)
    if config.data != Config.data:
        run_data_set(config)
        return
    run_data_set(replace(config, data=ROOT / "data/names.txt"))
    if common.stop.count == 0:
        run_data_set(replace(config, data=ROOT / "data/tinyshakespeare.txt", text=True))


if __name__ == "__main__":
    common.run(main)
