"""Characters, byte pairs and words on one scale: the same GPT, the same time, nats per character.

Same as stage 06: the model, the training, the text.
New here: three kinds of tokens. Each kind trains for the same time on the clock (--minutes).

A model with longer tokens takes fewer steps for a text, and its context reaches further back. But
it has more tokens to choose from and sees each of them less often. ENTRIES lists the tokenizers,
and every one learns from train only. As in byte_pair_gpt.py, the loss is the nats of all val tokens
but the first, divided by the characters that they stand for. For words, the nats of spelling the
unknown ones are added (words.py).
Run: python extras/compare_tokens.py
     python extras/compare_tokens.py --only pairs-512,words-5 --minutes 0.5
"""

import statistics
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from stage_code import ROOT, load_stage

import torch
import torch.nn.functional as F

from ablate_shakespeare import NEVER, STAGE, make_model, train
from byte_pair_gpt import encode_splits, tokens_per_char
from byte_pairs import BytePairs, learn_merges
from compare_runs import (
    choose,
    compare,
    describe,
    kept,
    print_list,
    print_table,
    run_all,
    run_path,
    save,
    val_loss,
)
from words import UNKNOWN, Words

common = load_stage(STAGE, "common")
stage = load_stage(STAGE)
devices = load_stage(STAGE, "devices")


# ---- config ----------------------------------------------------------------------------------
@dataclass(frozen=True)
class Config:
    data: Path = common.flag(
        ROOT / "data/tinyshakespeare.txt", "a text file, or a folder with train.txt and val.txt"
    )
    only: str = common.flag(
        "", "entries to train in addition to chars, separated by commas; empty: all"
    )
    seeds: int = common.flag(3, "runs of each entry", 1, 1000)
    seed: int = common.flag(1337, "the first seed; the others follow it", 0, 2**31)
    minutes: float = common.flag(1.0, "how long each run trains", 0.001, 10**5)
    again: bool = common.flag(False, "also repeat the finished runs")
    list: bool = common.flag(False, "print the entries and do nothing else")
    device: str = common.flag(
        "auto", "auto, cpu, cuda or mps", choices=["auto", "cpu", "cuda", "mps"]
    )
    out: Path = common.flag(
        common.OUT / "compare_tokens", "folder for table.json and a JSON file per run"
    )


# ---- tokenizers ------------------------------------------------------------------------------
@dataclass(frozen=True)
class Entry:
    what: str  # one line
    learn: Callable  # (text of train, all characters) -> tokenizer


def characters(train, chars):
    return stage.Tokenizer(chars)


def byte_pairs(train, chars, vocab_size):
    return BytePairs(chars, learn_merges(train, vocab_size))


ENTRIES = {
    "chars": Entry("characters", characters),
    **{
        f"pairs-{n}": Entry(f"byte pairs, {n:,}", partial(byte_pairs, vocab_size=n))
        for n in (256, 512, 1024, 2048)
    },
    **{
        f"words-{n}": Entry(f"words seen {n} times", partial(Words, least=n))
        for n in (50, 20, 5, 2)
    },
}


@dataclass(frozen=True)
class Tokens:
    vocab_size: int
    data: dict  # split -> tensor of token ids
    facts: dict  # what they are, whatever model learns them


def make_tokens(entry, config, splits, device):
    """The Tokens of an entry. config: main.py's, for a message and the context."""
    chars = sorted(set("".join(splits.values())))
    tokenizer = ENTRIES[entry].learn(splits["train"], chars)
    data = encode_splits(config, tokenizer, splits, device)
    text = splits["val"][1:]  # what is scored
    per_token = 1 / tokens_per_char(data["val"], splits["val"])
    facts = {
        "vocab_size": tokenizer.vocab_size,
        "chars_per_token": per_token,
        "context_chars": config.block_size * per_token,
        "unknown_chars": 0.0,  # the share of characters in unknown words
        "spelling": 0.0,  # nats per character of the text
    }
    if isinstance(tokenizer, Words):
        unknown = tokenizer.unknown(text)
        facts["unknown_chars"] = sum(map(len, unknown)) / len(text)
        facts["spelling"] = sum(map(tokenizer.spelling, unknown)) / len(text)
    return Tokens(tokenizer.vocab_size, data, facts)


# ---- evaluation ------------------------------------------------------------------------------
@torch.no_grad()
def token_nats(model, data):
    """-log P of every token but the first, in the blocks of stage.evaluate(). -> (N - 1,)"""
    model.eval()
    blocks = zip(data[:-1].split(model.block_size), data[1:].split(model.block_size))
    nats = [F.cross_entropy(model(xb[None])[0], yb, reduction="none") for xb, yb in blocks]
    return torch.cat(nats)


def unknown_costs(nats, data, facts):
    """Mean nats of a known token, of the token UNKNOWN, and of the spelling that goes with it.

    nats: as token_nats(model, data) returns them. Without an unknown word, {}.
    """
    unknown = data[1:] == UNKNOWN
    times = unknown.sum().item()
    if times == 0:
        return {}
    chars = len(nats) * facts["chars_per_token"]
    return {
        "known_nats": nats[~unknown].mean().item(),
        "unknown_nats": nats[unknown].mean().item(),
        "spelling_nats": facts["spelling"] * chars / times,
    }


def train_tokens(config, tokens):
    """Train main.py's GPT on these tokens. -> what run_all() keeps of a run, the log"""
    model = make_model(config, tokens.vocab_size, {}, [])
    measured, log = train(config, model, tokens.data)
    if log.stopped:
        return {}, log
    facts = tokens.facts
    val = measured["val"] / facts["chars_per_token"] + facts["spelling"]
    costs = {}
    if facts["spelling"]:
        with devices.autocast(config.device, devices.pick_dtype(config.dtype, config.device)):
            nats = token_nats(model, tokens.data["val"])
        costs = unknown_costs(nats, tokens.data["val"], facts)
    return {"params": measured["params"], "val": val, **facts, **costs}, log


# ---- the tables ------------------------------------------------------------------------------
MEANS = (
    "vocab_size", "chars_per_token", "context_chars", "unknown_chars", "spelling", "known_nats",
    "unknown_nats", "spelling_nats", "steps",
)  # fmt: skip
HEADERS = [
    "entry", "kind", "tokens", "params", "chars/token", "context", "unknown", "nats/char",
    "spelling", "steps", "seconds",
]  # fmt: skip
UNKNOWN_HEADERS = [
    "entry", "kind", "a known token", "an unknown word", "of it the token", "its spelling",
]  # fmt: skip


def collect(jobs, out):
    """compare()'s rows with the means of what else the runs have measured, in the order of ENTRIES.

    jobs: as for run_all().
    """
    rows = compare(jobs, out, dict.fromkeys(ENTRIES, "chars"))
    for row in rows:
        runs = [kept(run_path(out, row["entry"], n), jobs[row["entry"], n]) for n in row["seeds"]]
        for key in MEANS:
            values = [run[key] for run in runs if run.get(key) is not None]
            if values:
                row[key] = statistics.mean(values)
    return rows


def cells(row):
    """A row of collect() as text, a str for each of HEADERS."""
    return [
        row["entry"],
        row["what"],
        f"{row['vocab_size']:,}",
        f"{row['params']:,}",
        f"{row['chars_per_token']:.2f}",
        f"{row['context_chars']:.0f}",
        f"{row['unknown_chars']:.1%}",
        val_loss(row),
        f"{row['spelling']:.4f}",
        f"{row['steps']:,.0f}",
        f"{row['seconds']:.1f}",
    ]


def has_unknown(row):
    return "unknown_nats" in row


def unknown_cells(row):
    """What an unknown word costs in nats, a str for each of UNKNOWN_HEADERS."""
    token, spelling = row["unknown_nats"], row["spelling_nats"]
    numbers = [row["known_nats"], token + spelling, token, spelling]
    return [row["entry"], row["what"], *(f"{nats:.1f}" for nats in numbers)]


def report(rows, out):
    """Print both tables and write the rows to <out>/table.json."""
    content = {"schema": 1, "stage": STAGE, "unit": "nats/char", "rows": rows}
    save(STAGE, out / "table.json", content)
    print_table("Tokens on one scale", HEADERS, [cells(row) for row in rows])
    print("context: characters in it. unknown: the share of val characters in unknown words.")
    print("nats/char: of val; mean ± standard deviation if there are several seeds\n")
    unknown = [unknown_cells(row) for row in rows if has_unknown(row)]
    if unknown:
        print_table("What an unknown word costs, in nats", UNKNOWN_HEADERS, unknown)


# ---- main ------------------------------------------------------------------------------------
def main():
    config = common.parse_flags(Config, __doc__, tries=False)
    if config.list:
        print_list(ENTRIES)
        return
    chosen = choose(STAGE, config.only, ENTRIES)
    device = devices.pick_device(config.device)
    splits = stage.load_text(config.data, stage.Config().block_size)
    common.prepare_out(config.out)
    shared = {"data": config.data, "minutes": config.minutes, "device": device}
    configs = {
        (entry, seed): stage.Config(**shared, seed=seed, eval_every=NEVER)
        for entry in ENTRIES
        for seed in range(config.seed, config.seed + config.seeds)
    }
    jobs = {job: describe(STAGE, ENTRIES[job[0]].what, configs[job]) for job in configs}

    tokens = {}
    for entry in chosen:
        tokens[entry] = make_tokens(entry, configs[entry, config.seed], splits, device)
        each = f"{tokens[entry].facts['chars_per_token']:.2f} characters in each"
        print(f"{entry}: {tokens[entry].vocab_size:,} tokens, {each}", flush=True)

    def train_job(entry, seed):
        return train_tokens(configs[entry, seed], tokens[entry])

    chosen_jobs = {job: about for job, about in jobs.items() if job[0] in chosen}
    run_all(STAGE, chosen_jobs, config.out, train_job, config.again)
    report(collect(jobs, config.out), config.out)


if __name__ == "__main__":
    common.run(main)
