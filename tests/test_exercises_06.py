"""The checks of stage 06's exercises: right solutions pass, and each mistake has its own words."""

import pytest

from exercise_cases import Judge
from learn.run_checks import run_checks
from learn.source import function_text

STAGE = "06_shakespeare_gpt"


# PyTorch warns of a known mistake: log.add(loss), with the gradient.
pytestmark = pytest.mark.filterwarnings("ignore:Converting a tensor with requires_grad")


@pytest.fixture
def judge(tmp_path):
    return Judge(STAGE, tmp_path)


NAMES = Judge.names(STAGE)


@pytest.mark.parametrize("name", NAMES)
def test_the_reference_passes(judge, name):
    assert judge.failure(name) is None


@pytest.mark.parametrize("name", NAMES)
def test_a_blank_is_not_yet_written(judge, name):
    judge.blank_all()
    assert "is not written yet" in judge.words(name)


# --- known mistakes: (exercise, a text in the right solution, what is there instead, the words) ---

SOFTMAX = "weights = scores.softmax(dim=-1)"
MASK = "scores = scores + scores.new_full((T, T), -math.inf).triu(1)"
RESULT = "return F.dropout(weights, dropout).to(v.dtype) @ v"
TO_HEADS = ".view(B, T, self.n_head, C // self.n_head).transpose(1, 2)"
FROM_HEADS = "x = x.transpose(1, 2).reshape(B, T, C)"
CLIP = "        torch.nn.utils.clip_grad_norm_(model.parameters(), config.clip)\n"
RATE = 'group["lr"] = group["highest_lr"] * schedule(step, log.share, config)'
STEP = "            with devices.autocast(device, dtype):\n                optimizer.step()\n"
COSINE = "(config.final + (1 - config.final) * (1 + math.cos(math.pi * share)) / 2)"
KEYS = "keys = torch.cat((self.keys, keys), dim=2)"
VALUES = "values = torch.cat((self.values, values), dim=2)"
TOP = "logits[logits < least] = -math.inf"
DRAWN = "torch.multinomial(logits.softmax(dim=0).cpu(), 1).item()"
ATTN = "self.dropout(self.attn(self.ln_1(x), cache, attentions))"
MLP = "self.dropout(self.mlp_fc2(h))"
TARGETS = "excerpts[:, :-1], excerpts[:, 1:]"
PLACES = "data[(starts + torch.arange(config.block_size + 1)).to(data.device)]"

MUTANTS = [
    ("attention", MASK, "pass", "Position 0 sees position 2"),
    ("attention", ".triu(1)", ".tril(-1)", "the wrong side"),
    ("attention", ".triu(1)", ".triu(0)", "The diagonal is masked as well"),
    ("attention", MASK, "scores = scores.tril()", "a score of 0 is not masked"),
    ("attention", "scores.new_full((T, T), -math.inf).triu(1)",
     "0\n    weights = scores.softmax(dim=-1).tril()\n    return weights @ v",
     "The mask comes after softmax"),
    ("attention", "softmax(dim=-1)", "softmax(dim=-2)", "runs down the columns"),
    ("attention", "softmax(dim=-1)", "softmax(dim=1)", "runs over the heads"),
    ("attention", "(k / math.sqrt(head_dim)).mT", "k.mT", "not divided by sqrt(head_dim)"),
    ("attention", "/ math.sqrt(head_dim)", "/ head_dim", "take its root"),
    ("attention", "/ math.sqrt(head_dim)", "/ math.sqrt(T)", "divided by sqrt(T)"),
    ("attention", "/ math.sqrt(head_dim)", "/ math.sqrt(q.shape[1] * head_dim)", "sqrt(C)"),
    ("attention", "/ math.sqrt(head_dim)", "* math.sqrt(head_dim)", "multiplied by sqrt"),
    ("attention", "(k / math.sqrt(head_dim)).mT", "(k / math.sqrt(head_dim))", "k.mT"),
    ("attention", SOFTMAX, "weights = scores", "times v"),
    ("attention", SOFTMAX, "weights = scores.exp() / scores.exp().sum(dim=-1, keepdim=True)",
     "exp overflows"),
    ("attention", RESULT, "return F.dropout(weights, dropout)", "These are the weights"),
    ("attention", "if T > 1:", "if True:", ""),
    ("attention", f"    if T > 1:  # a single query comes from the newest position, which has no "
     f"future\n        {MASK}",
     "    S = k.shape[2]\n    scores = scores + scores.new_full((T, S), -math.inf).triu(1)",
     "A single query is the newest position"),
    ("attention", f"    if T > 1:  # a single query comes from the newest position, which has no "
     f"future\n        {MASK}",
     "    S = k.shape[2]\n    scores = scores + scores.new_full((S, S), -math.inf).triu(1)",
     "a single query needs no mask"),
    ("attention", "(k / math.sqrt(head_dim)).mT", "(k / math.sqrt(head_dim)).transpose(1, 2)",
     "exchange the last two axes"),
    ("attention", "(k / math.sqrt(head_dim)).mT",
     "(k / math.sqrt(head_dim)).reshape(*k.shape[:2], head_dim, -1)", "were not transposed"),
    ("attention", RESULT, f"{RESULT}, weights", "Return the mean alone"),
    ("attention", "    if attentions is not None:\n        attentions", "    attentions",
     "if it is not None"),
    ("attention", SOFTMAX, f"{SOFTMAX}\n    weights = F.dropout(weights, dropout)\n"
     "    dropout = 0.0", "the weights after dropout"),
    ("attention", "F.dropout(weights, dropout).to(v.dtype) @ v",
     "weights.to(v.dtype) @ F.dropout(v, dropout)", "Single numbers of the values"),
    ("attention", "F.dropout(weights, dropout).to(v.dtype) @ v",
     "F.dropout(weights.to(v.dtype) @ v, dropout)", "The result is dropped"),
    ("attention", "attentions.append(weights)", "pass", "Append the weights"),
    ("attention", "attentions.append(weights)", "attentions.append(scores)",
     "These are the scores: append"),
    ("attention", "F.dropout(weights, dropout)", "weights.detach()", "No gradient"),
    ("attention", RESULT, f"{RESULT}.detach()", "No gradient reaches"),
    ("attention", "F.dropout(weights, dropout)", "weights", "Nothing is dropped"),
    ("attention", "F.dropout(weights, dropout)", "F.dropout(weights)", "Something is dropped"),
    ("attention", "    T, head_dim", "    return F.scaled_dot_product_attention(q, k, v)\n"
     "    T, head_dim", "does the whole exercise"),
    ("heads", TO_HEADS, ".view(B, self.n_head, T, C // self.n_head)", "The numbers are mixed up"),
    ("heads", FROM_HEADS, "x = x.reshape(B, T, C)", "put together wrongly"),
    ("heads", ".view(B, T, self.n_head, C // self.n_head).transpose(1, 2)",
     ".view(B, T, self.n_head, C // self.n_head)", "over the heads of one position"),
    ("heads", "self.n_head, C // self.n_head)", "C // self.n_head, self.n_head)",
     "The last two axes are exchanged"),
    ("heads", "self.n_head, C // self.n_head)", "1, C)", "There is only one head"),
    ("heads", TO_HEADS, ".view(B, T, C // self.n_head, self.n_head).permute(0, 3, 1, 2)",
     "every n_head-th number"),
    ("heads", TO_HEADS, ".view(B, T, self.n_head, C // self.n_head).transpose(2, 3)",
     "The wrong two axes"),
    ("heads", "C // self.n_head", "C / self.n_head", "C / n_head is a float"),
    ("heads", "C // self.n_head", "self.head_dim", "There is no attribute for that"),
    ("heads", "return self.attn_wo(x)", "return x", "attn_wo is missing"),
    ("heads", "x = attention(q, k, v,", "x = attention(k, q, v,", "q and k are exchanged"),
    ("heads", "x = attention(q, k, v,", "x = attention(q, v, k,", "part of the keys"),
    ("heads", "(self.attn_wq, self.attn_wk, self.attn_wv)", "[self.attn_wq] * 3",
     "All three come from attn_wq"),
    ("heads", "x.transpose(1, 2).reshape(", "x.transpose(1, 2).view(", ".view cannot"),
    ("heads", "self.dropout if self.training else 0.0", "self.dropout", "Dropout is on in eval"),
    ("heads", "self.dropout if self.training else 0.0", "0.0", "Nothing is dropped in training"),
    ("heads", "k, v = cache.add(k, v)", "cache.add(k, v)", "The cache is not used"),
    ("heads", "0.0, attentions)", "0.0)", "Hand the list attentions on"),
    ("block", f"x = x + {ATTN}", f"x = {ATTN}", "The first residual is missing"),
    ("block", f"x = x + {MLP}", f"x = {MLP}", "The second residual is missing"),
    ("block", f"x = x + {ATTN}", f"old, x = x, x + {ATTN}\n        x = old",
     "Attention is missing, or its result is lost"),
    ("block", f"x = x + {ATTN}", ATTN, "Attention is missing, or its result is lost"),
    ("block", f"x = x + {ATTN}\n        h = self.activation(self.mlp_fc1(self.ln_2(x)))",
     f"h = self.activation(self.mlp_fc1(self.ln_2(x)))\n        x = x + {ATTN}",
     "The MLP reads the old x"),
    ("block", f"x = x + {ATTN}\n        h = self.activation(self.mlp_fc1(self.ln_2(x)))",
     f"a = {ATTN}\n        x = x + a\n        h = self.activation(self.mlp_fc1(self.ln_2(a)))",
     "reads only what attention found"),
    ("block", f"x = x + {ATTN}\n        h = self.activation(self.mlp_fc1(self.ln_2(x)))",
     f"a = {ATTN}\n        h = self.activation(self.mlp_fc1(self.ln_2(a)))",
     "x is added only at the end"),
    ("block", "self.ln_2(x)", "self.ln_1(x)", "ln_1 is used twice"),
    ("block", "self.ln_1(x)", "self.ln_2(x)", "ln_2 is used twice"),
    ("block", MLP, "self.mlp_fc2(self.dropout(h))", "Dropout comes before mlp_fc2"),
    ("block", f"x = x + {MLP}", MLP, "The MLP is missing, or its result is lost"),
    ("block", f"x = x + {ATTN}", f"x = self.ln_1(x) + {ATTN}", "The norm of x is added"),
    ("block", "self.ln_1(x)", "x", "ln_1 is missing"),
    ("block", "self.ln_2(x)", "x", "ln_2 is missing"),
    ("block", ATTN, "self.attn(self.ln_1(x), cache, attentions)",
     "Dropout after attention is missing"),
    ("block", MLP, "self.mlp_fc2(h)", "Dropout after the MLP is missing"),
    ("block", f"x + {MLP}", "self.dropout(x + self.mlp_fc2(h))", "Dropout acts on the sum"),
    ("block", "self.ln_1(x), cache, attentions", "self.ln_1(x), cache", "Hand cache and attention"),
    ("block", "self.activation(self.mlp_fc1(self.ln_2(x)))", "self.mlp_fc1(self.ln_2(x))",
     "two matrices are as good as one"),
    ("block", "self.activation(", "F.relu(", "This is ReLU"),
    ("draw", DRAWN, DRAWN.replace(".item()", ""), "PyTorch drew a tensor"),
    ("draw", DRAWN, "logits.softmax(dim=0)", "These are probabilities"),
    ("draw", DRAWN, "logits.argmax().item()", "always takes the likeliest"),
    ("draw", "logits.softmax(dim=0).cpu()", "logits", "The logits are no chances"),
    ("draw", "softmax(dim=0)", "softmax(dim=1)", "one row of logits"),
    ("draw", "logits.softmax(dim=0).cpu()", "logits.exp()", "exp alone overflows"),
    ("draw", "logits.softmax(dim=0).cpu()", "logits.log_softmax(dim=0)", "are negative"),
    ("draw", "= logits / temperature", "= logits * temperature", "multiplied by the temperature"),
    ("draw", "= logits / temperature", "= logits.clone()", "The temperature has no effect"),
    ("draw", "logits = logits / temperature", "logits /= temperature", "changes what it was given"),
    ("draw", "min(top_k, len(logits))", "top_k", "larger than the number of ids"),
    ("draw", TOP, "pass", "still drawn"),
    ("draw", TOP, "logits[logits < least] = 0", "still drawn"),
    ("draw", "logits < least", "logits > least", "still drawn"),
    ("draw", "logits < least", "logits <= least", "Every id is cut off"),
    ("draw", TOP, "logits = logits.topk(min(top_k, len(logits))).values",
     "a place in the short list"),
    ("draw", TOP, "logits[logits > logits.sort().values[min(top_k, len(logits)) - 1]] = -math.inf",
     "The least likely ids are left"),
    ("get-batch", TARGETS, "excerpts[:, :-1], excerpts[:, :-1]", "the same as xb"),
    ("get-batch", TARGETS, "excerpts[:, 1:], excerpts[:, :-1]", "The two are exchanged"),
    ("get-batch", TARGETS, "excerpts[:, :-1], excerpts[:, -1]", "every position has a target"),
    ("get-batch", TARGETS, "excerpts", "return two"),
    ("get-batch", TARGETS, "excerpts[:, :-1], excerpts[:, :-1] + 1", "the inputs plus 1"),
    ("get-batch", TARGETS, "excerpts[:, :-1], excerpts[:, 2:]", "two characters later"),
    ("get-batch", TARGETS, "excerpts[:, :-1], excerpts[:, 1:].flip(0)", "from different excerpts"),
    ("get-batch", TARGETS, "excerpts[:, :-1], excerpts[:, :-1].roll(-1, 1)",
     "the first input again"),
    ("get-batch", PLACES, "starts + torch.arange(config.block_size + 1)", "These are places"),
    ("get-batch", "[:, None]  # (B, 1)", "", "As a column"),
    ("get-batch", "config.block_size + 1", "config.block_size", "one too short"),
    ("get-batch", "config.block_size + 1", "config.block_size + 2", "reaches past the end"),
    ("get-batch", "starts[RANK::RANKS]", "starts[:1]", "There is one excerpt"),
    ("get-batch", "starts[RANK::RANKS]", "starts[:1].expand(len(starts), 1)",
     "All excerpts are the same"),
    ("get-batch", "starts[RANK::RANKS]", "starts[-1:].expand(len(starts), 1)",
     "All excerpts are the same"),
    ("get-batch", "config, step)[", "config, 0)[", "the batch of step 0"),
    ("get-batch", "len(data), config", "len(data) - 1, config", "the length of the whole text"),
    ("get-batch", "len(data), config", "len(data) - config.block_size, config",
     "the length of the whole text"),
    ("get-batch", "pick_starts(len(data), config, step)[:, None]",
     "torch.randint(len(data) - config.block_size, (config.batch_size, 1))",
     "at other places than those of pick_starts"),
    ("evaluate", "    model.eval()\n", "", "Dropout is on"),
    ("evaluate", "    model.train(was_training)\n", "", "The model was in training before"),
    ("evaluate", "model.train(was_training)", "model.train()", "not in training before"),
    ("evaluate", "    if whole < len(data) - 1:\n        batches.append((data[whole:-1][None], "
     "data[whole + 1 :][None]))\n", "", "The last, shorter block is missing"),
    ("evaluate", "total / (len(data) - 1)", "total / len(data)", "first of them is not predicted"),
    ("evaluate", "    steps =", "    batches = [(data[:-1][None], data[1:][None])]\n    steps =",
     "start over in each"),
    ("evaluate", "    steps =", "    batches = [(data[None, i : i + 1], data[None, i + 1 : i + 2]) "
     "for i in range(len(data) - 1)]\n    steps =", "a block begin at every character"),
    ("evaluate", "logits = model(xb).flatten(0, 1)", "logits, yb = model(xb)[:, -1], yb[:, -1]",
     "Only the last character of each block"),
    ("evaluate", "total / (len(data) - 1)", "total", "This is the sum"),
    ("evaluate", "total / (len(data) - 1)", "total / len(batches)", "number of blocks"),
    ("evaluate", 'reduction="sum").item()', 'reduction="mean").item() / len(batches) * '
     "(len(data) - 1)", "the mean of the blocks' means"),
    ("evaluate", "model(xb).flatten(0, 1)", "model(xb)", "wants (N, V) and (N,)"),
    ("evaluate", "ys = data[:whole].view(-1, T), data[1 : whole + 1].view(-1, T)",
     "ys = data[:whole].view(-1, T), data[:whole].view(-1, T)",
     "had to predict the character that it sees"),
    ("evaluate", "xs.split(batch_size), ys.split(batch_size)", "[xs], [ys]",
     "at most batch_size blocks"),
    ("schedule", "(step + 1)", "step", "The learning rate of step 0 is 0"),
    ("schedule", "min(1.0,", "max(1.0,", "The warm-up has no effect"),
    ("schedule", "min(1.0, (step + 1) / max(1, config.warmup))",
     "(step + 1) / max(1, config.warmup)", "goes on rising"),
    ("schedule", "warmup * (", "1 * (", "The warm-up has no effect"),
    ("schedule", "warmup * (", "warmup + (", "The two are added"),
    ("schedule", "return warmup * (config", "return min(warmup, config", "the smaller of the two"),
    ("schedule", f"warmup * {COSINE}", "warmup", "The decay is missing"),
    ("schedule", "(config.final + (1 - config.final) *", "(1 *", "config.final is not used"),
    ("schedule", "(1 - config.final) *", "1 *", "to a whole cosine"),
    ("schedule", "math.pi *", "2 * math.pi *", "down and up again"),
    ("schedule", "(1 + math.cos(math.pi * share)) / 2", "math.cos(math.pi * share)",
     "The cosine gets below 0"),
    ("schedule", "share)) / 2", "share))", "The cosine is not halved"),
    ("schedule", COSINE, "max(config.final, (1 + math.cos(math.pi * share)) / 2)", "without max"),
    ("schedule", "(1 + math.cos(math.pi * share)) / 2", "math.cos(math.pi / 2 * share)",
     "a quarter of a cosine"),
    ("schedule", "math.pi * share", "180 * share", "math.cos takes radians"),
    ("schedule", "return warmup *", "return config.learning_rate * warmup *",
     "return the factor alone"),
    ("schedule", f"return warmup * {COSINE}",
     f"return warmup if step < config.warmup else {COSINE}", "the cosine counts as well"),
    ("schedule", "1 + math.cos", "1 - math.cos", "It rises at the end"),
    ("schedule", "math.pi * share", "share", "The cosine never gets far"),
    ("schedule", "(1 + math.cos(math.pi * share)) / 2", "(1 - share)", "This is a straight line"),
    ("schedule", "max(1, config.warmup)", "config.warmup", "do not divide by 0"),
    ("schedule", "math.pi * share", "math.pi * step / config.steps", "How much is done"),
    ("train", "        model.zero_grad()\n", "", "The gradients of all steps add up"),
    ("train", "clip_grad_norm_(model.parameters()", "clip_grad_value_(model.parameters()",
     "Each number is clipped"),
    ("train", CLIP, "        for p in model.parameters():\n"
     "            torch.nn.utils.clip_grad_norm_([p], config.clip)\n", "clipped by itself"),
    ("train", "model.parameters(), config.clip", "model.parameters(), 1.0", "here it was 1"),
    ("train", "clip_grad_norm_(model.parameters(), config.clip)", "clip_grad_norm_(model, 1.0)",
     "takes the parameters"),
    ("train", 'group["highest_lr"] * schedule', 'group["lr"] * schedule', "again and again"),
    ("train", 'group["highest_lr"] * schedule', "config.learning_rate * schedule",
     "the same learning rate"),
    ("train", 'group["highest_lr"] * schedule', "schedule", "is the schedule itself"),
    ("train", RATE, "pass", "The learning rate stays the same"),
    ("train", "schedule(step, log.share", "schedule(step + 1, log.share + 1 / config.steps",
     "a step ahead"),
    ("train", 'data["train"]', 'data["val"]', 'The training reads data["val"]'),
    ("train", "log.share", "step / config.steps", "The schedule takes log.share"),
    ("train", "log.add(devices.mean_over_ranks(loss.detach()))", "log.add(loss)",
     "loss.detach() is the number alone"),
    ("train", "logits.flatten(0, 1), yb.flatten()", "logits[:, -1], yb[:, -1]",
     "Only the last position"),
    ("train", "yb.flatten())", "yb.flatten(), reduction='sum')", "The losses are added up"),
    ("train", STEP, "", "The weights did not change"),
    ("train", "        loss.backward()\n", "", "The weights did not change"),
    ("train", "        loss.backward()\n", "        loss.backward()\n        model.zero_grad()\n",
     "The weights did not change"),
    ("train", CLIP, "", "The gradients are not clipped"),
    ("train", f"        loss.backward()\n{CLIP}", f"{CLIP}        loss.backward()\n",
     "The gradients are not clipped"),
    ("evaluate", ".item()", "", "A tensor came"),
    ("train", STEP, STEP.replace("            with", "        with").replace(
        "                opt", "            opt"), "Only the last optimizer"),
    ("train", f"        for optimizer in optimizers:\n            for group in optimizer."
     f"param_groups:\n                {RATE}\n{STEP}",
     f"        for optimizer in optimizers:\n{STEP}            for group in optimizer."
     f"param_groups:\n                {RATE}\n", "the step before"),
    ("train", "log.add(devices.mean_over_ranks(loss.detach()))", "pass", "The log has no batch"),
    ("train", "logits.flatten(0, 1), yb.flatten()", "logits, yb", "wants (N, V) and (N,)"),
    ("train", "get_batch(data[\"train\"], config, step)", "get_batch(data[\"train\"], config, 0)",
     "the same batch"),
    ("train", "yb.flatten()", "xb.flatten()", "compares the logits with yb"),
    ("cache", "return keys, values", "return values, keys", "keys and values are exchanged"),
    ("cache", "if self.length > 0", "if True", "None cannot be joined"),
    ("cache", "if self.length > 0", "if self.keys", "neither true nor false"),
    ("cache", "self.keys, self.values, self.length = keys, values, keys.shape[2]",
     "self.length = keys.shape[2]", "Nothing was kept"),
    ("cache", "self.keys, self.values, self.length = keys, values, keys.shape[2]",
     "self.keys, self.values = keys, values", "has to be set"),
    ("cache", KEYS, "keys = self.keys + keys", "They are added up"),
    ("cache", VALUES, "values = torch.cat((self.keys, values), dim=2)", "made of the keys"),
    ("cache", f"{KEYS}\n            {VALUES}", "keys = torch.stack((self.keys, keys), dim=2)\n"
     "            values = torch.stack((self.values, values), dim=2)", "makes a new dimension"),
    ("cache", "self.length = keys, values, keys.shape[2]", "self.length = keys, values, self.length"
     " + keys.shape[2]", "counted again"),
    ("cache", "return keys, values", "return keys[:, :, -1:], values[:, :, -1:]",
     "Only the new position came back"),
    ("cache", "(self.keys, keys)", "(keys, self.keys)", "The new position comes first"),
    ("cache", f"{KEYS}\n            {VALUES}", "keys = torch.cat((keys, self.keys), dim=2)\n"
     "            values = torch.cat((values, self.values), dim=2)", "comes first"),
    ("cache", f"{KEYS}\n            {VALUES}", "keys = torch.cat((self.keys, keys), dim=-1)\n"
     "            values = torch.cat((self.values, values), dim=-1)", "along head_dim"),
    ("cache", f"{KEYS}\n            {VALUES}", "keys = torch.cat((self.keys, keys), dim=1)\n"
     "            values = torch.cat((self.values, values), dim=1)", "along the heads"),
    ("cache", f"{KEYS}\n            {VALUES}", "keys = torch.cat((self.keys, keys))\n"
     "            values = torch.cat((self.values, values))", "along the batch"),
    ("cache", f"{KEYS}\n            {VALUES}", "keys = self.keys + keys\n"
     "            values = self.values + values", "They are added up"),
    ("cache", VALUES, "values = keys", "The values are made of the keys"),
    ("cache", "self.length = keys, values, keys.shape[2]", "self.length = keys, values, "
     "self.length + 1", "counts the calls"),
    ("cache", "self.length = keys, values, keys.shape[2]", "self.length = keys, values, "
     "keys.shape[1]", "counts something else"),
    ("cache", "self.keys, self.values, self.length = keys, values, keys.shape[2]",
     "self.length = keys.shape[2]\n        if self.keys is None:\n"
     "            self.keys, self.values = keys, values", "A position got lost"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "old", "new", "words"), MUTANTS)
def test_a_known_mistake_has_its_own_words(judge, name, old, new, words):
    judge.change(name, old, new)
    assert words in judge.words(name)


# --- right solutions, written differently ---

SOLUTIONS = [
    ("attention", """
def attention(q, k, v, dropout=0.0, attentions=None):
    T, S, size = q.shape[2], k.shape[2], q.shape[3]
    scores = torch.einsum("bhtd,bhsd->bhts", q, k) / size**0.5
    future = torch.arange(S)[None, :] > torch.arange(S - T, S)[:, None]
    weights = F.softmax(scores.masked_fill(future, float("-inf")), dim=-1)
    if attentions is not None:
        attentions.append(weights)
    return F.dropout(weights, dropout) @ v
"""),
    ("attention", """
def attention(q, k, v, dropout=0.0, attentions=None):
    before = k.shape[2] - q.shape[2]
    rows = []
    for t in range(q.shape[2]):
        seen = before + t + 1
        w = q[:, :, t : t + 1] @ k[:, :, :seen].transpose(2, 3) / math.sqrt(q.shape[-1])
        w = w.softmax(-1)
        rows.append(F.pad(w, (0, k.shape[2] - seen)))
    weights = torch.cat(rows, dim=2)
    if attentions is not None:
        attentions.append(weights)
    keep = torch.rand_like(weights) >= dropout
    return (weights * keep / (1 - dropout)) @ v
"""),
    ("attention", """
def attention(q, k, v, dropout=0.0, attentions=None):
    scores = q.matmul(k.transpose(-2, -1)) * q.size(-1) ** -0.5
    if q.size(2) > 1:
        scores = scores.where(torch.ones_like(scores).tril() == 1, torch.tensor(-math.inf))
    e = (scores - scores.amax(-1, keepdim=True)).exp()
    weights = e / e.sum(-1, keepdim=True)
    if attentions is not None:
        attentions.append(weights.detach())
    return nn.Dropout(dropout)(weights).matmul(v)
"""),
    ("heads", """
def forward(self, x, cache=None, attentions=None):
    B, T, C = x.shape
    def split(y):
        return torch.stack(y.chunk(self.n_head, dim=2), dim=1)
    q, k, v = split(self.attn_wq(x)), split(self.attn_wk(x)), split(self.attn_wv(x))
    if cache:
        k, v = cache.add(k, v)
    p = self.dropout if self.training else 0
    y = attention(q, k, v, dropout=p, attentions=attentions)
    return self.attn_wo(torch.cat(y.unbind(1), dim=2))
"""),
    ("heads", """
def forward(self, x, cache=None, attentions=None):
    B, T, C = x.shape
    shape = (B, T, self.n_head, -1)
    q = self.attn_wq(x).reshape(shape).permute(0, 2, 1, 3)
    k = self.attn_wk(x).reshape(shape).permute(0, 2, 1, 3)
    v = self.attn_wv(x).reshape(shape).permute(0, 2, 1, 3)
    if cache is not None:
        k, v = cache.add(k, v)
    out = attention(q, k, v, self.dropout * self.training, attentions)
    return self.attn_wo(out.permute(0, 2, 1, 3).contiguous().view(B, T, C))
"""),
    ("heads", """
def forward(self, x, cache=None, attentions=None):
    per_head = lambda w: w(x).unflatten(-1, (self.n_head, -1)).transpose(-3, -2)
    q = per_head(self.attn_wq)
    k = per_head(self.attn_wk)
    v = per_head(self.attn_wv)
    k, v = (k, v) if cache is None else cache.add(k, v)
    dropout = 0.0
    if self.training:
        dropout = self.dropout
    return self.attn_wo(attention(q, k, v, dropout, attentions).transpose(1, 2).flatten(2))
"""),
    ("block", """
def forward(self, x, cache=None, attentions=None):
    parts = [
        lambda y: self.attn(self.ln_1(y), cache=cache, attentions=attentions),
        lambda y: self.mlp_fc2(self.activation(self.mlp_fc1(self.ln_2(y)))),
    ]
    for part in parts:
        x = self.dropout(part(x)) + x
    return x
"""),
    ("block", """
def forward(self, x, cache=None, attentions=None):
    x = x + self.dropout(self.attn(self.ln_1(x), cache, attentions))
    return x + self.dropout(self.mlp_fc2(self.activation(self.mlp_fc1(self.ln_2(x)))))
"""),
    ("block", """
def forward(self, x, cache=None, attentions=None):
    stream = x
    y = self.ln_1(stream)
    y = self.attn(y, cache, attentions)
    y = self.dropout(y)
    stream = stream.add(y)
    y = self.ln_2(stream)
    for layer in (self.mlp_fc1, self.activation, self.mlp_fc2, self.dropout):
        y = layer(y)
    return stream + y
"""),
    ("draw", """
def draw(logits, temperature=1.0, top_k=None):
    ids = logits.argsort(descending=True)[:top_k]
    probs = F.softmax(logits[ids] / temperature, dim=-1)
    return int(ids[torch.multinomial(probs, 1)])
"""),
    ("draw", """
def draw(logits, temperature=1.0, top_k=None):
    z = logits.clone() / temperature
    if top_k is not None and top_k < len(z):
        z[z < z.sort().values[-top_k]] = float("-inf")
    return torch.distributions.Categorical(logits=z).sample().item()
"""),
    ("draw", """
def draw(logits, temperature=1.0, top_k=None):
    k = len(logits) if top_k is None else min(top_k, len(logits))
    values, ids = torch.topk(logits / temperature, k)
    p = values.double().softmax(0).numpy()
    return np.random.choice(ids.numpy(), p=p / p.sum())
"""),
    ("get-batch", """
def get_batch(data, config, step):
    T = config.block_size
    starts = pick_starts(len(data), config, step).tolist()
    xb = torch.stack([data[i : i + T] for i in starts])
    yb = torch.stack([data[i + 1 : i + T + 1] for i in starts])
    return xb, yb
"""),
    ("get-batch", """
def get_batch(text, config, step):
    windows = text.unfold(0, config.block_size + 1, 1)
    picked = windows[pick_starts(text.numel(), config, step)]
    return [picked[:, :-1], picked[:, 1:]]
"""),
    ("get-batch", """
def get_batch(data, config, step):
    def excerpt(start):
        return data[start : start + config.block_size]
    xs, ys = [], []
    for i in pick_starts(len(data), config, step):
        xs.append(excerpt(i))
        ys.append(excerpt(i + 1))
    return torch.stack(xs), torch.stack(ys)
"""),
    ("evaluate", """
@torch.no_grad()
def evaluate(model, data, batch_size=64):
    mode = model.training
    model.eval()
    losses = []
    for start in range(0, len(data) - 1, model.block_size):
        stop = min(start + model.block_size, len(data) - 1)
        logits = model(data[start:stop][None])[0]
        losses += F.cross_entropy(logits, data[start + 1 : stop + 1], reduction="none").tolist()
    model.train(mode)
    return np.mean(losses)
"""),
    ("evaluate", """
@torch.no_grad()
def evaluate(model, data, batch_size=64):
    def cost(xb, yb):
        return F.cross_entropy(model(xb).transpose(1, 2), yb).item() * yb.numel() if len(yb) else 0
    training = model.training
    model.train(False)
    T = model.block_size
    n = (len(data) - 1) // T
    xs, ys = data[: n * T].reshape(n, T), data[1 : n * T + 1].reshape(n, T)
    pieces = [slice(i, i + batch_size) for i in range(0, n, batch_size)]
    total = sum(cost(xs[piece], ys[piece]) for piece in pieces)
    rest = data[n * T :]
    if len(rest) > 1:
        total += cost(rest[None, :-1], rest[None, 1:])
    if training:
        model.train()
    return total / (len(data) - 1)
"""),
    ("evaluate", """
@torch.no_grad()
def evaluate(model, data, batch_size=64):
    was, _ = model.training, model.eval()
    def sums(tokens):
        if len(tokens) < 2:
            return 0.0
        xb, yb = tokens[: model.block_size][: len(tokens) - 1], tokens[1 : model.block_size + 1]
        log_p = model(xb[None])[0].log_softmax(dim=1)
        return -log_p.gather(1, yb[:, None]).sum().item() + sums(tokens[model.block_size :])
    total = sums(data)
    model.train(was)
    return total / (len(data) - 1)
"""),
    ("schedule", """
def schedule(step, share, config):
    rise = 1.0
    if step < config.warmup:
        rise = (step + 1) / config.warmup
    low = config.final
    return rise * (low + 0.5 * (1 - low) * (1 + math.cos(share * math.pi)))
"""),
    ("schedule", """
def schedule(step, share, config):
    def between(a, b, weight):
        return a * weight + b * (1 - weight)
    warm = np.clip((step + 1) / config.warmup, 0, 1) if config.warmup else 1
    return warm * between(1, config.final, np.cos(np.pi * share / 2) ** 2)
"""),
    ("schedule", """
def schedule(step, share, config):
    cosine = (1 + math.cos(math.pi * share)) / 2
    factor = config.final + cosine - config.final * cosine
    return factor if step + 1 >= config.warmup else factor / config.warmup * (step + 1)
"""),
    ("cache", """
def add(self, keys, values):
    self.keys = keys if self.keys is None else torch.cat([self.keys, keys], 2)
    self.values = values if self.values is None else torch.cat([self.values, values], -2)
    self.length = self.keys.size(2)
    return self.keys, self.values
"""),
    ("cache", """
def add(self, keys, values):
    def joined(old, new):
        return new if old is None else torch.concat((old, new), dim=2)
    self.length += keys.shape[2]
    self.keys, self.values = joined(self.keys, keys), joined(self.values, values)
    return [self.keys, self.values]
"""),
    ("cache", """
def add(self, k, v):
    if self.length:
        room = torch.zeros(*k.shape[:2], self.length + k.shape[2], k.shape[3], dtype=k.dtype)
        more = room.clone()
        room[:, :, : self.length], room[:, :, self.length :] = self.keys, k
        more[:, :, : self.length], more[:, :, self.length :] = self.values, v
        k, v = room, more
    self.keys, self.values = k, v
    self.length = k.shape[2]
    return k, v
"""),
]  # fmt: skip

# What stays of train around the block that the learner writes.
FRAME = """
def train(config, model, data, device, dtype):
    optimizers = make_optimizers(config, model)
    compute, best = model, {"val": math.inf}
    log = common.Log(config.steps, lambda: evaluate(model, data["val"]))
    for step in log:
        BLOCK
    return log, best
"""

BLOCKS = [
    """
x, y = get_batch(data["train"], config, step)
loss = F.cross_entropy(model(x).transpose(1, 2), y)
params = list(model.parameters())
for p, g in zip(params, torch.autograd.grad(loss, params)):
    p.grad = g
norm = sum((p.grad**2).sum() for p in params).sqrt().item()
for p in params:
    p.grad *= min(1.0, config.clip / norm)
factor = schedule(step, log.share, config)
for group in [group for optimizer in optimizers for group in optimizer.param_groups]:
    group["lr"] = factor * group["highest_lr"]
for optimizer in optimizers:
    optimizer.step()
log.add(loss.item())
""",
    """
xb, yb = get_batch(data["train"], config, step)
def set_rate(optimizer, share):
    for g in optimizer.param_groups:
        g.update(lr=schedule(step, share, config) * g["highest_lr"])
for optimizer in optimizers:
    optimizer.zero_grad()
    set_rate(optimizer, log.share)
with devices.autocast(device, dtype):
    logits = compute(xb)
    B, T, V = logits.shape
    loss = F.cross_entropy(logits.view(B * T, V), yb.reshape(B * T))
loss.backward()
nn_utils = torch.nn.utils
nn_utils.clip_grad_norm_(model.parameters(), max_norm=config.clip)
[optimizer.step() for optimizer in optimizers]
log.add(loss.detach())
""",
    """
xb, yb = get_batch(data["train"], config, step)
with devices.autocast(device, dtype):
    log_p = compute(xb).log_softmax(dim=-1)
    loss = -log_p.gather(2, yb[:, :, None]).mean()
loss.backward()
grads = [p.grad for p in model.parameters() if p.grad is not None]
length = torch.cat([g.flatten() for g in grads]).norm()
if length > config.clip:
    for g in grads:
        g.mul_(config.clip / length)
for optimizer in reversed(optimizers):
    for group in optimizer.param_groups:
        group["lr"] = group["highest_lr"] * schedule(step, log.share, config)
    optimizer.step()
    optimizer.zero_grad()
log.add(np.float64(loss.item()))
""",
]

for block in BLOCKS:
    SOLUTIONS.append(("train", FRAME.replace("BLOCK", block.strip().replace("\n", "\n        "))))


@pytest.mark.parametrize(("name", "text"), SOLUTIONS)
def test_another_right_solution_passes(judge, name, text):
    judge.change(name, "import torch\n", "import torch\nimport numpy as np\n")
    judge.write(name, text)
    assert judge.failure(name) is None


def test_the_large_exercises_have_three_other_solutions():
    counts = {name: [n for n, _ in SOLUTIONS].count(name) for name in NAMES}
    assert min(counts.values()) >= 3


# --- cheats ---


@pytest.mark.parametrize("name", NAMES)
def test_an_empty_file(judge, name):
    judge.path(name).write_text("", encoding="utf-8")
    assert "has no function" in judge.words(name)


@pytest.mark.parametrize("name", [name for name in NAMES if name != "train"])
def test_a_function_that_returns_nothing(judge, name):
    header = function_text(judge.read(name), judge.lesson.exercise(name).function).split("):")[0]
    judge.write(name, f"{header}):\n    print('a result')")
    assert "returns nothing" in judge.words(name)
    assert "a result" in judge.failure(name)["printed"]


def test_the_reference_in_place_of_the_own_code(judge):
    """In a child of its own, which watches what is opened."""
    code = """
def attention(*args, **named):
    import importlib.util, pathlib
    path = pathlib.Path("{path}")
    spec = importlib.util.spec_from_file_location("reference", path)
    reference = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(reference)
    return getattr(reference, "atten" + "tion")(*args, **named)
""".replace("{path}", str(judge.reference("attention")))
    judge.write("attention", code)
    outcome = run_checks(judge.lesson, judge.folder)
    assert "This is not your code" in outcome.failures["attention"]["words"]
