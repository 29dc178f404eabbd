"""The checks of the set extras: right solutions pass, and each mistake has its own words."""

from collections import Counter

import pytest
import torch

import batchnorm
import byte_pairs
import ngrams
from exercise_cases import Judge
from learn.exercises import read_lesson
from learn.source import function_text
from stages import ROOT

SET = "extras"


@pytest.fixture
def judge(tmp_path):
    return Judge(SET, tmp_path)


NAMES = Judge.names(SET)


def test_the_reference_passes(judge):
    assert {name: judge.words(name) for name in NAMES} == dict.fromkeys(NAMES, "")


def test_a_blank_is_not_yet_written(judge):
    judge.blank_all()
    for name in NAMES:
        assert "is not written yet" in judge.words(name)


# --- known mistakes: (exercise, a text in the right solution, what is there instead, the words) ---

MERGE_LOOP = "    while i < len(ids):\n        if tuple(ids[i : i + 2]) == tuple(pair):\n"
MUTANTS = [
    ("continuation", "+ 1", "+ pairs[pair]", "These are occurrences: each different pair"),
    ("continuation", "counts[pair[1]] = counts.get(pair[1], 0)",
     "counts[pair[0]] = counts.get(pair[0], 0)", "the characters that come after"),
    ("continuation", "counts[pair[1]] = counts.get(pair[1], 0) + 1",
     "counts[pair[0]] = counts.get(pair[0], 0) + pairs[pair]", "of the first characters"),
    ("continuation", "return counts", "return {c: n / len(pairs) for c, n in counts.items()}",
     "These are shares"),
    ("continuation", "counts[pair[1]] = counts.get(pair[1], 0) + 1",
     "counts.setdefault(pair[1], set()).add(pair[0])", "the characters themselves"),
    ("continuation", "counts.get(pair[1], 0) + 1", "1", "Every character has 1"),
    ("continuation", "counts.get(pair[1], 0)", "counts.get(pair[1], 1)", "A new character begins"),
    ("continuation", "counts.get(pair[1], 0)", "counts[pair[1]]", "has no count yet"),
    ("blend", "counts.get(ch, 0) - taken.get(ch, 0)", "counts.get(ch, 0)", "more than 1"),
    ("blend", " + given * probability", "", "less than 1"),
    ("blend", "counts.get(ch, 0) - taken.get(ch, 0) + given * probability", "counts.get(ch, 0)",
     "not discounted at all"),
    ("blend", "for ch, probability in shorter.items()\n",
     "for ch, probability in shorter.items() if ch in counts\n", "never followed are missing"),
    ("blend", "    taken = {",
     "    counts = {ch: counts.get(ch, 0) for ch in shorter}\n    taken = {",
     "Python's last discount"),
    ("blend", "taken.get(ch, 0)", "taken.get(ch, discounts[-1])", "Python's last discount"),
    ("blend", "given = sum(taken.values())", "given = len(counts)", "1 for each different"),
    ("blend", ") / total", ") / (total + given)", "it comes from the counts"),
    ("blend", ") / total", ") / (total - given)", "what is left of the counts"),
    ("blend", "discounts[min(count, 3) - 1]", "discounts[0]", "discounted in the same way"),
    ("blend", "discounts[min(count, 3) - 1]", "discounts[-1]", "discounted in the same way"),
    ("blend", "min(count, 3)", "min(count, 2)", "A count of 3 or more takes discounts[2]"),
    ("blend", "given * probability", "given / len(shorter)", "shared out equally"),
    ("blend", "    return {\n", "    return shorter\n    return {\n", "the simpler model alone"),
    ("blend", "discounts[min(count, 3) - 1]", "discounts[count - 1]", "takes discounts[2]"),
    ("blend", "min(count, 3) - 1", "min(count, 3)", "Lists count from 0"),
    ("blend", "counts.get(ch, 0) - ", "counts[ch] - ", "counts.get(ch, 0) is 0 then"),
    ("blend", "    total =", "    discounts = (0.5, 1.0, 1.5)\n    total =",
     "discounts is ignored"),
    ("blend", "if total == 0:", "if total < 0:", "The sum of no counts is 0"),
    ("blend", "return dict(shorter)", "return dict.fromkeys(shorter, 0.0)", "Return shorter."),
    ("layer-norm", "gain * (x", "(x", "gain is missing"),
    ("layer-norm", " + bias", "", "bias is missing"),
    ("layer-norm", "gain * (x - mean) / torch.sqrt(variance + eps) + bias",
     "(x - mean) / torch.sqrt(variance + eps)", "both missing"),
    ("layer-norm", "gain * (x - mean) / torch.sqrt(variance + eps) + bias",
     "gain * ((x - mean) / torch.sqrt(variance + eps) + bias)", "first gain, then bias"),
    ("layer-norm", "gain * (x - mean) / torch.sqrt(variance + eps) + bias",
     "bias * (x - mean) / torch.sqrt(variance + eps) + gain", "are exchanged"),
    ("layer-norm", "mean = x.mean(dim=-1, keepdim=True)", "mean = 0", "this is RMSNorm"),
    ("layer-norm", "((x - mean) ** 2).mean(dim=-1, keepdim=True)", "x.var(dim=-1, keepdim=True)",
     "divides by C - 1"),
    ("layer-norm", "torch.sqrt(variance + eps)", "(variance + eps)", "divide by its root"),
    ("layer-norm", "/ torch.sqrt", "* torch.sqrt", "You multiply by the root"),
    ("layer-norm", "    mean = x.mean(dim=-1, keepdim=True)  # (..., 1)\n"
     "    variance = ((x - mean) ** 2).mean(dim=-1, keepdim=True)",
     "    mean = x.mean(dim=0, keepdim=True)\n    variance = ((x - mean) ** 2).mean(dim=0, "
     "keepdim=True)", "run down the batch"),
    ("layer-norm", "    mean = x.mean(dim=-1, keepdim=True)  # (..., 1)\n"
     "    variance = ((x - mean) ** 2).mean(dim=-1, keepdim=True)",
     "    d = min(1, x.dim() - 1)\n    mean = x.mean(dim=d, keepdim=True)\n"
     "    variance = ((x - mean) ** 2).mean(dim=d, keepdim=True)", "the axis of the positions"),
    ("layer-norm", "    mean = x.mean(dim=-1, keepdim=True)  # (..., 1)\n"
     "    variance = ((x - mean) ** 2).mean(dim=-1, keepdim=True)",
     "    mean = x.mean()\n    variance = ((x - mean) ** 2).mean()", "The whole tensor has one"),
    ("layer-norm", "    mean = x.mean(dim=-1, keepdim=True)  # (..., 1)\n"
     "    variance = ((x - mean) ** 2).mean(dim=-1, keepdim=True)",
     "    mean = x.mean(dim=-1)\n    variance = ((x - mean) ** 2).mean(dim=-1)",
     "subtracted across the columns"),
    ("layer-norm", "torch.sqrt(variance + eps)", "(torch.sqrt(variance) + eps)", "under the root"),
    ("layer-norm", "variance + eps", "variance", "eps is missing"),
    ("layer-norm", "torch.sqrt(variance + eps)", "(torch.sqrt(variance + eps) + eps)",
     "eps was added twice"),
    ("layer-norm", "variance + eps", "variance + 1e-5", "eps is ignored"),
    ("layer-norm", "return gain", "return torch.nn.functional.layer_norm(x, gain.shape, gain, bias)"
     "\n    return gain", "does the whole exercise"),
    ("batch-norm", "mean, variance = x.mean(dim=0), x.var(dim=0, correction=0)",
     "mean, variance = x.mean(1, keepdim=True), x.var(1, keepdim=True, correction=0)",
     "this is LayerNorm"),
    ("batch-norm", "x.var(dim=0, correction=0)", "x.var(dim=0)", "The variance divides by N - 1"),
    ("batch-norm", "self.gain * (x - mean) / torch.sqrt(variance + self.eps) + self.bias",
     "(x - mean) / torch.sqrt(variance + self.eps)", "self.gain and self.bias are missing"),
    ("batch-norm", "self.gain * (x", "(x", "self.gain is missing"),
    ("batch-norm", " + self.bias", "", "self.bias is missing"),
    ("batch-norm", "        else:\n            mean, variance", "        mean, variance",
     "The running averages were used in training"),
    ("batch-norm", "torch.sqrt(variance + self.eps)", "(variance + self.eps)",
     "divide by its root"),
    ("batch-norm", "self.gain * (x - mean)", "self.gain * x", "The mean was not subtracted"),
    ("batch-norm", "x.mean(dim=0), x.var(dim=0, correction=0)", "x.mean(), x.var(correction=0)",
     "one mean and one variance"),
    ("batch-norm", "x.mean(dim=0), x.var(dim=0, correction=0)", "x.mean(1), x.var(1)",
     "has the shape (C,)"),
    ("batch-norm", "torch.sqrt(variance + self.eps)", "(torch.sqrt(variance) + self.eps)",
     "under the root"),
    ("batch-norm", "variance + self.eps", "variance", "eps is missing"),
    ("batch-norm", "with torch.no_grad():", "for _ in ():", "The running averages did not move"),
    ("batch-norm", "unbiased = x.var(dim=0)", "unbiased = variance", "an estimate for all data"),
    ("batch-norm", "    momentum = 0.1", "    momentum = 0.9", "momentum is the share of the new"),
    ("batch-norm", "    momentum = 0.1", "    momentum = 1.0", "became those of the batch"),
    ("batch-norm", "                self.running_var = self.running_var + self.momentum * "
     "(unbiased - self.running_var)\n", "", "Only the running mean moved"),
    ("batch-norm", "                self.running_mean = self.running_mean + self.momentum * "
     "(mean - self.running_mean)\n", "", "Only the running variance moved"),
    ("batch-norm", "if self.training:", "if True:", "The statistics of the batch were used"),
    ("batch-norm", "mean, variance = self.running_mean, self.running_var",
     "return (x - self.running_mean) / torch.sqrt(self.running_var + self.eps)",
     "missing in evaluation"),
    ("batch-norm", "mean, variance = self.running_mean, self.running_var",
     "mean, variance = self.running_mean, self.running_var ** 2", "divide by its root"),
    ("batch-norm", "mean, variance = self.running_mean, self.running_var",
     "mean, variance = self.running_mean, self.running_var\n            self.running_mean = "
     "0.9 * mean + 0.1 * x.mean(0)\n            self.running_var = 0.9 * variance + 0.1 * x.var(0)",
     "The running averages moved in evaluation"),
    ("batch-norm", "with torch.no_grad():", "if True:", "keep the graph of every batch"),
    ("batch-norm", "mean, variance = x.mean(dim=0), x.var(dim=0, correction=0)",
     "mean, variance = x.detach().mean(dim=0), x.detach().var(dim=0, correction=0)",
     "only the running averages belong under"),
    ("batch-norm", "        if self.training", "        torch.nn.BatchNorm1d(2).double()(x)\n"
     "        if self.training", "does the whole exercise"),
    ("count-pairs", "zip(ids, ids[1:])", "zip(ids[::2], ids[1::2])", "Only every second pair"),
    ("count-pairs", "zip(ids, ids[1:])", "map(tuple, map(sorted, zip(ids, ids[1:])))",
     "The order was lost"),
    ("count-pairs", "zip(ids, ids[1:])", "zip(ids[1:], ids)", "turned round"),
    ("count-pairs", "zip(ids, ids[1:])", "zip(ids, ids[1:] + ids[:1])", "connected with the first"),
    ("count-pairs", "zip(ids, ids[1:])", "zip(ids[:-1], ids[1:-1])", "The last pair is missing"),
    ("count-pairs", "zip(ids, ids[1:])", "zip(ids[1:], ids[2:])", "The first pair is missing"),
    ("count-pairs", "counts.get(pair, 0) + 1", "1", "Every pair has 1"),
    ("count-pairs", "zip(ids, ids[1:])", "ids", "single ids"),
    ("count-pairs", "return counts", "return list(zip(ids, ids[1:]))", "These are the pairs"),
    ("count-pairs", "counts.get(pair, 0)", "counts.get(pair, 1)", "begin at 1"),
    ("count-pairs", "counts.get(pair, 0)", "counts[pair]", "has no count yet"),
    ("count-pairs", "zip(ids, ids[1:])", "map(list, zip(ids, ids[1:]))", "cannot be a key"),
    ("count-pairs", "zip(ids, ids[1:])", "[(ids[i], ids[i + 1]) for i in range(len(ids))]",
     "there are N - 1 pairs"),
    ("count-pairs", "    for pair in zip(ids, ids[1:]):\n", "    last = None\n"
     "    for pair in zip(ids, ids[1:]):\n        if pair == last:\n"
     "            last = None\n            continue\n        last = pair\n", "[5, 5, 5] has two"),
    ("merge", "i += 2", "i += 1", "The second id of the pair is still there"),
    ("merge", "merged.append(new_id)\n", "merged.append(new_id)\n            "
     "merged.append(ids[i + 1])\n", "The second id of the pair is still there"),
    ("merge", "merged.append(new_id)\n", "return [*merged, new_id, *ids[i + 2 :]]\n",
     "Only the first occurrence"),
    ("merge", "== tuple(pair):", "in (pair, pair[::-1]):", "(1, 2) is not (2, 1)"),
    ("merge", MERGE_LOOP, "    return [new_id if t in pair else t for t in ids]\n" + MERGE_LOOP,
     "Single ids were replaced"),
    ("merge", "while i < len(ids):", "while i < len(ids) - 1:", "The last id is missing"),
    ("merge", "tuple(ids[i : i + 2]) == tuple(pair)", "ids[i : i + 2] == pair",
     "Is a list compared with a tuple?"),
    ("merge", "            merged.append(new_id)\n", "", "was taken out"),
    ("merge", "merged.append(new_id)", "merged.append(pair)", "The pair itself"),
    ("merge", "tuple(ids[i : i + 2]) == tuple(pair)", "(ids[i], ids[i + 1]) == pair",
     "look before you read"),
    ("merge", "merged, i = [], 0\n", "merged, i = [], 0\n    ids.append(-1)\n    ids.pop(0)\n",
     "changes what it was given"),
    ("learn-merges", "        ids = merge(ids, pair, merges[pair])\n    return",
     "        ids = merge(ids, pair, merges[pair])\n        return", "Only one merge was learned"),
    ("learn-merges",
     "    while len(merges) < count and len(ids) > 1:\n        counts = count_pairs(ids)\n",
     "    counts = count_pairs(ids)\n    while len(merges) < count and counts:\n"
     "        counts = {p: n for p, n in counts.items() if p not in merges}\n"
     "        if not counts:\n            break\n", "all taken from one count"),
    ("learn-merges", "min(counts, key=lambda pair: (-counts[pair], pair))",
     "max(counts, key=lambda pair: (counts[pair], pair))", "the largest was taken"),
    ("learn-merges", "min(counts, key=lambda pair: (-counts[pair], pair))",
     "max(counts, key=counts.get)", "comes first in the text"),
    ("learn-merges", "vocab_size + len(merges)", "vocab_size + len(merges) + 1", "one too large"),
    ("learn-merges", "vocab_size + len(merges)", "vocab_size", "the same id"),
    ("learn-merges", "-counts[pair]", "counts[pair]", "The rarest pairs"),
    ("learn-merges", "len(merges) < count", "len(merges) < count - 1", "one merge too few"),
    ("learn-merges", "len(merges) < count", "len(merges) <= count", "one merge too many"),
    ("learn-merges", "return merges", "return ids", "the text after the merges"),
    ("learn-merges", "return merges", "return list(merges)", "a list of the pairs"),
    ("learn-merges", "return merges", "return {n: p for p, n in merges.items()}", "turned round"),
    ("learn-merges", "merges[pair] = vocab_size + len(merges)\n        ids = merge(ids, pair, "
     "merges[pair])", "ids = merge(ids, pair, vocab_size + len(merges))\n        "
     "merges[pair] = counts[pair]", "The counts are in the dict"),
    ("learn-merges", " and len(ids) > 1", "", "end early"),
    ("learn-merges", "return merges", "return dict(sorted(merges.items()))", "in the order of the"),
    ("encode", "in merges.items()", "in reversed(merges.items())", "the last one was first"),
    ("encode", "        ids = merge(ids, pair, new_id)\n    return",
     "        ids = merge(ids, pair, new_id)\n        return", "Only the first merge"),
    ("encode", "        ids = merge(ids, pair, new_id)\n    return ids",
     "        new = merge(ids, pair, new_id)\n    return new", "Only the last merge"),
    ("encode", "ids = merge(", "merge(", "Nothing was merged"),
    ("encode", "merges.items()", "sorted(merges.items())", "The smallest pairs came first"),
    ("encode", "merges.items()", "sorted(merges.items(), key=lambda m: -count_pairs(ids)"
     ".get(m[0], 0))", "The most frequent pairs of this text"),
    ("encode", "    for pair, new_id in merges.items():\n        ids = merge(ids, pair, new_id)\n",
     "    done = []\n    for token in ids:\n        done.append(token)\n"
     "        while tuple(done[-2:]) in merges:\n"
     "            done[-2:] = [merges[tuple(done[-2:])]]\n    ids = done\n",
     "in which they are met"),
    ("encode", "return ids", "return [t for t in ids if t in merges.values()]",
     "only the new tokens"),
    ("encode", "in merges.items()", "in merges.values()", "merges is a dict"),
]  # fmt: skip


@pytest.mark.filterwarnings("ignore:var.*degrees of freedom")
@pytest.mark.parametrize(("name", "old", "new", "words"), MUTANTS)
def test_a_known_mistake_has_its_own_words(judge, name, old, new, words):
    judge.change(name, old, new)
    assert words in judge.words(name)


# (exercise, a wrong solution, the words)
WRONG = [
    ("merge", """
def merge(ids, pair, new_id):
    merged = []
    for i in range(len(ids)):
        if tuple(ids[i : i + 2]) == pair:
            merged.append(new_id)
        elif i == 0 or tuple(ids[i - 1 : i + 1]) != pair:
            merged.append(ids[i])
    return merged
""", "An id belongs to two occurrences"),
    ("merge", """
def merge(ids, pair, new_id):
    ids = list(ids)
    for i in reversed(range(len(ids) - 1)):
        if tuple(ids[i : i + 2]) == pair:
            ids[i : i + 2] = [new_id]
    return ids
""", "go from left to right"),
    ("merge", """
def merge(ids, pair, new_id):
    merged = []
    for token in ids:
        if merged and merged[-1] in (pair[0], new_id) and token == pair[1]:
            merged[-1] = new_id
        else:
            merged.append(token)
    return merged
""", "The id after a pair was swallowed"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "text", "words"), WRONG)
def test_a_wrong_solution_has_its_own_words(judge, name, text, words):
    judge.write(name, text)
    assert words in judge.words(name)


def test_every_exercise_has_three_known_mistakes():
    assert all(len([m for m in MUTANTS if m[0] == name]) >= 3 for name in NAMES)


# --- right solutions, written differently ---

SOLUTIONS = [
    ("continuation", "def continuation_counts(p):\n"
     "    from collections import Counter\n    return Counter(b for a, b in p)"),
    ("continuation", """
def continuation_counts(pairs):
    ends = {p[1] for p in pairs}
    return {e: len({p[0] for p in pairs if p[1] == e}) for e in ends}
"""),
    ("continuation", """
def continuation_counts(pairs):
    pairs = list(pairs)
    if not pairs:
        return {}
    result = continuation_counts(pairs[1:])
    result[pairs[0][1]] = result.get(pairs[0][1], 0) + 1
    return result
"""),
    ("blend", """
def blend(counts, shorter, discounts=(0.5, 1.0, 1.5)):
    def discount(n):
        if n == 0:
            return 0
        return discounts[2] if n > 2 else discounts[n - 1]
    N = sum(counts.values())
    if not N:
        return shorter
    lam = sum(discount(n) for n in counts.values()) / N
    result = {}
    for c in shorter:
        n = counts[c] if c in counts else 0
        result[c] = (n - discount(n)) / N + lam * shorter[c]
    return result
"""),
    ("blend", """
def blend(counts, shorter, discounts=(0.5, 1.0, 1.5)):
    import numpy as np
    if not counts:
        return shorter.copy()
    n = np.array([counts.get(ch, 0) for ch in shorter], float)
    d = np.array([0, *discounts])[np.minimum(n, 3).astype(int)]
    p = (n - d + d.sum() * np.array(list(shorter.values()))) / n.sum()
    return dict(zip(shorter, p))
"""),
    ("blend", """
def blend(counts, shorter, discounts=(0.5, 1.0, 1.5)):
    probabilities, total = {}, 0
    for ch in counts:
        total += counts[ch]
    if total < 1:
        return {**shorter}
    ones = sum(n == 1 for n in counts.values())
    twos = sum(n == 2 for n in counts.values())
    more = len(counts) - ones - twos
    share = (ones * discounts[0] + twos * discounts[1] + more * discounts[2]) / total
    for ch, p in shorter.items():
        probabilities[ch] = share * p
    for ch, n in counts.items():
        probabilities[ch] += (n - discounts[min(n - 1, 2)]) / total
    return probabilities
"""),
    ("layer-norm", """
def layer_norm(x, weight, shift, eps=1e-5):
    var, mu = torch.var_mean(x, -1, keepdim=True, correction=0)
    return (x - mu) * torch.rsqrt(var + eps) * weight + shift
"""),
    ("layer-norm", """
def layer_norm(x, gain, bias, eps=1e-5):
    centred = x - x.sum(-1, True) / x.shape[-1]
    return gain * centred / (centred.pow(2).mean(-1)[..., None] + eps) ** 0.5 + bias
"""),
    ("layer-norm", """
def layer_norm(x, gain, bias, eps=1e-5):
    if x.dim() > 1:
        return torch.stack([layer_norm(row, gain, bias, eps) for row in x])
    m = sum(x) / len(x)
    s = (sum((n - m) ** 2 for n in x) / len(x) + eps).sqrt()
    return torch.stack([g * (n - m) / s + b for n, g, b in zip(x, gain, bias)])
"""),
    ("layer-norm", """
def layer_norm(x, gain, bias, eps=1e-5):
    mean = x.mean(-1, keepdim=True)
    var = (x * x).mean(-1, keepdim=True) - mean * mean
    return bias + gain * ((x - mean) / (var + eps).sqrt())
"""),
    ("batch-norm", """
def __call__(self, x):
    if not self.training:
        root = (self.running_var + self.eps) ** 0.5
        return (x - self.running_mean) / root * self.gain + self.bias
    N = len(x)
    mu = x.sum(0) / N
    var = ((x - mu) ** 2).sum(0) / N
    m = self.momentum
    with torch.no_grad():
        self.running_mean = (1 - m) * self.running_mean + m * mu
        self.running_var = (1 - m) * self.running_var + m * var * N / (N - 1)
    return (x - mu) / (var + self.eps) ** 0.5 * self.gain + self.bias
"""),
    ("batch-norm", """
def __call__(self, batch):
    if self.training:
        var, mean = torch.var_mean(batch, 0, correction=0)
        self.running_mean.lerp_(mean.detach(), self.momentum)
        self.running_var.lerp_(batch.detach().var(0), self.momentum)
    else:
        mean = self.running_mean
        var = self.running_var
    return self.bias + self.gain * (batch - mean) * torch.rsqrt(var + self.eps)
"""),
    ("batch-norm", """
def __call__(self, x):
    def normalize(mean, var):
        return self.gain * ((x - mean) / torch.sqrt(var + self.eps)) + self.bias
    if not self.training:
        return normalize(self.running_mean, self.running_var)
    with torch.no_grad():
        self.running_mean += self.momentum * (x.mean(0) - self.running_mean)
        self.running_var += self.momentum * (x.std(0) ** 2 - self.running_var)
    return normalize(x.mean(0, keepdim=True), x.var(0, keepdim=True, unbiased=False))
"""),
    ("count-pairs", "def count_pairs(ids):\n    from collections import Counter\n"
     "    return Counter((a, b) for a, b in zip(ids[:-1], ids[1:]))"),
    ("count-pairs", """
def count_pairs(ids):
    pairs = [(ids[i - 1], ids[i]) for i in range(1, len(ids))]
    return {pair: pairs.count(pair) for pair in pairs}
"""),
    ("count-pairs", """
def count_pairs(tokens):
    if len(tokens) < 2:
        return {}
    rest = count_pairs(tokens[1:])
    rest[tokens[0], tokens[1]] = rest.get((tokens[0], tokens[1]), 0) + 1
    return rest
"""),
    ("merge", """
def merge(ids, pair, new_id):
    if len(ids) < 2:
        return list(ids)
    if ids[0] == pair[0] and ids[1] == pair[1]:
        return [new_id] + merge(ids[2:], pair, new_id)
    return ids[:1] + merge(ids[1:], pair, new_id)
"""),
    ("merge", """
def merge(ids, pair, new_id):
    out = []
    fresh = False
    for token in ids:
        if out and not fresh and (out[-1], token) == pair:
            out[-1] = new_id
            fresh = True
        else:
            out.append(token)
            fresh = False
    return out
"""),
    ("merge", """
def merge(ids, pair, new_id):
    ids, i = list(ids), 0
    while i + 1 < len(ids):
        if ids[i] == pair[0] and ids[i + 1] == pair[1]:
            ids[i : i + 2] = [new_id]
        i += 1
    return ids
"""),
    ("learn-merges", """
def learn_merges(ids, vocab_size, count):
    merges = {}
    for new_id in range(vocab_size, vocab_size + count):
        counts = count_pairs(ids)
        if not counts:
            break
        most = max(counts.values())
        pair = sorted(p for p in counts if counts[p] == most)[0]
        merges[pair] = new_id
        ids = merge(ids, pair, new_id)
    return merges
"""),
    ("learn-merges", """
def learn_merges(ids, V, count):
    if count == 0 or len(ids) < 2:
        return {}
    counts = count_pairs(ids)
    pair = max(counts, key=lambda p: (counts[p], -p[0], -p[1]))
    return {pair: V, **learn_merges(merge(ids, pair, V), V + 1, count - 1)}
"""),
    ("learn-merges", """
def learn_merges(ids, vocab_size, count):
    from collections import OrderedDict
    result, text = OrderedDict(), list(ids)
    while count > 0:
        pairs = list(zip(text, text[1:]))
        if len(pairs) == 0:
            return result
        best = None
        for p in sorted(set(pairs)):
            if best is None or pairs.count(p) > pairs.count(best):
                best = p
        result[best] = vocab_size
        text = merge(text, best, vocab_size)
        vocab_size, count = vocab_size + 1, count - 1
    return result
"""),
    ("encode", """
def encode(ids, merges):
    while True:
        known = [p for p in zip(ids, ids[1:]) if p in merges]
        if not known:
            return ids
        pair = min(known, key=merges.get)
        ids = merge(ids, pair, merges[pair])
"""),
    ("encode", "def encode(ids, merges):\n    import functools\n"
     "    return functools.reduce(lambda t, m: merge(t, *m), merges.items(), ids)"),
    ("encode", """
def encode(tokens, merges):
    tokens = tokens[:]
    for pair in merges:
        i = 0
        while i < len(tokens) - 1:
            if (tokens[i], tokens[i + 1]) == pair:
                tokens[i] = merges[pair]
                del tokens[i + 1]
            i += 1
    return tokens
"""),
]  # fmt: skip


@pytest.mark.parametrize(("name", "text"), SOLUTIONS)
def test_another_right_solution_passes(judge, name, text):
    judge.write(name, text)
    assert judge.words(name) == ""


def test_every_exercise_has_three_other_solutions():
    counts = {name: [n for n, _ in SOLUTIONS].count(name) for name in NAMES}
    assert min(counts.values()) >= 3


# --- cheats ---


def test_an_empty_file(judge):
    for name in NAMES:
        judge.path(name).write_text("", encoding="utf-8")
    assert all("has no" in judge.words(name) for name in NAMES)


def test_a_function_that_returns_nothing(judge):
    for name in NAMES:
        function = function_text(judge.read(name), judge.lesson.exercise(name).function)
        judge.write(name, f"{function.split('):')[0]}):\n    print('a result')")
        assert "returns nothing" in judge.words(name)
        assert "a result" in judge.failure(name)["printed"]


# --- the reference beside the programs in extras/ ---


@pytest.fixture(scope="module")
def reference():
    """The functions of the set's files."""
    found = {}
    for path in read_lesson(SET).source.glob("*.py"):
        exec(path.read_text(encoding="utf-8"), found)
    return found


def test_two_steps_are_the_bigram_of_the_program(reference):
    text = "abracadabra and the rest of a sentence"
    model = ngrams.NGram(
        ngrams.count_ngrams([text], 2), 2, "kneser-ney", ngrams.TextTokenizer([text])
    )
    pairs = Counter(a + b for a, b in zip(text, text[1:]))
    kinds = reference["continuation_counts"](pairs)
    discounts = [ngrams.estimate_discounts(Counter(c.values())) for c in (kinds, pairs)]
    uniform = dict.fromkeys(model.symbols, 1 / len(model.symbols))
    single = reference["blend"](kinds, uniform, discounts[0])
    for context in "aq ":
        following = {pair[1]: n for pair, n in pairs.items() if pair[0] == context}
        row = reference["blend"](following, single, discounts[1])
        assert list(row.values()) == pytest.approx(model.probabilities(context))
        assert sum(row.values()) == pytest.approx(1) and min(row.values()) > 0


def test_batch_norm_is_that_of_the_program(reference):
    ours, theirs = reference["BatchNorm"](3), batchnorm.BatchNorm(3)
    for _ in range(3):
        x = torch.randn(5, 3)
        torch.testing.assert_close(ours(x), theirs(x).detach())
    torch.testing.assert_close(ours.running_mean, theirs.running_mean)
    torch.testing.assert_close(ours.running_var, theirs.running_var)
    ours.training = theirs.training = False
    torch.testing.assert_close(ours(x), theirs(x).detach())


def test_merging_is_that_of_the_program(reference):
    text = (ROOT / "data" / "names.txt").read_text(encoding="utf-8")[:500]
    chars = sorted(set(text))
    ids = [chars.index(ch) for ch in text]
    merges = reference["learn_merges"](ids, len(chars), 20)
    tokens = list(chars)
    for a, b in merges:
        tokens.append(tokens[a] + tokens[b])
    split = list(text)
    for a, b in merges:
        split = byte_pairs.merge(split, (tokens[a], tokens[b]))
    encoded = reference["encode"](ids, merges)
    assert [tokens[i] for i in encoded] == split and "".join(split) == text
    assert len(encoded) < 0.8 * len(ids) and len(merges) == 20
