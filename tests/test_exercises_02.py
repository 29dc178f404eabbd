"""The checks of stage 02's exercises: right solutions pass, and each mistake has its own words."""

import pytest

from exercise_cases import Judge
from learn.run_checks import run_checks
from learn.source import function_text

STAGE = "02_bigram_counts"


@pytest.fixture
def judge(tmp_path):
    return Judge(STAGE, tmp_path)


NAMES = Judge.names(STAGE)


@pytest.mark.parametrize("name", NAMES)
def test_the_reference_passes(judge, name):
    assert judge.words(name) == ""


@pytest.mark.parametrize("name", NAMES)
def test_a_blank_is_not_yet_written(judge, name):
    judge.blank_all()
    assert "is not written yet" in judge.words(name)


# --- known mistakes: (exercise, a text in the right solution, what is there instead, the words) ---

ENCODED = "[self.BOS, *(self.stoi[ch] for ch in doc), self.BOS]"
CRC = "zlib.crc32(doc.encode()) % 10"
TO_TEXT = "(token for token in tokens if token != BOS)"
ROWS = "smoothed / np.maximum(smoothed.sum(axis=1, keepdims=True), 1e-300)"
LOSS = "float(-np.log(P[xs, ys]).mean())"
LETTERS = "probabilities(counts.sum(axis=0, keepdims=True), smoothing)"

MUTANTS = [
    ("encode", ENCODED, "[self.stoi[ch] for ch in doc]", "BOS is missing: it"),
    ("encode", "[self.BOS, *", "[*", "missing at the beginning"),
    ("encode", ", self.BOS]", "]", "missing at the end"),
    ("encode", ENCODED, "[self.BOS, self.BOS, *(self.stoi[ch] for ch in doc)]", "the same end"),
    ("encode", "self.stoi[ch]", "ch", "These are letters"),
    ("encode", "*(self.stoi[ch] for ch in doc)", "[self.stoi[ch] for ch in doc]",
     "a list inside the list"),
    ("encode", "self.stoi[ch]", "ord(ch)", "Python's code of a letter"),
    ("encode", "[self.BOS, *(self.stoi[ch] for ch in doc), self.BOS]",
     "[0, *(self.stoi[ch] for ch in doc), 0]", "the last id"),
    ("encode", "self.stoi[ch]", "stoi[ch]", "self.stoi."),
    ("encode", "[self.BOS, *", "[BOS, *", "self.BOS."),
    ("encode", ENCODED, "self.BOS + [self.stoi[ch] for ch in doc] + self.BOS", "into brackets"),
    ("encode", ENCODED, "[self.stoi[ch] for ch in doc] + self.BOS", "into brackets"),
    ("encode", f"return {ENCODED}",
     "ids = []\n        for ch in doc:\n            ids += self.stoi[ch]\n        return ids",
     "into brackets"),
    ("encode", "self.stoi[ch]", "self.stoi(ch)", "with brackets"),
    ("encode", "self.stoi[ch] for ch in doc", "self.stoi[ch] for ch in [doc]", "one letter at a"),
    ("encode", "for ch in doc", "for ch in dict.fromkeys(doc)", "has its id twice"),
    ("encode", "for ch in doc", "for ch in sorted(doc)", "another order"),
    ("encode", "self.stoi[ch]", "ord(ch) - ord('a')", "in the whole alphabet"),
    ("encode", ENCODED, "[26, *(self.stoi[ch] for ch in doc), 26]", "the last id"),
    ("encode", "for ch in doc", "for ch in self.BOS + doc + self.BOS", "to a text"),
    ("encode", "for ch in doc", "for ch in doc + self.BOS", "to a text"),
    ("encode", ENCODED, "[self.BOS].extend(self.stoi[ch] for ch in doc) + [self.BOS]",
     "return None: do not use"),
    ("encode", "return [self", "yield [self", "A generator came"),
    ("split", CRC, "hash(doc) % 10", "changes from run to run"),
    ("split", CRC, "len(doc) % 10", "The length of the name"),
    ("split", CRC, "len(doc.encode()) % 10", "The number of bytes"),
    ("split", CRC, "sum(doc.encode()) % 10", "add up the bytes"),
    ("split", CRC, "sum(ord(ch) for ch in doc) % 10", "add up the codes"),
    ("split", CRC, "zlib.adler32(doc.encode()) % 10", "adler32"),
    ("split", CRC, "__import__('random').randrange(10)", "lands in different splits"),
    ("split", f"bucket = {CRC}", "global calls\n    calls = globals().get('calls', 0) + 1\n"
     "    bucket = calls % 10", "lands in different splits"),
    ("split", CRC, "17 - zlib.crc32(doc.encode()) % 10", "Val and test are swapped"),
    ("split", CRC, "8 + zlib.crc32(doc.encode()) % 10", "the wrong digits"),
    ("split", CRC, "7 + zlib.crc32(doc.encode()) % 10", "the wrong digits"),
    ("split", "bucket == 8", "bucket >= 8", "missing from test"),
    ("split", "bucket == 9", "bucket == 10", "no test split"),
    ("split", "bucket == 8", "bucket == 10", "no val split"),
    ("split", CRC, "zlib.crc32(doc.encode())", "only at the last digit"),
    ("split", CRC, "str(zlib.crc32(doc.encode()))[-1]", "compare it with a number"),
    ("split", "bucket == 8", "bucket == 8 or 9", "lands in val: is the condition"),
    ("split", f"bucket = {CRC}", f"bucket = {CRC}\n    return bucket", "the name of the split"),
    ("split", CRC, "zlib.crc32(doc) % 10", "takes bytes"),
    ("split", "doc.encode()", "doc.encode('ascii')", "any letter"),
    ("split", CRC, "crc32(doc.encode()) % 10", "in the library zlib"),
    ("split", "doc.encode()", "doc.encode('latin-1')", "bytes in UTF-8"),
    ("split", 'return "val"', '"val"', "no val split"),
    ("split", 'return "val"\n    if bucket == 9:\n        return "test"',
     '"val"\n    if bucket == 9:\n        "test"', "is there a return before val"),
    ("split", '"val"', '"dev"', "called train, val and test"),
    ("split", '"train"', '"training"', "called train, val and test"),
    ("split", 'return "train"', 'print("train")', "returns nothing"),
    ("pairs", "return xs, ys", "return ys, xs", "swapped"),
    ("pairs", "tokens = [tokenizer.encode(doc) for", "tokens = [tokenizer.encode(doc)[:-1] for",
     "The last pair is missing"),
    ("pairs", "tokens = [tokenizer.encode(doc) for", "tokens = [tokenizer.encode(doc)[1:] for",
     "The first pair is missing"),
    ("pairs", "tokens = [tokenizer.encode(doc) for", "tokens = [tokenizer.encode(doc)[1:-1] for",
     "Both ends are missing"),
    ("pairs", "doc[1:]", "doc[:-1]", "the same tokens"),
    ("pairs", "doc[:-1]", "doc", "xs has one token too many"),
    ("pairs", "doc[1:]", "doc", "ys has one token too many"),
    ("pairs", "return xs, ys", "return xs.tolist(), ys.tolist()", "np.array(...) makes"),
    ("pairs", "return xs, ys", "return np.stack([xs, ys], axis=1)", "You return pairs"),
    ("pairs", "return xs, ys", "return list(zip(xs, ys))", "You return pairs"),
    ("pairs", "return xs, ys", "return np.stack([xs, ys])", "one array with two rows"),
    ("pairs", "return xs, ys", "return np.array([doc[:-1] for doc in tokens]), "
     "np.array([doc[1:] for doc in tokens])", "There is a row for each document"),
    ("pairs", "tokenizer.encode(doc) for doc in docs", "list(doc) for doc in docs",
     "These are letters"),
    ("pairs", "tokens = [tokenizer.encode(doc) for doc in docs]",
     "tokens = [[2, *tokenizer.encode(doc), 2] for doc in docs]", "one BOS too many"),
    ("pairs", "tokens = [tokenizer.encode(doc) for doc in docs]",
     "tokens = [[2, *tokenizer.encode(doc)] for doc in docs]", "one BOS too many"),
    ("pairs", "return xs, ys", "return xs[::2], ys[::2]", "pairs overlap"),
    ("pairs", "xs = np.array([token for doc in tokens for token in doc[:-1]])",
     "xs = np.array([doc[i + 1] for doc in tokens for i in range(len(doc))])",
     "stop one place earlier"),
    ("pairs", "for doc in docs]", "for doc in docs[:1]]", "Only the first document"),
    ("pairs", "for doc in docs]", "for doc in docs[-1:]]", "Only the last document"),
    ("pairs", "for doc in docs]", "for doc in docs]; tokens = [sum(tokens, [])]",
     "connects two documents"),
    ("pairs", "return xs, ys", "return tuple(np.array(sorted(set(zip(xs.tolist(), ys.tolist()))))"
     ".T)", "another order"),
    ("pairs", "return xs, ys", "return tuple(np.array([*zip(xs, ys)][::-1]).T)", "another order"),
    ("pairs", "return xs, ys", "return tuple(np.array([*dict.fromkeys(zip(xs, ys))]).T)",
     "Every pair is there only once"),
    ("pairs", "return xs, ys", "return xs.astype(float), ys", "should hold whole numbers"),
    ("probabilities", "axis=1", "axis=0", "The columns add up to 1"),
    ("probabilities", "axis=1, ", "", "The whole table adds up to 1"),
    ("probabilities", "axis=1, keepdims=True", "axis=1", "keepdims=True gives them"),
    ("probabilities", ".sum(", ".max(", "by its largest count"),
    ("probabilities", ROWS, "smoothed", "These are the counts"),
    ("probabilities", ROWS, "np.log(smoothed / smoothed.sum(axis=1, keepdims=True))",
     "These are logarithms"),
    ("probabilities", ROWS,
     "np.exp(smoothed) / np.exp(smoothed).sum(axis=1, keepdims=True)", "The exponentials"),
    ("probabilities", ROWS, f"({ROWS}).tolist()", "You return lists"),
    ("probabilities", "keepdims", "keepdim", "with an s"),
    ("probabilities", "counts + smoothing", "counts", "The smoothing is missing"),
    ("probabilities", "counts + smoothing", "counts + 0.1", "whatever smoothing is"),
    ("probabilities", ROWS, "counts / counts.sum(axis=1, keepdims=True) + smoothing",
     "added after dividing"),
    ("probabilities", "np.maximum(smoothed.sum", "np.maximum(counts.sum", "more than 1"),
    ("probabilities", ROWS, "smoothed / (counts.sum(axis=1, keepdims=True) + smoothing)",
     "once to the sum"),
    ("probabilities", "return smoothed /", "return counts /", "only in the sums"),
    ("probabilities", "counts + smoothing", "np.where(counts == 0, smoothing, counts)",
     "Only the cells with a count of 0"),
    ("probabilities", ROWS, "smoothed / smoothed.sum(axis=1, keepdims=True)", "0 / 0"),
    ("probabilities", ROWS,
     "np.where(smoothed.sum(1, keepdims=True) == 0, 1 / len(counts), " + ROWS + ")",
     "became a uniform guess"),
    ("probabilities", "1e-300", "1", "raise a sum only if it is 0"),
    ("probabilities", "return smoothed", "smoothed[counts.sum(axis=1) == 0] = 0\n"
     "    return smoothed", "gets the smoothing, too"),
    ("probabilities", "smoothed = counts + smoothing",
     "counts += smoothing\n    smoothed = counts", "changes what it was given"),
    ("probabilities", "    return smoothed /", "    smoothed /", "returns nothing"),
    ("probabilities", f"return {ROWS}", "return np.array([[x / max(sum(row), 1e-300) for x in "
     "[row[i] for i in range(len(smoothed))]] for row in smoothed])", "The shape is (1, 1)"),
    ("probabilities", f"return {ROWS}", "table = np.zeros(counts.shape)\n    for x in range(len("
     "counts[0])):\n        table[x] = smoothed[x] / max(smoothed[x].sum(), 1e-300)\n"
     "    return table", "take both from counts.shape"),
    ("probabilities", f"return {ROWS}", "for x in range(27):\n        smoothed[x] /= "
     "max(smoothed[x].sum(), 1e-300)\n    return smoothed", "take both from counts.shape"),
    ("evaluate", "-np.log", "np.log", "The sign is wrong"),
    ("evaluate", LOSS, "float(-np.log(P[xs, ys].prod()) / len(xs))", "so small that it rounds"),
    ("evaluate", ".mean()", ".sum()", "the sum over the pairs: take the mean"),
    ("evaluate", "-np.log(P[xs, ys]).mean()", "np.log(P[xs, ys]).sum()", "with the wrong sign"),
    ("evaluate", "np.log(", "np.log2(", "in bits"),
    ("evaluate", "np.log(", "np.log10(", "to base 10"),
    ("evaluate", LOSS, "np.exp(-np.log(P[xs, ys]).mean())", "the perplexity"),
    ("evaluate", LOSS, "P[xs, ys].prod()", "the product"),
    ("evaluate", "P[xs, ys]", "P[xs[:-1], ys[:-1]]", "the end of the name counts"),
    ("evaluate", LOSS, "P[xs, ys].mean()", "the mean of the probabilities"),
    ("evaluate", LOSS, "-P[xs, ys].mean()", "minus the mean of the probabilities"),
    ("evaluate", LOSS, "-np.log(P[xs, ys].mean())", "the logarithm of the mean"),
    ("evaluate", LOSS, "-np.log(P[xs, ys])", "a number for each pair"),
    ("evaluate", "P[xs, ys]", "P[ys, xs]", "swapped"),
    ("evaluate", "P[xs, ys]", "P[xs][:, ys]", "all those columns"),
    ("evaluate", "P[xs, ys]", "P[xs][ys]", "picks rows twice"),
    ("evaluate", "P[xs, ys]", "P[xs]", "over the whole rows"),
    ("evaluate", "P[xs, ys]", "P", "over the whole table"),
    ("evaluate", ".mean()", ".sum() / len(P)", "the size of the vocabulary"),
    ("evaluate", "P[xs, ys]", "P[xs, ys] + 1e-8", "A tiny number in place"),
    ("evaluate", "P[xs, ys]", "np.maximum(P[xs, ys], 1e-10)", "A tiny number in place"),
    ("evaluate", "P[xs, ys]", "P[xs, ys][P[xs, ys] > 0]", "leave out the pair"),
    ("evaluate", LOSS, "-sum(math.log(P[x, y]) for x, y in zip(xs, ys)) / len(xs)",
     "math.log(0) raises"),
    ("evaluate", "return float", "print", "returns nothing"),
    ("count", "counts[x, y] += 1", "pass", "Nothing was counted"),
    ("count", "counts[x, y]", "counts[y, x]", "Rows and columns are swapped"),
    ("count", "tokenizer.encode(docs[step])", "tokenizer.encode(docs[step])[1:-1]",
     "no beginning and no end"),
    ("count", "tokenizer.encode(docs[step])", "tokenizer.encode(docs[step])[:-1]",
     "The names have no end"),
    ("count", "tokenizer.encode(docs[step])", "tokenizer.encode(docs[step])[1:]",
     "no beginning"),
    ("count", "docs[step]", "docs[0]", "again and again"),
    ("count", "for x, y in zip(tokens, tokens[1:]):",
     "for x, y in zip(*pairs(docs[step], tokenizer)):", "every letter for a name"),
    ("count", "counts[x, y] += 1\n", "counts[x, y] += 1\n        break\n", "end the loop"),
    ("count", "tokens = tokenizer.encode(docs[step])",
     "tokens = [t for doc in docs for t in tokenizer.encode(doc)]", "connect one name"),
    ("count", "        tokens = tokenizer.encode(docs[step])\n        for x, y in zip(tokens, "
     "tokens[1:]):\n            counts[x, y] += 1",
     "        for doc in docs:\n            tokens = tokenizer.encode(doc)\n            for x, y "
     "in zip(tokens, tokens[1:]):\n                counts[x, y] += 1",
     "Every step counts all names"),
    ("count", "counts[x, y] += 1", "counts[x, y] = 1", "+= adds a stroke"),
    ("count", "counts[x, y] += 1", "counts[x, y] += 1 + config.smoothing", "added later"),
    ("count", "        for x, y", "        counts += config.smoothing\n        for x, y",
     "so only count here"),
    ("count", "        for x, y", "        counts += config.smoothing if step == 0 else 0\n"
     "        for x, y", "so only count here"),
    ("count", "        for x, y", "        counts = np.zeros(counts.shape)\n        for x, y",
     "Only the last name is left"),
    ("count", "tokens[1:]", "tokens", "each with itself"),
    ("count", "tokenizer.encode(docs[step])", "docs[step]", "These are letters"),
    ("count", "for x, y in zip(tokens, tokens[1:]):",
     "for i in range(len(tokens)):\n            x, y = tokens[i], tokens[i + 1]",
     "stop one place earlier"),
    ("count", "for x, y in zip(tokens, tokens[1:]):\n            counts[x, y] += 1",
     "counts[tokens[:-1], tokens[1:]] += 1", "only one stroke"),
    ("baseline", f"np.tile({LETTERS}, (len(counts), 1))", LETTERS, "This is one row"),
    ("baseline", f"np.tile({LETTERS}, (len(counts), 1))",
     f"np.tile({LETTERS}, (len(counts), 1)).T", "The columns are all the same"),
    ("baseline", f"np.tile({LETTERS}, (len(counts), 1))",
     "probabilities(counts, smoothing)", "The rows still differ"),
    ("baseline", f"np.tile({LETTERS}, (len(counts), 1))", f"np.tile({LETTERS}, len(counts))",
     "beside each other"),
    ("baseline", LETTERS, "probabilities(counts, smoothing).mean(axis=0)",
     "the mean of the rows"),
    ("baseline", LETTERS, "counts.sum(axis=0, keepdims=True)", "let probabilities()"),
    ("baseline", f"np.tile({LETTERS}, (len(counts), 1))",
     "np.full(counts.shape, 1 / len(counts))", "a uniform guess"),
    ("baseline", ", keepdims=True", "", "A sum of shape (V,) is no table"),
    ("baseline", ", smoothing), (", ", 0), (", "The smoothing is missing"),
    ("baseline", "counts.sum(", "(counts + smoothing).sum(", "in all V rows"),
    ("baseline", LETTERS,
     "probabilities((counts + smoothing).sum(axis=0, keepdims=True), 0)", "in all V rows"),
    ("baseline", "counts.sum(axis=0, keepdims=True)",
     "counts.sum(axis=0, keepdims=True) + smoothing", "added twice"),
    ("baseline", "counts.sum(axis=0, keepdims=True)", "counts.sum(axis=1)[None]",
     "You add along the rows"),
    ("sample", "tokens = [BOS]", "tokens = [0]", "was not drawn: begin at BOS"),
    ("sample", "row.max()) ** (1 / temperature)", "row.max()) ** temperature",
     "The power is the temperature"),
    ("sample", "row.max()) ** (1 / temperature)", "row.max()) / temperature",
     "The temperature has no effect"),
    ("sample", "row.max()) ** (1 / temperature)", "row.max())", "The temperature has no effect"),
    ("sample", "random.choices(range(len(row)), weights)[0]", "int(weights.argmax())",
     "always takes the likeliest"),
    ("sample", "tokens[-1]]  #", "tokens[0]]  #", "Every letter comes from the row of BOS"),
    ("sample", "model.P[tokens[-1]]", "model.P[:, tokens[-1]]", "Rows and columns are swapped"),
    ("sample", "weights)[0]", "weights)", "its first element"),
    ("sample", "range(len(row)), weights)", "range(len(model.P)), model.P[[tokens[-1]]])",
     "Is the latest token one number?"),
    ("sample", "random.choices(range(len(row)), weights)[0]",
     "random.choice(range(len(row)), weights)", "takes no weights"),
    ("sample", "range(len(row))", "range(len(row) - 1)", "as many weights as tokens"),
    ("sample", "len(tokens) <= longest", "len(tokens) < longest", "One character too few"),
    ("sample", "len(tokens) <= longest", "len(tokens) <= longest + 1", "One character too many"),
    ("sample", "len(tokens) <= longest", "len(tokens) <= 100", "longest is ignored"),
    ("sample", TO_TEXT, "(tokens)", "BOS is not a letter"),
    ("sample", f"model.tokenizer.decode{TO_TEXT}", "tokens", "It returns tokens with BOS"),
    ("sample", f"model.tokenizer.decode{TO_TEXT}", "tokens[1:-1]", "It returns tokens:"),
    ("sample", TO_TEXT, "(tokens[2:-1])", "The first letter is missing"),
    ("sample", TO_TEXT, "(tokens[1:-2])", "The last letter is missing"),
    ("sample", "(row / row.max())", "row", "All weights rounded to 0"),
    ("sample", "return model", "print(model", "Syntax error"),
    ("log-probs", ".tolist()", "", "You return an array"),
    ("log-probs", "np.log(model.P[tokens[:-1]]).tolist()", "list(np.log(model.P[tokens[:-1]]))",
     "a list of arrays"),
    ("log-probs", "np.log(model.P[tokens[:-1]])", "model.P[tokens[:-1]]", "These are probab"),
    ("log-probs", "np.log(model.P[tokens[:-1]])", "(-np.log(model.P[tokens[:-1]]))",
     "The sign is wrong"),
    ("log-probs", "tokens[:-1]", "tokens[:-2]", "for the end of the text"),
    ("log-probs", "tokens[:-1]", "tokens[1:-1]", "The first row is missing"),
    ("log-probs", "tokens[:-1]", "tokens", "a row too many"),
    ("log-probs", "tokens[:-1]", "tokens[1:]", "not of what is before it"),
    ("log-probs", "model.P[tokens[:-1]]", "model.P[tokens[:-1], tokens[1:]]",
     "only the number of the token that came"),
    ("log-probs", "np.log(", "np.log2(", "These are bits"),
    ("log-probs", "model.P[tokens[:-1]]", "model.P[:, tokens[:-1]].T", "These are columns of P"),
    ("log-probs", "np.log(model.P[tokens[:-1]])", "np.log(model.P[tokens[:-1]]).flatten()",
     "one list for all places"),
    ("log-probs", "model.tokenizer.encode(text)", "text", "log_probs gets a text"),
    ("log-probs", "np.log(model.P[tokens[:-1]]).tolist()",
     "[[math.log(p) for p in model.P[t]] for t in tokens[:-1]]", "math.log(0) raises"),
    ("log-probs", "model.P[tokens[:-1]]", "model.P[tokens[:-1]] + 1e-10", "add a tiny number"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "old", "new", "words"), MUTANTS)
def test_a_known_mistake_has_its_own_words(judge, name, old, new, words):
    judge.change(name, old, new)
    assert words in judge.words(name)


# --- right solutions, written differently ---

SOLUTIONS = [
    ("encode", """
def encode(self, text):
    ids = [self.BOS]
    for letter in text:
        ids.append(self.stoi[letter])
    ids.append(self.BOS)
    return ids
"""),
    ("encode", """
def encode(self, doc):
    def rest(text):
        return [self.stoi[text[0]]] + rest(text[1:]) if text else [self.BOS]
    return [self.BOS] + rest(doc)
"""),
    ("encode", """
def encode(self, doc):
    return (self.BOS, *map(self.chars.index, doc), np.int64(self.BOS))
"""),
    ("split", """
def split_of(name):
    return {8: "val", 9: "test"}.get(zlib.crc32(name.encode("utf-8")) % 10, "train")
"""),
    ("split", """
def split_of(doc):
    last = str(zlib.crc32(bytes(doc, "utf-8")))[-1]
    return "val" if last == "8" else "test" if last == "9" else "train"
"""),
    ("split", """
def split_of(doc):
    def digit(checksum):
        return checksum if checksum < 10 else digit(checksum - checksum // 10 * 10)
    return (8 * ["train"] + ["val", "test"])[digit(zlib.crc32(doc.encode()))]
"""),
    ("pairs", """
def pairs(documents, tok):
    first, second = [], []
    for d in documents:
        ids = tok.encode(d)
        for a, b in zip(ids, ids[1:]):
            first.append(a)
            second.append(b)
    return np.asarray(first), np.asarray(second, dtype=np.int32)
"""),
    ("pairs", """
def pairs(docs, tokenizer):
    def of(doc):
        ids = np.array(tokenizer.encode(doc))
        return np.stack([ids[:-1], ids[1:]])
    xs, ys = np.concatenate([of(doc) for doc in docs], axis=1)
    return xs, ys
"""),
    ("pairs", """
def pairs(docs, tokenizer):
    if len(docs) == 1:
        ids = np.array(tokenizer.encode(docs[0]))
        return [ids[:-1], ids[1:]]
    xs, ys = pairs(docs[:1], tokenizer)
    more_xs, more_ys = pairs(docs[1:], tokenizer)
    return [np.append(xs, more_xs), np.append(ys, more_ys)]
"""),
    ("probabilities", """
def probabilities(table, pseudo):
    result = []
    for row in table:
        row = [cell + pseudo for cell in row]
        total = sum(row)
        result.append([cell / total if total > 0 else 0 for cell in row])
    return np.array(result)
"""),
    ("probabilities", """
def probabilities(counts, smoothing):
    n = counts + smoothing
    sums = n.sum(axis=1)
    sums[sums == 0] = 1
    return n / sums[:, None]
"""),
    ("probabilities", """
def probabilities(counts, smoothing):
    with np.errstate(invalid="ignore"):
        return np.nan_to_num(((counts + smoothing).T / (counts + smoothing).sum(1)).T)
"""),
    ("evaluate", """
def evaluate(P, xs, ys):
    def one(x, y):
        return -math.log(P[x, y]) if P[x, y] > 0 else math.inf
    return sum(one(x, y) for x, y in zip(xs, ys)) / len(xs)
"""),
    ("evaluate", """
def evaluate(table, current, following):
    with np.errstate(divide="ignore"):
        return np.mean(np.log(1 / table[current, following]))
"""),
    ("evaluate", """
def evaluate(P, xs, ys):
    counts = np.zeros(P.shape)
    np.add.at(counts, (xs, ys), 1)
    seen = counts > 0
    with np.errstate(divide="ignore"):
        return -np.sum(counts[seen] * np.log(P[seen])) / counts.sum()
"""),
    ("count", """
def train(config, docs, val_docs, tokenizer):
    counts = np.zeros((tokenizer.vocab_size, tokenizer.vocab_size))
    log = common.Log(
        min(config.steps, len(docs)),
        val_loss=lambda: evaluate(
            probabilities(counts, config.smoothing), *pairs(val_docs, tokenizer)
        ),
    )
    for number in log:
        np.add.at(counts, pairs([docs[number]], tokenizer), 1)
    return counts, log
"""),
    ("count", """
def train(config, docs, val_docs, tokenizer):
    counts = np.zeros((tokenizer.vocab_size, tokenizer.vocab_size))
    log = common.Log(
        min(config.steps, len(docs)),
        val_loss=lambda: evaluate(
            probabilities(counts, config.smoothing), *pairs(val_docs, tokenizer)
        ),
    )
    for step in log:
        before = tokenizer.BOS
        for letter in docs[step]:
            token = tokenizer.stoi[letter]
            counts[before][token] += 1
            before = token
        counts[before][tokenizer.BOS] = counts[before][tokenizer.BOS] + 1.0
    return counts, log
"""),
    ("count", """
def train(config, docs, val_docs, tokenizer):
    V = tokenizer.vocab_size
    counts = np.zeros((V, V))
    log = common.Log(
        min(config.steps, len(docs)),
        val_loss=lambda: evaluate(
            probabilities(counts, config.smoothing), *pairs(val_docs, tokenizer)
        ),
    )
    def stroke(tokens):
        if len(tokens) > 1:
            counts[tokens[0], tokens[1]] += 1
            stroke(tokens[1:])
    for step in log:
        stroke(tokenizer.encode(docs[step]))
    return [counts, log]
"""),
    ("baseline", """
def letter_frequencies(counts, smoothing):
    sums = counts.sum(axis=0) + smoothing
    return np.ones((len(counts), 1)) * sums / sums.sum()
"""),
    ("baseline", """
def letter_frequencies(counts, smoothing):
    V = len(counts)
    sums = [sum(counts[x][y] for x in range(V)) for y in range(V)]
    total = sum(sums) + V * smoothing
    return np.array([[(s + smoothing) / total for s in sums]] * V)
"""),
    ("baseline", """
def letter_frequencies(counts, smoothing):
    return np.repeat(probabilities(sum(counts)[None, :], smoothing), len(counts), axis=0)
"""),
    ("sample", """
def sample(model, temperature=1.0, longest=100):
    token, name = model.tokenizer.BOS, ""
    for _ in range(longest):
        with np.errstate(divide="ignore"):
            logits = np.log(model.P[token]) / temperature
        p = np.exp(logits - logits.max())
        token = np.random.choice(len(p), p=p / p.sum())
        if token == model.tokenizer.BOS:
            return name
        name += model.tokenizer.itos[int(token)]
    return name
"""),
    ("sample", """
def sample(model, temperature=1.0, longest=100):
    tokenizer = model.tokenizer
    def rest(token, left):
        if left == 0:
            return ""
        top = max(model.P[token])
        weights = [(p / top) ** (1 / temperature) for p in model.P[token]]
        new = random.choices([*tokenizer.chars, ""], weights)[0]
        return new + rest(tokenizer.stoi[new], left - 1) if new else ""
    return rest(tokenizer.BOS, longest)
"""),
    ("sample", """
def draw(weights):
    point, place = random.random() * sum(weights), 0
    while point > weights[place]:
        point -= weights[place]
        place += 1
    return place

def sample(model, temperature=1.0, longest=100):
    tokens, BOS = [], model.tokenizer.BOS
    while True:
        row = model.P[tokens[-1] if tokens else BOS]
        token = draw((row / np.max(row)) ** (1 / temperature))
        if token == BOS or len(tokens) == longest:
            return model.tokenizer.decode(tokens)
        tokens.append(token)
"""),
    ("log-probs", """
def log_probs(model, text):
    table = []
    for token in [model.tokenizer.BOS, *(model.tokenizer.stoi[ch] for ch in text)]:
        table.append([math.log(p) if p else -math.inf for p in model.P[token]])
    return table
"""),
    ("log-probs", """
def log_probs(model, text):
    with np.errstate(divide="ignore"):
        logs = np.log(model.P)
    return [list(logs[token]) for token in model.tokenizer.encode(text)[:-1]]
"""),
    ("log-probs", """
def log_probs(model, text):
    xs, _ = pairs([text], model.tokenizer)
    with np.errstate(divide="ignore"):
        return np.log(model.P)[xs].tolist()
"""),
]  # fmt: skip


@pytest.mark.parametrize(("name", "text"), SOLUTIONS)
def test_another_right_solution_passes(judge, name, text):
    if judge.lesson.exercise(name).file == "names.py":
        judge.change(name, "import zlib\n", "import zlib\nimport numpy as np\n")
    judge.write(name, text)
    assert judge.words(name) == ""


def test_every_exercise_has_three_other_solutions():
    counts = {name: [n for n, _ in SOLUTIONS].count(name) for name in NAMES}
    assert min(counts.values()) >= 3


def test_every_exercise_has_three_mistakes_with_words():
    known = [name for name, _, _, _ in MUTANTS]
    assert min(known.count(name) for name in NAMES) >= 3


# --- cheats ---


@pytest.mark.parametrize("name", NAMES)
def test_an_empty_file(judge, name):
    judge.path(name).write_text("", encoding="utf-8")
    assert "has no function" in judge.words(name)


@pytest.mark.parametrize("name", NAMES)
def test_a_function_that_returns_nothing(judge, name):
    header = function_text(judge.read(name), judge.lesson.exercise(name).function).split("):")[0]
    judge.write(name, f"{header}):\n    print('a result')")
    assert "returns nothing" in judge.words(name)
    assert "a result" in judge.failure(name)["printed"]


def test_the_reference_in_place_of_the_own_code(judge):
    """In a child of its own, which watches what is opened."""
    code = """
def pairs(docs, tokenizer):
    import importlib.util, pathlib, sys
    path = pathlib.Path("{path}")
    spec = importlib.util.spec_from_file_location("reference", path)
    reference = importlib.util.module_from_spec(spec)
    sys.modules["reference"] = reference
    spec.loader.exec_module(reference)
    return getattr(reference, "pa" + "irs")(docs, tokenizer)
""".replace("{path}", str(judge.reference("pairs")))
    judge.write("pairs", code)
    outcome = run_checks(judge.lesson, judge.folder)
    assert outcome.passed == ["encode", "split"]
    assert "This is not your code" in outcome.failures["pairs"]["words"]
