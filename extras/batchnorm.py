"""The MLP of stage 04 with BatchNorm, which keeps every neuron where tanh is not flat.

Same as stage 04: the data, the embeddings, the loss, AdamW, the loop.
New here: BatchNorm, which has one formula in training and another in evaluation.
Source: "Batch Normalization: Accelerating Deep Network Training by Reducing Internal Covariate
Shift", Ioffe and Szegedy, 2015; "Building makemore Part 3: Activations & Gradients, BatchNorm",
A. Karpathy, 2022.
Run: python extras/batchnorm.py
"""

from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from stage_code import load_stage

import torch
import torch.nn.functional as F

common = load_stage("04_embedding_mlp", "common")
names = load_stage("04_embedding_mlp", "names")
stage = load_stage("04_embedding_mlp")


# ---- config ----------------------------------------------------------------------------------
@dataclass(frozen=True)
class Config(stage.Config):
    # A batch of one has no variance.
    batch_size: int = common.flag(1024, "contexts in one step, normalized together", 2, 10**6)
    out: Path = common.flag(common.OUT / "batchnorm", "folder for result.json and model.pt")


# ---- model -----------------------------------------------------------------------------------
class BatchNorm:
    """Normalizes each neuron to mean 0 and variance 1, then applies a learned gain and shift.

    In training, the mean and the variance are those of the batch, so every example changes the
    outputs of the others a little. In evaluation, an output must not depend on which other examples
    happen to be in the batch. So BatchNorm then uses running averages over the batches of the
    training. `training` chooses between the two, as in torch.nn.BatchNorm1d.
    """

    momentum = 0.1  # share of each new batch in the running averages
    eps = 1e-5  # avoids a division by 0 for a neuron that never changes

    def __init__(self, n, correction=0):
        """n: neurons. correction: the variance of a batch of N divides by N - correction."""
        self.correction, self.training = correction, True
        self.gain = torch.ones(n, requires_grad=True)
        self.shift = torch.zeros(n, requires_grad=True)
        self.running_mean = torch.zeros(n)
        self.running_var = torch.ones(n)

    def parameters(self):
        return [self.gain, self.shift]

    def buffers(self):
        """What training changes without gradients."""
        return [self.running_mean, self.running_var]

    def __call__(self, x):
        """(..., H) -> (..., H); the statistics run over all dimensions but the last."""
        if self.training:
            N = x[..., 0].numel()  # values of each neuron in this batch
            over = tuple(range(x.dim() - 1))
            var, mean = torch.var_mean(x, over, correction=self.correction)  # (H,), (H,)
            with torch.no_grad():
                # The running variance is an estimate for all data, so it divides by N - 1.
                unbiased = var * ((N - self.correction) / (N - 1))
                self.running_mean.lerp_(mean, self.momentum)
                self.running_var.lerp_(unbiased, self.momentum)
        else:
            mean, var = self.running_mean, self.running_var
        return self.gain * (x - mean) / torch.sqrt(var + self.eps) + self.shift


class BatchNormModel:
    """A model with BatchNorms in `norms`. train() and eval() switch the mode of all of them.

    The methods are those of torch.nn.Module, except that a state is a list.
    """

    norms = ()
    training = True

    def train(self, mode=True):
        self.training = mode
        for norm in self.norms:
            norm.training = mode

    def eval(self):
        self.train(False)

    def buffers(self):
        return [buffer for norm in self.norms for buffer in norm.buffers()]

    def state(self):
        """Everything that training changes: the parameters and the running averages."""
        return [tensor.detach() for tensor in (*self.parameters(), *self.buffers())]

    def load_state(self, state):
        for tensor, trained in zip(self.state(), state, strict=True):
            tensor.copy_(trained)  # detach() shares its memory with the tensor of the model


class NormMLP(BatchNormModel, stage.MLP):
    """The MLP of stage 04, with BatchNorm in place of mlp_bias.

    BatchNorm subtracts the mean, and with it any bias that was added before.
    """

    def __init__(self, config, tokenizer):
        self.norm = BatchNorm(config.n_hidden)
        self.norms = [self.norm]
        super().__init__(config, tokenizer)
        del self.mlp_bias

    def parameters(self):
        return [self.wte, self.mlp_fc1, *self.norm.parameters(), self.lm_head, self.lm_bias]

    def hidden(self, xb):
        """The outputs of the hidden layer. (B, T) -> (B, H)"""
        x = F.embedding(xb, self.wte)  # (B, T) -> (B, T, C)
        x = x.flatten(1)  # (B, T, C) -> (B, T * C)
        return torch.tanh(self.norm(x @ self.mlp_fc1))  # (B, T * C) -> (B, H)


# ---- training --------------------------------------------------------------------------------
def train(config, model, data):
    """AdamW on random batches, as in stage 04, with the model in training mode. Returns the log."""
    model.train()
    xs, ys = data["train"]
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay,
        fused=torch.__version__ >= (2, 4),  # in one operation, on CPUs since 2.4
    )  # fmt: skip
    log = common.Log(
        config.steps,
        val_loss=lambda: evaluate(model, *data["val"]),
        state=[model.state(), optimizer],
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
@contextmanager
def evaluation_mode(model):
    """Put the model into evaluation mode, and afterwards back into its previous mode."""
    mode = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(mode)


def evaluate(model, xs, ys):
    """Mean of -log P(next | context) over a whole split, in nats per character."""
    with evaluation_mode(model):
        return stage.evaluate(model, xs, ys)


def log_probs(model, text):
    """One row for each character of a text and one for its end: log P of every token there.

    -> list[N + 1] of list[V]
    """
    with evaluation_mode(model):
        return stage.log_probs(model, text)


# ---- samples ---------------------------------------------------------------------------------
def sample(model, temperature=1.0, longest=100):
    """Draw one name, as in stage 04."""
    with evaluation_mode(model):
        return stage.sample(model, temperature, longest)


# ---- main ------------------------------------------------------------------------------------
def load(folder):
    """The trained model that main() wrote, in evaluation mode."""
    saved = torch.load(folder / "model.pt", weights_only=True)
    model = NormMLP(Config(**saved["config"]), names.Tokenizer(saved["chars"]))
    model.load_state(saved["weights"])
    model.eval()
    return model


def main():
    config = common.parse_flags(Config, __doc__)
    splits = names.load_splits(config.data)
    common.begin_run(config)
    tokenizer = names.Tokenizer(sum(splits.values(), []))
    data = {
        name: stage.contexts(docs, tokenizer, config.block_size) for name, docs in splits.items()
    }
    torch.manual_seed(config.seed)
    model = NormMLP(config, tokenizer)
    params = sum(p.numel() for p in model.parameters())
    print(f"the MLP with BatchNorm before tanh; num params: {params:,}")

    log = train(config, model, data)
    loss = {name: evaluate(model, *data[name]) for name in common.unless_stopped("train", "test")}
    loss["val"] = log.val
    samples = [sample(model) for _ in range(20)]
    print("samples:", names.mark_known(samples[:10], splits))
    saved = {
        "config": common.settings(config),
        "chars": tokenizer.chars,
        "weights": model.state(),
    }
    common.save_run(
        config, log, "BatchNorm keeps tanh where it has a slope", {"model.pt": saved},
        **names.count_docs(splits), vocab_size=tokenizer.vocab_size, params=params,
        chars_seen=log.done * config.batch_size, loss=loss, samples=samples, variant="batchnorm",
    )  # fmt: skip


if __name__ == "__main__":
    common.run(main)
