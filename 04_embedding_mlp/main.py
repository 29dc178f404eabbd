"""A multilayer perceptron that reads the last few characters, each as a learned vector.

Same as 03: the data, the loss, gradient descent in batches.
New in 04: a context of block_size characters, token embeddings, a hidden layer, AdamW.
Source: "A Neural Probabilistic Language Model", Bengio et al., 2003, in the form of
"Building makemore Part 2: MLP", A. Karpathy, 2022.
Run: python 04_embedding_mlp/main.py --block-size 8
"""

from dataclasses import dataclass
from pathlib import Path

import common
from common import OUT, ROOT, flag

import torch
import torch.nn.functional as F

from names import Tokenizer, count_docs, load_splits, mark_known


# ---- config ----------------------------------------------------------------------------------
@dataclass(frozen=True)
class Config:
    data: Path = flag(
        ROOT / "data/names.txt", "one name per line, or a folder with train, val and test.txt"
    )
    seed: int = flag(42, "seeds the random weights, batches and samples", 0, 2**32 - 1)
    steps: int = flag(4000, "updates of the weights", 0, 10**7)
    batch_size: int = flag(1024, "contexts in one step", 1, 10**6)
    block_size: int = flag(3, "characters of context", 1, 256)
    n_embd: int = flag(24, "numbers in each character's vector", 1, 4096)
    n_hidden: int = flag(256, "neurons in the hidden layer", 1, 65536)
    learning_rate: float = flag(0.01, "of AdamW; falls linearly to 0", 0, 10)
    weight_decay: float = flag(0.12, "of AdamW: pulls every weight towards 0", 0, 10)
    resume: bool = flag(False, "go on with the training of a run that did not end")
    out: Path = flag(OUT, "folder for result.json and model.pt")


# ---- data ------------------------------------------------------------------------------------
def contexts(docs, tokenizer, block_size):
    """Every block_size characters, left-padded with BOS, and the character that follows.

    "ab" with a block_size of 3: (BOS BOS BOS -> a), (BOS BOS a -> b), (BOS a b -> BOS).
    """
    xs, ys = [], []
    for doc in docs:
        context = [tokenizer.BOS] * block_size
        for token in tokenizer.encode(doc)[1:]:
            xs.append(context)
            ys.append(token)
            context = [*context[1:], token]
    return torch.tensor(xs), torch.tensor(ys)  # (N, T), (N,)


# ---- model -----------------------------------------------------------------------------------
class MLP:
    """wte looks up every character, a hidden tanh layer mixes them, lm_head scores the next one."""

    def __init__(self, config, tokenizer):
        T, C, H, V = config.block_size, config.n_embd, config.n_hidden, tokenizer.vocab_size
        self.block_size, self.tokenizer = T, tokenizer
        self.wte = torch.randn(V, C)
        # Dividing by the square root of the number of inputs gives a neuron's sum a spread of about
        # 1, where tanh is not flat. The gain of 5/3 offsets the shrinking by tanh.
        self.mlp_fc1 = torch.randn(T * C, H) * (5 / 3) / (T * C) ** 0.5
        self.mlp_bias = torch.zeros(H)
        # Small weights make the untrained model guess evenly: its loss is about log(vocab_size).
        self.lm_head = torch.randn(H, V) * 0.1 / H**0.5
        self.lm_bias = torch.zeros(V)
        for p in self.parameters():
            p.requires_grad_()

    def parameters(self):
        return [self.wte, self.mlp_fc1, self.mlp_bias, self.lm_head, self.lm_bias]

    def hidden(self, xb):
        """The outputs of the hidden layer. (B, T) -> (B, H)"""
        x = F.embedding(xb, self.wte)  # (B, T) -> (B, T, C); the row of a one-hot product, as in 03
        x = x.flatten(1)  # (B, T, C) -> (B, T * C)
        return torch.tanh(x @ self.mlp_fc1 + self.mlp_bias)  # (B, T * C) -> (B, H)

    def __call__(self, xb):
        """Logits of the next character. (B, T) -> (B, V)"""
        h = self.hidden(xb)  # (B, T) -> (B, H)
        return h @ self.lm_head + self.lm_bias  # (B, H) -> (B, V)


# ---- training --------------------------------------------------------------------------------
def train(config, model, data):
    """AdamW on random batches. Returns the log."""
    xs, ys = data["train"]
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay,
        fused=torch.__version__ >= (2, 4),  # in one operation, on CPUs since 2.4
    )  # fmt: skip
    log = common.Log(
        config.steps,
        val_loss=lambda: evaluate(model, *data["val"]),
        weights=lambda: [p.detach().clone() for p in model.parameters()],
        state=[model.parameters(), optimizer],
    )
    for step in log:
        batch = torch.randint(len(xs), (config.batch_size,))

        loss = F.cross_entropy(model(xs[batch]), ys[batch])

        optimizer.zero_grad()
        loss.backward()

        optimizer.param_groups[0]["lr"] = config.learning_rate * (1 - step / config.steps)
        optimizer.step()

        log.add(loss.item())
    return log


# ---- evaluation ------------------------------------------------------------------------------
@torch.no_grad()
def evaluate(model, xs, ys):
    """Mean of -log P(next | context) over a whole split, in nats per character."""
    losses = [
        F.cross_entropy(model(xb), yb, reduction="sum").item()
        for xb, yb in zip(xs.split(8192), ys.split(8192))  # in pieces, to save memory
    ]
    return sum(losses) / len(ys)


@torch.no_grad()
def log_probs(model, text):
    """One row for each character of a text and one for its end: log P of every token there.

    -> list[N + 1] of list[V]
    """
    xs, _ = contexts([text], model.tokenizer, model.block_size)  # (N + 1, T)
    return model(xs).log_softmax(dim=1).tolist()


# ---- samples ---------------------------------------------------------------------------------
@torch.no_grad()
def sample(model, temperature=1.0, longest=100):
    """Draw one name, each character given the block_size characters before it, until BOS comes.

    Logits divided by a temperature below 1 favour likely characters.
    """
    BOS, T = model.tokenizer.BOS, model.block_size
    tokens = [BOS] * T
    while len(tokens) < T + longest:
        logits = model(torch.tensor([tokens[-T:]]))  # (1, T) -> (1, V)
        tokens.append(torch.multinomial((logits / temperature).softmax(dim=1), 1).item())
        if tokens[-1] == BOS:
            break
    return model.tokenizer.decode(token for token in tokens if token != BOS)


# ---- main ------------------------------------------------------------------------------------
def load(folder, step=None):
    """The trained model that main() wrote, or the model as it was after `step` updates.

    KeyError if the run did not keep that step: result.json lists them under kept_steps.
    """
    saved = torch.load(folder / "model.pt", weights_only=True)
    model = MLP(Config(**saved["config"]), Tokenizer(saved["chars"]))
    weights = saved["weights"] if step is None else dict(saved["earlier"])[step]
    for p, trained in zip(model.parameters(), weights, strict=True):
        p.data = trained
    return model


def main():
    config = common.parse_flags(Config, __doc__)
    splits = load_splits(config.data)
    common.begin_run(config)
    docs = sum(splits.values(), [])
    tokenizer = Tokenizer(docs)
    data = {name: contexts(split, tokenizer, config.block_size) for name, split in splits.items()}
    torch.manual_seed(config.seed)
    model = MLP(config, tokenizer)
    params = sum(p.numel() for p in model.parameters())
    print(f"vocab size: {tokenizer.vocab_size}\nnum docs: {len(docs):,}\nnum params: {params:,}")

    log = train(config, model, data)
    loss = {name: evaluate(model, *data[name]) for name in common.unless_stopped("train", "test")}
    loss["val"] = log.val
    samples = [sample(model) for _ in range(20)]
    print("samples:", mark_known(samples[:10], splits))
    saved = {
        "config": common.settings(config),
        "chars": tokenizer.chars,
        "weights": [p.detach() for p in model.parameters()],
        "earlier": log.kept,
    }
    common.save_run(
        config, log, "embeddings share statistics between contexts", {"model.pt": saved},
        **count_docs(splits), vocab_size=tokenizer.vocab_size, params=params,
        chars_seen=log.done * config.batch_size, loss=loss, samples=samples,
    )  # fmt: skip


if __name__ == "__main__":
    common.run(main)
