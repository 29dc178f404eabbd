"""The GPT of stage 06: stage 05's model with LayerNorm, GELU, biases and dropout, as nn.Modules.

Source: "Attention Is All You Need", Vaswani et al., 2017; GPT-2, Radford et al., 2019.
"""

import math

import torch
import torch.nn.functional as F
from torch import nn


class CausalSelfAttention(nn.Module):
    """Every position gathers values from the positions before it, in n_head ways at once."""

    def __init__(self, n_embd, n_head, dropout):
        super().__init__()
        self.n_head, self.dropout = n_head, dropout
        self.attn_wq = nn.Linear(n_embd, n_embd)
        self.attn_wk = nn.Linear(n_embd, n_embd)
        self.attn_wv = nn.Linear(n_embd, n_embd)
        self.attn_wo = nn.Linear(n_embd, n_embd)

    def forward(self, x, cache=None):
        """(B, T, C) -> (B, T, C). cache: [keys, values] of earlier positions, or [] for none."""
        B, T, C = x.shape
        q, k, v = (
            w(x).view(B, T, self.n_head, C // self.n_head).transpose(1, 2)
            for w in (self.attn_wq, self.attn_wk, self.attn_wv)
        )  # each (B, T, C) -> (B, n_head, T, head_dim)
        if cache is not None:
            if cache:
                k, v = torch.cat((cache[0], k), dim=2), torch.cat((cache[1], v), dim=2)
            cache[:] = k, v  # each (B, n_head, all positions so far, head_dim)
        dropout = self.dropout if self.training else 0.0
        if x.is_cuda:  # the lines below as one fused operation, which keeps no scores
            x = F.scaled_dot_product_attention(q, k, v, is_causal=T > 1, dropout_p=dropout)
        else:  # where the fused one is slower, up to five times in bfloat16
            scores = q @ (k / math.sqrt(C // self.n_head)).mT  # (B, n_head, T, positions so far)
            if T > 1:  # one position alone, the newest, has no future to mask
                scores = scores + scores.new_full((T, T), -math.inf).triu(1)
            weights = F.dropout(scores.softmax(dim=-1), dropout)  # each row adds up to 1
            x = weights.to(v.dtype) @ v  # (B, n_head, T, head_dim)
        x = x.transpose(1, 2).reshape(B, T, C)  # (B, n_head, T, head_dim) -> (B, T, C)
        return self.attn_wo(x)


class Block(nn.Module):
    """Communication, then computation; each adds to what it read (the residual)."""

    def __init__(self, n_embd, n_head, dropout):
        super().__init__()
        self.ln_1 = nn.LayerNorm(n_embd)
        self.attn = CausalSelfAttention(n_embd, n_head, dropout)
        self.ln_2 = nn.LayerNorm(n_embd)
        self.mlp_fc1 = nn.Linear(n_embd, 4 * n_embd)
        self.activation = F.gelu
        self.mlp_fc2 = nn.Linear(4 * n_embd, n_embd)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x, cache=None):
        x = x + self.dropout(self.attn(self.ln_1(x), cache))  # (B, T, C)
        h = self.activation(self.mlp_fc1(self.ln_2(x)))  # (B, T, C) -> (B, T, 4C)
        return x + self.dropout(self.mlp_fc2(h))  # (B, T, 4C) -> (B, T, C)


class GPT(nn.Module):
    """Token and position embeddings, n_layer blocks, a last LayerNorm, a score per character."""

    def __init__(self, vocab_size, block_size, n_embd, n_head, n_layer, dropout):
        super().__init__()
        self.block_size = block_size
        self.wte = nn.Embedding(vocab_size, n_embd)
        self.wpe = nn.Embedding(block_size, n_embd)
        self.dropout = nn.Dropout(dropout)
        self.blocks = nn.ModuleList(Block(n_embd, n_head, dropout) for _ in range(n_layer))
        self.ln_f = nn.LayerNorm(n_embd)
        self.lm_head = nn.Linear(n_embd, vocab_size)
        for name, p in self.named_parameters():
            if p.dim() == 2:
                # 2 * n_layer branches add up in the residual stream; smaller ones keep the sum at
                # the size of one (GPT-2, section 2.3).
                last_of_branch = name.endswith(("attn_wo.weight", "mlp_fc2.weight"))
                nn.init.normal_(p, std=0.02 / math.sqrt(2 * n_layer) if last_of_branch else 0.02)
            elif name.endswith("bias"):
                nn.init.zeros_(p)

    def forward(self, xb, caches=None):
        """Logits of the character after each position. (B, T) -> (B, T, V), T at most block_size

        caches, one list for each block, spares computing again what was computed for the positions
        before xb: empty lists before the first call, after which xb is one token at a time (T = 1).
        """
        before = caches[0][0].shape[2] if caches and caches[0] else 0  # positions in the caches
        positions = torch.arange(before, before + xb.shape[1], device=xb.device)
        x = self.dropout(self.wte(xb) + self.wpe(positions))  # (B, T, C) + (T, C)
        for block, cache in zip(self.blocks, caches or [None] * len(self.blocks)):
            x = block(x, cache)
        return self.lm_head(self.ln_f(x))  # (B, T, C) -> (B, T, V)

    @torch.no_grad()
    def generate(self, tokens, length, temperature=1.0, top_k=None, generator=None):
        """Yield `length` further token ids after the list `tokens`, one at a time.

        Logits are divided by temperature; with top_k only that many likeliest ids can be drawn. The
        model looks back on block_size tokens at most: when they are full, it goes on with the later
        half of them, so that a token costs the same however long the text is. Dropout is off; the
        mode is put back at the end. ValueError without a token to begin with.
        """
        if not tokens:
            raise ValueError("generate has nothing to continue: give at least one token")
        was_training = self.training
        self.eval()
        window, caches = list(tokens)[-self.block_size :], [[] for _ in self.blocks]
        new = window  # what the caches do not hold yet
        try:
            for _ in range(length):
                xb = torch.tensor([new], device=self.lm_head.weight.device)  # (1, T)
                logits = self(xb, caches)[0, -1] / temperature  # (V,)
                if top_k is not None:
                    least = logits.topk(min(top_k, len(logits))).values[-1]
                    logits[logits < least] = -math.inf
                probs = logits.softmax(dim=0).cpu()
                token = torch.multinomial(probs, 1, generator=generator).item()
                window, new = [*window, token], [token]
                if len(window) > self.block_size:
                    window = window[-(self.block_size // 2 + 1) :]
                    caches, new = [[] for _ in self.blocks], window
                yield token
        finally:
            self.train(was_training)
