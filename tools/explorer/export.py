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
from trained_models import MODELS, NoModel, has_model, load_model

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


class Problem(ValueError):
    """The page cannot be written. The message says why and what to do."""


@dataclass
class Blob:
    """Numbers or text of which the page loads each when it needs it. The page names it by `key`."""

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
    except (OSError, ValueError, KeyError, TypeError):
        return []


def counts_blob(key, counts, title):
    """A table of counts, which a file may hold as floats."""
    content = json.dumps([[int(n) for n in row] for row in counts], separators=(",", ":"))
    return Blob(key, zlib.compress(content.encode(), 9), title)


def export_model(run, folder, key):
    """(entry, blobs) of a model: what the page's header says of it, and its numbers."""
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
        weights, _ = tensors_of(folder, module.load(place, step))
        content, where = pack(weights, planes=2)  # for looking: the page has room for no more
        blob = f"{key}@{step}"
        blobs.append(Blob(blob, zlib.compress(content, 9), f"{entry['title']}, step {step}"))
        entry["earlier"].append({"step": step, "key": blob, "tensors": where})
    return entry, blobs


def export_ngram(run, key_of):
    """(entry, blobs) of the longest n-gram of names in the run, or None."""
    found = {}
    for path in (run / NGRAMS).glob("*/model.json"):
        try:
            saved = json.loads(path.read_text(encoding="utf-8"))
            config = saved["config"]
            if not config["text"] and config["smoothing"] == "kneser-ney":
                found[config["n"]] = (path.parent, saved)
        except (OSError, ValueError, KeyError, TypeError):
            continue
    if not found:
        return None
    n = max(found)
    place, saved = found[n]
    folder = place.relative_to(run).as_posix()
    entry = {"key": key_of(folder), "folder": folder, "title": f"{n}-gram", "kind": "ngram"}
    entry |= {"chars": saved["chars"], "n": n, "earlier": []}
    content = json.dumps(saved["counts"], ensure_ascii=False, separators=(",", ":"))
    return entry, [Blob(entry["key"], zlib.compress(content.encode(), 9), entry["title"])]


def export_moons(run):
    """Stage 01's train points and its weights through the training, or None."""
    if not has_model(run, "01_micrograd"):
        return None
    try:
        _, (_, rows) = load_model(run, "01_micrograd")
    except NoModel:
        return None
    saved = json.loads((run / "01_micrograd/model.json").read_text(encoding="utf-8"))
    points = read_moons(run / "01_micrograd")
    rows = [row for row in rows if all(map(math.isfinite, row[1]))]
    if not rows:
        return None
    return {"layers": saved["layers"], "weights": rows, "points": points}


def read_moons(place):
    """The train points of a run of stage 01, rows of [x, y, label]; [] if its file is not there."""
    try:
        result = json.loads((place / "result.json").read_text(encoding="utf-8"))
        content = (place / "moons.txt").read_bytes()
        if hashlib.sha256(content).hexdigest() != result["dataset"]["sha256"]:
            return []  # the run had other points
        lines = content.decode().splitlines()[: min(result["targets"]["train"], MOST_POINTS)]
        return [[float(number) for number in line.split()] for line in lines]
    except (OSError, ValueError, KeyError, TypeError):
        return []


# ---- a run -----------------------------------------------------------------------------------
def collect_run(run, number):
    """The header of one run, its blobs, and lines that say what is missing."""
    if not run.is_dir():
        raise Problem(f"{run} is not a folder of runs: make stages writes out")
    models, blobs, lines = [], [], []

    def key_of(folder):
        return f"{number}:{folder}"

    for folder in MODELS:
        if folder == "01_micrograd":
            continue
        if not has_model(run, folder):
            stage = folder[:2].lstrip("0")
            how = f"make stage {stage}"
            if folder.endswith("best"):
                how = "make extras"
            lines.append((folder, f"not trained yet: {how}"))
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
        "groups": group_rows(read_results(run)[0]),
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
    """The names of the splits that the models were trained on: {"train": [...], ...}, or None."""
    names = load_stage("02_bigram_counts", "names")
    try:
        if data is not None:
            return names.load_splits(data)
        for path in NAMES:
            if path.exists() and sha256_of(run) == hashlib.sha256(path.read_bytes()).hexdigest():
                return names.load_splits(path)
    except load_stage("02_bigram_counts", "common").BadInput as error:
        raise Problem(str(error)) from error
    return None


def sha256_of(run):
    """The hash of the data that the names models of a run learned, or None."""
    for folder in TITLES:
        try:
            result = json.loads((run / folder / "result.json").read_text(encoding="utf-8"))
            return result["dataset"]["sha256"]
        except (OSError, ValueError, KeyError, TypeError):
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
    if not headers[0]["models"]:
        raise Problem(f"{run} has no trained model: make stage 2 trains the first")
    splits = collect_names(run, data)
    if splits:
        content = json.dumps(splits, ensure_ascii=False, separators=(",", ":")).encode()
        blobs.insert(0, Blob("names", zlib.compress(content, 9), "the names"))
    else:
        how = "the page does not have them: make explore ARGS='--data FILE'"
        headers[0]["missing"].append({"folder": "the names that the models learned", "how": how})
    header = {"runs": headers, "colours": COLOURS, "source": collect_source()}
    # JSON has neither NaN nor infinity: both become null.
    return json.loads(json.dumps(header), parse_constant=lambda _: None), blobs
