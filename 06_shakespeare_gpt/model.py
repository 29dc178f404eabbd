"""The GPT of stage 06: stage 05's model with LayerNorm, GELU, biases and dropout, as nn.Modules.

Source: "Attention Is All You Need", Vaswani et al., 2017; GPT-2, Radford et al., 2019.
"""

import math

import torch
import torch.nn.functional as F
from torch import nn


def attention(q, k, v, dropout=0.0, attentions=None):
    """A weighted mean of the values: softmax(q @ k.mT / sqrt(head_dim)) @ v, with a causal mask.

    q, k, v: (B, n_head, T, head_dim) each -> (B, n_head, T, head_dim). A list `attentions` receives
    the weights, (B, n_head, T, T).
    """
    T, head_dim = q.shape[2:]
    if q.is_cuda and attentions is None:
        # This does the same as the lines below in one operation, which never holds all the scores
        # in memory. On a CPU it is slower, in bfloat16 by up to five times.
        return F.scaled_dot_product_attention(q, k, v, is_causal=T > 1, dropout_p=dropout)
    scores = q @ (k / math.sqrt(head_dim)).mT  # (B, n_head, T, T)
    if T > 1:  # a single query comes from the newest position, which has no future
        scores = scores + scores.new_full((T, T), -math.inf).triu(1)
    weights = scores.softmax(dim=-1)  # (B, n_head, T, T); each row adds up to 1
    if attentions is not None:
        attentions.append(weights)
    return F.dropout(weights, dropout).to(v.dtype) @ v  # (B, n_head, T, head_dim)


class CausalSelfAttention(nn.Module):
    """Every position looks back and collects what it needs, in n_head ways at once."""

    def __init__(self, n_embd, n_head, dropout):
        super().__init__()
        self.n_head, self.dropout = n_head, dropout
        self.attn_wq = nn.Linear(n_embd, n_embd)
        self.attn_wk = nn.Linear(n_embd, n_embd)
        self.attn_wv = nn.Linear(n_embd, n_embd)
        self.attn_wo = nn.Linear(n_embd, n_embd)

    def forward(self, x, cache=None, attentions=None):
        """(B, T, C) -> (B, T, C)"""
        B, T, C = x.shape
        q, k, v = (
            w(x).view(B, T, self.n_head, C // self.n_head).transpose(1, 2)
            for w in (self.attn_wq, self.attn_wk, self.attn_wv)
        )  # each (B, T, C) -> (B, n_head, T, head_dim)
        if cache is not None:
            k, v = cache.add(k, v)  # now also those of earlier positions; see generate.py
        x = attention(q, k, v, self.dropout if self.training else 0.0, attentions)
        x = x.transpose(1, 2).reshape(B, T, C)  # (B, n_head, T, head_dim) -> (B, T, C)
        return self.attn_wo(x)


class Block(nn.Module):
    """Attention, then an MLP. Each of them adds its output to its input (the residual)."""

    def __init__(self, n_embd, n_head, dropout, norm, activation):
        super().__init__()
        self.ln_1 = norm(n_embd)
        self.attn = CausalSelfAttention(n_embd, n_head, dropout)
        self.ln_2 = norm(n_embd)
        self.mlp_fc1 = nn.Linear(n_embd, 4 * n_embd)
        self.activation = activation
        self.mlp_fc2 = nn.Linear(4 * n_embd, n_embd)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x, cache=None, attentions=None):
        """(B, T, C) -> (B, T, C)"""
        x = x + self.dropout(self.attn(self.ln_1(x), cache, attentions))
        h = self.activation(self.mlp_fc1(self.ln_2(x)))  # (B, T, C) -> (B, T, 4C)
        x = x + self.dropout(self.mlp_fc2(h))  # (B, T, 4C) -> (B, T, C)
        return x


class GPT(nn.Module):
    """Token and position embeddings, n_layer blocks, a last LayerNorm, a score per character.

    The arguments after dropout swap one part for another, to see what each is worth:
    norm(n_embd) makes a norm; activation is the function between the two matrices of the MLP; with
    norm_embeddings, the norm before lm_head moves behind the embeddings, where stage 05 has it.
    """

    def __init__(
        self, vocab_size, block_size, n_embd, n_head, n_layer, dropout,
        norm=nn.LayerNorm, activation=F.gelu, norm_embeddings=False,
    ):  # fmt: skip
        super().__init__()
        self.block_size = block_size
        self.wte = nn.Embedding(vocab_size, n_embd)
        self.wpe = nn.Embedding(block_size, n_embd)
        self.ln_0 = norm(n_embd) if norm_embeddings else nn.Identity()
        self.dropout = nn.Dropout(dropout)
        self.blocks = nn.ModuleList(
            Block(n_embd, n_head, dropout, norm, activation) for _ in range(n_layer)
        )
        self.ln_f = nn.Identity() if norm_embeddings else norm(n_embd)
        self.lm_head = nn.Linear(n_embd, vocab_size)
        for name, p in self.named_parameters():
            if p.dim() == 2:
                # 2 * n_layer branches add up in the residual stream. Smaller weights keep the sum
                # at the size of a single branch (GPT-2, section 2.3).
                last_of_branch = name.endswith(("attn_wo.weight", "mlp_fc2.weight"))
                nn.init.normal_(p, std=0.02 / math.sqrt(2 * n_layer) if last_of_branch else 0.02)
            elif name.endswith("bias"):
                nn.init.zeros_(p)

    def forward(self, xb, caches=None, attentions=None):
        """Logits of the character after each position. (B, T) -> (B, T, V), T at most block_size

        caches: one for each block, for generate.py. attentions: a list to which every block adds
        its attention weights, (B, n_head, T, T).
        """
        start = caches[0].length if caches else 0  # how many positions came before xb
        positions = torch.arange(start, start + xb.shape[1], device=xb.device)
        x = self.wte(xb) + self.wpe(positions)  # (B, T, C) + (T, C)
        x = self.dropout(self.ln_0(x))
        for block, cache in zip(self.blocks, caches or [None] * len(self.blocks)):
            x = block(x, cache, attentions)
        return self.lm_head(self.ln_f(x))  # (B, T, C) -> (B, T, V)

    @torch.no_grad()
    def generate(self, tokens, length, temperature=1.0, top_k=None):
        """The ids of `length` more characters, each drawn given those before it. Dropout is off.

        The model sees a window of at most block_size tokens. When the window is full, its older
        half is dropped. generate.py does the same, because its cache lasts until then.
        """
        was_training = self.training
        self.eval()
        window, new = tokens[-self.block_size :], []
        for _ in range(length):
            xb = torch.tensor([window], device=self.lm_head.weight.device)  # (1, T)
            logits = self(xb)[0, -1]  # (V,), of the character after the last one
            new.append(draw(logits, temperature, top_k))
            window = [*window, new[-1]]
            if len(window) > self.block_size:
                window = window[-(self.block_size // 2 + 1) :]
        self.train(was_training)
        return new


def draw(logits, temperature=1.0, top_k=None):
    """Draw an id from softmax(logits / temperature), (V,); with top_k, from the likeliest only.

    A temperature below 1 favours likely ids. On every device, the random numbers come from the CPU.
    """
    logits = logits / temperature  # (V,)
    if top_k is not None:
        least = logits.topk(min(top_k, len(logits))).values[-1]
        logits[logits < least] = -math.inf
    return torch.multinomial(logits.softmax(dim=0).cpu(), 1).item()
