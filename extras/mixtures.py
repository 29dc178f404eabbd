"""Lower losses from the same models: average several seeds, add a counted 6-gram, slide the window.

These are extra rows, and each says what it took. They do not belong beside the losses of single
models: an average of three models has three times the parameters and takes three times as long.

- seeds: P is the mean of what models with different seeds say.
- 6-gram: P is a weighted mean of the model's P and that of the 6-gram in extras/ngrams.py. The
  weight is not chosen on val. A tenth of train is held out, a model and a 6-gram learn from the
  rest, and the weight is the one that is best on the held-out tenth.
- sliding window (Shakespeare): stage 06 scores in blocks, as nanoGPT does, so the first characters
  of a block see next to nothing. Here each character sees at least half a context, as in many
  papers. (In the first half context of the text, it sees all that came before.)

It trains what is missing: two more seeds, and a model without the held-out tenth.
Run: python extras/mixtures.py --task names
"""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from stage_code import ROOT, load_stage

import torch

import modern_gpt
import modern_names
import ngrams
from compare_runs import save, spread

common = load_stage("06_shakespeare_gpt", "common")
stage = load_stage("06_shakespeare_gpt")
twin = load_stage("05_microgpt", "torch_twin")
names = load_stage("05_microgpt", "names")

FOLDERS = {"names": "05_microgpt", "shakespeare": "06_shakespeare_gpt"}
N = 6  # of the n-gram


# ---- config ----------------------------------------------------------------------------------
@dataclass(frozen=True)
class Config:
    task: str = common.flag("names", "names or shakespeare", choices=[*FOLDERS])
    data: str = common.flag("", "names or a text; default: those of the stage")
    seeds: int = common.flag(3, "models to average", 1, 100)
    steps: int = common.flag(0, "updates of each model; 0: as many as its program does", 0, 10**7)
    out: str = common.flag("", "folder for modern/ and mixtures/; default: that of the stage")


# ---- the two tasks ---------------------------------------------------------------------------
class Names:
    """Rows of probabilities of all targets: every character of every name, and its end."""

    program, data = modern_names, ROOT / "data/names.txt"
    scorings = ("",)  # one way to score

    def splits(self, path):
        try:
            return names.load_splits(path)
        except ValueError as error:  # stage 05's BadInput, which is not stage 06's
            raise common.BadInput(str(error)) from None

    def hold_out(self, splits):
        """(the rest of train, the held-out tenth), lists of names"""
        train = splits["train"]
        return [doc for i, doc in enumerate(train) if i % 10], train[::10]

    def lines(self, docs):
        return "\n".join(docs) + "\n"

    @torch.no_grad()
    def probs(self, model, docs, scoring):
        """P of each target, (targets,)"""
        xs, ys = twin.pad_docs(docs, model.tokenizer, model.block_size)
        found = []
        for xb, yb in zip(xs.split(1024), ys.split(1024)):
            probs = model(xb).softmax(dim=-1)  # (B, T, V)
            own = probs.gather(2, yb.clamp(min=0)[..., None])[..., 0]  # (B, T)
            found.append(own[yb >= 0])
        return torch.cat(found)

    def count(self, docs, tokenizer):
        """The 6-gram of these names."""
        texts = [ngrams.BOS + doc + ngrams.BOS for doc in docs]
        own = ngrams.names.Tokenizer(tokenizer.chars)
        return ngrams.NGram(ngrams.count_ngrams(texts, N), N, "kneser-ney", own)

    def counted_probs(self, model, docs):
        return of_ngram(model, [ngrams.BOS + doc + ngrams.BOS for doc in docs])


class Shakespeare:
    """P of every character of a text but its first."""

    program, data = modern_gpt, ROOT / "data/tinyshakespeare.txt"
    scorings = ("blocks", "sliding window")

    def splits(self, path):
        return stage.load_text(path, 1)

    def hold_out(self, splits):
        train = splits["train"]
        n = len(train) * 9 // 10
        return train[:n], train[n:]

    def lines(self, text):
        return text

    @torch.no_grad()
    def probs(self, model, text, scoring):
        """P of each target, (characters - 1,)"""
        tokens = torch.tensor(model.tokenizer.encode(text))
        T, probs = model.block_size, []
        step = T if scoring == "blocks" else T // 2  # from one block to the next
        for start in range(0, len(tokens) - 1, step):
            block = tokens[start : start + T + 1]
            rows = model(block[None, :-1])[0].softmax(dim=-1)  # (T, V)
            own = rows.gather(1, block[1:, None])[:, 0]  # (T,)
            probs.append(own[T - step :] if start else own)  # the rest is scored already
        return torch.cat(probs)

    def count(self, text, tokenizer):
        return ngrams.NGram(ngrams.count_ngrams([text], N), N, "kneser-ney", tokenizer)

    def counted_probs(self, model, text):
        return of_ngram(model, [text])


def of_ngram(model, texts):
    """P of every character of some texts but the first of each, (targets,)"""
    known, found = {}, []  # most n-grams occur again
    for text in texts:
        for i in range(1, len(text)):
            context, ch = text[max(0, i - N + 1) : i], text[i]
            if (context, ch) not in known:
                known[context, ch] = model.probability(context, ch)
            found.append(known[context, ch])
    return torch.tensor(found)


# ---- mixing ----------------------------------------------------------------------------------
def nats(probs):
    """Mean of -log P."""
    return -probs.double().log().mean().item()


def mix(probs, counted, weight):
    return (1 - weight) * probs + weight * counted


def best_weight(probs, counted):
    """The weight of the 6-gram, in hundredths, that makes the loss lowest."""
    return min((i / 100 for i in range(101)), key=lambda w: nats(mix(probs, counted, w)))


def trained(task, config, folder, seed, data):
    """The model in a folder; if there is none, train it first."""
    if not (folder / "result.json").exists():
        flags = ["--seed", seed, "--data", data, "--out", folder]
        flags += ["--steps", config.steps] if config.steps else []
        flags += ["--resume"] if any(folder.glob("checkpoint*")) else []
        print(f"\n=== seed {seed}: {folder.name}", flush=True)
        done = subprocess.run([sys.executable, task.program.__file__, *map(str, flags)])
        if done.returncode:
            raise SystemExit(done.returncode)  # the program has said why
    return task.program.load(folder)


# ---- main ------------------------------------------------------------------------------------
def table_rows(task, models, docs, counted, weight):
    """Rows of the table for a split: what was mixed, and a loss for each model, or a single one.

    counted: P of the targets by the 6-gram.
    """
    rows = []
    for scoring in task.scorings:
        each = [task.probs(model, docs, scoring) for model in models]
        average = torch.stack(each).mean(dim=0)
        count = f"{len(models)} seeds averaged"
        losses = {
            "one model": [nats(probs) for probs in each],
            "one model, 6-gram": [nats(mix(probs, counted, weight)) for probs in each],
            count: [nats(average)],
            f"{count}, 6-gram": [nats(mix(average, counted, weight))],
        }
        for what, values in losses.items():
            rows.append({"what": ", ".join(filter(None, [what, scoring])), "loss": spread(values)})
    rows.append({"what": "6-gram alone", "loss": spread([nats(counted)])})
    return rows


def main():
    config = common.parse_flags(Config, __doc__, tries=False)
    task = {"names": Names, "shakespeare": Shakespeare}[config.task]()
    data = Path(config.data or task.data).resolve()
    home = Path(config.out or ROOT / "out" / FOLDERS[config.task]).resolve()
    out, first = home / "mixtures", task.program.Config.seed
    splits = task.splits(data)
    common.prepare_out(out)

    rest, held_out = task.hold_out(splits)
    parts = {"train": rest, "val": held_out, "test": splits.get("test", held_out)}
    texts = {f"{name}.txt": task.lines(part) for name, part in parts.items()}
    common.write_files(out / "held_out_data", texts)
    own = trained(task, config, out / "held_out", first, out / "held_out_data")
    counted = task.counted_probs(task.count(rest, own.tokenizer), held_out)
    weight = best_weight(task.probs(own, held_out, task.scorings[-1]), counted)
    print(f"weight of the 6-gram, from the held-out tenth of train: {weight:.2f}", flush=True)

    seeds = range(first, first + config.seeds)
    folders = [home / "modern", *(out / f"seed_{seed}" for seed in seeds[1:])]
    models = [trained(task, config, *pair, data) for pair in zip(folders, seeds)]
    ngram = task.count(splits["train"], models[0].tokenizer)
    table = {"schema": 1, "unit": "nats/char", "weight": weight, "seeds": [*seeds]}
    for split in (name for name in ("val", "test") if name in splits):
        counted = task.counted_probs(ngram, splits[split])
        table[split] = table_rows(task, models, splits[split], counted, weight)
        print(f"\n{split}, nats per character")
        for row in table[split]:
            sd = row["loss"]["sd"]
            print(f"  {row['loss']['mean']:.4f}", f"± {sd:.4f}" if sd else " " * 8, row["what"])
    save("06_shakespeare_gpt", out / "table.json", table)


if __name__ == "__main__":
    common.run(main)
