"""The checks of the exercises of stage 06. How to write such a file: tools/learn/checking.py."""

import contextlib
import io
import math
from pathlib import Path
from unittest.mock import patch

import torch
import torch.nn.functional as F
from torch import nn

DATA = Path(__file__).resolve().parent.parent / "data"
LESSON = "the lesson's numbers"
PYTORCH = "by PyTorch, in float64"
BY_HAND = "worked out by hand"


# --- attention ---


def attention(learner, check):
    """With v = identity, the result is the table of weights, which is worth a picture."""
    attention = learner.model.attention
    check.forbid("scaled_dot_product_attention")

    def weights(q, k, v):
        return without_ones(attention(q, k, v))

    zeros, ones = torch.zeros(1, 1, 3, 3).double(), torch.eye(3).double()[None, None]
    by_hand = torch.tensor([[1, 0, 0], [1 / 2, 1 / 2, 0], [1 / 3, 1 / 3, 1 / 3]]).double()
    check.run(
        attention, (zeros, zeros, ones), call="attention(q, k, v)",
        mistakes={
            "attentions is None unless somebody asks for the weights: append to it only if it is "
            "not None.": AttributeError("'NoneType'"),
            NOT_TRANSPOSED: check.either(RuntimeError("size"), RuntimeError("shape")),
        },
    )  # fmt: skip
    results = [attention(zeros, zeros, ones) for _ in range(2)]
    check.true(
        not isinstance(results[0], (tuple, list)),
        "Return the mean alone. In stage 05 the weights were returned as well. Here they go into "
        "the list attentions, if there is one.",
        call="attention(q, k, v)", came=f"a {type(results[0]).__name__}", expected="a tensor",
    )  # fmt: skip
    check.true(
        not torch.is_tensor(results[0]) or torch.equal(*map(torch.nan_to_num, results)),
        "Something is dropped: the share is the argument dropout, and that is 0 here.",
        call="attention(q, k, v), twice", came="two different results", expected="the same twice",
    )  # fmt: skip
    masked = {
        "Position 0 sees position 2, which comes later. Mask what lies above the diagonal, with a "
        "score that softmax turns into 0; a score of 0 is not masked, because exp(0) is 1.": (
            weigh(mask="none")
        ),
        "The mask lies on the wrong side: the first position sees all, and the last only itself. "
        "Position t may see 0 to t.": weigh(mask="future"),
        "The mask comes after softmax, so the rows no longer add up to 1: mask the scores.": (
            weigh(mask="after")
        ),
        "The diagonal is masked as well, so that the first position sees nothing, and 0 / 0 is "
        "nan. Every position sees itself.": weigh(mask="strict"),
        "softmax runs down the columns: each query shares its weight among the keys, dim=-1.": (
            check.either(weigh(axis=-2), weigh(axis=-2, mask="none"))
        ),
        "softmax runs over the heads: dim=-1 runs over the keys.": weigh(axis=1),
        "These are the scores times v: softmax makes weights of them first.": check.either(
            weigh(axis=None), weigh(axis=None, mask="none")
        ),
    }
    check.equal(
        weights, (zeros, zeros, ones), by_hand, mistakes=masked,
        by=f"{BY_HAND}: all scores are equal, so a position takes the mean of what it sees",
        call="attention(q, k, v), where q and k are 0, and row i of v is 1 at place i",
    )  # fmt: skip

    q, k, v = torch.randn(3, 2, 3, 5, 2).double()
    mistakes = {
        **masked,
        "The scores are not divided by sqrt(head_dim).": weigh(scale=lambda n, d: 1),
        "The scores are divided by head_dim: take its root.": weigh(scale=lambda n, d: 1 / d),
        "The scores are divided by sqrt(T): it is the root of head_dim, the last of q.shape.": (
            lambda q, k, v: weigh(scale=lambda n, d: q.shape[2] ** -0.5)(q, k, v)
        ),
        "The scores are divided by sqrt(C), the width of all heads: it is the root of head_dim, "
        "the width of one.": weigh(scale=lambda n, d: (n * d) ** -0.5),
        "The scores are multiplied by sqrt(head_dim): divide.": weigh(scale=lambda n, d: d**0.5),
        "These are the weights: the result is the weighted mean of the values.": (
            lambda q, k, v: weigh()(q, k, torch.eye(5).double().expand(2, 3, 5, 5))
        ),
        NOT_TRANSPOSED: check.either(RuntimeError("size"), RuntimeError("shape")),
        "The keys were not transposed: .view and .reshape cut memory into pieces and exchange no "
        "axes. k.mT does.": weigh(turn=lambda k: k.reshape(*k.shape[:2], k.shape[3], k.shape[2])),
    }
    call = "attention(q, k, v), each of shape (2, 3, 5, 2)"
    check.equal(
        attention, (q, k, v),
        lambda q, k, v: F.scaled_dot_product_attention(q, k, v, is_causal=True),
        by=PYTORCH, mistakes=mistakes, call=call,
    )  # fmt: skip
    check.equal(
        attention, (1000 * q, 1000 * k, v),
        lambda q, k, v: F.scaled_dot_product_attention(q, k, v, is_causal=True),
        by=PYTORCH, call=f"{call}, with numbers in the thousands",
        mistakes={
            "exp overflows: PyTorch's softmax subtracts the largest score first.": (
                lambda q, k, v: overflow(q, k, v)
            ),
        },
    )  # fmt: skip

    # One query, as in generate.py: the keys of earlier positions come from the cache.
    check.equal(
        attention, (q[:, :, -1:], k, v), lambda q, k, v: F.scaled_dot_product_attention(q, k, v),
        by=PYTORCH, call="attention(q, k, v) with one query, (2, 3, 1, 2), and five keys",
        mistakes={
            "A single query is the newest position: none of the keys lies in its future. Here it "
            "sees only the first.": lambda q, k, v: v[:, :, :1],
            "The mask has a row for each key: it needs one for each query, and a single query "
            "needs no mask.": check.either(
                lambda q, k, v: weigh()(q.expand_as(k), k, v), RuntimeError("size")
            ),
        },
    )  # fmt: skip

    noted = []
    check.run(lambda: attention(q, k, v, attentions=noted), (), call=f"{call}, attentions=[]")
    check.true(
        len(noted) == 1, "Append the weights to the list attentions, once, if there is one.",
        call=f"{call}, attentions=[]", came=f"a list of {len(noted)}", expected="a list of 1",
    )  # fmt: skip
    check.equal(
        lambda: noted[0], (), weigh()(q, k, torch.eye(5).double().expand(2, 3, 5, 5)), by=PYTORCH,
        call=f"{call}, attentions=[], then attentions[0]",
        mistakes={
            "These are the scores: append the weights, after softmax.": check.either(
                q @ k.mT / math.sqrt(2),
                (q @ k.mT / math.sqrt(2)).masked_fill(~torch.ones(5, 5).bool().tril(), -math.inf),
            ),
            "This is the result: append the weights, which have shape (B, n_head, T, T).": (
                F.scaled_dot_product_attention(q, k, v, is_causal=True)
            ),
        },
    )  # fmt: skip

    def gradients(function):
        inputs = [x.clone().requires_grad_() for x in (q, k, v)]
        result = function(*inputs)
        if torch.is_tensor(result) and result.requires_grad:
            found = torch.autograd.grad((result**2).sum(), inputs, allow_unused=True)
            return None if any(gradient is None for gradient in found) else found
        return None

    check.equal(
        lambda: gradients(attention), (),
        gradients(lambda q, k, v: F.scaled_dot_product_attention(q, k, v, is_causal=True)),
        by=PYTORCH, call="(attention(q, k, v) ** 2).sum().backward(), then the gradients",
        mistakes={
            "No gradient reaches q, k and v, or only some of them: leave out .detach(), .data and "
            "torch.tensor(...).": None,
        },
    )  # fmt: skip

    # With v = 1, the result is the sum of the weights that were not dropped.
    zeros, ones = torch.zeros(1, 1, 400, 2), torch.ones(1, 1, 400, 2)
    call = "attention(q, k, v, dropout), all weights of a row equal, all values 1: {}"
    drops = {
        "Nothing is dropped: F.dropout(weights, dropout) drops some.": (0.0, 1e-3),
        "The weights are multiplied by 1 - dropout, or only those that were dropped are missing: "
        "F.dropout also makes the others larger.": (0.2, 0.6),
        "The result is dropped, number by number: drop weights, before they are multiplied by v.": (
            (0.9, 1.1)
        ),
    }
    check.between(
        lambda: deviation(attention(zeros, zeros, ones, 0.5)), (), 0.01, 0.2,
        call=call.format("how far from 1 with dropout 0.5"), mistakes=drops,
    )  # fmt: skip
    check.between(
        lambda: deviation(attention(zeros, zeros, ones, 0.1)), (), 0.001, 0.05,
        call=call.format("how far from 1 with dropout 0.1"),
        mistakes={"The share that is dropped is the argument dropout.": (0.05, 0.2)},
    )  # fmt: skip
    noted = []
    result = attention(zeros, zeros, ones, 0.5, noted)
    check.true(
        torch.equal(result[..., 0], result[..., 1]),
        "Single numbers of the values are dropped: drop weights, and with a weight all numbers of "
        "its value.",
        call=call.format("the two columns of the result with dropout 0.5"),
        came="two different columns", expected="two equal columns",
    )  # fmt: skip
    sums = noted[0].sum(dim=-1)
    check.true(
        torch.allclose(sums, torch.ones_like(sums), atol=1e-3),
        "These are the weights after dropout: append them as softmax made them, so that each row "
        "adds up to 1.",
        call=call.format("attentions[0] with dropout 0.5"),
        came=f"a row that adds up to {sums.flatten()[-1]:.3f}", expected="rows that add up to 1",
    )  # fmt: skip


NOT_TRANSPOSED = (
    "q and k do not fit: a score is the dot product of a query and a key, so exchange the last two "
    "axes of k, T and head_dim. k.mT does."
)


def without_ones(result):
    """(1, 1, T, T) -> (T, T), which can be shown as a picture."""
    if torch.is_tensor(result) and result.shape[:2] == (1, 1):
        return result[0, 0]
    return result


def deviation(result):
    """The mean distance from 1 over the later half of the positions."""
    return (result[0, 0, 200:, 0] - 1).abs().mean().item()


def weigh(
    mask="past", axis=-1, scale=lambda n_head, head_dim: head_dim**-0.5, turn=lambda k: k.mT
):
    """Attention with a mistake, as a function of q, k, v."""

    def attend(q, k, v):
        scores = q @ turn(k) * scale(q.shape[1], q.shape[3])
        seen = torch.ones(scores.shape[2:]).bool().tril()
        if mask == "after":
            return without_ones((scores.softmax(dim=axis) * seen) @ v)
        hidden = {"past": ~seen, "none": seen & False, "future": ~seen.T}
        hidden["strict"] = ~seen.tril(-1)
        scores = scores.masked_fill(hidden[mask], -math.inf)
        return without_ones((scores if axis is None else scores.softmax(dim=axis)) @ v)

    return attend


def overflow(q, k, v):
    """The mistake of a softmax without the maximum."""
    seen = torch.ones(q.shape[2], q.shape[2]).bool().tril()
    scores = (q @ k.mT / math.sqrt(q.shape[3])).masked_fill(~seen, -math.inf)
    return (scores.exp() / scores.exp().sum(dim=-1, keepdim=True)) @ v


# --- heads ---


def heads(learner, check):
    """First with equal weights and identities, where a position takes the mean of what it sees."""
    CausalSelfAttention = learner.model.CausalSelfAttention
    attn = CausalSelfAttention(4, 2, 0.0).double().eval()
    with torch.no_grad():
        for w in (attn.attn_wq, attn.attn_wk, attn.attn_wv, attn.attn_wo):
            w.bias.zero_()
            w.weight.zero_()
        attn.attn_wk.weight += 2 * torch.eye(4)
        attn.attn_wv.weight += torch.eye(4)
        attn.attn_wo.weight += torch.eye(4)

    def slips(attn):
        """What mistakes give. Several heads that are cut wrongly still make the right shape."""
        return {
            "The numbers are mixed up: .view cuts memory into pieces and moves nothing, so a head "
            "gets numbers of other positions. Cut only the C numbers of each position, and move "
            "the axes afterwards.": check.either(
                lambda x: multi_head(attn, x, split="view"),
                lambda x: multi_head(attn, x, split="view", join="view"),
            ),
            "The heads are put together wrongly: exchange the axes n_head and T again before "
            "they become one vector of C numbers.": lambda x: multi_head(attn, x, join="view"),
            "Attention runs over the heads of one position: attention() wants the axes in the "
            "order (B, n_head, T, head_dim).": check.either(
                lambda x: multi_head(attn, x, split="none"),
                lambda x: multi_head(attn, x, split="none", join="view"),
            ),
            "The last two axes are exchanged: each head gets head_dim numbers next to each other, "
            "so it is (B, T, n_head, head_dim) before the axes are exchanged.": (
                lambda x: multi_head(attn, x, n_head=x.shape[2] // attn.n_head)
            ),
            "A head takes every n_head-th number: it takes head_dim numbers next to each other.": (
                check.either(
                    lambda x: multi_head(attn, x, split="comb"),
                    lambda x: multi_head(attn, x, split="comb", join="comb"),
                )
            ),
            "The wrong two axes were exchanged: attention() wants (B, n_head, T, head_dim).": (
                check.either(
                    lambda x: multi_head(attn, x, split="swap"),
                    lambda x: multi_head(attn, x, split="swap", join="swap"),
                    RuntimeError("Sizes of tensors must match"),
                )
            ),
            "There is only one head: cut the C numbers into n_head parts.": (
                lambda x: multi_head(attn, x, n_head=1)
            ),
            "attn_wo is missing: it mixes what the heads found.": (
                lambda x: multi_head(attn, x, out=False)
            ),
            "q and k are exchanged: attention(q, k, v).": (
                lambda x: multi_head(attn, x, order="kqv")
            ),
            "The values play the part of the keys: attention(q, k, v).": (
                lambda x: multi_head(attn, x, order="qvk")
            ),
            "All three come from attn_wq: k has attn_wk and v has attn_wv.": (
                lambda x: multi_head(attn, x, order="qqq")
            ),
            "The numbers no longer lie in order in memory after transpose: .reshape copies them, "
            ".view cannot.": RuntimeError("view size is not compatible"),
            "attention() returns one tensor, the result.": ValueError("unpack"),
            "C / n_head is a float, and a shape needs whole numbers: C // n_head.": (
                TypeError("float")
            ),
            "A head has C // self.n_head numbers. There is no attribute for that.": (
                AttributeError("head_dim")
            ),
        }

    x = torch.tensor([[[1.0, 2, 3, 4], [5, 6, 7, 8], [3, 4, 5, 6]]]).double()
    expected = torch.tensor([[[1.0, 2, 3, 4], [3, 4, 5, 6], [3, 4, 5, 6]]]).double()
    call = "CausalSelfAttention(4, 2, 0.0).forward(x)"
    check.equal(
        attn.forward, (x,), expected, mistakes=slips(attn),
        by=f"{BY_HAND}: the queries are 0 and attn_wv and attn_wo change nothing",
        call=f"{call}, where each position takes the mean of x so far",
    )  # fmt: skip

    for n_head, shape in ((2, (2, 5, 6)), (3, (3, 4, 12))):
        attn = CausalSelfAttention(shape[2], n_head, 0.0).double().eval()
        check.equal(
            attn.forward, (torch.randn(shape).double(),),
            lambda x, attn=attn: head_by_head(attn, x), by="one head after the other, in float64",
            call=f"CausalSelfAttention({shape[2]}, {n_head}, 0.0).forward(x), x of shape {shape}",
            mistakes=slips(attn),
        )  # fmt: skip

    x = torch.randn(2, 5, 6).double()
    attn = CausalSelfAttention(6, 2, 0.5).double()
    call = "CausalSelfAttention(6, 2, dropout=0.5).{}().forward(x), twice"
    attn.eval()
    same = torch.equal(attn(x), attn(x))
    check.true(
        same, "Dropout is on in evaluation: it is self.dropout only if self.training, and else 0.",
        call=call.format("eval"), came="two different results", expected="the same twice",
    )  # fmt: skip
    attn.train()
    check.true(
        not torch.equal(attn(x), attn(x)),
        "Nothing is dropped in training: give attention() self.dropout if self.training.",
        call=call.format("train"), came="the same twice", expected="two different results",
    )  # fmt: skip

    attn.eval()
    cache = Remember()
    call = "forward(x[:, t : t + 1], cache) for t = 0, 1, ..."
    check.equal(
        lambda: torch.cat([attn.forward(x[:, t : t + 1], cache) for t in range(5)], dim=1), (),
        head_by_head(attn, x), by="all positions at once", call=call,
        mistakes={
            "The cache is not used: k, v = cache.add(k, v) gives those of all positions so far.": (
                torch.cat([head_by_head(attn, x[:, t : t + 1]) for t in range(5)], dim=1)
            ),
            "Add k and v to the cache once they are cut into heads: it joins them along axis 2, "
            "which has to be T.": check.either(
                RuntimeError("invalid for input of size"), RuntimeError("size"),
            ),
        },
    )  # fmt: skip
    check.true(
        cache.shapes[:1] == [(2, 2, 1, 3)],
        "Add k and v to the cache once they are cut into heads.",
        call=f"{call}, then the shape of the keys in the first cache.add",
        came=str(cache.shapes[:1]), expected="[(2, 2, 1, 3)]: B, n_head, T, head_dim",
    )  # fmt: skip
    noted = []
    check.run(lambda: attn.forward(x, attentions=noted), call="forward(x, attentions=[])")
    check.true(
        len(noted) == 1, "Hand the list attentions on to attention().",
        call="forward(x, attentions=[])", came=f"a list of {len(noted)}", expected="a list of 1",
    )  # fmt: skip


def head_by_head(attn, x):
    """Slices of the vectors, one head after the other."""
    q, k, v = attn.attn_wq(x), attn.attn_wk(x), attn.attn_wv(x)
    width = x.shape[2] // attn.n_head
    parts = [slice(h * width, (h + 1) * width) for h in range(attn.n_head)]
    results = [
        F.scaled_dot_product_attention(q[..., part], k[..., part], v[..., part], is_causal=True)
        for part in parts
    ]
    return attn.attn_wo(torch.cat(results, dim=-1)).detach()


def multi_head(attn, x, n_head=None, split="", join="", out=True, order="qkv"):
    """Attention with mistakes in the shapes."""
    (B, T, C), n_head = x.shape, n_head or attn.n_head
    shapes = {"view": (B, n_head, T, -1), "comb": (B, T, -1, n_head)}
    shape = shapes.get(split, (B, T, n_head, -1))
    w = {"q": attn.attn_wq, "k": attn.attn_wk, "v": attn.attn_wv}
    q, k, v = (w[letter](x).view(shape) for letter in order)
    order = {"": (0, 2, 1, 3), "comb": (0, 3, 1, 2), "swap": (0, 1, 3, 2)}.get(split)
    if order:
        q, k, v = q.permute(order), k.permute(order), v.permute(order)
    x = F.scaled_dot_product_attention(q, k, v, is_causal=True)
    back = {"": (0, 2, 1, 3), "comb": (0, 2, 3, 1), "swap": (0, 1, 3, 2)}.get(join)
    x = (x.permute(back) if back else x).reshape(B, T, C)
    return attn.attn_wo(x) if out else x


class Remember:
    """A cache that works, whatever the learner's does."""

    def __init__(self):
        self.keys, self.values, self.shapes, self.length = [], [], [], 0

    def add(self, keys, values):
        self.keys.append(keys)
        self.values.append(values)
        self.shapes.append(tuple(keys.shape))
        self.length += keys.shape[2]
        return torch.cat(self.keys, dim=2), torch.cat(self.values, dim=2)


# --- block ---


class Times(nn.Module):
    """Multiplies by a number, adds one, and notes what else it was given."""

    def __init__(self, factor, plus=0):
        super().__init__()
        self.factor, self.plus, self.given = factor, plus, []

    def forward(self, x, *others, **named):
        self.given = [*others, *named.values()]
        return self.factor * x + self.plus


def block(learner, check):
    """First with parts that only multiply, so that the sum can be worked out by hand."""
    Block = learner.model.Block

    def simple(attn=10, mlp=2, dropout=1, ln_1=1, ln_2=1):
        made = Block(2, 1, 0.0, nn.LayerNorm, F.gelu)
        made.ln_1, made.ln_2, made.dropout = Times(ln_1), Times(ln_2), Times(dropout)
        made.attn, made.mlp_fc1, made.mlp_fc2 = Times(attn), Times(1), Times(mlp)
        made.activation = lambda x: x
        return made

    x = torch.tensor([[[1.0, 2.0]]])
    check.equal(
        simple().forward, (x,), 33 * x,
        by=f"{BY_HAND}: 1 + 10 is 11, and 11 + 22 is 33",
        call="Block.forward(x), where attn only multiplies by 10 and the MLP by 2",
        mistakes={
            "The residuals are missing: each part is added to what it read.": 20 * x,
            "The first residual is missing: attention is added to x.": 30 * x,
            "The second residual is missing: the MLP is added to what attention left.": 22 * x,
            "The MLP reads the old x: it reads what came after attention.": 13 * x,
            "The MLP is missing, or its result is lost: add it to x.": 11 * x,
            "Attention is missing, or its result is lost: add it to x.": 3 * x,
            "The MLP is added to the old x: add it to what came after attention.": 23 * x,
            "The MLP reads only what attention found: it reads x after the addition.": 31 * x,
            "x is added only at the end: add it to what attention found, before the MLP.": 21 * x,
            "The old x is added a second time: add the MLP to what came after attention only.": (
                34 * x
            ),
        },
    )  # fmt: skip
    check.equal(
        simple(ln_1=3, ln_2=5).forward, (x,), 341 * x,
        by=f"{BY_HAND}: 1 + 10 * 3 is 31, and 31 + 2 * 5 * 31 is 341",
        call="Block.forward(x), where ln_1 multiplies by 3, attn by 10, ln_2 by 5, the MLP by 2",
        mistakes={
            "The norms are missing: attention reads ln_1(x), the MLP reads ln_2(x).": 33 * x,
            "ln_1 is missing: attention reads ln_1(x).": 121 * x,
            "ln_2 is missing: the MLP reads ln_2(x).": 93 * x,
            "The norm of x is added, too: the residual is x as it was before the norm.": (
                check.either((33 + 330) * x, 33 * 15 * x, 31 * 15 * x, 33 * 5 * 3 * x)
            ),
            "The norm comes after the addition: here each part reads a norm, and x itself stays "
            "as it is.": 11 * 3 * 3 * 5 * x,
            "ln_1 and ln_2 are exchanged.": (51 + 51 * 6) * x,
            "ln_1 is used twice: the MLP reads ln_2(x).": (31 + 31 * 6) * x,
            "ln_2 is used twice: attention reads ln_1(x).": (51 + 51 * 10) * x,
        },
    )  # fmt: skip
    check.equal(
        simple(dropout=3).forward, (x,), 217 * x,
        by=f"{BY_HAND}: 1 + 3 * 10 is 31, and 31 + 3 * 2 * 31 is 217",
        call="Block.forward(x), where dropout multiplies by 3, attn by 10, the MLP by 2",
        mistakes={
            "Dropout is missing: it acts on what attention adds and on what the MLP adds.": 33 * x,
            "Dropout after attention is missing.": 77 * x,
            "Dropout after the MLP is missing.": 93 * x,
            "Dropout acts on the sum: it acts on what is added, and x stays whole.": (
                check.either(297 * x, 279 * x, 231 * x, 99 * x)
            ),
        },
    )  # fmt: skip
    made = simple(dropout=3)
    made.mlp_fc2 = Times(2, plus=1)
    check.equal(
        made.forward, (torch.ones(1, 1, 1),), torch.full((1, 1, 1), 220.0),
        by=f"{BY_HAND}: 1 + 3 * 10 is 31, the MLP makes 63 of it, and 31 + 3 * 63 is 220",
        call="Block.forward(1), where dropout multiplies by 3, attn by 10, and mlp_fc2 by 2 and "
        "adds 1",
        mistakes={
            "Dropout comes before mlp_fc2: it acts on what the MLP adds, at its end.": (
                torch.full((1, 1, 1), 218.0)
            ),
        },
    )  # fmt: skip
    made = simple()
    check.run(made.forward, (x, "cache", "list"), call="Block.forward(x, cache, attentions)")
    check.true(
        made.attn.given == ["cache", "list"],
        "Hand cache and attentions on to attention, in this order.",
        call="Block.forward(x, cache, attentions), then what attn got beside x",
        came=str(made.attn.given), expected="['cache', 'list']",
    )  # fmt: skip

    made = Block(6, 2, 0.0, nn.LayerNorm, F.gelu).double().eval()
    with torch.no_grad():
        for norm in (made.ln_1, made.ln_2):
            norm.weight.copy_(torch.randn(6))
    check.equal(
        made.forward, (torch.randn(2, 5, 6).double(),), lambda x: whole_block(made, x),
        by="by PyTorch's functions, in float64", call="Block.forward(x), x of shape (2, 5, 6)",
        mistakes={
            "The activation is missing: without it, two matrices are as good as one.": (
                lambda x: whole_block(made, x, activation=lambda x: x)
            ),
            "This is ReLU: the function is self.activation.": (
                lambda x: whole_block(made, x, activation=F.relu)
            ),
            "The activation comes after mlp_fc2: it belongs between the two matrices.": (
                lambda x: whole_block(made, x, activation=lambda x: x, after=F.gelu)
            ),
        },
    )  # fmt: skip


def whole_block(made, x, activation=F.gelu, after=lambda x: x):
    x = x + head_by_head(made.attn, made.ln_1(x))
    h = activation(F.linear(made.ln_2(x), made.mlp_fc1.weight, made.mlp_fc1.bias))
    return (x + after(F.linear(h, made.mlp_fc2.weight, made.mlp_fc2.bias))).detach()


# --- draw ---


def draw(learner, check):
    draw = learner.model.draw
    logits = torch.tensor([0.0, 1000.0, 0.0])
    check.equal(
        draw, (logits,), 1, by="the only id with a chance",
        mistakes={
            "PyTorch drew a tensor: .item() makes a number of it.": check.either(
                torch.tensor([1]), torch.tensor(1)
            ),
            "These are probabilities: draw an id.": logits.softmax(dim=0),
            "softmax and torch.multinomial need one row of logits, (V,), along dim=0.": (
                IndexError("Dimension out of range")
            ),
            "torch.multinomial needs probabilities, which softmax makes of the logits. Logarithms "
            "of probabilities are negative, and exp alone overflows.": (
                RuntimeError("probability tensor contains either")
            ),
            "The logits are no probabilities: softmax makes them.": (
                RuntimeError("invalid multinomial")
            ),
        },
    )  # fmt: skip
    logits = torch.tensor([math.log(6), math.log(3), 0.0]) - 5

    def share(*args, count=1000):
        return [draw(logits.clone(), *args) for _ in range(count)].count(0) / count

    call = "the share of id 0 in 1000 draws, chances 6 : 3 : 1: draw(logits{})"
    check.between(
        share, (), 0.54, 0.66, by="6 / 10", call=call.format(""),
        mistakes={
            "It always takes the likeliest id: draw, as torch.multinomial does.": (1, 1),
            "The logits are no chances, and some are negative: take softmax of them.": (
                RuntimeError("probability tensor contains either")
            ),
            "All ids have the same chance: draw from softmax of the logits.": (0.28, 0.38),
        },
    )  # fmt: skip
    ignored = "The temperature has no effect: divide the logits by it."
    check.between(
        share, (0.5,), 0.73, 0.84, by="36 / 46", call=call.format(", temperature=0.5"),
        mistakes={
            ignored: (0.54, 0.66),
            "The logits are multiplied by the temperature: divide them by it.": (0.4, 0.53),
        },
    )  # fmt: skip
    check.between(
        share, (2.0,), 0.41, 0.53, by="0.473", call=call.format(", temperature=2"),
        mistakes={ignored: (0.54, 0.66)},
    )  # fmt: skip
    cold = torch.tensor([2.0, 1.0, 3.0])
    check.equal(
        lambda: distinct(draw(cold.clone(), 1.0, 1) for _ in range(200)), (), [2],
        call="the ids of draw([2, 1, 3], top_k=1), 200 times", by="only the likeliest id is left",
        mistakes={
            "The ids that were cut off are still drawn. Do you keep the largest logits? And which "
            "logit has no chance at all? 0 has one.": [0, 1, 2],
            "The least likely ids are left: keep the largest logits.": check.either([1], [0, 1]),
            "This is a place in the short list of the largest logits: translate it back to an "
            "id.": [0],
            "Every id is cut off, and softmax of nothing but -infinity is nan: the top_k-th logit "
            "is kept.": RuntimeError("probability tensor contains either"),
        },
    )  # fmt: skip
    # This sees that the logits of the caller stay as they are.
    check.equal(
        draw, (cold, 2.0, 1), 2, call="draw([2, 1, 3], temperature=2, top_k=1)",
        by="the likeliest id",
    )  # fmt: skip
    check.equal(
        lambda: distinct(draw(logits.clone(), 1.0, 10) for _ in range(100)), (), [0, 1, 2],
        by="top_k may be larger than the number of ids", call="the ids of draw(logits, top_k=10)",
        mistakes={
            "top_k may be larger than the number of ids: take at most len(logits).": check.either(
                RuntimeError("out of range"), IndexError
            ),
        },
    )  # fmt: skip
    check.between(
        share, (1.0, 2), 0.61, 0.72, by="6 / 9", call=call.format(", top_k=2"),
        mistakes={
            "top_k has no effect: give the others a logit of -infinity.": (0.54, 0.609),
            "Only one id is left: top_k is 2.": (1, 1),
            "The two that are left have the same chance: keep their logits.": (0.45, 0.55),
            "The least likely ids are left: keep the largest logits.": (0, 0),
        },
    )  # fmt: skip
    many = torch.arange(20.0)
    check.equal(
        lambda: distinct(draw(many.clone(), 100.0, 3) for _ in range(300)), (), [17, 18, 19],
        by="the three largest logits", call="the ids of draw(torch.arange(20.0), 100.0, top_k=3)",
        mistakes={
            "All ids are drawn: a logit of 0 still has a chance, -infinity has none.": (
                list(range(20))
            ),
            "One id too few is left: keep those that are equal to the smallest that is kept.": (
                [18, 19]
            ),
            "One id too many is left: the smallest that is kept is the top_k-th.": [16, 17, 18, 19],
            "These are places in the short list of the largest logits: translate them back to "
            "ids.": [0, 1, 2],
        },
    )  # fmt: skip


def distinct(ids):
    return sorted(set(map(int, ids)))


# --- data ---


def get_batch(learner, check):
    """Most of the texts are 0, 1, 2, ..., so a place is its character, and a target one more."""
    main = learner.main

    def batch(text, B, T, step=0):
        text = torch.arange(text) if isinstance(text, int) else torch.tensor(text)
        return main.get_batch(text, main.Config(batch_size=B, block_size=T), step)

    rows = torch.arange(4).expand(2, 4)
    check.equal(
        lambda: batch(5, 2, 4), (), (rows, rows + 1),
        by=f"{BY_HAND}: five characters have room for one excerpt",
        call="get_batch([0, 1, 2, 3, 4], config, step), batch_size 2, block_size 4",
        mistakes={
            "yb is the same as xb, so the model only has to copy: yb is one character later.": (
                rows, rows
            ),
            "The two are exchanged: xb comes first, and yb is one character later.": (
                rows + 1, rows
            ),
            "yb is only the character after the excerpt: every position has a target.": (
                check.either((rows, rows[:, :1] + 4), (rows, rows[:, 0] + 4))
            ),
            "This is one tensor: return two.": torch.arange(5).expand(2, 5),
            "The excerpt is one too short: block_size inputs need block_size + 1 characters.": (
                rows[:, :3], rows[:, :3] + 1
            ),
            "There is one excerpt: cut one at each of the starts.": check.either(
                (rows[:1], rows[:1] + 1), (rows[0], rows[0] + 1)
            ),
            "An excerpt reaches past the end of the text. It begins where pick_starts says, and it "
            "has block_size characters and one more.": IndexError,
            "pick_starts wants the length of the whole text, len(data).": (
                RuntimeError("random_ expects")
            ),
            "The targets are two characters later, so the last one is missing: it is one.": (
                rows, rows[:, :3] + 2
            ),
            "The last target is the first input again: it is the character after the excerpt.": (
                rows, rows.roll(-1, dims=1)
            ),
            "The starts have the shape (B,). As a column, (B, 1), they can be added to a row of T "
            "places: starts[:, None].": RuntimeError("must match the size"),
        },
    )  # fmt: skip
    rows = torch.tensor([7, 3, 5, 1, 8]).expand(2, 5)
    check.equal(
        lambda: batch([7, 3, 5, 1, 8], 2, 4), (), (rows[:, :4], rows[:, 1:]), by=BY_HAND,
        call="get_batch([7, 3, 5, 1, 8], config, step), batch_size 2, block_size 4",
        mistakes={
            "The targets are the inputs plus 1: take the next character of the text.": (
                rows[:, :4], rows[:, :4] + 1
            ),
            "These are places in the text: return the characters at these places.": check.either(
                (torch.arange(4).expand(2, 4), torch.arange(1, 5).expand(2, 4)),
                (rows[:, :4], torch.arange(1, 5).expand(2, 4)),
            ),
        },
    )  # fmt: skip

    config = main.Config(batch_size=64, block_size=8)
    starts = [main.pick_starts(1000, config, step) for step in (0, 7)]

    def excerpts(*starts):
        xb = torch.cat(starts)[:, None] + torch.arange(8)
        return xb, xb + 1

    call = "get_batch(torch.arange(1000), config, step), batch_size 64, block_size 8"
    batches = check.run(lambda: [batch(1000, 64, 8, step) for step in (0, 7)], call=call)
    xb, yb = map(torch.cat, zip(*batches))
    check.equal(
        lambda: (xb, yb), (), excerpts(*starts), by="the excerpts at pick_starts(1000, ...)",
        call=f"{call}, the excerpts of steps 0 and 7",
        mistakes={
            "All excerpts are the same: pick_starts gives a start for each.": check.either(
                *(excerpts(*(part[i].expand(64) for part in starts)) for i in (0, -1))
            ),
            "This is the batch of step 0: give step to pick_starts.": (
                excerpts(starts[0], starts[0])
            ),
            "Inputs and targets come from different excerpts: take both at the same starts.": (
                lambda: (xb, yb) if (yb[:, 0] != xb[:, 0] + 1).any() else None
            ),
            "The excerpts begin at other places than those of pick_starts.": (
                lambda: (xb, yb) if (xb[:, 0] != torch.cat(starts)).any() else None
            ),
        },
    )  # fmt: skip


# --- evaluation ---


class Guess(nn.Module):
    """Knows the next of two characters, except at the first position of a block.

    noisy: in training, it knows nothing, as if dropout had taken everything.
    """

    def __init__(self, block_size, noisy=False):
        super().__init__()
        self.block_size, self.noisy, self.sizes = block_size, noisy, []

    def forward(self, xb):
        if xb.shape[-1] > self.block_size:
            raise ValueError(f"this model reads {self.block_size} characters at most")
        self.sizes.append(tuple(xb.shape))
        logits = 1000.0 * F.one_hot(1 - xb, 2)
        logits[:, 0] = 0.0
        return 0 * logits if self.noisy and self.training else logits


class Places(nn.Module):
    """Random logits for each character and each place in a block."""

    def __init__(self, block_size, V):
        super().__init__()
        self.block_size, self.table = block_size, torch.randn(block_size, V, V)

    def forward(self, xb):
        return self.table[torch.arange(xb.shape[1]), xb]


def evaluate(learner, check):
    evaluate = learner.main.evaluate
    log2 = math.log(2)
    text = torch.tensor([0, 1, 0, 1, 0, 1, 0])
    check.equal(
        lambda: evaluate(Guess(4), text), (), 2 * log2 / 6,
        by=f"{BY_HAND}: a block of four and one of two; their first characters cost log 2 each",
        call="evaluate(model, data), 7 characters, block_size 4; the model knows all but the "
        "first in a block",
        mistakes={
            "The last, shorter block is missing: every character but the first counts.": (
                check.either(log2 / 4, log2 / 6)
            ),
            "This is the mean of the blocks' means: the short block counts as much as the long "
            "one. Add up all losses, and divide once.": (log2 / 4 + log2 / 2) / 2,
            "This is the sum: divide it by the number of characters that were predicted.": 2 * log2,
            "You divide by the number of characters: the first of them is not predicted.": (
                2 * log2 / 7
            ),
            "Each character costs log 2. Do you divide by the number of blocks? Divide by the "
            "number of characters. Or does a block begin at every character? Then they overlap.": (
                log2
            ),
            "The model had to predict the character that it sees: the targets are one later.": (
                check.either((2 * log2 + 4 * 1000) / 6, (2 * log2 + 3 * 1000) / 6)
            ),
            "Only the last character of each block was predicted: every position predicts one.": (
                0.0
            ),
            "A block has block_size characters at most: cut the text into blocks, and start over "
            "in each.": ValueError("characters at most"),
            "PyTorch's cross_entropy wants (N, V) and (N,): .flatten(0, 1) and .flatten().": (
                check.either(RuntimeError("Expected target size"), ValueError("target batch_size"))
            ),
            "The last block is shorter: .view(-1, T) needs whole blocks.": (
                check.either(RuntimeError("invalid for input"), RuntimeError("stack expects"))
            ),
        },
    )  # fmt: skip
    check.equal(
        lambda: evaluate(Guess(4, noisy=True).train(), text), (), 2 * log2 / 6,
        by="as without dropout",
        call="evaluate(model, data), where the model is in training and dropout takes all it knows",
        mistakes={"Dropout is on: switch it off with model.eval().": log2},
    )  # fmt: skip
    for mode in (True, False):
        model = Guess(4).train(mode)
        evaluate(model, text)
        name = "in training" if mode else "not in training"
        words = "The model was in training before, so it must be so again: training goes on, and "
        words += "without this there is no more dropout."
        if not mode:
            words = "The model was not in training before: put back the mode that it had."
        check.true(
            model.training == mode, words, call=f"evaluate(model, data), the model {name}",
            came=f"model.training is {model.training}", expected=f"{mode} again",
        )  # fmt: skip

    model, data = Places(6, 5), torch.randint(5, (6 * 21 + 3,))
    for count in (6 * 21 + 3, 6 * 21 + 1, 6 * 8 + 2, 4):
        part = data[:count]
        call = f"evaluate(model, data, batch_size=8), {count} characters, block_size 6"
        check.equal(
            lambda part=part: evaluate(model, part, batch_size=8), (), block_by_block(model, part),
            by="one character after the other", call=call,
            mistakes={
                "The last, shorter block is missing.": whole_blocks(model, part),
                "The targets are the inputs: they are one character later.": (
                    block_by_block(model, part, ahead=0)
                ),
                "This is the mean of the batches' means: a short batch counts as much as a long "
                "one.": mean_of_means(model, part, 8),
                "Only the first batch counts: go through all.": first_batch(model, part, 8),
            },
        )  # fmt: skip
    model = Guess(4)
    evaluate(model, torch.tensor([0, 1] * 50), batch_size=4)
    check.true(
        max(size[0] for size in model.sizes) <= 4, "A batch holds at most batch_size blocks.",
        call="evaluate(model, data, batch_size=4), then the largest batch that the model got",
        came=str(max(size[0] for size in model.sizes)), expected="4 at most",
    )  # fmt: skip


def costs(model, data, ahead=1):
    """-log P of each character but the first, in a list for each block."""
    T, found = model.block_size, []
    for start in range(0, len(data) - 1, T):
        xb = data[start : min(start + T, len(data) - 1)]
        log_p = model(xb[None])[0].double().log_softmax(dim=1)
        found.append([-log_p[i, data[start + i + ahead]].item() for i in range(len(xb))])
    return found


def block_by_block(model, data, ahead=1):
    return sum(map(sum, costs(model, data, ahead))) / (len(data) - 1)


def whole_blocks(model, data):
    whole = [block for block in costs(model, data) if len(block) == model.block_size]
    return sum(map(sum, whole)) / max(1, sum(map(len, whole)))


def mean_of_means(model, data, batch_size):
    blocks = costs(model, data)
    whole = [block for block in blocks if len(block) == model.block_size]
    batches = [sum(whole[i : i + batch_size], []) for i in range(0, len(whole), batch_size)]
    batches += [block for block in blocks if len(block) < model.block_size]
    return sum(sum(batch) / len(batch) for batch in batches) / len(batches)


def first_batch(model, data, batch_size):
    first = sum(costs(model, data)[:batch_size], [])
    return sum(first) / len(first)


# --- training ---


def schedule(learner, check):
    main = learner.main
    config = main.Config(steps=1000, warmup=50, final=0.1)

    def factors(steps, config):
        return [main.schedule(step, step / 1000, config) for step in steps]

    def slip(warmup=lambda step, n: min(1, (step + 1) / n), cosine=half_cosine, join=None):
        def wrong(steps, config):
            parts = [
                (warmup(step, max(1, config.warmup)), cosine(step / 1000, config.final))
                for step in steps
            ]
            return [join(a, b) if join else a * b for a, b in parts]

        return wrong

    mistakes = {
        "The learning rate of step 0 is 0, so this step is wasted: count from 1.": slip(
            lambda step, n: min(1, step / n)
        ),
        "The warm-up goes on rising: it stays 1 once it got there.": slip(
            lambda step, n: (step + 1) / n
        ),
        "The warm-up has no effect: it is a small number in step 0, and never more than 1.": (
            check.either(slip(lambda step, n: 1), slip(lambda step, n: max(1, (step + 1) / n)))
        ),
        "The decay is missing: after the warm-up, a cosine falls to config.final.": slip(
            cosine=lambda s, f: 1
        ),
        "config.final is not used: the cosine falls to it and not to 0.": slip(
            cosine=lambda s, f: half_cosine(s, 0)
        ),
        "config.final is added to a whole cosine: it begins at 1 + final. Only 1 - final is left "
        "to fall.": slip(cosine=lambda s, f: f + half_cosine(s, 0)),
        "The cosine goes down and up again: at the end it is cos(pi), not cos(2 pi).": slip(
            cosine=lambda s, f: f + (1 - f) * (1 + math.cos(2 * math.pi * s)) / 2
        ),
        "The cosine gets below 0: half of (1 + cosine) goes from 1 to 0.": check.either(
            slip(cosine=lambda s, f: f + (1 - f) * math.cos(math.pi * s)),
            slip(cosine=lambda s, f: math.cos(math.pi * s)),
        ),
        "The cosine is not halved: 1 + cosine goes from 2 to 0.": slip(
            cosine=lambda s, f: f + (1 - f) * (1 + math.cos(math.pi * s))
        ),
        "It rises at the end: 1 plus the cosine, not 1 minus it.": slip(
            cosine=lambda s, f: f + (1 - f) * (1 - math.cos(math.pi * s)) / 2
        ),
        "The cosine never gets far: it needs pi times the share, because cos(pi) is -1.": slip(
            cosine=lambda s, f: f + (1 - f) * (1 + math.cos(s)) / 2
        ),
        "This is a straight line: a cosine falls slowly at both ends.": slip(
            cosine=lambda s, f: f + (1 - f) * (1 - s)
        ),
        "The two are added: multiply the warm-up by the cosine.": slip(join=lambda a, b: a + b),
        "This is the smaller of the two: multiply the warm-up by the cosine.": slip(join=min),
        "The cosine does not stop at config.final, it falls towards it: final + (1 - final) * ..., "
        "without max.": slip(cosine=lambda s, f: max(f, half_cosine(s, 0))),
        "This is a quarter of a cosine wave, from 1 to 0: half a wave goes from 1 to -1.": slip(
            cosine=lambda s, f: f + (1 - f) * math.cos(math.pi * s / 2)
        ),
        "math.cos takes radians, and half a turn is math.pi.": slip(
            cosine=lambda s, f: f + (1 - f) * (1 + math.cos(180 * s)) / 2
        ),
        "This is a learning rate: return the factor alone, and train multiplies by it.": slip(
            join=lambda a, b: a * b * config.learning_rate
        ),
        "In the warm-up the cosine counts as well: return the product of the two.": (
            lambda steps, config: [
                (step + 1) / config.warmup if step < config.warmup
                else half_cosine(step / 1000, config.final)
                for step in steps
            ]
        ),
        "With warmup 0 there is none: do not divide by 0.": ZeroDivisionError,
    }
    check.equal(
        lambda: main.schedule(0, 0.0, config), (), 0.02, by=LESSON,
        call="schedule(0, 0.0, config), warmup 50, final 0.1",
        mistakes={words: first_of(wrong, config) for words, wrong in flat(mistakes)},
    )  # fmt: skip
    check.equal(
        factors, ([0, 500, 1000], config), [0.02, 0.55, 0.1], by=LESSON, atol=5e-4,
        call="schedule(step, step / 1000, config) for steps 0, 500, 1000; warmup 50, final 0.1",
        mistakes=mistakes,
    )  # fmt: skip
    other = main.Config(steps=1000, warmup=0, final=0.5)
    steps = [0, 4, 9, 24, 49, 50, 250, 900, 999]
    for given in (config, main.Config(steps=1000, warmup=10), other):
        check.equal(
            factors, (steps, given), slip(), by="by the formula", mistakes=mistakes,
            call=f"schedule(step, step / 1000, config) for steps {', '.join(map(str, steps))}; "
            f"warmup {given.warmup}, final {given.final}",
        )  # fmt: skip
    config = main.Config(steps=1000, warmup=0)
    check.equal(
        lambda: main.schedule(500, 0.25, config), (), half_cosine(0.25, 0),
        by="a quarter of the training is done", call="schedule(500, 0.25, config)",
        mistakes={
            "How much is done comes as share; with --minutes, step / config.steps is something "
            "else.": half_cosine(0.5, 0),
        },
    )  # fmt: skip


def half_cosine(share, final):
    return final + (1 - final) * (1 + math.cos(math.pi * share)) / 2


def flat(mistakes):
    """(words, wrong result) for each; Either of several gives its first."""
    return [(words, getattr(wrong, "results", [wrong])[0]) for words, wrong in mistakes.items()]


def first_of(wrong, config):
    """The wrong result in step 0."""
    return wrong if isinstance(wrong, type) else lambda: wrong([0], config)[0]


class Table(nn.Module):
    """Logits of the next character from a table and a bias, both easy to follow by hand."""

    def __init__(self):
        super().__init__()
        self.block_size = 4
        self.weight = nn.Parameter(torch.tensor([[0.0, 0.0, 0.0], [1.0, -1.0, 0.5]]))
        self.bias = nn.Parameter(torch.tensor([0.5, 0.0, 0.0]))

    def forward(self, xb):
        return self.weight[xb] + self.bias


RATES = {"weight": 0.5, "bias": 0.2}  # each parameter has an optimizer of its own


def train(learner, check):
    """With plain gradient descent in place of the optimizers, on a text of one excerpt."""
    main = learner.main
    text = torch.tensor([1, 1, 1, 1, 0])  # as long as one excerpt, so every batch is the same

    def sgd(config, model):
        found = [
            torch.optim.SGD([p], lr=RATES[name], maximize=False)
            for name, p in model.named_parameters()
        ]
        for optimizer in found:
            for group in optimizer.param_groups:
                group["highest_lr"] = group["lr"]
        return found

    def trained(steps, clip):
        """Row 1 of the table and the bias after some steps, and the log."""
        model = Table()
        config = main.Config(
            steps=steps, batch_size=2, block_size=4, warmup=2, final=0.1, clip=clip
        )
        data = {"train": text, "val": torch.tensor([0] * 5)}
        with patch.object(main, "make_optimizers", sgd):
            log, best = main.train(config, model, data, "cpu", "float32")
        return model.weight.detach()[1], model.bias.detach(), log

    call = "train(config, model, data, ...) with plain gradient descent"
    *_, log = check.run(
        trained, (3, 1e9), call=call,
        mistakes={
            "F.cross_entropy wants (N, V) and (N,): .flatten(0, 1) and .flatten().": (
                check.either(RuntimeError("Expected target size"), ValueError("target batch_size"))
            ),
            "clip_grad_norm_ takes the parameters, model.parameters(), and the largest norm.": (
                check.either(TypeError("clip_grad_norm_"), TypeError("not iterable"))
            ),
        },
    )  # fmt: skip
    tokens = tokens_learned(main, check, call)
    check.true(
        tokens == {1}, "The training reads data[\"val\"]. Then the val loss says nothing about "
        "other texts: draw the batches from data[\"train\"].",
        call=f"{call}, where train holds nothing but 1 and val nothing but 0",
        came=f"batches with {' and '.join(map(str, sorted(tokens)))}", expected="batches with 1",
    )  # fmt: skip
    mistakes = {
        "The weights did not change. Was backward() called, were the gradients still there at the "
        "update, and did each optimizer make its step?": (
            lambda steps, clip: follow(steps, clip, moving="")
        ),
        "Only the first optimizer made a step: there are two.": (
            lambda steps, clip: follow(steps, clip, moving="weight")
        ),
        "Only the last optimizer made a step: step belongs inside the loop over optimizers.": (
            lambda steps, clip: follow(steps, clip, moving="bias")
        ),
        "The gradients of all steps add up: clear them before backward().": (
            lambda steps, clip: follow(steps, clip, clear=False)
        ),
        "The gradients are not clipped: shorten them to config.clip after backward().": (
            lambda steps, clip: follow(steps, 1e9)
        ),
        "Each parameter is clipped by itself: it is the norm of all gradients together.": (
            lambda steps, clip: follow(steps, clip, together=False)
        ),
        "Each number is clipped, which changes the direction: shorten the whole, with the norm.": (
            lambda steps, clip: follow(steps, clip, by_value=True)
        ),
        "The largest norm is config.clip; here it was 1.": (lambda steps, clip: follow(steps, 1.0)),
        "The learning rate stays the same: multiply it by the schedule.": (
            lambda steps, clip: follow(steps, clip, factor=lambda step, steps: 1)
        ),
        "The learning rates shrink again and again: take group['highest_lr'] times the schedule.": (
            lambda steps, clip: follow(steps, clip, factor=again)
        ),
        "All optimizers have the same learning rate: each group has its own group['highest_lr'].": (
            lambda steps, clip: follow(steps, clip, rate=0.005)
        ),
        "Each step uses the learning rate of the step before: set it before optimizer.step().": (
            lambda steps, clip: follow(
                steps, clip, factor=lambda step, steps: factor(step - 1, steps) if step else 1
            )
        ),
        "The schedule is a step ahead: give it step and log.share.": (
            lambda steps, clip: follow(
                steps, clip, factor=lambda step, steps: factor(step + 1, steps)
            )
        ),
        "The learning rate is the schedule itself: multiply group['highest_lr'] by it.": (
            lambda steps, clip: follow(steps, clip, rate=1.0)
        ),
        "Only the last position of an excerpt counts: the loss is the mean over all.": (
            lambda steps, clip: follow(steps, clip, target=(1.0, 0.0, 0.0))
        ),
        "The targets are the inputs: the loss compares the logits with yb.": (
            lambda steps, clip: follow(steps, clip, target=(0.0, 1.0, 0.0))
        ),
        "The losses are added up: take their mean.": (
            lambda steps, clip: follow(steps, clip, times=8)
        ),
        "Softmax comes twice: F.cross_entropy takes the logits, and has a softmax of its own.": (
            lambda steps, clip: follow(steps, clip, softmax_twice=True)
        ),
    }
    for steps, clip in ((2, 1e9), (5, 1e9), (5, 0.1)):
        name = "no clipping" if clip == 1e9 else f"clip {clip}"
        check.equal(
            lambda steps, clip: trained(steps, clip)[:2], (steps, clip),
            lambda steps, clip: follow(steps, clip), mistakes=mistakes,
            by="by hand: the gradient is p - y",
            call=f"{call}, {steps} steps, {name}: the weights and the bias afterwards",
        )  # fmt: skip
    check.true(
        bool(log.curve) and log.curve[-1][1] is not None,
        "The log has no batch loss: call log.add(loss.detach()).",
        call=f"{call}, then log.curve", came="no batch loss", expected="a loss",
    )  # fmt: skip

    shares, added = told(main, check, call)
    check.true(
        all(share == 0.75 for share in shares),
        "The schedule takes log.share: with --minutes, step / config.steps is something else.",
        call=f"{call}, where log.share is 0.75, then what schedule got as share",
        came=f"{shares[0] if shares else None}", expected="0.75",
    )  # fmt: skip
    check.true(
        not any(torch.is_tensor(loss) and loss.requires_grad for loss in added),
        "The log keeps this tensor, and with it the whole computation of the step in memory: "
        "loss.detach() is the number alone.",
        call=f"{call}, then what log.add got", came="a tensor with a gradient",
        expected="a tensor without",
    )  # fmt: skip
    varied = drawn_batches(main, check, call)
    check.true(
        varied > 1, "Every step uses the same batch: get it inside the loop, and give it step.",
        call=f"{call}, 10 steps, then how many different batches the model got",
        came=str(varied), expected="more than 1",
    )  # fmt: skip
    check.between(
        lambda: short_training(main), (), 1.9, 2.6, by="a small GPT on a few names",
        call="the val loss after training a small GPT for 150 steps",
        mistakes={
            "The loss is that of a guess: nothing was learned.": (3.0, 3.5),
            "The training makes it worse than a guess: are the targets yb?": (3.5, 1000.0),
            "The loss is too low to be true: does the model see the character that it predicts?": (
                0.0, 1.9
            ),
        },
    )  # fmt: skip


def factor(step, steps):
    """The schedule that the check uses: a warm-up of 2 steps, final 0.1."""
    return min(1, (step + 1) / 2) * half_cosine(step / steps, 0.1)


def again(step, steps):
    """The mistake of multiplying the current learning rate."""
    return math.prod(factor(i, steps) for i in range(step + 1))


def follow(
    steps, clip, moving="weight bias", clear=True, together=True, by_value=False, factor=factor,
    rate=None, target=(0.25, 0.75, 0.0), times=1, softmax_twice=False,
):  # fmt: skip
    """Gradient descent on row 1 of Table's weight and on its bias. Both get the gradient p - y.

    target: y, the mean over the four positions of the excerpt.
    """
    start = Table()
    values = {"weight": start.weight.detach()[1].double(), "bias": start.bias.detach().double()}
    total = {name: torch.zeros(3).double() for name in values}
    for step in range(steps):
        p = (values["weight"] + values["bias"]).softmax(dim=0)
        y = torch.tensor(target)
        gradient = times * (p - y)
        if softmax_twice:
            of_p = p.softmax(dim=0) - y
            gradient = p * (of_p - p @ of_p)
        for name in values:
            total[name] = gradient + (0 if clear else total[name])
            if by_value:
                total[name] = total[name].clamp(-clip, clip)
            elif not together:
                total[name] = total[name] * min(1, clip / total[name].norm().item())
        if together and not by_value:
            norm = math.sqrt(sum((t**2).sum().item() for t in total.values()))
            total = {name: t * min(1, clip / norm) for name, t in total.items()}
        for name in values:
            if name in moving:
                size = RATES[name] if rate is None else rate
                values[name] = values[name] - size * factor(step, steps) * total[name]
    return values["weight"].float(), values["bias"].float()


class Watch(Table):
    """Keeps what it is trained on, as texts."""

    def __init__(self):
        super().__init__()
        self.seen = set()

    def forward(self, xb):
        if self.training and torch.is_grad_enabled():
            self.seen.add(str(xb.tolist()))
        return super().forward(xb)


def watched(main, check, call, train, val, steps=10):
    """The batches that a model gets in a training on two texts."""
    config, model = main.Config(steps=steps, batch_size=2, block_size=4, warmup=0), Watch()
    check.run(
        lambda: main.train(config, model, {"train": train, "val": val}, "cpu", "float32"), call=call
    )
    return model.seen


def drawn_batches(main, check, call):
    """How many different batches a model gets in 10 steps."""
    data = torch.randint(2, (200,))
    return len(watched(main, check, call, data, data[:20]))


def tokens_learned(main, check, call):
    """Which tokens a model is trained on, where train has only 1 and val only 0."""
    batches = watched(main, check, call, torch.tensor([1] * 30), torch.tensor([0] * 30), steps=3)
    return {int(digit) for batch in batches for digit in batch if digit.isdigit()}


def told(main, check, call):
    """What schedule got as share, while log.share is 0.75, and what log.add got."""
    shares, added, schedule = [], [], main.schedule

    class Log(main.common.Log):
        @property
        def share(self):
            return 0.75 if self.done < self.steps else 1.0

        def add(self, loss):
            added.append(loss)
            super().add(loss)

    def noted(step, share, config):
        shares.append(share)
        return schedule(step, share, config)

    with patch.object(main.common, "Log", Log), patch.object(main, "schedule", noted):
        watched(main, check, call, torch.tensor([1] * 30), torch.tensor([0] * 30), steps=3)
    return shares, added


def short_training(main):
    """The val loss of a small GPT on every twentieth name."""
    text = "\n".join((DATA / "names.txt").read_text(encoding="utf-8").split()[::20])
    tokenizer = main.Tokenizer(text)
    tokens = torch.tensor(tokenizer.encode(text))
    config = main.Config(
        steps=150, batch_size=32, block_size=16, n_embd=32, n_head=2, n_layer=1, warmup=10
    )
    model = main.make_model(config, tokenizer)
    data = {"train": tokens[:9000], "val": tokens[9000:]}
    with contextlib.redirect_stdout(io.StringIO()):
        log, _ = main.train(config, model, data, "cpu", "float32")
    return log.val


# --- the KV cache ---


def cache(learner, check):
    Cache = learner.generate.Cache
    first, second = torch.tensor([1.0, 2.0]), torch.tensor([3.0, 4.0])
    k1, k2 = first.view(1, 1, 1, 2), second.view(1, 1, 1, 2)

    def added(*keys):
        """What the last add returned, for keys and for values that are 10 times as large."""
        kept = Cache()
        for key in keys:
            result = kept.add(key, 10 * key)
        return result

    def both(tensor):
        return tensor, 10 * tensor

    check.equal(
        added, (k1,), both(k1), by="nothing came before", call="Cache().add(keys, values)",
        mistakes={
            "keys and values are exchanged: return keys, values.": (10 * k1, k1),
            "The cache is empty at first, and None cannot be joined with a tensor.": TypeError,
        },
    )  # fmt: skip
    backwards = torch.tensor([[[[3.0, 4.0], [1.0, 2.0]]]])
    call = "cache.add(keys, values), the second time, both of shape (1, 1, 1, 2)"
    check.equal(
        added, (k1, k2), both(torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]])), call=call,
        by=f"{BY_HAND}: the old position, then the new one",
        mistakes={
            "Only the new position came back: return all. Does the cache know that it is no longer "
            "empty? For that, self.length or self.keys has to be set.": both(k2),
            "Nothing was kept: all keys belong into self.keys and all values into self.values.": (
                TypeError("NoneType")
            ),
            "A tensor is neither true nor false: ask whether self.keys is None, or for "
            "self.length.": RuntimeError("Boolean value"),
            "torch.stack makes a new dimension: torch.cat joins along one that is there, dim 2.": (
                check.either(*(both(torch.stack([k1, k2], dim=dim)) for dim in range(5)))
            ),
            "Only the old position came back: add the new one.": both(k1),
            "The new position comes first: the order is that of the text.": check.either(
                both(backwards), (backwards, 10 * backwards.flip(2)),
                (backwards.flip(2), 10 * backwards),
            ),
            "keys and values are exchanged: return keys, values.": both(
                torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]])
            )[::-1],
            "They are joined along head_dim, so the vectors get longer: positions are dim 2.": (
                both(torch.tensor([[[[1.0, 2.0, 3.0, 4.0]]]]))
            ),
            "They are joined along the heads: positions are dim 2.": (
                both(torch.tensor([[[[1.0, 2.0]], [[3.0, 4.0]]]]))
            ),
            "They are joined along the batch: positions are dim 2.": (
                both(torch.tensor([[[[1.0, 2.0]]], [[[3.0, 4.0]]]]))
            ),
            "They are added up: join them, with torch.cat.": check.either(
                both(k1 + k2), (k1 + k2, 10 * torch.cat([k1, k2], dim=2)),
                (torch.cat([k1, k2], dim=2), 10 * (k1 + k2)),
            ),
            "The values are made of the keys: both have tensors of their own.": check.either(
                lambda *keys: (torch.cat(keys, dim=2), torch.cat(keys, dim=2)),
                (torch.cat([k1, k2], dim=2), torch.cat([k1, 10 * k2], dim=2)),
                (torch.cat([k1, k2], dim=2), torch.cat([10 * k1, k2], dim=2)),
            ),
        },
    )  # fmt: skip
    check.equal(
        added, (k1, k2, k1), both(torch.cat([k1, k2, k1], dim=2)), by="all three positions",
        call="cache.add(keys, values), the third time",
        mistakes={
            "A position got lost: keep what you return in self.keys and self.values.": check.either(
                both(torch.cat([k2, k1], dim=2)), both(torch.cat([k1, k1], dim=2))
            ),
        },
    )  # fmt: skip

    def lengths(*counts):
        kept, found = Cache(), []
        for count in counts:
            kept.add(torch.ones(2, 3, count, 4), torch.ones(2, 3, count, 4))
            found.append(kept.length)
        return found

    check.equal(
        lengths, (5, 1, 1), [5, 6, 7], by="5 positions, then one more each time",
        call="cache.length after adding 5 positions, 1 and 1",
        mistakes={
            "self.length is never set: the model takes the number of the next position from it.": (
                [0, 0, 0]
            ),
            "self.length counts the calls: count the positions.": [1, 2, 3],
            "self.length is that of the new keys: count all.": [5, 1, 1],
            "self.length is one too small, so the model puts each new token at the position of the "
            "one before it: it is the number of positions, not the index of the last.": [4, 5, 6],
            "self.length counts something else: positions are dim 2.": check.either(
                [2, 2, 2], [3, 3, 3], [4, 4, 4]
            ),
            "The positions so far are counted again with the new ones.": [5, 11, 18],
            "The new positions are counted twice.": check.either([10, 7, 8], [5, 7, 8]),
        },
    )  # fmt: skip
    model = learner.model.GPT(7, 12, 8, 2, 2, 0.0).double().eval()
    xb = torch.randint(7, (2, 12))

    def by_pieces():
        caches = [Cache() for _ in model.blocks]
        pieces = xb[:, :5], *(xb[:, t : t + 1] for t in range(5, 12))
        return torch.cat([model(piece, caches) for piece in pieces], dim=1).detach()

    check.equal(
        by_pieces, (), model(xb).detach(), by="all positions at once",
        call="the logits of a GPT: 5 characters, then one at a time, with caches",
    )  # fmt: skip
