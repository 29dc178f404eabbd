"""The probability of each character of a name and of its end, by the weights that were kept.

Run: python 05_microgpt/score.py emma olivia
     python 05_microgpt/score.py emma --out out/05_microgpt/twin
"""

import json
import random
from dataclasses import replace
from types import SimpleNamespace

import main
import plumbing
import scoring
from nn import cross_entropy
from plumbing import STAGE


def load(out):
    """The model in the folder out, main.py's or a twin's, and how that one scores and samples."""
    result = json.loads((out / "result.json").read_text(encoding="utf-8"))
    config = result["config"]
    if (out / "model.pt").exists():
        import torch  # here, as main.py's model does without

        import twin

        checkpoint = torch.load(out / "model.pt", weights_only=True)
        name, config, rows = f"{STAGE}, {result['variant']}", twin.Config(**config), twin_rows
        sample, set_seed = twin.sample, torch.manual_seed
    else:
        checkpoint = json.loads((out / "weights.json").read_text(encoding="utf-8"))
        name, config, rows = STAGE, main.Config(**config), plain_rows
        sample, set_seed = main.sample, random.seed
    return SimpleNamespace(
        name=name, config=config, chars=checkpoint["chars"], weights=checkpoint["weights"],
        tokenizer=main.Tokenizer(checkpoint["chars"]), rows=rows, sample=sample, set_seed=set_seed,
    )


def plain_rows(model, text):
    """Yield the log P of everything that could follow, at each place in turn. list[V]"""
    for i, token in enumerate(model.tokenizer.encode(text)[:-1]):
        position = i % model.config.block_size
        if position == 0:
            cache = [([], []) for _ in range(model.config.n_layer)]
        logits = main.gpt(model.config, model.weights, token, position, cache)
        yield [-cross_entropy(logits, target) for target in range(len(logits))]


def twin_rows(model, text):
    """The same by the twin, all places at once. list[N] of list[V]"""
    import twin

    xs, ys = twin.rectangle([text], model.tokenizer, model.config.block_size)  # (pieces, T)
    logits = twin.gpt(model.config, model.weights, xs)  # (pieces, T, V)
    return logits.log_softmax(dim=2)[ys >= 0].tolist()  # (N, V), the padding left out


def predict(model, text):
    """Yield (what came, {what could have come: log P}) for each character and the end.

    A name longer than block_size is read in pieces, each of which starts over, as in evaluate().
    """
    symbols = [*model.chars, scoring.END]
    for token, row in zip(model.tokenizer.encode(text)[1:], model.rows(model, text)):
        yield symbols[token], dict(zip(symbols, row))


def draw(model, n, temperature, seed):
    """n samples as a list, each of at most block_size characters."""
    model.set_seed(seed)
    config = replace(model.config, temperature=temperature)
    return [model.sample(config, model.weights, model.tokenizer) for _ in range(n)]


if __name__ == "__main__":
    plumbing.run(lambda: scoring.main(__doc__, load, predict, draw))
