"""The checks of the exercises of stage 02. How to write such a file: tools/learn/checking.py."""

import itertools
import math
import string
import zlib
from pathlib import Path

import numpy as np

DATA = Path(__file__).resolve().parent.parent / "data"
LESSON = "the lesson's example"
BY_HAND = "worked out by hand"

# The lesson's ten names and the strokes they make, in the order a, e, l, n, BOS.
TEN = ["ella", "anna", "elena", "alan", "ana", "lena", "elle", "allen", "nala", "neal"]
TABLE = np.array(
    [[0, 0, 4, 3, 6], [1, 0, 3, 3, 1], [3, 4, 3, 0, 1], [5, 1, 0, 1, 2], [4, 3, 1, 2, 0]], float
)
ANNA = np.array([4, 0, 3, 3, 0]), np.array([0, 3, 3, 0, 4])  # the pairs of anna
LEE = np.array([4, 2, 1, 1]), np.array([2, 1, 1, 4])


# --- names.py ---


def encode(learner, check):
    """a is 0, b is 1, BOS is 2."""
    Tokenizer = learner.names.Tokenizer
    check.equal(
        Tokenizer(["ab"]).encode, ("ab",), [2, 0, 1, 2], by="a is 0, b is 1, BOS is 2",
        call='Tokenizer(["ab"]).encode("ab")',
        mistakes={
            "BOS is missing: it belongs at both ends.": [0, 1],
            "BOS is missing at the beginning: it belongs at both ends.": [0, 1, 2],
            "BOS is missing at the end: it belongs at both ends.": [2, 0, 1],
            "Both BOS are at the same end: one belongs at the beginning and one at the end.": (
                check.either([2, 2, 0, 1], [0, 1, 2, 2])
            ),
            "These are letters: self.stoi[ch] is the number of a letter.": (
                check.either([2, "a", "b", 2], ["BOS", "a", "b", "BOS"], ["a", "b"])
            ),
            "There is a list inside the list: put all ids into one list. + joins lists.": (
                check.either([2, [0, 1], 2], [[2], [0, 1], [2]], [[2, 0, 1, 2]])
            ),
            "ord() gives Python's code of a letter: the id of a letter is in self.stoi.": (
                check.either([2, 97, 98, 2], [97, 98])
            ),
            "BOS is self.BOS, the last id of the vocabulary.": check.either(
                [0, 0, 1, 0], [26, 0, 1, 26], ["BOS", 0, 1, "BOS"]
            ),
            "stoi belongs to the tokenizer: self.stoi.": NameError("'stoi'"),
            "BOS belongs to the tokenizer: self.BOS.": NameError("'BOS'"),
            "+ joins lists: put a single number into brackets first.": (
                check.either(
                    TypeError("'int' and 'list'"), TypeError("can only concatenate list"),
                    TypeError("'int' object is not iterable"), TypeError("must be an iterable"),
                )
            ),
            "stoi is a dict: look a letter up with brackets, self.stoi[ch].": (
                TypeError("'dict' object is not callable")
            ),
            "BOS is no letter, so stoi does not know it: use self.BOS.": KeyError("BOS"),
            "BOS is an id, and an id cannot be joined to a text: make the ids of the letters "
            "first, then put BOS at both ends of that list.": (
                check.either(TypeError("'int' and 'str'"), TypeError("can only concatenate str"))
            ),
            "append, extend and insert change a list in place and return None: do not use what "
            "they return.": check.either(
                TypeError("'NoneType'"), AttributeError("'NoneType'")
            ),
            "Take one letter at a time: stoi knows letters and no names.": KeyError("ab"),
        },
    )  # fmt: skip
    tokenizer = Tokenizer([string.ascii_lowercase])
    check.equal(
        tokenizer.encode, ("anna",), [26, 0, 13, 13, 0, 26], by=LESSON,
        call='tokenizer.encode("anna"), for all 26 letters',
        mistakes={
            "A letter that occurs twice has its id twice: keep the order and the repetitions.": (
                check.either([26, 0, 13, 26], [26, 13, 0, 26])
            ),
            "The letters are in another order than in the name.": [26, 0, 0, 13, 13, 26],
            "BOS is self.BOS, the last id of the vocabulary.": [2, 0, 13, 13, 0, 2],
        },
    )  # fmt: skip
    check.equal(
        Tokenizer(["nala"]).encode, ("nala",), [3, 2, 0, 1, 0, 3],
        by="a is 0, l is 1, n is 2, BOS is 3", call='Tokenizer(["nala"]).encode("nala")',
        mistakes={
            "These are the places of the letters in the whole alphabet: the id of a letter is in "
            "self.stoi.": [3, 13, 0, 11, 0, 3],
            "BOS is self.BOS, the last id of the vocabulary.": [26, 2, 0, 1, 0, 26],
        },
    )  # fmt: skip
    check.equal(
        tokenizer.encode, ("",), [26, 26], by="no letter, and BOS at both ends",
        call='tokenizer.encode("")',
    )  # fmt: skip


def split(learner, check):
    """A mistake must give the learner's answer for every name, for it is often right by chance."""
    split_of = learner.names.split_of
    docs = ["anna", "emma", "elle", "ella", "ana", "olivia", "éloïse", "hélène"]
    docs += every_name()[::500]

    def twice():
        """The answers for the same names, the second time from the last to the first."""
        return [split_of(doc) for doc in docs], [split_of(doc) for doc in docs[::-1]][::-1]

    answers, again = check.run(
        twice, call=f"split_of(doc) for {len(docs)} names",
        mistakes={
            "zlib.crc32 takes bytes: doc.encode() makes bytes of a text.": TypeError("bytes-like"),
            "A name may contain any letter, such as ë: encode() takes them all.": UnicodeError,
            "The checksum is in the library zlib, which the file imports: zlib.crc32.": (
                NameError("'crc32'")
            ),
        },
    )  # fmt: skip
    changed = [i for i in range(len(docs)) if answers[i] != again[i]]
    check.true(
        not changed,
        "The same name lands in different splits. Its checksum alone should decide, without random "
        "numbers and without counting calls.",
        call=f"split_of({docs[changed[0]]!r}), twice" if changed else "",
        came=f"{answers[changed[0]]!r}, then {again[changed[0]]!r}" if changed else "",
        expected="the same twice",
    )  # fmt: skip
    names = ("train", "val", "test")
    unknown = [i for i in range(len(docs)) if type(answers[i]) is str and answers[i] not in names]
    check.true(
        not unknown, "The splits are called train, val and test.",
        call=f"split_of({docs[unknown[0]]!r})" if unknown else "",
        came=repr(answers[unknown[0]]) if unknown else "", expected=" or ".join(map(repr, names)),
    )  # fmt: skip
    wanted = [right_split(doc) for doc in docs]
    place = next((i for i, answer in enumerate(answers) if answer != wanted[i]), 0)
    check.equal(
        split_of, (docs[place],), wanted[place],
        by=f"its checksum is {crc32(docs[place])}",
        mistakes={
            words: rule(docs[place])
            for words, rule in WRONG_SPLITS.items()
            if [rule(doc) for doc in docs] == answers
        },
    )  # fmt: skip

    def sizes():
        splits = [split_of(doc) for doc in every_name()]
        return {split: splits.count(split) for split in ("train", "val", "test")}

    check.equal(
        sizes, (), {"train": 23871, "val": 2938, "test": 2884}, by="counted",
        call="the number of names that split_of puts into each split",
    )  # fmt: skip


def every_name():
    return (DATA / "names.txt").read_text(encoding="utf-8").split()


def crc32(doc):
    """The checksum, bit by bit, as zlib.crc32 defines it."""
    remainder = 0xFFFFFFFF
    for byte in doc.encode():
        remainder ^= byte
        for _ in range(8):
            remainder = (remainder >> 1) ^ (0xEDB88320 if remainder & 1 else 0)
    return remainder ^ 0xFFFFFFFF


def right_split(doc):
    return by_digit(crc32(doc) % 10)


def by_digit(digit, val=8, test=9):
    return "val" if digit == val else "test" if digit == test else "train"


WRONG_SPLITS = {
    "Python's hash() of a text changes from run to run, and the splits would change with it: use "
    "zlib.crc32.": lambda doc: by_digit(hash(doc) % 10),
    "The length of the name decides here, so one split would have all names of 8 letters: use "
    "zlib.crc32.": lambda doc: by_digit(len(doc) % 10),
    "The number of bytes decides here, so one split would have all names of 8 bytes: use "
    "zlib.crc32.": lambda doc: by_digit(len(doc.encode()) % 10),
    "You add up the bytes, so the order of the letters does not matter: use zlib.crc32.": (
        lambda doc: by_digit(sum(doc.encode()) % 10)
    ),
    "You add up the codes of the letters, so their order does not matter: use zlib.crc32.": (
        lambda doc: by_digit(sum(map(ord, doc)) % 10)
    ),
    "adler32 is another checksum: use zlib.crc32.": (
        lambda doc: by_digit(zlib.adler32(doc.encode()) % 10)
    ),
    "Val and test are swapped: 8 is val, 9 is test.": lambda doc: by_digit(crc32(doc) % 10, 9, 8),
    "These are the wrong digits: 8 is val, 9 is test.": lambda doc: by_digit(crc32(doc) % 10, 0, 1),
    "These are the wrong digits: the last digit is 8 for val and 9 for test.": (
        lambda doc: by_digit(crc32(doc) % 10, 1, 2)
    ),
    "Names whose digit is 9 are missing from test: 8 is val, 9 is test.": (
        lambda doc: "val" if crc32(doc) % 10 >= 8 else "train"
    ),
    "There is no test split: 9 is test.": lambda doc: by_digit(crc32(doc) % 10, 8, -1),
    "There is no val split: 8 is val.": lambda doc: by_digit(crc32(doc) % 10, -1, 9),
    "Every name lands in train. Do you look only at the last digit, % 10, and compare it with a "
    "number? And is there a return before val and before test?": lambda doc: "train",
    "Every name lands in val: is the condition always true?": lambda doc: "val",
    "Every name lands in test: is the condition always true?": lambda doc: "test",
    "This is the last digit: return the name of the split.": lambda doc: crc32(doc) % 10,
    "This is the checksum: its last digit decides.": crc32,
    "doc.encode() makes bytes in UTF-8. In another encoding, some letters have other bytes.": (
        lambda doc: by_digit(zlib.crc32(doc.encode("latin-1")) % 10)
    ),
}


# --- data ---


def pairs(learner, check):
    """a is 0, b is 1, BOS is 2."""
    pairs, tokenizer = learner.main.pairs, learner.names.Tokenizer(["ab"])
    check.equal(
        pairs, (["ab"], tokenizer), (np.array([2, 0, 1]), np.array([0, 1, 2])),
        by=f"{BY_HAND}: a is 0, b is 1, BOS is 2",
        mistakes={
            "The two are swapped: xs comes first, and ys is what follows.": (
                np.array([0, 1, 2]), np.array([2, 0, 1])
            ),
            "The last pair is missing: after the last letter comes BOS.": (
                np.array([2, 0]), np.array([0, 1])
            ),
            "The first pair is missing: before the first letter comes BOS.": (
                np.array([0, 1]), np.array([1, 2])
            ),
            "Both ends are missing: BOS comes before the first letter and after the last.": (
                np.array([0]), np.array([1])
            ),
            "xs and ys hold the same tokens: ys should begin one token later.": check.either(
                (np.array([2, 0, 1]), np.array([2, 0, 1])),
                (np.array([0, 1, 2]), np.array([0, 1, 2])),
                (np.array([2, 0, 1, 2]), np.array([2, 0, 1, 2])),
            ),
            "xs has one token too many: the last token has none after it.": (
                np.array([2, 0, 1, 2]), np.array([0, 1, 2])
            ),
            "ys has one token too many: the first token has none before it.": (
                np.array([2, 0, 1]), np.array([2, 0, 1, 2])
            ),
            "The last token has none after it: stop one place earlier.": (
                IndexError("list index out of range")
            ),
            "There is one BOS too many: tokenizer.encode(doc) has put BOS at both ends already.": (
                check.either(
                    (np.array([2, 2, 0, 1, 2]), np.array([2, 0, 1, 2, 2])),
                    (np.array([2, 2, 0, 1]), np.array([2, 0, 1, 2])),
                    (np.array([2, 0, 1, 2]), np.array([0, 1, 2, 2])),
                )
            ),
            "Every token is in one pair only: pairs overlap, and all tokens but the first and the "
            "last are in two.": (np.array([2, 1]), np.array([0, 2])),
            "You return lists: np.array(...) makes arrays of them.": ([2, 0, 1], [0, 1, 2]),
            "There is a row for each document: put the tokens of all documents into one list.": (
                np.array([[2, 0, 1]]), np.array([[0, 1, 2]])
            ),
            "You return pairs: return two arrays, all first tokens and all second ones.": (
                check.either(
                    np.array([[2, 0], [0, 1], [1, 2]]),
                    [(2, 0), (0, 1), (1, 2)],
                    [np.array([2, 0]), np.array([0, 1]), np.array([1, 2])],
                )
            ),
            "You return one array with two rows: return two arrays, xs, ys.": (
                np.array([[2, 0, 1], [0, 1, 2]])
            ),
            "These are letters: tokenizer.encode(doc) makes tokens of a document.": (
                check.either((["a"], ["b"]), (np.array(["a"]), np.array(["b"])))
            ),
            "These are the right pairs in another order: keep the order of the text. A set has no "
            "order, and sorting makes a new one.": check.either(*other_orders(["ab"], tokenizer)),
        },
    )  # fmt: skip
    check.equal(
        pairs, (["ab", "b", "aab"], tokenizer),
        (np.array([2, 0, 1, 2, 1, 2, 0, 0, 1]), np.array([0, 1, 2, 1, 2, 0, 0, 1, 2])),
        by=BY_HAND,
        mistakes={
            "Only the last document came through: the result has the pairs of all documents.": (
                lambda docs, tokenizer: one_by_one(docs[-1:], tokenizer)
            ),
            "Only the first document came through: is there a return inside the loop?": (
                lambda docs, tokenizer: one_by_one(docs[:1], tokenizer)
            ),
            "A pair (BOS, BOS) connects two documents: take the pairs of one document at a time.": (
                across
            ),
            "Every pair is there only once: one that occurs twice should be there twice.": (
                lambda docs, tokenizer: columns(dict.fromkeys(zip(*one_by_one(docs, tokenizer))))
            ),
            "There is a row for each document, and the rows differ in length: put the tokens "
            "of all documents into one list.": ValueError("inhomogeneous"),
        },
    )  # fmt: skip
    tokenizer = learner.names.Tokenizer(TEN)
    check.equal(pairs, (TEN * 3, tokenizer), one_by_one, by="one pair at a time")


def one_by_one(docs, tokenizer):
    """The pairs, taken one at a time."""
    xs, ys = [], []
    for doc in docs:
        tokens = tokenizer.encode(doc)
        for place in range(len(tokens) - 1):
            xs.append(tokens[place])
            ys.append(tokens[place + 1])
    return np.array(xs), np.array(ys)


def other_orders(docs, tokenizer):
    """The mistake of sorting the pairs, or of putting them into a set."""
    right, *others = itertools.permutations(zip(*one_by_one(docs, tokenizer)))
    return [columns(pairs) for pairs in others]


def columns(pairs):
    """Two arrays, of all first tokens and of all second ones."""
    return tuple(np.array(part) for part in zip(*pairs))


def across(docs, tokenizer):
    """The mistake of joining all documents first."""
    tokens = [token for doc in docs for token in tokenizer.encode(doc)]
    return np.array(tokens[:-1]), np.array(tokens[1:])


# --- model ---


def probabilities(learner, check):
    probabilities = learner.main.probabilities

    def rows(counts):
        return counts.sum(axis=1, keepdims=True)

    mistakes = {
        "The columns add up to 1: divide every row by its own sum. Adding along a row is axis=1.": (
            lambda counts, smoothing: (counts + smoothing) / (counts + smoothing).sum(axis=0)
        ),
        "The whole table adds up to 1: every row has a sum of its own.": (
            lambda counts, smoothing: (counts + smoothing) / (counts + smoothing).sum()
        ),
        "The sums have the shape (V,) and divide along the wrong axis: keepdims=True gives them "
        "the shape (V, 1).": lambda counts, smoothing: (
            (counts + smoothing) / (counts + smoothing).sum(axis=1)
        ),
        "Every row is divided by its largest count: divide it by its sum.": (
            lambda counts, smoothing: (
                (counts + smoothing) / (counts + smoothing).max(axis=1, keepdims=True)
            )
        ),
        "These are the counts: divide every row by its sum.": (
            lambda counts, smoothing: counts + smoothing
        ),
        "These are logarithms: return the probabilities.": (
            lambda counts, smoothing: np.log((counts + smoothing) / rows(counts + smoothing))
        ),
        "The exponentials of the counts are divided: divide the counts themselves.": (
            lambda counts, smoothing: (
                np.exp(counts + smoothing) / rows(np.exp(counts + smoothing))
            )
        ),
        "You return lists: calculate with the array as a whole, or make one with np.array.": (
            lambda counts, smoothing: ((counts + smoothing) / rows(counts + smoothing)).tolist()
        ),
        "Every count starts at 0.1 here, whatever smoothing is: add smoothing.": (
            lambda counts, smoothing: by_fractions(counts, 0.1)
        ),
        "Every count starts at 1 here, whatever smoothing is: add smoothing.": (
            lambda counts, smoothing: by_fractions(counts, 1)
        ),
        "NumPy says keepdims, with an s.": TypeError("keepdim"),
        "A table may have any number of rows and columns: take both from counts.shape.": (
            IndexError("out of bounds")
        ),
    }
    check.equal(
        probabilities, (np.array([[1.0, 3.0], [1.0, 0.0]]), 0), np.array([[1 / 4, 3 / 4], [1, 0]]),
        by=f"{BY_HAND}: the sums are 4 and 1", mistakes=quietly(mistakes),
    )  # fmt: skip
    check.equal(
        probabilities, (TABLE, 0), by_fractions, by=f"{LESSON}, row by row",
        call="probabilities(counts, 0), for the table of the ten names",
        mistakes=quietly(mistakes),
    )  # fmt: skip
    check.equal(
        probabilities, (TABLE, 1), by_fractions, by=f"{LESSON}: one stroke more in every cell",
        call="probabilities(counts, 1), for the table of the ten names",
        mistakes={
            "The smoothing is missing: add it to every count.": (
                lambda counts, smoothing: counts / rows(counts)
            ),
            "The smoothing is added after dividing: add it to the counts first, and then divide.": (
                lambda counts, smoothing: counts / rows(counts) + smoothing
            ),
            "The rows add up to more than 1: divide by the sums of the smoothed counts.": (
                lambda counts, smoothing: (counts + smoothing) / rows(counts)
            ),
            "The smoothing is added once to the sum of a row: every one of its V cells has it.": (
                lambda counts, smoothing: (counts + smoothing) / (rows(counts) + smoothing)
            ),
            "The smoothing is only in the sums: add it to the counts as well.": check.either(
                lambda counts, smoothing: counts / rows(counts + smoothing),
                lambda counts, smoothing: counts / (rows(counts) + smoothing),
            ),
            "Only the cells with a count of 0 got the smoothing: all cells should.": (
                lambda counts, smoothing: by_fractions(np.where(counts == 0, smoothing, counts), 0)
            ),
            "The counts are multiplied by the smoothing: add it.": (
                lambda counts, smoothing: counts * smoothing / rows(counts)
            ),
            **quietly(mistakes),
        },
    )  # fmt: skip
    empty = np.array([[2.0, 1.0, 1.0], [0.0, 0.0, 0.0], [0.0, 3.0, 0.0]])
    check.equal(
        probabilities, (empty, 0), by_fractions,
        by=f"{BY_HAND}: the row without counts stays zero",
        mistakes={
            "The row without counts became 0 / 0, which is nan: keep its sum from being 0 when "
            "you divide.": np.array([[1 / 2, 1 / 4, 1 / 4], [math.nan] * 3, [0, 1, 0]]),
            "0 / 0 became a uniform guess: without smoothing, a row of zeros stays a row of "
            "zeros.": np.array([[1 / 2, 1 / 4, 1 / 4], [1 / 3, 1 / 3, 1 / 3], [0, 1, 0]]),
            "The row without counts has the sum 0: do not divide by that.": ZeroDivisionError,
        },
    )  # fmt: skip
    check.equal(
        probabilities, (np.zeros((2, 2)), 0.1), np.full((2, 2), 0.5),
        by="equal counts are a uniform guess",
        mistakes={
            "The sum of a row is 0.2 here, and you divide by 1: raise a sum only if it is 0.": (
                np.full((2, 2), 0.1)
            ),
            "A row without counts gets the smoothing, too.": np.zeros((2, 2)),
        },
    )  # fmt: skip
    check.equal(
        probabilities, (np.array([[3.0, 0.0, 1.0, 4.0, 0.0]]), 0.4), by_fractions,
        by="a single row with five columns",
        mistakes={
            "The number of columns is not always the number of rows: take both from "
            "counts.shape.": IndexError,
        },
    )  # fmt: skip


def quietly(mistakes):
    """The same mistakes, with NumPy's warnings about dividing by 0 turned off."""

    def quiet(rule):
        def call(*args):
            with np.errstate(all="ignore"):
                return rule(*args)

        return call

    return {
        words: rule if isinstance(rule, Exception) else quiet(rule)
        for words, rule in mistakes.items()
    }


def by_fractions(counts, smoothing):
    """The probabilities, a cell at a time."""
    table = []
    for row in counts.tolist():
        total = sum(row) + smoothing * len(row)
        table.append([(count + smoothing) / total if total else 0.0 for count in row])
    return np.array(table)


# --- evaluation ---


def evaluate(learner, check):
    evaluate = learner.main.evaluate
    P = by_fractions(TABLE, 0)
    check.equal(
        evaluate, (by_fractions(TABLE, 1), *LEE), 1.904, by=f"{LESSON}, with a smoothing of 1",
        atol=6e-4, call='evaluate(P, xs, ys), for the four pairs of "lee"',
        mistakes=wrong_losses(check),
    )  # fmt: skip
    check.equal(
        evaluate, (P, *ANNA), 1.188, by=f"{LESSON}: 5.941 / 5", atol=6e-4,
        call='evaluate(P, xs, ys), for the five pairs of "anna"', mistakes=wrong_losses(check),
    )  # fmt: skip
    check.equal(
        evaluate, (P, *LEE), math.inf, by=f"{LESSON}: e never follows e",
        call='evaluate(P, xs, ys), for "lee" without smoothing',
        mistakes={
            "A tiny number in place of the probability 0 makes the loss finite. It is infinite: "
            "something happened that the model calls impossible.": check.either(
                *(
                    lambda P, xs, ys, tiny=tiny: minus_mean_log(np.maximum(P[xs, ys], tiny))
                    for tiny in (1e-6, 1e-7, 1e-8, 1e-9, 1e-10, 1e-12, 1e-15, 1e-16, 1e-20, 1e-300)
                )
            ),
            "You leave out the pair with the probability 0: its loss is infinite, and so is the "
            "mean.": check.either(
                lambda P, xs, ys: minus_mean_log(P[xs, ys][P[xs, ys] > 0]),
                lambda P, xs, ys: np.log(P[xs, ys][P[xs, ys] > 0]).sum() / -len(xs),
            ),
            "math.log(0) raises an error: np.log(0) is -inf.": ValueError,
            "The sign is wrong: minus the logarithm of 0 is plus infinity.": -math.inf,
            "-inf and inf in one sum give nan: add up numbers of the same sign.": math.nan,
        },
    )  # fmt: skip
    rng = np.random.default_rng(2)
    P = by_fractions(rng.integers(0, 50, (27, 27)), 0.1)
    xs, ys = rng.integers(0, 27, (2, 500))
    check.equal(
        evaluate, (P, xs, ys), slow_loss, by="one pair at a time",
        call="evaluate(P, xs, ys), for 500 pairs of 27 characters",
        mistakes={
            "The product of 500 probabilities is so small that it rounds to 0: add up their "
            "logarithms instead.": math.inf,
            **wrong_losses(check),
        },
    )  # fmt: skip


def minus_mean_log(p):
    with np.errstate(divide="ignore"):
        return float(-np.log(p).mean())


def wrong_losses(check):
    """Known mistakes of evaluate(P, xs, ys)."""
    return {
        "The sign is wrong: the logarithm of a probability is below 0, but a loss is above 0.": (
            lambda P, xs, ys: -minus_mean_log(P[xs, ys])
        ),
        "This is the sum over the pairs: take the mean.": (
            lambda P, xs, ys: minus_mean_log(P[xs, ys]) * len(xs)
        ),
        "This is the sum over the pairs, with the wrong sign: take minus the mean.": (
            lambda P, xs, ys: -minus_mean_log(P[xs, ys]) * len(xs)
        ),
        "This is in bits: the loss is in nats, with the natural logarithm.": (
            lambda P, xs, ys: minus_mean_log(P[xs, ys]) / math.log(2)
        ),
        "This is the logarithm to base 10: the loss is in nats, with the natural logarithm.": (
            lambda P, xs, ys: minus_mean_log(P[xs, ys]) / math.log(10)
        ),
        "This is the perplexity: return the loss itself, without exp.": (
            lambda P, xs, ys: math.exp(minus_mean_log(P[xs, ys]))
        ),
        "This is the product of the probabilities: take their logarithms, then minus the mean.": (
            lambda P, xs, ys: P[xs, ys].prod()
        ),
        "The last pair is missing: the end of the name counts, too.": (
            lambda P, xs, ys: minus_mean_log(P[xs[:-1], ys[:-1]])
        ),
        "This is the mean of the probabilities: take their logarithms first.": (
            lambda P, xs, ys: P[xs, ys].mean()
        ),
        "This is minus the mean of the probabilities: take their logarithms first.": (
            lambda P, xs, ys: -P[xs, ys].mean()
        ),
        "This is the logarithm of the mean: take the logarithms first, then the mean.": (
            lambda P, xs, ys: -np.log(P[xs, ys].mean())
        ),
        "There is a number for each pair: take minus the mean of the logarithms.": check.either(
            lambda P, xs, ys: -np.log(P[xs, ys]),
            lambda P, xs, ys: np.log(P[xs, ys]),
            lambda P, xs, ys: P[xs, ys],
        ),
        "The two are swapped: the row is the current token, xs, and the column the next, ys.": (
            lambda P, xs, ys: minus_mean_log(P[ys, xs])
        ),
        "P[xs][:, ys] has all those columns in every row: pair i needs row xs[i] and column "
        "ys[i] only.": lambda P, xs, ys: minus_mean_log(P[xs][:, ys]),
        "P[xs][ys] picks rows twice: pair i needs row xs[i] and column ys[i].": (
            IndexError("out of bounds")
        ),
        "This is the mean over the whole rows: only the probability of what came counts.": (
            lambda P, xs, ys: minus_mean_log(P[xs])
        ),
        "This is the mean over the whole table: only the probabilities of the pairs count.": (
            lambda P, xs, ys: minus_mean_log(P)
        ),
        "The sum is divided by the size of the vocabulary: divide by the number of pairs.": (
            lambda P, xs, ys: -np.log(P[xs, ys]).sum() / len(P)
        ),
    }


def slow_loss(P, xs, ys):
    total = 0.0
    for x, y in zip(xs.tolist(), ys.tolist()):
        total -= math.log(P.tolist()[x][y])
    return total / len(xs)


# --- training ---


def count(learner, check):
    """The learner's other functions print and measure the losses, so they come first."""
    main, Tokenizer = learner.main, learner.names.Tokenizer

    def counted(names, steps=1_000_000):
        config = main.Config(steps=steps, smoothing=0.1)
        result = main.train(config, names, names[:1], Tokenizer(names))
        return None if result is None else result[0]

    check.equal(
        counted, (TEN,), TABLE, by=f"{LESSON}, stroke by stroke",
        call="train(config, docs, val_docs, tokenizer)[0], for the ten names",
        mistakes={
            "Nothing was counted.": np.zeros((5, 5)),
            "Rows and columns are swapped: the row is the current token, the column the next.": (
                TABLE.T
            ),
            "The names have no beginning and no end: encode() puts BOS at both ends; keep it.": (
                strokes(TEN, begin=False, end=False)
            ),
            "The names have no end: the last pair is a letter and BOS.": strokes(TEN, end=False),
            "The names have no beginning: the first pair is BOS and a letter.": (
                strokes(TEN, begin=False)
            ),
            "Only the first name was counted, again and again: step says which one it is now.": (
                10 * strokes(TEN[:1], chars="aeln")
            ),
            "Only the first name was counted: does something end the loop after one step?": (
                strokes(TEN[:1], chars="aeln")
            ),
            "Every step counts all names: it should count docs[step] only.": 10 * TABLE,
            "The table forgets what it counted: += adds a stroke, = does not.": (
                np.minimum(TABLE, 1)
            ),
            "Pairs connect one name with the next: a step counts docs[step] only.": (
                10 * connected(TEN)
            ),
            "A stroke adds 1: the smoothing is added later, in probabilities().": 1.1 * TABLE,
            "The smoothing is in the table: probabilities() adds it later, so only count here.": (
                check.either(TABLE + 0.1, TABLE + 1)
            ),
            "Only the last name is left. counts was made before the loop: do not make a new one in "
            "each step.": strokes(TEN[-1:], chars="aeln"),
            "Every pair got two strokes.": 2 * TABLE,
            "The letters are counted, each with itself: the column is the next token.": (
                np.diag([13.0, 8.0, 11.0, 9.0, 20.0])
            ),
            "These are letters: tokenizer.encode(docs[step]) makes tokens of the name.": (
                IndexError("only integers")
            ),
            "The last token has none after it: stop one place earlier.": (
                IndexError("list index out of range")
            ),
            "pairs() takes a list of names. Given a single name, it takes every letter for a name "
            "of its own.": strokes([letter for name in TEN for letter in name]),
        },
    )  # fmt: skip
    check.equal(
        counted, (["banana", "anna"],), strokes(["banana", "anna"]),
        by=f"{BY_HAND}: b-a, a-n, n-a, a-n, n-a in banana",
        call='train(config, ["banana", "anna"], val_docs, tokenizer)[0]',
        mistakes={
            "counts[xs, ys] += 1 adds only one stroke for a pair that occurs twice in a name: "
            "count one pair after another, or use np.add.at.": strokes(["bana", "anna"]),
        },
    )  # fmt: skip
    check.equal(
        counted, (TEN, 3), strokes(TEN[:3], chars="aeln"), by="ella, anna and elena",
        call="train(config, docs, val_docs, tokenizer)[0], for the ten names and 3 steps",
        mistakes={
            "More names were counted than there are steps: a step counts docs[step] only.": (
                check.either(TABLE, 3 * TABLE)
            ),
        },
    )  # fmt: skip

    names = every_name()
    train, val = ([doc for doc in names if right_split(doc) == split] for split in ("train", "val"))

    def loss():
        _, log = main.train(main.Config(), train[::10], val[::10], Tokenizer(names))
        return log.val

    check.between(
        loss, (), 2.42, 2.52, by="counted with 2,388 of the names: 2.47",
        call="train(...)[1].val, the val loss after a tenth of the names",
        mistakes={
            "This is a uniform guess: nothing was learned.": (3.2, 3.4),
        },
    )  # fmt: skip


def strokes(names, begin=True, end=True, chars=""):
    """The table of counts, by comparing texts; "." is BOS and comes last."""
    chars = [*(chars or sorted(set("".join(names)))), "."]
    texts = ["." * begin + name + "." * end for name in names]
    seen = [text[i : i + 2] for text in texts for i in range(len(text) - 1)]
    return np.array([[float(seen.count(x + y)) for y in chars] for x in chars])


def connected(names):
    """The mistake of joining all names first."""
    table = strokes(names)
    table[-1, -1] += len(names) - 1
    return table


# --- the baseline ---


def baseline(learner, check):
    letter_frequencies = learner.main.letter_frequencies

    def five(row):
        return np.array([row] * 5)

    def p(counts, smoothing=0):
        """Divided by the sum of the row, for a list."""
        total = sum(counts) + smoothing * len(counts)
        return [(count + smoothing) / total for count in counts]

    sums = [13, 8, 11, 9, 10]
    general = {
        "This is one row: the table has V rows, all the same.": check.either(
            lambda counts, smoothing: np.array(p(counts.sum(axis=0), smoothing)),
            lambda counts, smoothing: np.array([p(counts.sum(axis=0), smoothing)]),
        ),
        "The V copies are beside each other in a single row: np.tile(row, (V, 1)) puts them below "
        "each other.": lambda counts, smoothing: np.array(
            [p(counts.sum(axis=0), smoothing) * len(counts)]
        ),
        "The columns are all the same: every row should be P(next).": (
            lambda counts, smoothing: np.array([p(counts.sum(axis=0), smoothing)] * len(counts)).T
        ),
        "The rows still differ: add the counts of all rows together first.": by_fractions,
        "This is the mean of the rows of probabilities, where a rare row counts as much as a "
        "common one: add up the counts first.": lambda counts, smoothing: np.array(
            [by_fractions(counts, smoothing).mean(axis=0)] * len(counts)
        ),
        "These are sums of counts: let probabilities() divide them.": check.either(
            lambda counts, smoothing: np.array([counts.sum(axis=0) + smoothing] * len(counts)),
            lambda counts, smoothing: np.array([counts.sum(axis=0)] * len(counts)),
        ),
        "A sum of shape (V,) is no table for probabilities(): keepdims=True makes it (1, V).": (
            IndexError("axis 1 is out of bounds")
        ),
        "This is a uniform guess: the sum of each column says how common a character is.": (
            lambda counts, smoothing: np.full(counts.shape, 1 / len(counts))
        ),
    }
    check.equal(
        letter_frequencies, (TABLE, 0), five(p(sums)),
        by=f"{LESSON}: 13, 8, 11, 9 and 10 of 51",
        call="letter_frequencies(counts, 0), for the table of the ten names", mistakes=general,
    )  # fmt: skip
    check.equal(
        letter_frequencies, (TABLE, 1), five(p(sums, 1)), by=f"{BY_HAND}: 14 of 56 are a",
        call="letter_frequencies(counts, 1), for the table of the ten names",
        mistakes={
            "The smoothing is missing: add it once to each sum.": five(p(sums)),
            "The smoothing was added in all V rows before adding them together: add it once to "
            "each sum.": check.either(five(p(sums, 5)), five(p(sums, 6))),
            "The smoothing was added twice.": five(p(sums, 2)),
            **general,
        },
    )  # fmt: skip
    middle = np.array([[0.0, 6.0, 1.0], [0.0, 1.0, 2.0], [0.0, 0.0, 2.0]])
    check.equal(
        letter_frequencies, (middle, 0), np.array([[0, 7 / 12, 5 / 12]] * 3), by=BY_HAND,
        mistakes={
            "You add along the rows, which says how common a character is as the current one: for "
            "whole names it is the same, but not here. Add down the columns.": (
                np.array([[7 / 12, 3 / 12, 2 / 12]] * 3)
            ),
            **general,
        },
    )  # fmt: skip


# --- samples ---


def sample(learner, check):
    main, Tokenizer = learner.main, learner.names.Tokenizer
    sample = main.sample

    P = np.zeros((4, 4))
    for x, y in [(3, 1), (1, 2), (2, 0), (0, 3)]:
        P[x, y] = 1.0
    check.equal(
        lambda: sample(main.Bigram(P, Tokenizer(["abc"]))), (), "bca",
        call="sample(model), where b follows BOS, c follows b, a follows c, BOS follows a",
        by="the only name that this model allows",
        mistakes={
            "It returns tokens: model.tokenizer.decode(tokens) makes a text of them.": [1, 2, 0],
            "It returns tokens with BOS: leave BOS out, and decode the others.": (
                check.either([3, 1, 2, 0, 3], [1, 2, 0, 3], [3, 1, 2, 0])
            ),
            "BOS is not a letter: leave it out of what you decode.": KeyError,
            "The first letter is missing: begin at BOS, and keep what is drawn after it.": "ca",
            "The last letter is missing.": "bc",
            "The first letter was not drawn: begin at BOS.": "a",
            "The name is empty: begin at BOS. It ends when BOS is drawn, not when it begins.": "",
            "Every letter comes from the row of BOS: use the row of the latest token.": "b" * 100,
            "Rows and columns are swapped: the row of the current token says what follows.": "acb",
            "random.choices returns a list: take its first element, [0].": (
                check.either(TypeError("unhashable type: 'list'"), ValueError("truth value"))
            ),
            "random.choice takes no weights: random.choices does, with an s.": (
                TypeError("choice() takes")
            ),
            "There must be as many weights as tokens to draw from. Is the latest token one number? "
            "random.choices returns a list: its first element, [0], is the token.": (
                ValueError("does not match the population")
            ),
            "BOS is model.tokenizer.BOS.": NameError("'BOS'"),
        },
    )  # fmt: skip
    endless = main.Bigram(np.array([[1.0, 0.0], [1.0, 0.0]]), Tokenizer(["a"]))
    check.equal(
        lambda: sample(endless, longest=7), (), "a" * 7,
        call="sample(model, longest=7), where a always follows a", by="cut after 7 characters",
        mistakes={
            "One character too few: BOS does not count.": "a" * 6,
            "One character too many.": "a" * 8,
            "longest is ignored: 100 is only its default.": "a" * 100,
        },
    )  # fmt: skip

    def share_of_single(temperature, count=1000):
        """How many of the drawn names are "a", if a ends a name in 1 of 4 cases."""
        model = main.Bigram(np.array([[3 / 4, 1 / 4], [1.0, 0.0]]), Tokenizer(["a"]))
        drawn = [sample(model, temperature=temperature) for _ in range(count)]
        return drawn.count("a") / count

    share = 'the share of "a" among 1,000 names, where a is followed by a with 3/4, by BOS with 1/4'
    check.between(
        lambda: share_of_single(1.0), (), 0.20, 0.30, by="1/4", call=share,
        mistakes={
            "It always takes the likeliest token: draw, as random.choices does.": (0, 0),
            "Both get 1/2: hand the probabilities to random.choices as weights.": (0.45, 0.55),
            "You seem to draw twice for each letter: is the token that you test the one that you "
            "keep?": (0.001, 0.1),
        },
    )  # fmt: skip
    ignored = (
        "The temperature has no effect. Dividing the probabilities by it changes no ratio: raise "
        "them to the power 1 / temperature."
    )
    check.between(
        lambda: share_of_single(0.5), (), 0.06, 0.14, by="1/10, since (3/4)² is 9 times (1/4)²",
        call=f"temperature 0.5: {share}",
        mistakes={
            ignored: (0.20, 0.30),
            "The power is the temperature: it should be 1 / temperature.": (0.32, 0.42),
            "It always takes the likeliest token: a temperature of 0.5 still draws.": (0, 0),
        },
    )  # fmt: skip
    check.between(
        lambda: share_of_single(2.0), (), 0.31, 0.43, by="0.366, from the roots of 3/4 and 1/4",
        call=f"temperature 2: {share}", mistakes={ignored: (0.19, 0.309)},
    )  # fmt: skip
    cold = main.Bigram(by_fractions(TABLE, 0), Tokenizer(TEN))
    rounded = (
        "All weights rounded to 0, because even the largest is below 1 and the power is 1000. "
        "Divide the row by its largest number first."
    )
    check.equal(
        lambda: sample(cold, temperature=0.001), (), "a",
        call="sample(model, temperature=0.001), for the ten names",
        by="a is the likeliest after BOS, and BOS after a",
        mistakes={rounded: check.either(ValueError("Total of weights"), ValueError("NaN"))},
    )  # fmt: skip


# --- for other programs ---


def log_probs(learner, check):
    main, Tokenizer = learner.main, learner.names.Tokenizer
    P = by_fractions(TABLE, 1)
    model = main.Bigram(P, Tokenizer(TEN))

    def rows(*tokens):
        """One row of log-probabilities for each of the current tokens, by the slow way."""
        return [[math.log(p) for p in P[token].tolist()] for token in tokens]

    def log_probs(text):
        return main.log_probs(model, text)

    check.equal(
        log_probs, ("an",), rows(4, 0, 3), call='log_probs(model, "an"), for the ten names',
        by="the rows of BOS, a and n, as logarithms",
        mistakes={
            "You return an array: .tolist() makes lists of it.": np.array(rows(4, 0, 3)),
            "You return a list of arrays: .tolist() makes lists of an array.": (
                [np.array(row) for row in rows(4, 0, 3)]
            ),
            "These are probabilities: take their logarithms.": P[[4, 0, 3]].tolist(),
            "The sign is wrong: logarithms of probabilities are below 0. Minus belongs to the "
            "loss.": [[-x for x in row] for row in rows(4, 0, 3)],
            "The row for the end of the text is missing: what comes after n?": rows(4, 0),
            "The first row is missing: what comes after BOS?": rows(0, 3),
            "Both ends are missing.": rows(0),
            "There is a row too many: after the last BOS nothing comes.": rows(4, 0, 3, 4),
            "These are the rows of what comes, not of what is before it: the first row belongs to "
            "BOS.": rows(0, 3, 4),
            "There is only the number of the token that came: a row has V of them.": (
                check.either(
                    [math.log(P[4, 0]), math.log(P[0, 3]), math.log(P[3, 4])],
                    np.array([math.log(P[4, 0]), math.log(P[0, 3]), math.log(P[3, 4])]),
                )
            ),
            "These are bits: take the natural logarithm.": (
                [[x / math.log(2) for x in row] for row in rows(4, 0, 3)]
            ),
            "These are columns of P: the row of a token says what follows it.": (
                [[math.log(p) for p in P[:, token].tolist()] for token in (4, 0, 3)]
            ),
            "There is one list for all places: every place has a row of its own.": (
                sum(rows(4, 0, 3), [])
            ),
            "log_probs gets a text: model.tokenizer.encode(text) makes tokens of it.": (
                IndexError("only integers")
            ),
        },
    )  # fmt: skip
    check.equal(
        log_probs, ("allen",), rows(4, 0, 2, 2, 1, 3),
        call='log_probs(model, "allen"), for the ten names', by="one number at a time",
    )  # fmt: skip
    check.equal(
        log_probs, ("",), rows(4), call='log_probs(model, "")', by="an empty text has an end, too"
    )
    hard = main.Bigram(np.array([[0.5, 0.5], [1.0, 0.0]]), Tokenizer(["a"]))
    check.equal(
        lambda: main.log_probs(hard, "a"), (),
        [[0.0, -math.inf], [math.log(0.5), math.log(0.5)]],
        call='log_probs(model, "a"), where BOS never follows BOS', by="log 0 is -inf",
        mistakes={
            "math.log(0) raises an error: np.log(0) is -inf.": ValueError,
            "A probability of 0 has the logarithm -inf: do not add a tiny number.": check.either(
                *(
                    [[0.0, math.log(tiny)], [math.log(0.5), math.log(0.5)]]
                    for tiny in (1e-8, 1e-9, 1e-10, 1e-12, 1e-300)
                )
            ),
        },
    )  # fmt: skip
