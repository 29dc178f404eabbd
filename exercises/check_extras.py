"""The checks of the set extras. How to write such a file: tools/learn/checking.py."""

import math
from pathlib import Path

import torch
import torch.nn.functional as F

DATA = Path(__file__).resolve().parent.parent / "data"
LESSON = "the lesson's example"
PYTORCH = "by PyTorch, in float64"
BY_HAND = "worked out by hand"

# The pairs of "abracadabra".
PAIRS = {"ab": 2, "br": 2, "ra": 2, "ac": 1, "ca": 1, "ad": 1, "da": 1}


# --- Kneser-Ney ---


def continuation(learner, check):
    continuation_counts = learner.kneser_ney.continuation_counts

    def kinds(pairs, end=1):
        """{character: how many different characters are on its other side}"""
        ends = sorted({pair[end] for pair in pairs})
        return {ch: len({pair for pair in pairs if pair[end] == ch}) for ch in ends}

    def occurrences(pairs, end=1):
        return {ch: sum(pairs[p] for p in pairs if p[end] == ch) for ch in kinds(pairs, end)}

    mistakes = {
        "These are occurrences: each different pair counts once, however often it occurs.": (
            occurrences
        ),
        "These are the characters that come after: count those that come before. A pair belongs to "
        "its second character, pair[1].": lambda pairs: kinds(pairs, end=0),
        "These are occurrences, of the first characters of the pairs: each different pair counts "
        "once, and it belongs to its second character.": lambda pairs: occurrences(pairs, end=0),
        "These are shares: return the numbers of different characters.": check.either(
            lambda pairs: {ch: n / len(pairs) for ch, n in kinds(pairs).items()},
            lambda pairs: {ch: n / sum(pairs.values()) for ch, n in kinds(pairs).items()},
        ),
        "These are the characters themselves: return how many there are.": check.either(
            lambda pairs: {ch: {p[0] for p in pairs if p[1] == ch} for ch in kinds(pairs)},
            lambda pairs: {ch: [p[0] for p in pairs if p[1] == ch] for ch in kinds(pairs)},
        ),
        "Every character has 1: add 1 for each pair that ends with it.": (
            lambda pairs: dict.fromkeys(kinds(pairs), 1)
        ),
        "A new character begins with 1, or with 0 before the pair is added.": check.either(
            lambda pairs: {ch: n - 1 for ch, n in kinds(pairs).items()},
            lambda pairs: {ch: n + 1 for ch, n in kinds(pairs).items()},
        ),
        "Before its first pair, a character has no count yet: counts.get(ch, 0) begins at 0.": (
            KeyError
        ),
    }
    check.equal(
        continuation_counts, ({"qu": 100, "ab": 1, "cb": 1},), {"u": 1, "b": 2},
        by="u comes only after q; b comes after a and c", mistakes=mistakes,
    )  # fmt: skip
    check.equal(
        continuation_counts, (PAIRS,), {"a": 3, "b": 1, "c": 1, "d": 1, "r": 1},
        by=f"{BY_HAND}: the pairs of abracadabra", mistakes=mistakes,
    )  # fmt: skip
    check.equal(continuation_counts, ({},), {}, by="no pairs, no characters")


def blend(learner, check):
    blend, third = learner.kneser_ney.blend, (0.5, 1.0, 1.5)

    def mixed(
        counts, shorter, discounts=third, kept=1, given=1, unseen=0, total=0, always=None, first=1
    ):  # fmt: skip
        """With mistakes: kept and given say how often these parts are used, and so on."""
        taken = {
            ch: discounts[always if always is not None else min(n, 3) - first]
            for ch, n in counts.items()
        }
        pot = given * sum(taken.values())
        whole = sum(counts.values()) + total * sum(taken.values())
        return {
            ch: (counts.get(ch, 0) - kept * taken.get(ch, unseen) + pot * p) / whole
            for ch, p in shorter.items()
        }

    def only_seen(counts, shorter, discounts=third):
        return {ch: p for ch, p in mixed(counts, shorter, discounts).items() if ch in counts}

    def kinds(counts, shorter, discounts=third):
        """What is shared out is the number of different characters."""
        parts = mixed(counts, shorter, discounts, given=0).items()
        return {ch: p + len(counts) * shorter[ch] / sum(counts.values()) for ch, p in parts}

    def uniform(counts, shorter, discounts=third):
        return mixed(counts, dict.fromkeys(shorter, 1 / len(shorter)), discounts)

    def negative_index(counts, shorter, discounts=third):
        """discounts[0 - 1] is the last discount."""
        return mixed({ch: counts.get(ch, 0) for ch in shorter}, shorter, discounts)

    mistakes = {
        "Nothing was taken from the counts, so the probabilities add up to more than 1.": (
            lambda *args: mixed(*args, kept=0)
        ),
        "What was taken is not shared out, so the probabilities add up to less than 1.": (
            lambda *args: mixed(*args, given=0)
        ),
        "The counts were not discounted at all: this is counting and dividing.": (
            lambda *args: mixed(*args, kept=0, given=0)
        ),
        "Characters that never followed are missing: return all characters of shorter.": only_seen,
        "A count of 0 gave something away: discounts[0 - 1] is Python's last discount. Take only "
        "from what was seen.": check.either(
            negative_index, lambda *args: mixed(*args, unseen=third[2])
        ),
        "You share out 1 for each different character: share out what was taken.": kinds,
        "You divide by the counts and by what was taken: it comes from the counts, so they are "
        "the whole.": lambda *args: mixed(*args, total=1),
        "You divide by what is left of the counts: divide by their sum as they were.": (
            lambda *args: mixed(*args, total=-1)
        ),
        "Every count is discounted in the same way: take discounts[1] from 2 and discounts[2] from "
        "3 and more.": check.either(
            *(lambda *args, i=i: mixed(*args, always=i) for i in range(3))
        ),
        "A count of 3 or more takes discounts[2].": (
            lambda counts, shorter, d=third: mixed(counts, shorter, (d[0], d[1], d[1]))
        ),
        "It is shared out equally: shorter says how much each character gets.": uniform,
        "This is the simpler model alone.": lambda counts, shorter, *rest: shorter,
        "Lists count from 0: discounts[0] belongs to a count of 1. And a count above 3 takes "
        "discounts[2], as one of 3 does.": check.either(
            IndexError, lambda *args: mixed(*args, first=0)
        ),
        "A character that never followed is not in counts: counts.get(ch, 0) is 0 then.": KeyError,
    }
    counts = {"b": 2, "c": 1, "d": 1}
    shorter = dict.fromkeys("abcdr", 0.2)
    check.equal(
        blend, (counts, shorter), {"a": 0.1, "b": 0.35, "c": 0.225, "d": 0.225, "r": 0.1},
        by=f"{BY_HAND}: 1 + 0.5 + 0.5 is taken and shared out", mistakes=mistakes,
    )  # fmt: skip
    shorter = {"a": 0.4, "b": 0.3, "c": 0.2, "d": 0.1}
    check.equal(
        blend, ({"a": 3, "c": 9, "d": 1}, shorter), by_moving, by="one portion after the other",
        mistakes=mistakes,
    )  # fmt: skip
    check.equal(
        blend, ({"a": 2, "b": 5, "d": 1}, shorter, (0.6, 0.9, 1.3)), by_moving,
        by="one portion after the other",
        mistakes={
            **mistakes,
            "discounts is ignored: (0.5, 1.0, 1.5) is only its default.": (
                lambda counts, shorter, discounts: mixed(counts, shorter)
            ),
        },
    )  # fmt: skip
    check.equal(
        blend, ({}, shorter), shorter, by="the context never occurred",
        mistakes={
            "The sum of no counts is 0: if the context never occurred, return shorter.": (
                ZeroDivisionError
            ),
            "No character is likely after a context that never occurred? Return shorter.": (
                check.either({}, dict.fromkeys(shorter, 0.0), dict.fromkeys(shorter, 0))
            ),
        },
    )  # fmt: skip
    pairs, text = {}, (DATA / "names.txt").read_text(encoding="utf-8")[:2000].replace("\n", ".")
    for pair in zip(text, text[1:]):
        pairs["".join(pair)] = pairs.get("".join(pair), 0) + 1
    characters = sorted(set(text))
    for context in "a.q":
        check.equal(
            lambda context=context: learner.kneser_ney.probabilities(pairs, context, characters),
            (), lambda context=context: from_text(text, context), by="counted in the text itself",
            call=f"probabilities(pairs of 300 names, {context!r}, characters), which uses blend",
        )  # fmt: skip


def by_moving(counts, shorter, discounts=(0.5, 1.0, 1.5)):
    """Kneser-Ney with a pot: take a portion from each count, then pour the pot out."""
    masses, pot = {ch: float(counts.get(ch, 0)) for ch in shorter}, 0.0
    for ch, mass in masses.items():
        portion = 0.0
        if mass == 1:
            portion = discounts[0]
        elif mass == 2:
            portion = discounts[1]
        elif mass > 2:
            portion = discounts[2]
        masses[ch] -= portion
        pot += portion
    for ch in masses:
        masses[ch] += pot * shorter[ch]
    whole = sum(masses.values())
    return {ch: mass / whole for ch, mass in masses.items()}


def from_text(text, context):
    """The same two steps, from the text in place of a table of pairs."""
    characters = sorted(set(text))
    places = range(1, len(text))
    before = {ch: {text[i - 1] for i in places if text[i] == ch} for ch in characters}
    uniform = {ch: 1 / len(characters) for ch in characters}
    single = by_moving({ch: len(kinds) for ch, kinds in before.items()}, uniform)
    following = [text[i] for i in places if text[i - 1] == context]
    if not following:
        return single
    return by_moving({ch: following.count(ch) for ch in characters}, single)


# --- norms ---


def layer_norm(learner, check):
    layer_norm = learner.norms.layer_norm
    check.forbid("layer_norm", "native_layer_norm", "group_norm")

    def normed(
        x, gain, bias, eps=1e-5, dim=-1, correction=0, mean=1, under=1, outside=0, root=0.5
    ):  # fmt: skip
        """With mistakes: under and outside say how often eps is added to variance and root."""
        shift = mean * x.mean(dim, keepdim=True)
        variance = ((x - shift) ** 2).mean(dim, keepdim=True)
        if correction:
            variance = x.var(dim, keepdim=True, correction=correction)
        return gain * (x - shift) / ((variance + under * eps) ** root + outside * eps) + bias

    def slips(**mistakes):
        return lambda *args: normed(*args, **mistakes)

    mistakes = {
        "gain is missing: multiply by it at the end.": (
            lambda x, g, b, *eps: normed(x, torch.ones_like(g), b, *eps)
        ),
        "bias is missing: add it at the end.": (
            lambda x, g, b, *eps: normed(x, g, torch.zeros_like(b), *eps)
        ),
        "gain and bias are both missing: multiply by gain and add bias at the end.": (
            lambda x, g, b, *eps: normed(x, torch.ones_like(g), torch.zeros_like(b), *eps)
        ),
        "bias was added before gain multiplied: first gain, then bias.": (
            lambda x, g, b, *eps: g * normed(x, torch.ones_like(g), b, *eps)
        ),
        "gain and bias are exchanged.": lambda x, g, b, *eps: normed(x, b, g, *eps),
        "The mean was not subtracted: this is RMSNorm.": slips(mean=0),
        "The variance divides by C - 1, as torch.var and torch.std do unless they are told not to: "
        "here it is the mean of the squares, which divides by C.": slips(correction=1),
        "You divide by the variance: divide by its root.": slips(root=1.0),
        "You multiply by the root of the variance: divide by it.": slips(root=-0.5),
        "The mean of each example has lost its axis: keepdim=True keeps it, so that it can be "
        "subtracted.": RuntimeError("must match the size"),
        "eps was added to the root: it belongs to the variance, under the root.": (
            slips(under=0, outside=1)
        ),
        "eps is missing: add it to the variance, under the root.": slips(under=0),
        "eps was added twice: it belongs to the variance only, under the root.": slips(outside=1),
    }
    x = torch.tensor([1.0, 3, 5, 7]).double()
    gain, bias = torch.tensor([1.0, 1, 2, 1]).double(), torch.tensor([0.0, 0, 0, 1]).double()
    check.equal(
        layer_norm, (x, gain, bias), torch.tensor([-1.342, -0.447, 0.894, 2.342]).double(),
        by=f"{LESSON} in 06: mean 4, variance 5", atol=6e-4, mistakes=mistakes,
    )  # fmt: skip
    over_batch = {
        "The mean and the variance run down the batch: every row has its own, over the last axis, "
        "dim=-1.": slips(dim=0),
        "The whole tensor has one mean and one variance: every vector has its own.": (
            lambda x, g, b, *eps: normed(x.flatten(), 1, 0, *eps).view_as(x) * g + b
        ),
        "The mean of each row has lost its axis and was subtracted across the columns: "
        "keepdim=True keeps it.": lambda x, g, b, eps=1e-5: across(x, g, b, eps),
        **mistakes,
    }
    x = torch.tensor([[1.0, 3, 5, 7], [2, 2, 2, 10], [0, -1, 1, 4], [8, 1, 1, 2]]).double()
    check.equal(
        layer_norm, (x, gain, bias), by_torch, by=PYTORCH, mistakes=over_batch,
        call="layer_norm(x, gain, bias), x of shape (4, 4)",
    )  # fmt: skip
    x, gain, bias = torch.randn(2, 3, 5).double(), torch.randn(5).double(), torch.randn(5).double()
    check.equal(
        layer_norm, (x, gain, bias), by_torch, by=PYTORCH,
        mistakes={
            "dim=1 is the axis of the positions here: the numbers of a vector are on the last "
            "axis, dim=-1.": slips(dim=1),
            **over_batch,
        },
        call="layer_norm(x, gain, bias), x of shape (2, 3, 5)",
    )  # fmt: skip
    small = 0.003 * torch.tensor([[1.0, -1, 2], [0, 1, 0]]).double()
    gain, bias = torch.ones(3).double(), torch.zeros(3).double()
    check.equal(layer_norm, (small, gain, bias), by_torch, by=PYTORCH, mistakes=mistakes)
    check.equal(
        layer_norm, (small, gain, bias, 0.1), by_torch, by=f"{PYTORCH}, with eps = 0.1",
        mistakes={
            "eps is ignored: 1e-5 is only its default.": lambda x, g, b, eps: by_torch(x, g, b),
            **mistakes,
        },
    )  # fmt: skip
    check.equal(
        layer_norm, (torch.full((2, 3), 4.0).double(), gain, bias), torch.zeros(2, 3).double(),
        by="all numbers are equal, so their differences are 0",
    )  # fmt: skip


def by_torch(x, gain, bias, eps=1e-5):
    return F.layer_norm(x, gain.shape, gain, bias, eps)


def across(x, gain, bias, eps):
    """Without keepdim, on a square table."""
    x = x - x.mean(-1)
    return gain * x / torch.sqrt((x**2).mean(-1) + eps) + bias


def batch_norm(learner, check):
    BatchNorm = learner.norms.BatchNorm
    check.forbid("batch_norm", "native_batch_norm")

    def made(training=True, mean=0.0, var=1.0):
        """A norm of two numbers, in float64."""
        norm = BatchNorm(2)
        norm.training = training
        norm.gain, norm.bias = torch.tensor([1.0, 2]).double(), torch.tensor([0.0, 1]).double()
        norm.running_mean = torch.full((2,), mean).double()
        norm.running_var = torch.full((2,), var).double()
        return norm

    def normed(x, dim=0, correction=0, mean=None, var=None, gain=True, bias=True, outside=False):
        norm = made()
        mean = x.mean(dim, keepdim=True) if mean is None else mean
        var = x.var(dim, keepdim=True, correction=correction) if var is None else var
        root = var.sqrt() + 1e-5 if outside else (var + 1e-5).sqrt()
        return (norm.gain if gain else 1) * (x - mean) / root + (norm.bias if bias else 0)

    def slips(**mistakes):
        return lambda x: normed(x, **mistakes)

    x = torch.tensor([[1.0, 10], [3, 10], [5, 40]]).double()
    root = math.sqrt(8 / 3)
    expected = [[-2 / root, 1 - math.sqrt(2)], [0, 1 - math.sqrt(2)], [2 / root, 1 + math.sqrt(8)]]
    mistakes = {
        "The mean and the variance run along the rows: this is LayerNorm. BatchNorm works down "
        "each column, dim=0.": slips(dim=1),
        "The variance divides by N - 1: to normalize the batch, it divides by N. x.var divides by "
        "N if correction=0.": slips(correction=1),
        "self.gain and self.bias are missing.": slips(gain=False, bias=False),
        "self.gain is missing: multiply by it at the end.": slips(gain=False),
        "self.bias is missing: add it at the end.": slips(bias=False),
        "The running averages were used in training: there, the batch has its own mean and "
        "variance.": check.either(
            slips(mean=0, var=torch.tensor(1.0)),
            lambda x: normed(x, mean=0.1 * x.mean(0), var=0.9 + 0.1 * x.var(0)),
        ),
        "You divide by the variance: divide by its root.": (
            lambda x: normed(x, var=x.var(0, correction=0) ** 2)
        ),
        "The mean was not subtracted.": slips(mean=0),
        "The whole table has one mean and one variance: every column has its own.": (
            lambda x: normed(x, mean=x.mean(), var=x.var(correction=0))
        ),
        "The sizes do not fit: the mean of each column, dim=0, has the shape (C,).": (
            RuntimeError("must match the size")
        ),
    }
    call = "norm(x) in training"
    check.equal(
        lambda x: made()(x), (x,), torch.tensor(expected).double(), mistakes=mistakes, call=call,
        by=f"{BY_HAND}: means 3 and 20, variances 8/3 and 200", atol=1e-3,
    )  # fmt: skip
    check.equal(
        lambda x: made()(x), (0.003 * x,), lambda x: trained(x)[0], by=PYTORCH, call=call,
        mistakes={
            "eps was added to the root: it belongs to the variance, under the root.": (
                slips(outside=True)
            ),
            "eps is missing: add it to the variance, under the root.": (
                lambda x: normed(x, var=x.var(0, correction=0) - 1e-5)
            ),
            **mistakes,
        },
    )  # fmt: skip

    def averages(x, mean=0.0, var=1.0, training=True):
        norm = made(training, mean, var)
        norm(x)
        return norm.running_mean, norm.running_var

    m, v, n = x.mean(0), x.var(0, correction=0), x.var(0)
    check.equal(
        averages, (x,), (0.1 * m, 0.9 + 0.1 * n),
        by="a tenth of the way from 0 and 1 to those of the batch",
        call=f"{call}, then norm.running_mean and norm.running_var",
        mistakes={
            "The running averages did not move.": (torch.zeros(2).double(), torch.ones(2).double()),
            "The running variance takes the variance that divides by N - 1, an estimate for all "
            "data: x.var(dim=0).": (0.1 * m, 0.9 + 0.1 * v),
            "The shares are exchanged: momentum is the share of the new batch.": check.either(
                (0.9 * m, 0.1 + 0.9 * n), (0.9 * m, 0.1 + 0.9 * v)
            ),
            "The averages became those of the batch: they go only a part of the way.": (
                check.either((m, n), (m, v))
            ),
            "The new share is added, but the old average is not made smaller: average + momentum * "
            "(new - average).": check.either((0.1 * m, 1 + 0.1 * n), (0.1 * m, 1 + 0.1 * v)),
            "Only the running mean moved: the running variance goes with it.": (
                (0.1 * m, torch.ones(2).double())
            ),
            "Only the running variance moved: the running mean goes with it.": check.either(
                (torch.zeros(2).double(), 0.9 + 0.1 * n), (torch.zeros(2).double(), 0.9 + 0.1 * v)
            ),
        },
    )  # fmt: skip
    call = "norm(x) with norm.training = False"
    check.equal(
        lambda x: made(False, mean=2.0, var=4.0)(x), (x[:1],),
        torch.tensor([[-0.5, 9.0]]).double(), by=f"{BY_HAND}: running mean 2, running variance 4",
        atol=1e-4, call=f"{call}, x with one row",
        mistakes={
            "The statistics of the batch were used: in evaluation, an output must not depend on "
            "the other examples of the batch.": check.either(
                torch.tensor([[0.0, 1.0]]).double(), torch.full((1, 2), math.nan).double()
            ),
            "self.gain and self.bias are missing in evaluation.": (
                torch.tensor([[-0.5, 4.0]]).double()
            ),
            "You divide by the running variance: divide by its root.": (
                torch.tensor([[-0.25, 5.0]]).double()
            ),
        },
    )  # fmt: skip
    still = (torch.full((2,), 2.0).double(), torch.full((2,), 4.0).double())
    check.equal(
        averages, (x, 2.0, 4.0, False), still, by="nothing is learned in evaluation",
        call=f"{call}, then norm.running_mean and norm.running_var",
        mistakes={
            "The running averages moved in evaluation: they move in training only.": check.either(
                (1.8 + 0.1 * m, 3.6 + 0.1 * n), (1.8 + 0.1 * m, 3.6 + 0.1 * v), (m, n), (m, v)
            ),
        },
    )  # fmt: skip
    norm = made()
    check.run(norm, (x.clone().requires_grad_(),), call="norm(x), x with gradients")
    remembers = norm.running_mean.requires_grad or norm.running_var.requires_grad
    check.true(
        not remembers, "The running averages keep the graph of every batch, and the memory fills "
        "up. Move them under `with torch.no_grad():`.", call="norm(x), x with gradients",
        came="running averages with gradients", expected="running averages without gradients",
    )  # fmt: skip
    x = torch.randn(6, 2).double().requires_grad_()
    check.equal(
        lambda: torch.autograd.grad((made()(x) ** 3).sum(), x)[0], (),
        lambda: torch.autograd.grad((trained(x)[0] ** 3).sum(), x)[0], by=PYTORCH,
        call="the gradient of (norm(x) ** 3).sum() with respect to x",
        mistakes={
            "The gradient does not go through the mean and the variance of the batch: only the "
            "running averages belong under torch.no_grad().": without_statistics(x),
        },
    )  # fmt: skip


def trained(x):
    """PyTorch's BatchNorm in training: the result and the module."""
    norm = torch.nn.BatchNorm1d(2, dtype=torch.float64)
    norm.weight.data, norm.bias.data = torch.tensor([1.0, 2]), torch.tensor([0.0, 1])
    norm = norm.double()
    return norm(x), norm


def without_statistics(x):
    """The gradient if mean and variance were constants."""
    mean, var = x.detach().mean(0), x.detach().var(0, correction=0)
    y = torch.tensor([1.0, 2]) * (x - mean) / (var + 1e-5).sqrt() + torch.tensor([0.0, 1])
    return torch.autograd.grad((y**3).sum(), x)[0]


# --- byte pairs ---


def count_pairs(learner, check):
    count_pairs = learner.byte_pairs.count_pairs

    def counted(pairs):
        found = {}
        for pair in pairs:
            found[pair] = found.get(pair, 0) + 1
        return found

    def neighbours(ids):
        return [(ids[i], ids[i + 1]) for i in range(len(ids) - 1)]

    def apart(ids):
        """Occurrences of a pair that share no id, as merge() takes them."""
        found, last = {}, {}
        for i, pair in enumerate(neighbours(ids)):
            if last.get(pair, -2) < i - 1:
                found[pair], last[pair] = found.get(pair, 0) + 1, i
        return found

    mistakes = {
        "Pairs that overlap were counted once: here they all count, and [5, 5, 5] has two.": apart,
        "Only every second pair was counted: the pairs overlap, 1 and 2, then 2 and 3.": (
            lambda ids: counted(zip(ids[::2], ids[1::2]))
        ),
        "The order was lost: (1, 2) and (2, 1) are different pairs.": check.either(
            lambda ids: counted(tuple(sorted(pair)) for pair in neighbours(ids)),
            lambda ids: counted(frozenset(pair) for pair in neighbours(ids)),
        ),
        "The pairs are turned round: the id on the left comes first.": (
            lambda ids: counted(pair[::-1] for pair in neighbours(ids))
        ),
        "The last id is connected with the first: there is no pair at the end.": (
            lambda ids: counted(zip(ids, [*ids[1:], *ids[:1]]))
        ),
        "The last pair is missing.": lambda ids: counted(neighbours(ids)[:-1]),
        "The first pair is missing.": lambda ids: counted(neighbours(ids)[1:]),
        "Every pair has 1: add 1 each time it occurs.": (
            lambda ids: dict.fromkeys(neighbours(ids), 1)
        ),
        "These are the counts of single ids: count pairs of neighbours.": counted,
        "These are the pairs: count how often each occurs.": check.either(
            neighbours, lambda ids: set(neighbours(ids))
        ),
        "The counts begin at 1 before the first pair is added.": (
            lambda ids: {pair: n + 1 for pair, n in counted(neighbours(ids)).items()}
        ),
        "Before its first occurrence, a pair has no count yet: counts.get(pair, 0) begins at 0.": (
            KeyError
        ),
        "A list cannot be a key of a dict: make a tuple of the two.": TypeError("unhashable"),
        "The last id has no neighbour on its right: there are N - 1 pairs.": IndexError,
    }
    check.equal(
        count_pairs, ([1, 2, 3, 1, 2, 1, 2, 2],),
        {(1, 2): 3, (2, 3): 1, (3, 1): 1, (2, 1): 1, (2, 2): 1}, by=BY_HAND, mistakes=mistakes,
    )  # fmt: skip
    check.equal(
        count_pairs, ([5, 5, 5],), {(5, 5): 2}, by=f"{BY_HAND}: two pairs, which overlap",
        mistakes=mistakes,
    )  # fmt: skip
    check.equal(count_pairs, ([3],), {}, by="a single id has no neighbour", mistakes=mistakes)
    ids = list(b"she sells sea shells")
    check.equal(
        count_pairs, (ids,), lambda ids: counted(neighbours(ids)), by="one place after the other",
        mistakes=mistakes,
    )  # fmt: skip


def merge(learner, check):
    merge = learner.byte_pairs.merge

    def overlapping(ids, pair, new):
        """Every occurrence, also those that share an id."""
        found = [tuple(ids[i : i + 2]) == pair for i in range(len(ids))]
        merged = []
        for i, token in enumerate(ids):
            if found[i]:
                merged.append(new)
            elif i == 0 or not found[i - 1]:
                merged.append(token)
        return merged

    def keep_second(ids, pair, new):
        """The pair is replaced, but its second id stays."""
        found = [tuple(ids[i : i + 2]) == pair for i in range(len(ids))]
        return [new if hit else token for token, hit in zip(ids, found)]

    def only_first(ids, pair, new):
        for i in range(len(ids) - 1):
            if tuple(ids[i : i + 2]) == pair:
                return [*ids[:i], new, *ids[i + 2 :]]
        return ids

    def from_right(ids, pair, new):
        return replaced(ids[::-1], pair[::-1], new)[::-1]

    def either_order(ids, pair, new):
        return replaced(replaced(ids, pair, new), pair[::-1], new)

    def singles(ids, pair, new):
        return [new if token in pair else token for token in ids]

    def again(ids, pair, new):
        """The new id takes part in further merges of what stood there."""
        merged = []
        for token in ids:
            if merged and merged[-1] in (pair[0], new) and token == pair[1]:
                merged[-1] = new
            else:
                merged.append(token)
        return merged

    def without_last(ids, pair, new):
        merged = replaced(ids, pair, new)
        return merged if merged[-1] == new else merged[:-1]

    mistakes = {
        "The second id of the pair is still there: new_id takes the place of both, so go on two "
        "places further.": check.either(keep_second, lambda i, p, n: doubled(i, p, n)),
        "An id belongs to two occurrences: after a merge, go on behind the pair.": overlapping,
        "Occurrences that overlap were merged from the right: go from left to right.": from_right,
        "The id after a pair was swallowed: only the two ids of the pair become one.": again,
        "Only the first occurrence was merged: go on to the end.": only_first,
        "The pair was also merged the other way round: (1, 2) is not (2, 1).": either_order,
        "Single ids were replaced: both ids of the pair must be next to each other.": singles,
        "The last id is missing: it has no neighbour on its right, but it stays.": without_last,
        "Nothing was merged. Is a list compared with a tuple? [1, 2] == (1, 2) is False.": (
            lambda ids, pair, new: ids
        ),
        "The pair was taken out, and new_id was not put in its place.": (
            lambda ids, pair, new: [t for t in replaced(ids, pair, new) if t != new]
        ),
        "The pair itself was put in: put new_id in its place.": (
            lambda ids, pair, new: [pair if t == new else t for t in replaced(ids, pair, new)]
        ),
        "The last id has no neighbour on its right: look before you read ids[i + 1].": IndexError,
    }
    check.equal(
        merge, ([2, 1, 1, 2, 2, 3, 1, 2, 1], (1, 2), 9), [2, 1, 9, 2, 3, 9, 1], by=BY_HAND,
        mistakes=mistakes,
    )  # fmt: skip
    check.equal(
        merge, ([5, 5, 5], (5, 5), 6), [6, 5], by=f"{BY_HAND}: from left to right",
        mistakes=mistakes,
    )  # fmt: skip
    check.equal(merge, ([7], (7, 7), 8), [7], by="no pair in it", mistakes=mistakes)
    for text, pair in ((b"banana bandana", (97, 110)), (b"aaaaaaabaaaa", (97, 97))):
        check.equal(
            merge, (list(text), pair, 256), replaced, by="with Python's str.replace",
            mistakes=mistakes,
        )  # fmt: skip


def replaced(ids, pair, new):
    """The same with characters: str.replace goes from left to right and does not overlap."""
    text = "".join(map(chr, ids))
    return [ord(ch) for ch in text.replace("".join(map(chr, pair)), chr(new))]


def doubled(ids, pair, new):
    """new_id is appended, and then the pair's second id, too."""
    merged, i = [], 0
    while i < len(ids):
        hit = tuple(ids[i : i + 2]) == pair
        merged.append(new if hit else ids[i])
        if hit:
            merged.append(ids[i + 1])
            i += 1
        i += 1
    return merged


def learn_merges(learner, check):
    learn_merges = learner.byte_pairs.learn_merges

    def learned(ids, vocab_size, count, tie=1, rare=1, start=0, step=1, merging=True):
        """With mistakes: tie=-1 takes the largest of equal pairs, and so on."""
        found = {}
        while len(found) < count and len(ids) > 1:
            pairs = list(zip(ids, ids[1:]))
            candidates = set(pairs) if merging else set(pairs) - set(found)
            if not candidates:
                break
            best = min(
                candidates, key=lambda p: (-rare * pairs.count(p), tie * p[0], tie * p[1])
            )
            found[best] = vocab_size + start + step * len(found)
            ids = replaced(ids, best, found[best]) if merging else ids
        return found

    def slips(**mistakes):
        return lambda *args: learned(*args, **mistakes)

    mistakes = {
        "The merges were all taken from one count: a merge makes new pairs, so merge in the text "
        "and count again.": slips(merging=False),
        "Of equally frequent pairs, the largest was taken: take the smallest.": slips(tie=-1),
        "The first new id is one too large: it is vocab_size.": slips(start=1),
        "All pairs got the same id: each new id is 1 more than the one before.": slips(step=0),
        "The rarest pairs were merged: take the most frequent one.": slips(rare=-1),
        "There is one merge too few.": lambda ids, V, count: learned(ids, V, count - 1),
        "There is one merge too many.": lambda ids, V, count: learned(ids, V, count + 1),
        "Only one merge was learned: is there a return inside the loop?": (
            lambda ids, V, count: learned(ids, V, 1)
        ),
        "You return the text after the merges: return the merges, {pair: new id}.": (
            lambda *args: applied(args[0], learned(*args))
        ),
        "You return a list of the pairs: return a dict, {pair: new id}.": (
            lambda *args: list(learned(*args))
        ),
        "The dict is turned round: the pairs are the keys, and the new ids the values.": (
            lambda *args: {new: pair for pair, new in learned(*args).items()}
        ),
        "The counts are in the dict: its values are the new ids.": (
            lambda *args: counts_of(args[0], learned(*args))
        ),
    }
    check.equal(
        learn_merges, ([1, 2, 3, 1, 2, 3, 1, 2, 3, 0, 1, 2], 4, 3),
        {(1, 2): 4, (4, 3): 5, (5, 5): 6}, mistakes=mistakes,
        by=f"{BY_HAND}: (1, 2) occurs four times, then (4, 3) three times, then (5, 5) twice",
    )  # fmt: skip
    first = [1, 3, 1, 3, 0, 2, 2, 0, 2, 2]
    frequent = "Of equally frequent pairs, the one that comes first in the text was taken: take "
    check.equal(
        learn_merges, (first, 4, 1), {(0, 2): 4}, by="(1, 3), (0, 2) and (2, 2) occur twice",
        mistakes={f"{frequent}the smallest.": {(1, 3): 4}, **mistakes},
    )  # fmt: skip
    check.equal(
        learn_merges, ([1, 1], 2, 5), {(1, 1): 2}, by="after one merge, no pair is left",
        mistakes={
            "No pair is left, and the text is a single token: end early.": check.either(
                ValueError, IndexError, KeyError("")
            ),
            **mistakes,
        },
    )  # fmt: skip
    ids = list(b"the cat and the other hat and that")
    check.equal(
        learn_merges, (ids, 256, 12), learned, by="the pairs counted one by one", mistakes=mistakes
    )
    found = check.run(learn_merges, (ids, 256, 12))
    check.true(
        list(found) == list(learned(ids, 256, 12)), "The pairs must be in the order of the merges.",
        call="list(learn_merges(ids, 256, 12))", came=str(list(found))[:90],
        expected=str(list(learned(ids, 256, 12)))[:90],
    )  # fmt: skip


def applied(ids, merges):
    for pair, new in merges.items():
        ids = replaced(ids, pair, new)
    return ids


def counts_of(ids, merges):
    """How often each pair occurred when it was merged."""
    counts = {}
    for pair, new in merges.items():
        counts[pair] = list(zip(ids, ids[1:])).count(pair)
        ids = replaced(ids, pair, new)
    return counts


def encode(learner, check):
    encode = learner.byte_pairs.encode

    def in_order(ids, merges, order):
        return applied(ids, {pair: merges[pair] for pair in order(list(merges), ids)})

    def greedy(ids, merges):
        """One walk from left to right that merges whatever it can."""
        tokens = []
        for token in ids:
            tokens.append(token)
            while len(tokens) > 1 and tuple(tokens[-2:]) in merges:
                tokens[-2:] = [merges[tuple(tokens[-2:])]]
        return tokens

    def by_count(pairs, ids):
        return sorted(pairs, key=lambda pair: -list(zip(ids, ids[1:])).count(pair))

    mistakes = {
        "The merges came in the wrong order: the last one was first.": (
            lambda ids, merges: in_order(ids, merges, lambda pairs, ids: pairs[::-1])
        ),
        "Only the first merge was applied: is there a return inside the loop?": (
            lambda ids, merges: in_order(ids, merges, lambda pairs, ids: pairs[:1])
        ),
        "Only the last merge was applied: each one goes on from the result of the one before.": (
            lambda ids, merges: in_order(ids, merges, lambda pairs, ids: pairs[-1:])
        ),
        "Nothing was merged: merge() returns a new list, so keep it, ids = merge(...).": (
            lambda ids, merges: ids
        ),
        "The pairs were merged in the order in which they are met: apply each merge to the whole "
        "text before the next one.": greedy,
        "The most frequent pairs of this text came first: the order is that of the merges.": (
            lambda ids, merges: in_order(ids, merges, by_count)
        ),
        "The smallest pairs came first: the order is that of the merges.": (
            lambda ids, merges: in_order(ids, merges, lambda pairs, ids: sorted(pairs))
        ),
        "These are only the new tokens: what no merge touches stays in the text.": (
            lambda ids, merges: [t for t in applied(ids, merges) if t in merges.values()]
        ),
        "merges is a dict: .items() yields the pairs with their new ids.": check.either(
            ValueError("unpack"), TypeError("unpack")
        ),
    }
    check.equal(
        encode, ([3, 3, 1, 2, 3, 1, 3, 2, 1, 3, 1], {(1, 3): 4, (3, 1): 5, (1, 2): 6}),
        [3, 5, 2, 3, 4, 2, 4, 1], mistakes=mistakes,
        by=f"{BY_HAND}: (1, 3) makes it [3, 3, 1, 2, 3, 4, 2, 4, 1]",
    )  # fmt: skip
    check.equal(
        encode, ([1, 2, 3, 1], {(1, 2): 4, (4, 3): 5}), [5, 1],
        by=f"{BY_HAND}: first [4, 3, 1], then [5, 1]", mistakes=mistakes,
    )  # fmt: skip
    check.equal(encode, ([3, 1], {}), [3, 1], by="no merges", mistakes=mistakes)
    merges = {(116, 104): 256, (104, 101): 257, (256, 101): 258, (32, 258): 259, (97, 116): 260}
    check.equal(
        encode, (list(b"that hen, the other hat"), merges), applied, mistakes=mistakes,
        by="one merge after the other",
    )  # fmt: skip
