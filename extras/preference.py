"""Preference training in miniature: the model writes names, and those that end in a are rewarded.

Same as fine_tune.py: the model, which begins with the weights that fine_tune.py leaves.
New here: there is no text to imitate. The model writes names, a reward judges each one, and the
names with a high score become likelier (REINFORCE). A KL term keeps the model near its start.
Source: "Simple Statistical Gradient-Following Algorithms for Connectionist Reinforcement Learning",
Williams, 1992; "Fine-Tuning Language Models from Human Preferences", Ziegler et al., 2019.

For the names x that the model pi writes, training maximizes

    mean of reward(x) - beta * KL,    KL = mean of log pi(x) - log pi_start(x)

The KL is 0 at the start, and grows as the model moves away. The best model is known: its pi(x) is
proportional to pi_start(x) * exp(reward(x) / beta). The program prints what that model would
reach. It also trains a second model without the KL term, to show what the term prevents.
It needs the model of fine_tune.py: run `python extras/fine_tune.py` first.
Run: python extras/preference.py
"""

from dataclasses import dataclass, replace
from pathlib import Path

from stage_code import ROOT, load_stage

import torch

from fine_tune import encode, load_model, load_names

common = load_stage("06_shakespeare_gpt", "common")
stage = load_stage("06_shakespeare_gpt")
Cache = load_stage("06_shakespeare_gpt", "generate").Cache

LONGEST = 20  # characters of a name, after which it is cut; data/names.txt has up to 15


# ---- config ----------------------------------------------------------------------------------
@dataclass(frozen=True)
class Config:
    data: Path = common.flag(
        ROOT / "data/names.txt", "names, to measure the val loss: a file, or a folder"
    )
    model: Path = common.flag(
        common.OUT / "fine_tune/model.pt", "the model to begin with: it must write names"
    )
    seed: int = common.flag(1337, "seeds the names that the model writes", 0, 2**31)
    steps: int = common.flag(100, "updates of the weights", 0, 10**7)
    batch_size: int = common.flag(128, "names that the model writes in one step", 2, 10**5)
    beta: float = common.flag(0.3, "weight of the KL term", 0.01, 10**3)
    learning_rate: float = common.flag(1e-4, "of Adam, constant", 0, 10)
    out: Path = common.flag(common.OUT / "preference", "folder for result.json and model.pt")


# ---- data ------------------------------------------------------------------------------------
def reward(name):
    """What a name earns. This is the only place that says what is preferred."""
    return 1.0 if name.endswith("a") else 0.0


# ---- model -----------------------------------------------------------------------------------
@torch.no_grad()
def write_names(model, count):
    """Names that the model writes: token ids (N, T + 1), from a line end to line ends."""
    end = model.tokenizer.stoi["\n"]
    tokens = torch.full((count, 1), end)
    done = torch.zeros((count, 1), dtype=torch.bool)
    caches = [Cache() for _ in model.blocks]
    while tokens.shape[1] <= LONGEST + 1 and not done.all():
        logits = model(tokens[:, -1:], caches)[:, -1]  # (N, 1) -> (N, V)
        new = torch.multinomial(logits.softmax(dim=1), 1)  # (N, 1)
        new = new.masked_fill(done, end)
        done = done | (new == end)
        tokens = torch.cat((tokens, new), dim=1)
    return tokens


def log_prob(model, tokens):
    """log P of each name, with its end but without what follows it. (N, T + 1) -> (N,)"""
    xb, yb = tokens[:, :-1], tokens[:, 1:]
    ends = (yb == model.tokenizer.stoi["\n"]).long()  # (N, T)
    in_name = ends.cumsum(dim=1) - ends == 0  # no line end before this one
    log_p = model(xb).log_softmax(dim=2).gather(2, yb[..., None])[..., 0]  # (N, T, V) -> (N, T)
    return (log_p * in_name).sum(dim=1)


def decode(model, tokens):
    """The names as text."""
    return [model.tokenizer.decode(row).strip("\n") for row in tokens.tolist()]


# ---- training --------------------------------------------------------------------------------
def surrogate(log_p, log_p_start, rewards, beta):
    """A loss with the gradient of -(mean reward - beta * KL), from names that the model wrote. (N,)

    The names are random, so no gradient can flow through the choice of a name. But the gradient of
    a mean over them is the mean of score * gradient of log_p (Williams, 1992). Subtracting from
    each score the mean of the others changes nothing on average and removes most of the noise.
    """
    scores = rewards - beta * (log_p - log_p_start).detach()
    others = (scores.sum() - scores) / (len(scores) - 1)
    return -((scores - others) * log_p).mean()


def train(config, beta, model, start, val_loss):
    """Returns the log and how many characters the model wrote."""
    optimizer = torch.optim.Adam(model.parameters(), lr=config.learning_rate)
    torch.manual_seed(config.seed)
    fifth = max(1, config.steps // 5)
    batches, written = [], 0

    def look():
        if batches:
            earned, kl = torch.tensor(batches[-fifth:]).mean(dim=0).tolist()
            print(f"reward {earned:.3f}, KL {kl:.3f} nats per name")
        return val_loss()

    log = common.Log(config.steps, look, looks=range(fifth, config.steps + 1, fifth))
    for _ in log:
        tokens = write_names(model, config.batch_size)  # (N, T + 1)
        found = decode(model, tokens)
        rewards = torch.tensor([reward(name) for name in found])  # (N,)
        with torch.no_grad():
            log_p_start = log_prob(start, tokens)

        log_p = log_prob(model, tokens)  # (N,)
        loss = surrogate(log_p, log_p_start, rewards, beta)

        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)

        optimizer.step()

        batches.append((rewards.mean().item(), (log_p - log_p_start).mean().item()))
        written += sum(len(name) + 1 for name in found)
    return log, written


# ---- evaluation ------------------------------------------------------------------------------
@torch.no_grad()
def measure(model, start, seed, count=2000):
    """Numbers about `count` new names, the first ten of them, and the rewards of all, (N,)."""
    torch.manual_seed(seed)
    tokens = write_names(model, count)
    found = decode(model, tokens)
    rewards = torch.tensor([reward(name) for name in found], dtype=torch.float64)
    kl = (log_prob(model, tokens) - log_prob(start, tokens)).mean().item()
    numbers = {"reward": rewards.mean().item(), "kl": kl, "distinct": len(set(found)) / count}
    return numbers, found[:10], rewards


def best_possible(rewards, beta):
    """Reward and KL of the best model, from the rewards of names that the start wrote, (N,).

    The best model is the start with the probability of each name multiplied by exp(reward / beta),
    and divided by the sum.
    """
    weights = (rewards / beta).softmax(dim=0)  # (N,); the start has 1 / N for each
    kl = (weights * (weights * len(rewards)).log()).sum().item()
    return {"reward": (weights * rewards).sum().item(), "kl": kl}


# ---- main ------------------------------------------------------------------------------------
def main():
    config = common.parse_flags(Config, __doc__)
    first = "`python extras/fine_tune.py`"
    model, recipe = load_model(config.model, first)
    start, _ = load_model(config.model, first)
    recipe = replace(
        recipe, data=config.data, out=config.out, seed=config.seed, steps=config.steps,
        batch_size=config.batch_size, learning_rate=config.learning_rate, muon_learning_rate=0.0,
        weight_decay=0.0, warmup=0, final=1.0,
    )  # fmt: skip
    if model.block_size <= LONGEST:
        problem = f"sees {model.block_size} characters; a name needs {LONGEST + 1}"
        raise common.BadInput(f"--model {config.model} {problem}")
    texts = load_names(config.data, config.seed)
    tokenizer = model.tokenizer
    data = {k: encode(tokenizer, text, config.data, "--data") for k, text in texts.items()}
    common.prepare_out(config.out)

    def show(title, model):
        numbers, samples, rewards = measure(model, start, config.seed)
        about = ", ".join(f"{name} {value:.3f}" for name, value in numbers.items())
        print(f"{title}: {about}\n  {common.visible(', '.join(samples))}", flush=True)
        return numbers, samples, rewards

    def val_loss(model):
        return lambda: stage.evaluate(model, data["val"])

    print(f"num params: {sum(p.numel() for p in model.parameters()):,}")
    before, samples_before, rewards = show("before", model)
    measured = {"before": before, "best": best_possible(rewards, config.beta)}
    log, written = train(config, config.beta, model, start, val_loss(model))
    measured["after"], samples, _ = show("after", model)
    best = ", ".join(f"{name} {value:.3f}" for name, value in measured["best"].items())
    print(f"the best model for beta {config.beta}: {best}")
    if not log.stopped:
        print("without the KL term:", flush=True)
        free, _ = load_model(config.model, first)
        free_log, _ = train(config, 0.0, free, start, val_loss(free))
        if not free_log.stopped:
            numbers, samples_free, _ = show("after", free)
            measured["without KL"] = {**numbers, "val": free_log.val, "samples": samples_free}
    saved = {
        "config": common.settings(recipe),
        "chars": tokenizer.chars,
        "weights": model.state_dict(),
    }
    common.save_run(
        recipe, log, "a reward in place of a text", {"model.pt": saved},
        docs={split: 1 for split in data},
        targets={split: len(tokens) - 1 for split, tokens in data.items()},
        vocab_size=tokenizer.vocab_size, params=sum(p.numel() for p in model.parameters()),
        chars_seen=written, loss={"val": log.val}, beta=config.beta, preference=measured,
        samples=samples, samples_before=samples_before, variant="preference",
    )  # fmt: skip


if __name__ == "__main__":
    common.run(main)
