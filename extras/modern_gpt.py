"""A modern GPT: stage 06's model with the parts that large models have changed since GPT-2.

Same as stage 06: the data, the optimizers, the evaluation, the samples.
New here: the PARTS, which can each be switched on alone, and a training whose excerpts grow.
docs/modern.md explains both.
Run: python extras/modern_gpt.py
     python extras/modern_gpt.py --parts rotary,qk_norm --steps 1000
"""

import math
from dataclasses import dataclass, replace
from pathlib import Path

from stage_code import load_stage

import torch
import torch.nn.functional as F
from torch import nn

common = load_stage("06_shakespeare_gpt", "common")
stage = load_stage("06_shakespeare_gpt")
stage_model = load_stage("06_shakespeare_gpt", "model")
devices = load_stage("06_shakespeare_gpt", "devices")
prompts = load_stage("06_shakespeare_gpt", "prompts")

PARTS = {
    "rmsnorm": "RMSNorm without learned numbers for LayerNorm",
    "no_biases": "no biases in the layers and lm_head",
    "rotary": "queries and keys turned by their position, for position embeddings",
    "qk_norm": "RMSNorm on every query and key",
    "swiglu": "SwiGLU for GELU, with as many parameters",
    "relu_squared": "ReLU squared for GELU",
    "grouped_queries": "two heads share one key and one value",
    "value_embeddings": "every layer adds an embedding of the character to its values",
    "pair_table": "an embedding for each pair of neighbouring characters",
    "previous": "embeddings of the three characters before",
    "x0_scalars": "every layer reads a learned mix of its input and the embeddings",
    "value_residual": "every layer mixes the values of the first layer into its own",
    "gated_attention": "every head has a gate, which its input opens or closes",
    "tied": "lm_head is wte",
    "zero_init": "attn_wo, mlp_fc2 and lm_head start at 0",
    "softcap": "logits are kept between -15 and 15",
}
# What `make modern` switches on, chosen on val with the full model (docs/experiments.md).
CHAIN = "no_biases,rmsnorm,rotary,qk_norm,swiglu,previous,gated_attention"


# ---- config ----------------------------------------------------------------------------------
@dataclass(frozen=True)
class Config(stage.Config):
    steps: int = common.flag(2750, "updates of the weights", 0, 10**7)
    eval_every: int = common.flag(1000, "steps between two measurements of the val loss", 1, 10**7)
    batch_size: int = common.flag(12, "excerpts in one step, once they are long", 1, 10**5)
    block_size: int = common.flag(256, "characters in an excerpt: the model sees no more", 1, 10**5)
    first_block_size: int = common.flag(96, "characters in an excerpt at first", 1, 10**5)
    growth: float = common.flag(0.6, "share of the training before they grow", 0, 1)
    reach: int = common.flag(3, "how many characters back `previous` looks", 1, 100)
    parts: str = common.flag(CHAIN, f"new parts, separated by commas, of: {', '.join(PARTS)}")
    out: Path = common.flag(common.OUT / "modern", "folder for result.json and model.pt")

    def __post_init__(self):
        super().__post_init__()
        check_heads(self)
        if stage.RANKS > 1:
            raise common.BadInput("modern_gpt.py works in one process: start it without torchrun")


def read_parts(names):
    """"a,b" -> {"a", "b"}. BadInput if one is not in PARTS, or if two exclude each other."""
    parts = {name.strip() for name in names.split(",") if name.strip()}
    for name in sorted(parts - set(PARTS)):
        raise common.BadInput(f"--parts: there is no {name}; choose from {', '.join(PARTS)}")
    if {"swiglu", "relu_squared"} <= parts:
        raise common.BadInput("--parts: swiglu and relu_squared exclude each other; drop one")
    return parts


def check_heads(config):
    """BadInput if a part in config does not exist or does not fit its heads."""
    parts, head_dim = read_parts(config.parts), config.n_embd // config.n_head
    if "rotary" in parts and head_dim % 2:
        problem = f"rotary turns pairs of numbers, but a head has {head_dim}"
        raise common.BadInput(f"{problem}: change --n-embd or --n-head")
    if "grouped_queries" in parts and config.n_head % 2:
        raise common.BadInput(f"grouped_queries pairs heads: --n-head {config.n_head} is odd")


# ---- model -----------------------------------------------------------------------------------
def rmsnorm(x):
    """Scale x to a mean square of 1, nearly as in stage 05. (..., C) -> (..., C)"""
    length = torch.linalg.vector_norm(x, dim=-1, keepdim=True)  # (..., 1)
    scale = 1 / (length / math.sqrt(x.shape[-1]) + 1e-5)
    return x * scale


def narrow(x):
    """x in the type of autocast's matrix products.

    Autocast converts the input of every Linear. If several of them read x, once is enough.
    """
    kind = x.device.type
    return x.to(torch.get_autocast_dtype(kind)) if torch.is_autocast_enabled(kind) else x


def rotate(x, angles):
    """Turn each pair of numbers of a query or a key by an angle. (B, n_head, T, head_dim) -> same

    angles: cosines and sines, (T, head_dim / 2) each. Number i and number i + head_dim / 2 are the
    coordinates of a point in the plane. Turning changes no length, so positions change the dot
    product of two vectors only through the distance between them.
    """
    cos, sin = angles.to(x.dtype)
    a, b = x.chunk(2, dim=-1)  # (B, n_head, T, head_dim / 2) each
    return torch.cat([a * cos - b * sin, a * sin + b * cos], dim=-1)


class Attention(nn.Module):
    """Stage 06's attention, with up to seven new parts."""

    def __init__(self, config, parts, layer):
        super().__init__()
        C, n_head = config.n_embd, config.n_head
        self.n_head, self.head_dim = n_head, C // n_head
        self.n_kv_head = n_head // 2 if "grouped_queries" in parts else n_head
        self.rotary, self.qk_norm = "rotary" in parts, "qk_norm" in parts
        bias = "no_biases" not in parts
        self.attn_wq = nn.Linear(C, C, bias=bias)
        self.attn_wk = nn.Linear(C, self.n_kv_head * self.head_dim, bias=bias)
        self.attn_wv = nn.Linear(C, self.n_kv_head * self.head_dim, bias=bias)
        self.attn_wo = nn.Linear(C, C, bias=bias)
        # How much of its own values and how much of the first layer's a layer uses.
        mixes = "value_residual" in parts and layer > 0
        self.mix = nn.Parameter(torch.tensor([0.5, 0.5])) if mixes else None

    def forward(self, x, angles, value_embedding, gate, first_values, attentions):
        """(B, T, C) -> (B, T, C), and the values, (B, n_kv_head, T, head_dim)"""
        B, T, C = x.shape
        x = narrow(x)
        q, k, v = self.attn_wq(x), self.attn_wk(x), self.attn_wv(x)  # (B, T, n * head_dim) each
        if value_embedding is not None:
            v = v + value_embedding
        q = q.view(B, T, self.n_head, self.head_dim)
        k = k.view(B, T, self.n_kv_head, self.head_dim)
        v = v.view(B, T, self.n_kv_head, self.head_dim)
        if self.qk_norm:
            q, k = rmsnorm(q), rmsnorm(k)
        q, k, v = q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2)  # (B, n, T, head_dim)
        if self.mix is not None:
            v = self.mix[0] * v + self.mix[1] * first_values
        if self.rotary:
            q, k = rotate(q, angles), rotate(k, angles)
        values = v
        if self.n_kv_head < self.n_head:
            q_per_kv = self.n_head // self.n_kv_head
            k, v = (heads.repeat_interleave(q_per_kv, dim=1) for heads in (k, v))
        y = stage_model.attention(q, k, v, attentions=attentions)
        if gate is not None:
            gates = 2 * torch.sigmoid(gate(x[..., : gate.in_features]))  # (B, T, n_head)
            y = y * gates.transpose(1, 2)[..., None]  # (B, n_head, T, head_dim)
        return self.attn_wo(y.transpose(1, 2).reshape(B, T, C)), values


class MLP(nn.Module):
    """Stage 06's MLP, with GELU, ReLU squared or SwiGLU between its matrices."""

    def __init__(self, n_embd, parts):
        super().__init__()
        bias = "no_biases" not in parts
        # SwiGLU has a third matrix. With about two thirds of the hidden numbers, it is as large.
        n_hidden = 8 * n_embd // 3 // 8 * 8 if "swiglu" in parts else 4 * n_embd
        self.mlp_fc1 = nn.Linear(n_embd, n_hidden, bias=bias)
        self.mlp_gate = nn.Linear(n_embd, n_hidden, bias=bias) if "swiglu" in parts else None
        self.mlp_fc2 = nn.Linear(n_hidden, n_embd, bias=bias)
        self.squared = "relu_squared" in parts

    def forward(self, x):
        """(B, T, C) -> (B, T, C)"""
        x = narrow(x)
        h = self.mlp_fc1(x)  # (B, T, n_hidden)
        if self.mlp_gate is not None:
            h = F.silu(self.mlp_gate(x)) * h
        elif self.squared:
            h = h.relu()
            h = h * h
        else:
            h = F.gelu(h)
        return self.mlp_fc2(h)


class SharedDropout(nn.Dropout):
    """Dropout that drops the same numbers at all positions of an excerpt.

    It draws fewer random numbers, and the model cannot find a dropped number at another position.
    """

    def forward(self, x):
        """(B, T, C) -> (B, T, C)"""
        if not (self.training and self.p):
            return x
        return x * super().forward(x.new_ones(x.shape[0], 1, x.shape[2]))


class RMSNorm(nn.Module):
    def forward(self, x):
        return rmsnorm(x)


class Block(nn.Module):
    """Attention, then an MLP; each of them adds its output to its input, as in stage 06."""

    def __init__(self, config, parts, layer):
        super().__init__()
        self.norm_1, self.norm_2 = (make_norm(config, parts) for _ in range(2))
        self.attn = Attention(config, parts, layer)
        self.mlp = MLP(config.n_embd, parts)
        self.dropout = SharedDropout(config.dropout)
        # How much of its input and how much of the embeddings a layer reads.
        scalars = "x0_scalars" in parts
        self.scalars = nn.Parameter(torch.tensor([1.0, 0.0])) if scalars else None

    def forward(self, x, x0, *for_attention):
        """(B, T, C) -> (B, T, C), and the values of attention"""
        if self.scalars is not None:
            x = self.scalars[0] * x + self.scalars[1] * x0
        y, values = self.attn(self.norm_1(x), *for_attention)
        x = x + self.dropout(y)
        return x + self.dropout(self.mlp(self.norm_2(x))), values


def make_norm(config, parts):
    return RMSNorm() if "rmsnorm" in parts else nn.LayerNorm(config.n_embd)


class ModernGPT(nn.Module):
    """Stage 06's GPT with some of PARTS. Without any, it has the same weights and logits."""

    def __init__(self, vocab_size, config, parts):
        super().__init__()
        C, n_head, self.block_size = config.n_embd, config.n_head, config.block_size
        self.vocab_size, self.softcap = vocab_size, "softcap" in parts
        self.wte = nn.Embedding(vocab_size, C)
        self.wpe = None if "rotary" in parts else nn.Embedding(config.block_size, C)
        # One table for each distance back; id vocab_size: there is no character.
        reach = config.reach if "previous" in parts else 0
        self.wte_before = nn.ModuleList(nn.Embedding(vocab_size + 1, C) for _ in range(reach))
        self.pairs = nn.Embedding(vocab_size**2, C) if "pair_table" in parts else None
        self.dropout = SharedDropout(config.dropout)
        self.blocks = nn.ModuleList(Block(config, parts, i) for i in range(config.n_layer))
        kv = self.blocks[0].attn.attn_wv.out_features
        tables = config.n_layer if "value_embeddings" in parts else 0
        self.value_embeddings = nn.ModuleList(nn.Embedding(vocab_size, kv) for _ in range(tables))
        # One row of weights for each head. They are too few for Muon, so they are not in a block.
        gated = config.n_layer if "gated_attention" in parts else 0
        self.attn_gates = nn.ModuleList(nn.Linear(min(16, C), n_head) for _ in range(gated))
        self.norm_f = make_norm(config, parts)
        self.lm_head = nn.Linear(C, vocab_size, bias="no_biases" not in parts)
        self.init_weights(config.n_layer, parts)
        head_dim = C // n_head
        # The first pair of numbers turns by 1 radian a position, the last by 1 / 7,500 (if a head
        # has 64 numbers).
        speeds = 10_000.0 ** -torch.arange(0, 1, 2 / head_dim)  # (head_dim / 2,)
        angles = torch.arange(config.block_size)[:, None] * speeds  # (T, head_dim / 2)
        self.register_buffer("angles", torch.stack([angles.cos(), angles.sin()]), persistent=False)
        if "tied" in parts:
            self.lm_head.weight = self.wte.weight

    def init_weights(self, n_layer, parts):
        for name, p in self.named_parameters():
            last_of_branch = name.endswith(("attn_wo.weight", "mlp_fc2.weight"))
            starts_at_0 = name.endswith("bias") or name.startswith(("attn_gates", "pairs"))
            if "zero_init" in parts:
                starts_at_0 |= last_of_branch or name.startswith("lm_head")
            if starts_at_0:
                nn.init.zeros_(p)
            elif p.dim() == 2:
                # As in stage 06.
                nn.init.normal_(p, std=0.02 / math.sqrt(2 * n_layer) if last_of_branch else 0.02)

    def forward(self, xb, attentions=None):
        """Logits of the character after each position. (B, T) -> (B, T, V), T at most block_size

        attentions: a list to which every block adds its attention weights, (B, n_head, T, T).
        """
        T = xb.shape[1]
        x = self.wte(xb)  # (B, T, C)
        if self.wpe is not None:
            x = x + self.wpe.weight[:T]
        for distance, table in enumerate(self.wte_before, 1):
            x = x + table(shifted(xb, distance, self.vocab_size))
        if self.pairs is not None:
            x = x + self.pairs(shifted(xb, 1, 0) * self.vocab_size + xb)
        x = self.dropout(x)
        x0, first_values = x, None
        angles = self.angles[:, :T]  # (2, T, head_dim / 2)
        for i, block in enumerate(self.blocks):
            own = self.value_embeddings[i](xb) if self.value_embeddings else None
            gate = self.attn_gates[i] if self.attn_gates else None
            x, values = block(x, x0, angles, own, gate, first_values, attentions)
            first_values = values if first_values is None else first_values
        logits = self.lm_head(self.norm_f(x))  # (B, T, V)
        return 15 * (logits / 15).tanh() if self.softcap else logits

    generate = stage_model.GPT.generate


def shifted(xb, distance, fill):
    """The token `distance` positions before each position, or `fill` if there is none. (B, T)"""
    return F.pad(xb, (distance, 0), value=fill)[:, : xb.shape[1]]


# ---- training --------------------------------------------------------------------------------
def train(config, model, optimizers, log, get_batch, device, dtype):
    """Stage 06's training, but it keeps the last weights, not the best ones.

    get_batch(step, share) -> xb, yb, (B, T) each; a target of -1 is not scored. share: how much of
    the training is done, from 0 to 1.
    """
    for step in log:
        xb, yb = get_batch(step, log.share)

        with devices.autocast(device, dtype):
            logits = model(xb)  # (B, T) -> (B, T, V)
            loss = F.cross_entropy(logits.flatten(0, 1), yb.flatten(), ignore_index=-1)

        model.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), config.clip)

        for optimizer in optimizers:
            for group in optimizer.param_groups:
                group["lr"] = group["highest_lr"] * stage.schedule(step, log.share, config)
            with devices.autocast(device, dtype):
                optimizer.step()

        log.add(loss.detach(), (yb >= 0).sum().item())


def growing_batches(config, text):
    """get_batch() of train(): many short excerpts at first, fewer long ones from config.growth on.

    Both kinds of batch have about as many characters. Short excerpts are faster, and at first they
    teach as much: the model has to learn words before a sentence can help.
    """
    T = min(config.first_block_size, config.block_size)
    B = config.batch_size * config.block_size // T
    short = replace(config, block_size=T, batch_size=B)
    return lambda step, share: stage.get_batch(
        text, short if share < config.growth else config, step
    )


# ---- the protocol of stage 06 ----------------------------------------------------------------
def make_model(config, tokenizer):
    """A new ModernGPT with the sizes and parts in config and random weights."""
    model = ModernGPT(tokenizer.vocab_size, config, read_parts(config.parts))
    model.tokenizer = tokenizer
    return model


log_probs = stage.log_probs
attention_weights = stage.attention_weights
sample = stage.sample


def load(folder):
    """The trained model that main() wrote, with dropout off."""
    saved = torch.load(folder / "model.pt", map_location="cpu", weights_only=True)
    model = make_model(Config(**saved["config"]), stage.Tokenizer(saved["chars"]))
    model.load_state_dict(saved["weights"])
    return model.eval()


# ---- main ------------------------------------------------------------------------------------
def main():
    config = common.parse_flags(Config, __doc__, stage.PRESETS)
    device = devices.pick_device(config.device)
    dtype = devices.pick_dtype(config.dtype, device)
    splits = stage.load_text(config.data, config.block_size)
    common.begin_run(config)
    tokenizer = stage.Tokenizer("".join(splits.values()))
    prompt = prompts.read_prompt(config.prompt, tokenizer.chars)
    data = {k: torch.tensor(tokenizer.encode(text)).to(device) for k, text in splits.items()}

    torch.manual_seed(config.seed)
    model = make_model(config, tokenizer).to(device)
    params = sum(p.numel() for p in model.parameters())
    print(f"parts: {config.parts}\nnum params: {params:,}\ndevice: {device}, {dtype}", flush=True)

    scoring = len(data["train"]) / len(data["val"])
    def val_loss():
        with devices.autocast(device, dtype):
            return stage.evaluate(model, data["val"])

    optimizers = stage.make_optimizers(config, model)
    log = common.Log(
        config.steps, val_loss, looks=range(config.eval_every, 10**9, config.eval_every),
        minutes=config.minutes, scoring=scoring, state=[model, *optimizers],
    )  # fmt: skip
    if config.compile:
        devices.check_compiler(device)
    compute = torch.compile(model) if config.compile else model
    batches = growing_batches(config, data["train"])
    train(config, compute, optimizers, log, batches, device, dtype)
    loss = {"val": log.val}
    if not log.stopped:
        with devices.autocast(device, dtype):
            loss["train"] = stage.evaluate(model, data["train"])
    torch.manual_seed(config.seed)
    text = sample(model, prompt, 500, config.temperature, config.top_k)
    shown = common.visible(text.strip(), "\n\t")
    print("---- sample ----", shown, "----------------", sep="\n")
    saved = {
        "config": common.settings(config),
        "chars": tokenizer.chars,
        "weights": {name: p.to("cpu", copy=True) for name, p in model.state_dict().items()},
    }
    common.save_run(
        config, log, "the parts of a modern GPT", {"model.pt": saved},
        docs={name: 1 for name in data}, targets={name: len(data[name]) - 1 for name in data},
        vocab_size=tokenizer.vocab_size, params=params,
        chars_seen=log.chars_seen, loss=loss, samples=[text],
        device=device, dtype=dtype, variant="modern",
    )  # fmt: skip


if __name__ == "__main__":
    common.run(main)
