"""What the page needs of a run: models with their weights, results, and the names.

The page computes with these numbers itself. tests/test_explorer.py holds its log-probabilities
equal to those of the stages.
"""

import ast
import hashlib
import json
import math
import zlib
from dataclasses import dataclass

from stages import ROOT, load_stage

import numpy as np

from plot_style import STAGE_COLOURS
from table_rows import group_rows, read_results
from trained_models import MODELS, NoModel, has_model, how_to_train, load_model

NAMES = (ROOT / "data/names.txt", ROOT / "data/makemore.txt")
TITLES = {
    "02_bigram_counts": "counts",
    "03_bigram_learned": "learned",
    "04_embedding_mlp": "MLP",
    "05_microgpt": "microGPT",
    "05_microgpt/twin": "twin",
    "05_microgpt/best": "best",
    "06_shakespeare_gpt": "Shakespeare GPT",
}
COLOURS = {**STAGE_COLOURS, "02_bigram_counts": "var(--ink)"}  # black vanishes on a dark page
MOST_POINTS = 500  # of the moons
HALF = 2**23 - 1
PASS = ("attention", "gpt", "sample")  # the functions of a forward pass in 05_microgpt/main.py
NGRAMS = "02_bigram_counts/ngram"
# What reading JSON raises that a program or a hand spoiled.
MALFORMED = (ValueError, LookupError, TypeError, AttributeError, RecursionError, OverflowError)


class Problem(ValueError):
    """The page cannot be written. The message says why and what to do."""


@dataclass
class Blob:
    """Numbers or text that the page loads when it needs them. It finds them by their `key`."""

    key: str
    content: bytes  # compressed
    title: str  # for the line that says what was left out


def pack(tensors, planes=3):
    """The bytes of tensors, and where each one is in them: {name: {"shape", "at", "largest"}}.

    A number takes three bytes: a whole number from 1 to 2**24 - 1 that stands for -largest to
    largest. This moves a log-probability by less than 1e-5. All first bytes come first, then all
    second ones, then all third ones: so they compress better. at: the index of the first number.
    planes: with 2, the third bytes are left out. Raises NoModel if the training diverged.
    """
    where, arrays, at = {}, [], 0
    for name, tensor in tensors.items():
        array = np.asarray(tensor, dtype=np.float64)
        if not np.isfinite(array).all():
            raise NoModel("its weights are not finite: run the stage with a lower --learning-rate")
        largest = float(np.abs(array).max()) or 1.0
        where[name] = {"shape": list(array.shape), "at": at, "largest": largest}
        arrays.append(np.rint(array.ravel() / largest * HALF) + HALF + 1)
        at += array.size
    numbers = np.concatenate(arrays).astype(np.uint32)
    parts = [(numbers >> shift & 0xFF).astype(np.uint8).tobytes() for shift in (16, 8, 0)]
    return b"".join(parts[:planes]), where


# ---- models ----------------------------------------------------------------------------------
def tensors_of(folder, model):
    """The weights of a model from 03 to 06, {name: array}, and the settings that the page needs."""
    if folder == "03_bigram_learned":
        return {"W": model.W}, {}
    if folder == "04_embedding_mlp":
        names = ("wte", "mlp_fc1", "mlp_bias", "lm_head", "lm_bias")
        weights = {name: getattr(model, name).detach() for name in names}
        return weights, {"block_size": model.block_size}
    if folder == "06_shakespeare_gpt":
        heads = {"n_layer": len(model.blocks), "n_head": model.blocks[0].attn.n_head}
        return model.state_dict(), {"block_size": model.block_size, **heads}
    sizes = ("block_size", "n_head", "n_layer")
    weights = {k: getattr(w, "detach", lambda w=w: w)() for k, w in model.weights.items()}
    return weights, {name: getattr(model.config, name) for name in sizes}


def read_kept_steps(place):
    """The steps at which the run kept its weights, before the last one."""
    try:
        steps = json.loads((place / "result.json").read_text(encoding="utf-8"))["kept_steps"]
        return [step for step in steps if type(step) is int]
    except (OSError, *MALFORMED):
        return []


def counts_blob(key, counts, title):
    """A table of counts, which a file may hold as floats."""
    content = json.dumps([[int(n) for n in row] for row in counts], separators=(",", ":"))
    return Blob(key, zlib.compress(content.encode(), 9), title)


def export_model(run, folder, key):
    """(entry, blobs) of a model: what the page's header says of it, and its numbers.

    Raises NoModel if its file cannot be used.
    """
    try:
        return read_model(run, folder, key)
    except NoModel:
        raise
    except Exception as error:  # a broken file, or one edited by hand, can raise nearly anything
        name = MODELS[folder][1]
        problem = f"{name} cannot be used ({type(error).__name__}); run the stage again"
        raise NoModel(problem) from error


def read_model(run, folder, key):
    place = run / folder
    module, model = load_model(run, folder)
    entry = {"key": key, "folder": folder, "title": TITLES[folder], "chars": model.tokenizer.chars}
    if folder == "02_bigram_counts":
        saved = json.loads((place / "model.json").read_text(encoding="utf-8"))
        entry |= {"kind": "counts", "smoothing": saved["config"]["smoothing"], "earlier": []}
        blobs = [counts_blob(key, module.from_rows(saved["counts"]), entry["title"])]
        for step, rows in saved.get("earlier", []):
            blob, counts = f"{key}@{step}", module.from_rows(rows)
            blobs.append(counts_blob(blob, counts, f"{entry['title']}, step {step}"))
            entry["earlier"].append({"step": step, "key": blob})
        return entry, blobs
    kinds = {"03": "learned", "04": "mlp", "05": "microgpt", "06": "gpt"}
    weights, settings = tensors_of(folder, model)
    content, where = pack(weights)
    entry |= {"kind": kinds[folder[:2]], **settings, "tensors": where, "earlier": []}
    blobs = [Blob(key, zlib.compress(content, 9), entry["title"])]
    for step in read_kept_steps(place):
        try:
            weights, _ = tensors_of(folder, module.load(place, step))
        except KeyError:
            continue  # result.json and the model's file come from different runs
        content, where = pack(weights, planes=2)  # for looking: the page has room for no more
        blob = f"{key}@{step}"
        blobs.append(Blob(blob, zlib.compress(content, 9), f"{entry['title']}, step {step}"))
        entry["earlier"].append({"step": step, "key": blob, "tensors": where})
    return entry, blobs


def is_ngram_of_names(saved):
    """Whether a model.json holds counts that the page can use. Raises one of MALFORMED."""
    config, counts = saved["config"], saved["counts"]
    if config["text"] or config["smoothing"] != "kneser-ney":
        return False
    has_chars = all(len(ch) == 1 for ch in saved["chars"])
    has_counts = all(type(times) is int and times > 0 for times in counts.values())
    return has_chars and has_counts and config["n"] == max(map(len, counts))


def export_ngram(run, key_of):
    """(entry, blobs) of the longest n-gram of names in the run, or None."""
    found = {}
    for path in (run / NGRAMS).glob("*/model.json"):
        try:
            saved = json.loads(path.read_text(encoding="utf-8"))
            if is_ngram_of_names(saved):
                found[saved["config"]["n"]] = (path.parent, saved)
        except (OSError, *MALFORMED):
            continue
    if not found:
        return None
    n = max(found)
    place, saved = found[n]
    folder = place.relative_to(run).as_posix()
    entry = {"key": key_of(folder), "folder": folder, "title": f"{n}-gram", "kind": "ngram"}
    entry |= {"chars": saved["chars"], "n": n, "earlier": []}
    content = json.dumps(saved["counts"], separators=(",", ":"))
    return entry, [Blob(entry["key"], zlib.compress(content.encode(), 9), entry["title"])]


def export_moons(run):
    """Stage 01's train points and its weights through the training, or None."""
    if not has_model(run, "01_micrograd"):
        return None
    try:
        saved = json.loads((run / "01_micrograd/model.json").read_text(encoding="utf-8"))
        layers, rows = saved["layers"], saved["weights"]
        size = sum((n + 1) * m for n, m in zip(layers, layers[1:]))
        rows = [row for row in rows if len(row[1]) == size and all(map(math.isfinite, row[1]))]
        whole = all(type(n) is int for n in [*layers, *(step for step, _ in rows)])
    except (OSError, *MALFORMED):
        return None
    if not rows or not whole or layers[0] != 2:
        return None
    return {"layers": layers, "weights": rows, "points": read_moons(run / "01_micrograd")}


def read_moons(place):
    """The train points of a run of stage 01, rows of [x, y, label]; [] if its file is not there."""
    try:
        result = json.loads((place / "result.json").read_text(encoding="utf-8"))
        content = (place / "moons.txt").read_bytes()
        if hashlib.sha256(content).hexdigest() != result["dataset"]["sha256"]:
            return []  # the run had other points
        lines = content.decode().splitlines()[: min(result["targets"]["train"], MOST_POINTS)]
        points = [[float(number) for number in line.split()] for line in lines]
        return [point for point in points if len(point) == 3 and all(map(math.isfinite, point))]
    except (OSError, *MALFORMED):
        return []


# ---- results ---------------------------------------------------------------------------------
def finite(number):
    """The number, or None if it is none or not finite."""
    is_number = type(number) in (int, float) and abs(number) < math.inf
    return number if is_number else None


def read_curve(curve):
    """The rows [step, train loss, val loss] of a curve; other rows, which only a hand can have
    written, are left out."""
    if not isinstance(curve, list):
        return []
    rows = [row for row in curve if isinstance(row, list) and len(row) == 3]
    return [[*map(finite, row)] for row in rows if finite(row[0]) is not None]


def export_groups(run):
    """The loss table's groups, of each result only what the page shows."""
    groups = group_rows(read_results(run)[0])
    for group in groups:
        for row in group["rows"]:
            result = row["result"]
            row["result"] = {
                "curve": read_curve(result.get("curve")),
                "steps": finite(result.get("steps")),
                "chars_seen": finite(result["chars_seen"]),
                "accuracy": result.get("accuracy", {}),
            }
    return groups


# ---- a run -----------------------------------------------------------------------------------
def collect_run(run, number):
    """The header of one run, its blobs, and lines that say what is missing."""
    if not run.is_dir():
        raise Problem(f"{run} is not a folder of runs: make stages writes out")
    models, blobs, lines = [], [], []

    def key_of(folder):
        return f"{number}:{folder}"

    for folder in TITLES:
        if not has_model(run, folder):
            lines.append((folder, f"not trained yet: {how_to_train(folder)}"))
            continue
        try:
            entry, new = export_model(run, folder, key_of(folder))
        except NoModel as problem:
            lines.append((folder, str(problem)))
            continue
        models.append(entry)
        blobs += new
        if folder == "02_bigram_counts":
            if ngram := export_ngram(run, key_of):
                models.append(ngram[0])
                blobs += ngram[1]
            else:
                lines.append((NGRAMS, "not counted yet: make extras"))
    for entry in models:
        entry["colour"] = COLOURS[entry["folder"].split("/")[0]]
    header = {
        "models": models,
        "missing": [{"folder": folder, "how": how} for folder, how in lines],
        "groups": export_groups(run),
        "moons": export_moons(run),
    }
    return header, blobs


# ---- code ----------------------------------------------------------------------------------
def collect_source():
    """The functions of 05_microgpt/main.py that compute the next letter: {name: {first, text}}.

    first: the number of a function's first line. Empty if the file cannot be read just now, for
    example because the learner is in the middle of changing it.
    """
    try:
        code = (ROOT / "05_microgpt/main.py").read_text(encoding="utf-8")
        functions = ast.parse(code).body
    except (OSError, ValueError, SyntaxError):
        return {}
    lines = code.split("\n")
    return {
        node.name: {
            "first": node.lineno,
            "text": "\n".join(lines[node.lineno - 1 : node.end_lineno]),
        }
        for node in functions
        if isinstance(node, ast.FunctionDef) and node.name in PASS
    }


# ---- names -----------------------------------------------------------------------------------
def collect_names(run, data):
    """(names of the splits {"train": [...], ...} or None, the hash of their file or folder)."""
    names = load_stage("02_bigram_counts", "names")
    common = load_stage("02_bigram_counts", "common")
    try:
        if data is not None:
            return names.load_splits(data), common.hash_of_data(data)
        sha256 = sha256_of(run)
        for path in NAMES:
            if path.exists() and sha256 == hashlib.sha256(path.read_bytes()).hexdigest():
                return names.load_splits(path), sha256
    except common.BadInput as error:
        raise Problem(str(error)) from error
    return None, None


def sha256_of(run):
    """The hash of the data that the names models of a run learned, or None."""
    for folder in TITLES:
        try:
            result = json.loads((run / folder / "result.json").read_text(encoding="utf-8"))
            return result["dataset"]["sha256"]
        except (OSError, *MALFORMED):
            continue
    return None


def collect(run, compare, data):
    """(header, blobs) of the page: what it loads at once, and what it loads when it needs it."""
    runs = [run] if compare is None else [run, compare]
    folders = [folder.resolve() for folder in runs]
    headers, blobs = [], []
    for number, folder in enumerate(folders):
        header, new = collect_run(folder, number)
        same = len({other.name for other in folders}) < len(folders)
        headers.append({"name": str(folder) if same else folder.name, **header})
        blobs += new
    if not headers[0]["models"] and not headers[0]["moons"]:
        raise Problem(f"{run} has no trained model: make stage 1 trains the first")
    splits, sha256 = collect_names(run, data)
    for number, folder in enumerate(folders):
        if splits and sha256_of(folder) not in (sha256, None):
            how = "they are not those of this page, so train, val and test mean other names here"
            names = f"the names that the models of {headers[number]['name']} learned"
            headers[number]["missing"].append({"folder": names, "how": how})
    if splits:
        content = json.dumps(splits, ensure_ascii=False, separators=(",", ":")).encode()
        blobs.insert(0, Blob("names", zlib.compress(content, 9), "the names"))
    else:
        how = "the page does not have them: make explore ARGS='--data FILE'"
        headers[0]["missing"].append({"folder": "the names that the models learned", "how": how})
    header = {"runs": headers, "colours": COLOURS, "source": collect_source()}
    # JSON has neither NaN nor infinity: both become null.
    return json.loads(json.dumps(header), parse_constant=lambda _: None), blobs
