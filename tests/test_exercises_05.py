"""The checks of stage 05's exercises: right solutions pass, and each mistake has its own words."""

import pytest

from exercise_cases import Judge
from learn.run_checks import run_checks
from learn.source import function_text

STAGE = "05_microgpt"


@pytest.fixture
def judge(tmp_path):
    return Judge(STAGE, tmp_path)


NAMES = Judge.names(STAGE)


@pytest.mark.parametrize("name", NAMES)
def test_the_reference_passes(judge, name):
    assert judge.words(name) == ""


@pytest.mark.parametrize("name", NAMES)
def test_a_blank_is_not_yet_written(judge, name):
    judge.blank_all()
    assert "is not written yet" in judge.words(name)


# --- known mistakes: (exercise, a text in the right solution, what is there instead, the words) ---

BACKWARD = """
        while tape:
            node = tape.pop()
            grad = node.grad
            if grad:  # it is 0 where a ReLU is off, and there is nothing to pass on
                for child, local_grad in zip(node.children, node.local_grads):
                    child.grad += local_grad * grad  # the chain rule
"""
DOT_VALUE = "Value(sum(map(mul, a_data, b_data)), a + b, b_data + a_data)"
NORM = "[xi * scale for xi in x]"
SOFTMAX_LOCAL = "[p_i * ((i == j) - p_j) for j, p_j in enumerate(probs)]"
LOSS_LOCAL = "[e / total - (i == target) for i, e in enumerate(exps)]"
SCORES = "linear([qi * scale for qi in query], keys)"
APPEND = "        keys.append(k)\n        values.append(v)\n"
FOR_HEADS = """        x, att = [], []
        for start in range(0, config.n_embd, head_dim):
"""
HEADS = 'x = linear(x, weights[f"layer{i}.attn_wo"])\n        x = add(x, residual)'
MLP_IN = 'x = rmsnorm(x)\n        x = linear(x, weights[f"layer{i}.mlp_fc1"])'
MLP = """
        x = linear(x, weights[f"layer{i}.mlp_fc1"])  # list[C] -> list[4C]
        x = relu(x)
        x = linear(x, weights[f"layer{i}.mlp_fc2"])  # list[4C] -> list[C]
"""
MLP_OUT = "x = add(x, residual)\n        if attentions"
STEP = "p.data -= learning_rate * m_hat / (v_hat**0.5 + epsilon)"
MASK = "torch.full((T, T), -math.inf).triu(1)"
TWIN_SCORES = "(q / math.sqrt(head_dim)) @ k.mT + future"

MUTANTS = [
    ("backward", "child.grad += local_grad", "child.grad = local_grad", "gradients add up"),
    ("backward", "        self.grad = 1.0\n", "", "begin with a gradient of 1"),
    ("backward", "local_grad * grad  #", "local_grad  #", "local gradient alone"),
    ("backward", "local_grad * grad  #", "grad  #", "The local gradient is missing"),
    ("backward", "local_grad * grad  #", "local_grad + grad  #", "multiplies them"),
    ("backward", "tape.pop()", "tape.pop(0)", "Nothing arrived at x"),
    ("backward", "while tape:\n            node = tape.pop()", "for node in [self]:",
     "Did only self pass"),
    ("backward", "while tape:\n            node = tape.pop()", "for node in reversed(tape):",
     "The tape still holds"),
    ("backward", "        while tape:\n", "        tape = tape[:]\n        while tape:\n",
     "local name"),
    ("backward", "        self.grad = 1.0\n",
     "        for v in tape:\n            for child in v.children:\n"
     "                child.grad = 0.0\n        self.grad = 1.0\n", "wiped out the first"),
    ("backward", BACKWARD, """
        def push(v):
            for child, local_grad in zip(v.children, v.local_grads):
                child.grad += local_grad * v.grad
                push(child)
        push(self)
        tape.clear()
""", "passed its gradient on twice"),
    ("backward", BACKWARD, """
        if tape:
            v = tape.pop()
            for child, local_grad in zip(v.children, v.local_grads):
                child.grad += local_grad * v.grad
            top = tape[-1] if tape else None
            if top:
                top.grad, kept = top.grad, top.grad
                Value.step(top)
""" + """
    def step(self):
        v = tape.pop()
        for child, local_grad in zip(v.children, v.local_grads):
            child.grad += local_grad * v.grad
        if tape:
            Value.step(tape[-1])
""", "needs no recursion"),
    ("dot", DOT_VALUE, "Value(sum(map(mul, a_data, b_data)), a + b, a_data + b_data)",
     "The two are swapped"),
    ("dot", DOT_VALUE, "Value(sum(map(mul, a_data, b_data)))", "No gradient arrives"),
    ("dot", DOT_VALUE, "sum(map(mul, a_data, b_data))", "it is a plain number"),
    ("dot", DOT_VALUE, "Value(sum(map(mul, a_data, b_data)), a, b_data)", "b gets no gradient"),
    ("dot", DOT_VALUE, "Value(sum(map(mul, a_data, b_data)), a + b, b_data)", "b gets no gradient"),
    ("dot", DOT_VALUE, "Value(sum(map(mul, a_data, b_data)), b, a_data)", "a gets no gradient"),
    ("dot", DOT_VALUE, "Value(sum(map(mul, a_data, b_data)), a + b, [1.0] * 2 * len(a))",
     "that of a sum"),
    ("dot", DOT_VALUE, "Value(sum(map(mul, a_data, b_data)), a + b, b + a)",
     "local_grads are plain numbers"),
    ("dot", DOT_VALUE, "sum(map(mul, a, b), Value(0.0))", "many small Values"),
    ("dot", DOT_VALUE, "sum(map(mul, a, b))", "then make one Value of it"),
    ("dot", "    a_data, b_data =", "    size = len(a)\n    a += b\n    a, b = a[:size], a[size:]\n"
     "    a_data, b_data =", "changes the list a"),
    ("dot", "    if isinstance(a[0], float):\n        return sum(map(mul, a, b))\n", "",
     "plain floats"),
    ("dot", "        return sum(map(mul, a, b))", "        return list(map(mul, a, b))",
     "These are the products"),
    ("dot", "        return sum(map(mul, a, b))", "        return sum(a) * sum(b)",
     "product of the sums"),
    ("rmsnorm", "** -0.5", "** -1", "The root is missing"),
    ("rmsnorm", "** -0.5", "** 0.5", "The numbers grew"),
    ("rmsnorm", " * (1 / len(x))", "", "take their mean"),
    ("rmsnorm", "dot(x, x)", "sum(x[1:], x[0])", "square them first"),
    ("rmsnorm", NORM, "scale", "This is the scale"),
    ("rmsnorm", NORM, "[xi * xi * scale for xi in x]", "were squared on the way"),
    ("rmsnorm", "    mean_square", "    mean = sum(x[1:], x[0]) * (1 / len(x))\n"
     "    x = [xi + mean * -1 for xi in x]\n    mean_square", "That is LayerNorm"),
    ("rmsnorm", "(mean_square + 1e-5) ** -0.5", "mean_square ** -0.5", "1e-5 is added before"),
    ("rmsnorm", "(mean_square + 1e-5) ** -0.5", "(mean_square ** 0.5 + 1e-5) ** -1",
     "under the root"),
    ("rmsnorm", "dot(x, x) * (1 / len(x))", "(dot(x, x) + 1e-5) * (1 / len(x)) + -1e-5",
     "add it to their mean"),
    ("rmsnorm", NORM, "[xi / scale ** -1 for xi in x]", "A Value has no division"),
    ("rmsnorm", NORM, "[xi * getattr(scale, 'data', scale) for xi in x]",
     "The scale is a plain number"),
    ("rmsnorm", "dot(x, x) * (1 / len(x))", "(1 / len(x)) * dot(x, x)", "the Value comes first"),
    ("rmsnorm", "scale = (mean_square + 1e-5) ** -0.5", "scale = 1 / math.sqrt(mean_square + 1e-5)",
     "take numbers"),
    ("rmsnorm", NORM, "x * scale", "cannot multiply lists"),
    ("softmax", "math.exp(number - highest)", "math.exp(number)", "more than a float holds"),
    ("softmax", "probs = [e / total for e in exps]", "probs = exps", "divide by their sum"),
    ("softmax", "probs = [e / total for e in exps]",
     "probs = [math.log(e / total) for e in exps]", "the logarithms"),
    ("softmax", "math.exp(number - highest)", "number", "take exp first"),
    ("softmax", "math.exp(number - highest)", "math.exp(highest - number)", "minus the logits"),
    ("softmax", "max(numbers)", "max(logits)", "max cannot compare Values"),
    ("softmax", "max(numbers)", "max(map(abs, numbers))", "not its size"),
    ("softmax", SOFTMAX_LOCAL, "[p_i * (1 - p_i) * (i == j) for j, p_j in enumerate(probs)]",
     "only on its own logit"),
    ("softmax", "Value(p_i, logits, " + SOFTMAX_LOCAL + ")",
     "Value(p_i, [logits[i]], [p_i * (1 - p_i)])", "only on its own logit"),
    ("softmax", SOFTMAX_LOCAL, "[abs(p_i * ((i == j) - p_j)) for j, p_j in enumerate(probs)]",
     "between different logits is wrong"),
    ("softmax", SOFTMAX_LOCAL, "[(i == j) - p_j for j, p_j in enumerate(probs)]", "factor p[i]"),
    ("softmax", SOFTMAX_LOCAL, "[p_i * (1 - p_j) for j, p_j in enumerate(probs)]", "0 - p[j]"),
    ("softmax", SOFTMAX_LOCAL, "[p_i * ((p_i == p_j) - p_j) for p_j in probs]",
     "compare their places"),
    ("softmax", SOFTMAX_LOCAL, "[p_i * (p_j - (i == j)) for j, p_j in enumerate(probs)]",
     "the wrong way round"),
    ("softmax", SOFTMAX_LOCAL, "[p_i * ((i == j) - p_i) for j, p_j in enumerate(probs)]",
     "p[i] and p[j] are mixed up"),
    ("softmax", SOFTMAX_LOCAL, "[p_j * ((i == j) - p_j) for j, p_j in enumerate(probs)]",
     "The first factor is p[i]"),
    ("softmax", SOFTMAX_LOCAL, "[p_i * (i == j) for j, p_j in enumerate(probs)]",
     "exp's derivative"),
    ("softmax", "Value(p_i, logits, " + SOFTMAX_LOCAL + ")", "Value(p_i)", "No gradient arrives"),
    ("softmax", "Value(p_i, logits, " + SOFTMAX_LOCAL + ")", "p_i", "it is a plain number"),
    ("cross-entropy", "math.log(total) - (numbers[target] - highest)",
     "numbers[target] - highest - math.log(total)", "The minus is missing"),
    ("cross-entropy", "math.log(total) - (numbers[target] - highest)",
     "exps[target] / total", "This is the probability"),
    ("cross-entropy", "math.log(total) - (numbers[target] - highest)",
     "-math.log(exps[target] / total)", "tiny probability rounds to 0"),
    ("cross-entropy", "math.log(total) - (numbers[target] - highest)", "-numbers[target]",
     "minus the logit of the target"),
    ("cross-entropy", "math.log(total) - (numbers[target] - highest)",
     "math.log(total)", "logarithm of the sum alone"),
    ("cross-entropy", "(numbers[target] - highest)", "(numbers[0] - highest)", "another token"),
    ("cross-entropy", "(numbers[target] - highest)", "numbers[target]", "in one place only"),
    ("cross-entropy", "max(numbers)", "0.0", "more than a float holds"),
    ("cross-entropy", "math.exp(number - highest)", "math.exp(number)", "in one place only"),
    ("cross-entropy", "loss = math.log(total) - (numbers[target] - highest)",
     "loss = (math.log(total) - (numbers[target] - highest)) / math.log(2)", "in bits"),
    ("cross-entropy", LOSS_LOCAL, "[(i == target) - e / total for i, e in enumerate(exps)]",
     "this is y - p"),
    ("cross-entropy", LOSS_LOCAL, "[e / total for e in exps]", "This is p"),
    ("cross-entropy", LOSS_LOCAL,
     "[(e / total - (i == target)) / len(exps) for i, e in enumerate(exps)]",
     "divided by the number of logits"),
    ("cross-entropy", LOSS_LOCAL, "[-total / e * (i == target) for i, e in enumerate(exps)]",
     "with respect to the probability"),
    ("cross-entropy", "math.log(total) - (numbers[target] - highest)",
     "-math.log(max(exps[target] / total, 1e-12))", "a smallest number"),
    ("cross-entropy", "math.log(total) - (numbers[target] - highest)",
     "-math.log(exps[target] / total + 1e-8)", "a smallest number"),
    ("cross-entropy", "    total = sum(exps)\n    loss", "    total = sum(exps)\n"
     "    softmax(logits)\n    loss", "on the tape for every logit"),
    ("cross-entropy", LOSS_LOCAL, "[e / total - 1 for e in exps]", "subtracted everywhere"),
    ("cross-entropy", LOSS_LOCAL, "[-(i == target) for i, e in enumerate(exps)]", "This is -y"),
    ("cross-entropy", LOSS_LOCAL, "[e - (i == target) for i, e in enumerate(exps)]",
     "the exponentials"),
    ("cross-entropy", LOSS_LOCAL, "[(e / total - 1) * (i == target) for i, e in enumerate(exps)]",
     "Only the target has a gradient"),
    ("cross-entropy", LOSS_LOCAL, "[z - (i == target) for i, z in enumerate(numbers)]",
     "the logits less y"),
    ("cross-entropy", "Value(loss, logits, " + LOSS_LOCAL + ")", "Value(loss)",
     "No gradient arrives"),
    ("cross-entropy", "Value(loss, logits, " + LOSS_LOCAL + ")", "loss", "it is a plain number"),
    ("attention", "scale = len(query) ** -0.5", "scale = 1.0", "The scores are not divided"),
    ("attention", "** -0.5", "** -1", "The scores are divided by head_dim"),
    ("attention", "** -0.5", "** 0.5", "multiplied by the root"),
    ("attention", "len(query) ** -0.5", "16 ** -0.5", "the root of n_embd"),
    ("attention", "len(query) ** -0.5", "len(keys) ** -0.5", "the number of keys"),
    ("attention", "len(query) ** -0.5", "2 ** -0.5", "The root of 2"),
    ("attention", "weighted_mean(values, att), att", "att, weighted_mean(values, att)",
     "The two are swapped"),
    ("attention", "weighted_mean(values, att), att", "weighted_mean(values, att)",
     "Return two lists"),
    ("attention", "weighted_mean(values, att), att", "weighted_mean(values, att), scores",
     "These are the scores"),
    ("attention", "weighted_mean(values, att)", "weighted_mean(values, [1 / len(att)] * len(att))",
     "averaged without weights"),
    ("attention", "weighted_mean(values, att)", "weighted_mean(keys, att)", "mean of the keys"),
    ("attention", SCORES, "linear(keys, query)", "linear takes the vector first"),
    ("attention", "weighted_mean(values, att)", "weighted_mean(att, values)",
     "weighted_mean takes the vectors first"),
    ("attention", "len(query) ** -0.5", "head_dim ** -0.5", "the length of the query"),
    ("attention", SCORES + "  # list[T]\n    att = softmax(scores)",
     "linear(query, keys)\n    att = [w * scale for w in softmax(scores)]",
     "divided after softmax"),
    ("attention", SCORES, "linear([qi * scale for qi in query], values)",
     "compared with the values"),
    ("attention", "att = softmax(scores)", "att = scores", "the scores themselves"),
    ("attention", "att = softmax(scores)",
     "att = [math.exp(getattr(s, 'data', s)) for s in scores]", "only exponentials"),
    ("attention", "weighted_mean(values, att)", "values[att.index(max(att))]", "best match alone"),
    ("attention", "att = softmax(scores)", "att = [math.exp(s) for s in scores]\n"
     "    att = [a / sum(att) for a in att]", "large score overflows"),
    ("attention", "    scores =", "    query = [Value(q.data) if isinstance(q, Value) else q "
     "for q in query]\n    scores =", "No gradient reaches the query"),
    ("attention", "att = softmax(scores)",
     "att = softmax([getattr(s, 'data', s) for s in scores])\n"
     "    att = [Value(a) for a in att] if isinstance(scores[0], Value) else att",
     "No gradient reaches the query"),
    ("layer", APPEND, "", "A head looks at an empty list"),
    ("layer", "q[head], keys_h, values_h", "q[head], keys[head], values[head]",
     "not of the list of keys"),
    ("layer", "        if attentions is not None:\n            ", "        ",
     "attentions is None unless"),
    ("layer", "attention(q[head],", "attention(q,", "The query is not cut"),
    ("layer", "[key[head] for key in keys]", "keys", "The keys are not cut"),
    ("layer", "[value[head] for value in values]", "values", "The values are not cut"),
    ("layer", "x.extend(x_h)  #", "x = add(x, x_h) if x else x_h  #", "are added up"),
    ("layer", "x.extend(x_h)  #", "x = x or x_h  #", "Only the first head"),
    ("layer", "layer{i}.attn_wk", "layer{i}.attn_wq", "A matrix is used twice"),
    ("layer", "layer{i}.attn_wk", "layer{i}.attn_wv", "A matrix is used twice"),
    ("layer", "layer{i}.attn_wv", "layer{i}.attn_wq", "Is what attention found lost"),
    ("layer", "layer{i}.attn_wv", "layer{i}.attn_wk", "the values are made with attn_wk"),
    ("layer", "keys.append(k)", "keys.append(x)", "keys got the vector x"),
    ("layer", "values.append(v)", "values.append(x)", "values got the vector x"),
    ("layer", "layer{i}.mlp_fc1", "layer0.mlp_fc1", "the weights of layer 0"),
    ("layer", "layer{i}.attn_wo", "layer0.attn_wo", "the weights of layer 0"),
    ("layer", 'linear(x, weights[f"layer{i}.attn_wq"])', 'linear(weights[f"layer{i}.attn_wq"], x)',
     "linear takes the vector first"),
    ("layer", MLP, MLP.replace("fc1", "fc3").replace("fc2", "fc1").replace("fc3", "fc2"),
     "Or are the two matrices swapped"),
    ("layer", "keys.append(k)", "keys = [k]", "finds only the first"),
    ("layer", APPEND, "        keys, values = keys + [k], values + [v]\n", "finds only itself"),
    ("layer", "keys.append(k)", "keys = keys + [k]", "finds only the first"),
    ("layer", APPEND + FOR_HEADS, FOR_HEADS + APPEND.replace("        ", "            "),
     "once for each head"),
    ("layer", "x_h, att_h = attention(q[head], keys_h, values_h)",
     "x_h, att_h = attention(q, keys, values)", "as if there were one head"),
    ("layer", "q[head], keys_h, values_h", "q[:head_dim], [key[:head_dim] for key in keys], "
     "[value[:head_dim] for value in values]", "All heads look at the same numbers"),
    ("layer", "slice(start, start + head_dim)", "slice(start // head_dim, None, config.n_head)",
     "every n_head-th"),
    ("layer", "for start in range(0, config.n_embd, head_dim):",
     "head_dim = config.n_embd\n        for start in range(1):", "as if there were one head"),
    ("layer", "x.extend(x_h)  #", "x.append(x_h)  #", "A list came where a number"),
    ("layer", "x_h, att_h = attention", "x_h = att_h = attention", "A list came where a number"),
    ("layer", HEADS, 'x = linear(x, weights[f"layer{i}.attn_wo"])', "attention replaces x"),
    ("layer", HEADS, 'x = linear(x, weights[f"layer{i}.attn_wo"])\n        x = x + residual',
     "The result of attention replaces x"),
    ("layer", HEADS, "x = add(x, residual)", "attn_wo is missing"),
    ("layer", HEADS, "x = residual", "Is what attention found lost"),
    ("layer", MLP_OUT, "if attentions", "The result of the MLP replaces x"),
    ("layer", "x = relu(x)", "x = x", "relu between"),
    ("layer", "        x = relu(x)\n", "", "relu between"),
    ("layer", 'x = linear(x, weights[f"layer{i}.mlp_fc2"])',
     'x = relu(linear(x, weights[f"layer{i}.mlp_fc2"]))', "Does it come after both"),
    ("layer", "residual = x\n        x = rmsnorm(x)\n        q =",
     "residual = x\n        q =", "norm before attention"),
    ("layer", MLP_IN, 'x = linear(x, weights[f"layer{i}.mlp_fc1"])', "norm before the MLP"),
    ("layer", "residual = x\n        x = rmsnorm(x)\n        q =",
     "x = rmsnorm(x)\n        residual = x\n        q =", "attention is added to the norm"),
    ("layer", "residual = x\n        x = rmsnorm(x)\n        x = linear",
     "x = rmsnorm(x)\n        residual = x\n        x = linear", "MLP is added to the norm"),
    ("layer", "        residual = x\n        " + MLP_IN, "        " + MLP_IN,
     "Is what attention found lost"),
    ("layer", "for i, (keys, values) in enumerate(cache):",
     "for layer, (keys, values) in enumerate(cache):\n        i = 0",
     "the weights of layer 0"),
    ("layer", APPEND, "        keys.append(x)\n        values.append(x)\n",
     "got the vector x itself"),
    ("layer", APPEND, "        keys.append(v)\n        values.append(k)\n",
     "Keys and values are swapped"),
    ("layer", 'q = linear(x, weights[f"layer{i}.attn_wq"])  # list[C], what it looks for\n'
     '        k = linear(x, weights[f"layer{i}.attn_wk"])',
     'q = linear(x, weights[f"layer{i}.attn_wk"])\n'
     '        k = linear(x, weights[f"layer{i}.attn_wq"])', "Queries and keys are swapped"),
    ("layer", "            attentions.append(att)", "            pass", "attentions stays empty"),
    ("layer", "            attentions.append(att)", "            attentions.extend(att)",
     "Every head appends by itself"),
    ("layer", "            attentions.append(att)", "            attentions.append(att_h)",
     "weights of one head arrive"),
    ("layer", "att.append(att_h)", "att += att_h", "one long list"),
    ("layer", "keys.append(k)", "keys.append([Value(n.data) if isinstance(n, Value) else n "
     "for n in k])", "No gradient arrives there"),
    ("layer", "weights[f\"layer{i}.attn_wq\"]", "weights[\"attn_wq\"]", "layer0.attn_wq"),
    ("adam", STEP, "p.data += learning_rate * m_hat / (v_hat**0.5 + epsilon)", "against it"),
    ("adam", STEP, "p.data -= learning_rate * p.grad", "This is the learning rate times m_hat"),
    ("adam", STEP, "p.data -= learning_rate * m_hat / (v_hat + epsilon)", "divide by its root"),
    ("adam", STEP, "p.data -= learning_rate * m_hat / (v_hat + epsilon) ** 0.5",
     "epsilon is under the root"),
    ("adam", STEP, "p.data -= learning_rate * m_hat / v_hat ** 0.5", "what epsilon is for"),
    ("adam", STEP, "p.data -= learning_rate * (m_hat / v_hat ** 0.5 if v_hat else 0.0)",
     "epsilon is missing"),
    ("adam", STEP, "p.data -= learning_rate * v_hat / (m_hat**0.5 + epsilon)", "complex number"),
    ("adam", STEP, "p.data -= learning_rate * v_hat**0.5 / (m_hat + epsilon)", "are mixed up"),
    ("adam", STEP, "p.data -= learning_rate * g / (v_hat**0.5 + epsilon)", "The latest gradient"),
    ("adam", STEP, "p -= learning_rate * m_hat / (v_hat**0.5 + epsilon)", "p is a Value"),
    ("adam", STEP, "p = learning_rate * m_hat / (v_hat**0.5 + epsilon)", "p is a Value"),
    ("adam", STEP, "data = p.data - learning_rate * m_hat", "did not move"),
    ("adam", STEP, "p.data -= learning_rate * m[i] / (v[i]**0.5 + epsilon)",
     "without their corrections"),
    ("adam", "m_hat = m[i] / correction1", "m_hat = m[i]", "The correction of m[i] is missing"),
    ("adam", "v_hat = v[i] / correction2", "v_hat = v[i]", "The correction of v[i] is missing"),
    ("adam", "m_hat = m[i] / correction1\n            v_hat = v[i] / correction2",
     "m_hat = m[i] / correction2\n            v_hat = v[i] / correction1",
     "The corrections are mixed up"),
    ("adam", "m_hat = m[i] / correction1", "m_hat = m[i] / (1 - beta1 ** step)",
     "count from 1"),
    ("adam", "m_hat = m[i] / correction1\n            v_hat = v[i] / correction2",
     "m_hat = m[i] = m[i] / correction1\n            v_hat = v[i] = v[i] / correction2",
     "once more"),
    ("adam", "learning_rate * m_hat", "config.learning_rate * m_hat", "rate stays the same"),
    ("adam", "m_hat = m[i] / correction1", "m_hat = m[i] / correction2", "is correction1"),
    ("adam", "v_hat = v[i] / correction2", "v_hat = v[i] / correction1", "is correction2"),
    ("adam", "m[i] = beta1 * m[i] + (1 - beta1) * g", "m[i] = (1 - beta1) * m[i] + beta1 * g",
     "the wrong way round"),
    ("adam", "beta2 * v[i] + (1 - beta2) * g * g", "(1 - beta2) * v[i] + beta2 * g * g",
     "the wrong way round"),
    ("adam", "(1 - beta1) * g\n", "g\n", "takes the whole new gradient"),
    ("adam", "(1 - beta2) * g * g", "g * g", "takes the whole new square"),
    ("adam", "m[i] = beta1 * m[i] + (1 - beta1) * g", "mean = beta1 * m[i] + (1 - beta1) * g",
     "did not move"),
    ("adam", "            p.grad = 0.0\n", "            p.grad = 0.0\n            m[i] = 0.0\n",
     "The old means are lost"),
    ("adam", "            p.grad = 0.0\n", "            p.grad = 0.0\n            v[i] = 0.0\n",
     "The old means are lost"),
    ("adam", "            p.grad = 0.0\n", "            p.grad = m[i] = v[i] = 0.0\n",
     "The old means are lost"),
    ("adam", "(v_hat**0.5 + epsilon)", "v_hat**0.5 + epsilon", "needs parentheses"),
    ("adam", STEP, "p.data -= learning_rate * m_hat / (math.sqrt(v_hat - 1) + epsilon)",
     "the root of a negative number"),
    ("adam", "            p.grad = 0.0\n", "", "clear p.grad"),
    ("adam", "(1 - beta2) * g * g", "(1 - beta2) * g", "Is the gradient squared"),
    ("adam", "beta2 * v[i] + (1 - beta2)", "beta1 * v[i] + (1 - beta1)", "v[i] uses beta1"),
    ("adam", "m[i] = beta1 * m[i] + (1 - beta1) * g\n            v[i] = beta2 * v[i] + (1 - beta2)",
     "m[i] = beta2 * m[i] + (1 - beta2) * g\n            v[i] = beta1 * v[i] + (1 - beta1)",
     "The betas are mixed up"),
    ("adam", "m[i] = beta1 * m[i] +", "m[i] = m[i] +", "The old m[i] is kept whole"),
    ("adam", "v[i] = beta2 * v[i] +", "v[i] = v[i] +", "The old v[i] is kept whole"),
    ("adam", "m[i] = beta1 * m[i] + (1 - beta1) * g\n            v[i] = beta2 * v[i] +",
     "m[i] = (1 - beta1) * g\n            v[i] =", "The old means are lost"),
    ("adam", "m[i] = beta1 * m[i] + (1 - beta1) * g", "m = beta1 * m + (1 - beta1) * g",
     "m and v are lists"),
    ("causal-mask", " + future", "", "the mask is missing"),
    ("causal-mask", ".triu(1)", ".triu(0)", "The diagonal is masked as well"),
    ("causal-mask", ".triu(1)", ".triu(2)", "so a letter sees the next one"),
    ("causal-mask", ".triu(1)", ".tril(-1)", "The wrong half is masked"),
    ("causal-mask", MASK, "torch.ones(T, T).triu(1) * -math.inf", "0 times minus infinity"),
    ("causal-mask", TWIN_SCORES, "((q / math.sqrt(head_dim)) @ k.mT).tril()",
     "The masked scores are 0"),
    ("causal-mask", "k.mT + future  #", "k.mT  #", "the mask is missing"),
    ("causal-mask", "att = scores.softmax(dim=-1)",
     "att = (scores - future.nan_to_num(0, 0, 0)).nan_to_num(0, 0, 0).softmax(dim=-1)",
     "still get a weight"),
    ("causal-mask", TWIN_SCORES + "  # (B, n_head, T, T)\n    att = scores.softmax(dim=-1)",
     "(q / math.sqrt(head_dim)) @ k.mT\n    att = scores.softmax(dim=-1).tril()",
     "no longer add up to 1"),
    ("causal-mask", "k.mT + future  #", "k.reshape(*k.shape[:2], head_dim, T) + future  #",
     "The keys were not transposed"),
    ("causal-mask", TWIN_SCORES, "((q / math.sqrt(head_dim)) @ k.mT).masked_fill("
     "torch.ones(T, T).tril().bool(), -math.inf)", "The mask is inverted"),
    ("causal-mask", "scores.softmax(dim=-1)", "scores.exp() / scores.exp().sum(dim=-1)",
     "divided by another sum"),
    ("causal-mask", "T, head_dim = q.shape[-2:]", "_, T, head_dim = q.shape", "four dimensions"),
    ("causal-mask", "dim=-1", "dim=-2", "The columns add up to 1"),
    ("causal-mask", "dim=-1", "dim=1", "Softmax runs over the names or the heads"),
    ("causal-mask", "q / math.sqrt(head_dim)", "q", "The scores are not divided"),
    ("causal-mask", "q / math.sqrt(head_dim)", "q / head_dim", "divided by head_dim"),
    ("causal-mask", "q / math.sqrt(head_dim)", "q * math.sqrt(head_dim)", "are multiplied"),
    ("causal-mask", "q / math.sqrt(head_dim)", "q / math.sqrt(T)", "the root of T"),
    ("causal-mask", "q / math.sqrt(head_dim)", "q / math.sqrt(2)", "the lesson's example"),
    ("causal-mask", "q / math.sqrt(head_dim)", "q / math.sqrt(head_dim * q.shape[1])",
     "the root of n_embd"),
    ("causal-mask", "(q / math.sqrt(head_dim)) @ k.mT", "(k / math.sqrt(head_dim)) @ q.mT",
     "Queries and keys are swapped"),
    ("causal-mask", "k.mT", "k", "k.mT"),
    ("causal-mask", "@ k.mT", "* k.mT", "the matrix product is @"),
    ("causal-mask", "@ v, att", "@ k, att", "mean of the keys"),
    ("causal-mask", "att.to(v.dtype) @ v", "att.mT @ v", "were transposed"),
    ("causal-mask", "att.to(v.dtype) @ v", "v.cumsum(2) / torch.arange(1, T + 1)[:, None]",
     "averaged without weights"),
    ("causal-mask", "return att.to(v.dtype) @ v, att", "return att, att.to(v.dtype) @ v",
     "The two are swapped"),
    ("causal-mask", "return att.to(v.dtype) @ v, att", "return att @ v", "Return two tensors"),
    ("causal-mask", "@ v, att", "@ v, scores", "These are the scores"),
    ("causal-mask", "    T, head_dim", "    q = q.detach()\n    T, head_dim",
     "No gradient reaches q"),
    ("causal-mask", "    T, head_dim",
     "    return F.scaled_dot_product_attention(q, k, v, is_causal=True), None\n    T, head_dim",
     "does the whole exercise"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "old", "new", "words"), MUTANTS)
def test_a_known_mistake_has_its_own_words(judge, name, old, new, words):
    judge.change(name, old, new)
    assert words in judge.words(name)


def test_each_exercise_knows_three_mistakes():
    counts = {name: [n for n, *_ in MUTANTS].count(name) for name in NAMES}
    assert min(counts.values()) >= 3


# --- right solutions, written differently ---

SOLUTIONS = [
    ("backward", """
def backward(self):
    \"\"\"Through the tape by index, and emptied at the end.\"\"\"
    self.grad = 1.0
    for place in range(len(tape) - 1, -1, -1):
        node = tape[place]
        for i in range(len(node.children)):
            node.children[i].grad = node.children[i].grad + node.grad * node.local_grads[i]
    tape.clear()
"""),
    ("backward", """
def backward(self):
    global tape
    nodes, tape = tape, []
    self.grad += 1.0
    def pass_on(child, share):
        child.grad += share
    for v in reversed(nodes):
        list(map(pass_on, v.children, (v.grad * slope for slope in v.local_grads)))
"""),
    ("backward", """
def backward(self):
    self.grad = np.float64(1)
    while len(tape) > 0:
        v = tape.pop(-1)
        shares = np.array(v.local_grads, dtype=float) * v.grad
        for child, share in zip(v.children, shares):
            child.grad += share
"""),
    ("dot", """
def dot(a, b):
    total = 0.0
    for x, y in zip(a, b):
        total += x * y if isinstance(x, float) else x.data * y.data
    if isinstance(a[0], float):
        return total
    children, slopes = [], []
    for x, y in zip(a, b):
        children += [x, y]
        slopes += [y.data, x.data]
    return Value(total, children, slopes)
"""),
    ("dot", """
def dot(u, v):
    def number(x):
        return x.data if isinstance(x, Value) else x
    def rest(i):
        return 0.0 if i == len(u) else number(u[i]) * number(v[i]) + rest(i + 1)
    if not isinstance(u[0], Value):
        return rest(0)
    return Value(rest(0), (*u, *v), tuple(map(number, [*v, *u])))
"""),
    ("dot", """
def dot(a, b):
    if isinstance(a[0], Value):
        x, y = (np.array([value.data for value in side]) for side in (a, b))
        return Value(x @ y, a + b, np.concatenate([y, x]))
    return np.dot(a, b)
"""),
    ("rmsnorm", """
def rmsnorm(x):
    squares = [xi * xi for xi in x]
    total = squares[0]
    for square in squares[1:]:
        total = total + square
    root = (total * (1 / len(x)) + 0.00001) ** 0.5
    return [xi * root ** -1 for xi in x]
"""),
    ("rmsnorm", """
def rmsnorm(vector):
    size = len(vector)
    if isinstance(vector[0], float):
        scale = 1 / math.sqrt(sum(number**2 for number in vector) / size + 1e-5)
        return [number * scale for number in vector]
    mean = Value(0.0)
    for value in vector:
        mean += value**2 * size**-1
    return list(map(lambda value: value * (mean + 1e-5) ** -0.5, vector))
"""),
    ("rmsnorm", """
def rmsnorm(x):
    if isinstance(x[0], Value):
        n = np.array([xi.data for xi in x])
        root = np.sqrt(np.mean(n**2) + 1e-5)
        slopes = np.eye(len(n)) / root - np.outer(n, n) / (len(n) * root**3)
        return [Value(n[i] / root, x, slopes[i]) for i in range(len(n))]
    n = np.array(x)
    return list(n / np.sqrt(np.mean(n * n) + 1e-5))
"""),
    ("softmax", """
def softmax(z):
    \"\"\"From Values alone, with exp as an operation of its own.\"\"\"
    if not isinstance(z[0], Value):
        top = max(z)
        e = [math.e ** (number - top) for number in z]
        return [number / sum(e) for number in e]
    top = max(value.data for value in z)
    e = []
    for value in z:
        number = math.exp(value.data - top)
        e.append(Value(number, (value,), (number,)))
    inverse = sum(e, Value(0.0)) ** -1
    return [value * inverse for value in e]
"""),
    ("softmax", """
def softmax(logits):
    are_values = isinstance(logits[0], Value)
    z = np.array([logit.data if are_values else logit for logit in logits])
    p = np.exp(z - z.max())
    p = p / p.sum()
    if not are_values:
        return p.tolist()
    table = np.diag(p) - np.outer(p, p)
    return [Value(p[i], logits, table[i]) for i in range(len(p))]
"""),
    ("softmax", """
def softmax(logits):
    def probability(numbers, i):
        return 1 / sum(math.exp(min(number - numbers[i], 700)) for number in numbers)
    if isinstance(logits[0], float):
        return [probability(logits, i) for i in range(len(logits))]
    p = softmax([logit.data for logit in logits])
    out = []
    for i in range(len(p)):
        slopes = []
        for j in range(len(p)):
            slopes.append(p[i] * (1 - p[i]) if i == j else -p[i] * p[j])
        out.append(Value(p[i], tuple(logits), tuple(slopes)))
    return out
"""),
    ("cross-entropy", """
def cross_entropy(logits, target):
    if isinstance(logits[0], float):
        m = max(logits)
        return m + math.log(sum(math.exp(z - m) for z in logits)) - logits[target]
    numbers = [z.data for z in logits]
    slopes = softmax(numbers)
    slopes[target] -= 1
    return Value(cross_entropy(numbers, target), logits, slopes)
"""),
    ("cross-entropy", """
def cross_entropy(z, y):
    \"\"\"The difference to each other logit, which needs no special case for the target.\"\"\"
    n = [float(getattr(x, "data", x)) for x in z]
    top = max(n)
    log_sum = top + math.log(sum(math.exp(x - top) for x in n))
    if type(z[0]) is not Value:
        return log_sum - n[y]
    loss = Value(log_sum, z, [math.exp(x - log_sum) for x in n])
    return loss + z[y] * -1.0
"""),
    ("cross-entropy", """
def cross_entropy(logits, target):
    numbers = np.array([z if isinstance(z, float) else z.data for z in logits])
    shifted = numbers - np.max(numbers)
    loss = np.log(np.exp(shifted).sum()) - shifted[target]
    if isinstance(logits[0], float):
        return loss
    p = np.exp(shifted) / np.exp(shifted).sum()
    return Value(loss, logits, p - np.eye(len(p))[target])
"""),
    ("attention", """
def attention(q, ks, vs):
    root = math.sqrt(len(q))
    weights = softmax([dot(q, key) * (1 / root) for key in ks])
    mean = [0.0 if isinstance(q[0], float) else Value(0.0)] * len(vs[0])
    for weight, value in zip(weights, vs):
        for i in range(len(mean)):
            mean[i] = mean[i] + weight * value[i]
    return mean, weights
"""),
    ("attention", """
def attention(query, keys, values):
    att = softmax([score * len(query) ** -0.5 for score in linear(query, keys)])
    return [dot(att, [v[i] for v in values]) for i in range(len(query))], att
"""),
    ("attention", """
def attention(query, keys, values):
    def add_up(parts):
        return parts[0] if len(parts) == 1 else add(parts[0], add_up(parts[1:]))
    scaled = [[number * (1 / len(query) ** 0.5) for number in key] for key in keys]
    att = softmax(linear(query, scaled))
    return add_up([[w * x for x in value] for w, value in zip(att, values)]), tuple(att)
"""),
    ("layer", """
def gpt(model, token, position, cache, attentions=None):
    c, w = model.config, model.weights
    d = c.n_embd // c.n_head
    def heads(q, keys, values):
        for h in range(c.n_head):
            part = slice(h * d, h * d + d)
            yield attention(q[part], [k[part] for k in keys], [v[part] for v in values])
    def attend(i, x, keys, values):
        q, k, v = (linear(x, w[f"layer{i}.attn_w{name}"]) for name in "qkv")
        keys.append(k)
        values.append(v)
        found = list(heads(q, keys, values))
        if attentions is not None:
            attentions.append([att for _, att in found])
        return linear(sum([mean for mean, _ in found], []), w[f"layer{i}.attn_wo"])
    def mlp(i, x):
        return linear(relu(linear(x, w[f"layer{i}.mlp_fc1"])), w[f"layer{i}.mlp_fc2"])
    x = rmsnorm(add(w["wte"][token], w["wpe"][position]))
    for i, (keys, values) in enumerate(cache):
        x = add(x, attend(i, rmsnorm(x), keys, values))
        x = add(x, mlp(i, rmsnorm(x)))
    return linear(x, w["lm_head"])
"""),
    ("layer", """
def gpt(model, token, position, cache, attentions=None):
    config, weights = model.config, model.weights
    n, d = config.n_head, config.n_embd // config.n_head
    x = rmsnorm(add(weights["wte"][token], weights["wpe"][position]))
    for i in range(config.n_layer):
        mine = [name for name in weights if name.startswith(f"layer{i}.")]
        here = {name.split(".")[1]: weights[name] for name in mine}
        normed = rmsnorm(x)
        q = linear(normed, here["attn_wq"])
        cache[i][0].extend([linear(normed, here["attn_wk"])])
        cache[i][1].extend([linear(normed, here["attn_wv"])])
        collected = [None] * config.n_embd
        every = []
        for h in range(n):
            here_q = [q[c] for c in range(h * d, (h + 1) * d)]
            keys = [[key[c] for c in range(h * d, (h + 1) * d)] for key in cache[i][0]]
            values = [[value[c] for c in range(h * d, (h + 1) * d)] for value in cache[i][1]]
            collected[h * d : (h + 1) * d], weights_h = attention(here_q, keys, values)
            every.append(weights_h)
        if attentions is not None:
            attentions.append(every)
        x = [a + b for a, b in zip(x, linear(collected, here["attn_wo"]))]
        hidden = relu(linear(rmsnorm(x), here["mlp_fc1"]))
        x = [a + b for a, b in zip(x, linear(hidden, here["mlp_fc2"]))]
    return linear(x, weights["lm_head"])
"""),
    ("layer", """
def gpt(model, token, position, cache, attentions=None):
    def layers(x, i):
        if i == model.config.n_layer:
            return x
        name = f"layer{i}."
        w = model.weights
        d = len(x) // model.config.n_head
        normed = rmsnorm(x)
        q, k, v = (linear(normed, w[name + part]) for part in ("attn_wq", "attn_wk", "attn_wv"))
        for kept, new in zip(cache[i], (k, v)):
            kept.append(new)
        cut = lambda rows, h: [row[h * d : h * d + d] for row in rows]
        results = [
            attention(cut([q], h)[0], cut(cache[i][0], h), cut(cache[i][1], h))
            for h in range(model.config.n_head)
        ]
        attentions is None or attentions.append([result[1] for result in results])
        x = add(linear([n for mean, _ in results for n in mean], w[name + "attn_wo"]), x)
        x = add(linear(relu(linear(rmsnorm(x), w[name + "mlp_fc1"])), w[name + "mlp_fc2"]), x)
        return layers(x, i + 1)
    wte, wpe = model.weights["wte"], model.weights["wpe"]
    return linear(layers(rmsnorm(add(wte[token], wpe[position])), 0), model.weights["lm_head"])
"""),
    ("adam", """
def train(model, docs):
    config, params = model.config, [p for w in model.weights.values() for r in w for p in r]
    state = {id(p): (0.0, 0.0) for p in params}
    log = common.Log(config.steps)
    seen = 0
    def adam(p, rate, t):
        m, v = state[id(p)]
        m += (1 - 0.85) * (p.grad - m)
        v += (1 - 0.99) * (p.grad**2 - v)
        state[id(p)] = m, v
        p.data -= rate * (m / (1 - 0.85**t)) / (math.sqrt(v / (1 - 0.99**t)) + 1e-8)
        p.grad = 0.0
    for step in log:
        tokens = model.tokenizer.encode(docs[step % len(docs)])
        n = min(config.block_size, len(tokens) - 1)
        cache, loss = empty_cache(config), Value(0.0)
        for t in range(n):
            loss = loss + cross_entropy(gpt(model, tokens[t], t, cache), tokens[t + 1])
        loss = loss * (1 / n)
        loss.backward()
        for p in params:
            adam(p, config.learning_rate * (1 - step / config.steps), step + 1)
        log.add(loss.data)
        seen += n
    return log, seen
"""),
    ("adam", """
def train(model, docs):
    config = model.config
    params = [p for w in model.weights.values() for r in w for p in r]
    log, seen = common.Log(config.steps), 0
    m, v = np.zeros(len(params)), np.zeros(len(params))
    for step in log:
        for p in params:
            p.grad = 0.0
        tokens = model.tokenizer.encode(docs[step % len(docs)])
        n = min(config.block_size, len(tokens) - 1)
        cache, loss = empty_cache(config), Value(0.0)
        for t in range(n):
            loss += cross_entropy(gpt(model, tokens[t], t, cache), tokens[t + 1]) * (1 / n)
        loss.backward()
        g = np.array([p.grad for p in params])
        m, v = 0.85 * m + 0.15 * g, 0.99 * v + 0.01 * g**2
        m_hat, v_hat = m / (1 - 0.85 ** (step + 1)), v / (1 - 0.99 ** (step + 1))
        rate = config.learning_rate * (1 - step / config.steps)
        moves = rate * m_hat / (np.sqrt(v_hat) + 1e-8)
        for p, move in zip(params, moves):
            p.data = p.data - move
        log.add(loss.data)
        seen += n
    return log, seen
"""),
    ("causal-mask", """
def attention(q, k, v):
    T = q.shape[2]
    scores = torch.einsum("bhqd,bhkd->bhqk", q, k) * q.shape[-1] ** -0.5
    future = torch.arange(T)[None, :] > torch.arange(T)[:, None]
    weights = torch.softmax(scores.masked_fill(future, float("-inf")), -1)
    return torch.matmul(weights, v), weights
"""),
    ("causal-mask", """
def attention(q, k, v):
    past = torch.tril(torch.ones(q.size(-2), q.size(-2)))
    scores = q @ k.transpose(-1, -2) / q.size(-1) ** 0.5
    e = (scores - scores.amax(dim=-1, keepdim=True)).exp() * past
    att = e / e.sum(dim=-1, keepdim=True)
    return [att @ v, att]
"""),
    ("causal-mask", """
def attention(q, k, v):
    rows = []
    T, d = q.shape[-2:]
    for t in range(T):
        scores = (q[..., t : t + 1, :] * k[..., : t + 1, :]).sum(dim=-1) / math.sqrt(d)
        rows.append(F.pad(scores.softmax(dim=-1), (0, T - t - 1)))
    att = torch.stack(rows, dim=-2)
    return att @ v, att
"""),
    ("causal-mask", """
def attention(queries, keys, values):
    n = queries.shape[-2]
    mask = torch.where(torch.ones(n, n).tril() == 1, 0.0, -1e30)
    att = F.softmax((queries @ keys.mT) * queries.shape[-1] ** -0.5 + mask, dim=3)
    return att @ values, att
"""),
]  # fmt: skip

OTHER_UPDATES = [
    """
            m[i] += (1 - beta1) * (p.grad - m[i])
            v[i] += (1 - beta2) * (p.grad**2 - v[i])
            size = math.sqrt(v[i] / correction2) + epsilon
            p.data, p.grad = p.data - learning_rate / size * m[i] / correction1, 0.0
""",
]


def import_more(judge, name):
    """NumPy for solutions that use it."""
    judge.change(name, "import common\n", "import common\nimport numpy as np\n")


@pytest.mark.parametrize(("name", "text"), SOLUTIONS)
def test_another_right_solution_passes(judge, name, text):
    import_more(judge, name)
    judge.write(name, text)
    assert judge.words(name) == ""


@pytest.mark.parametrize("update", OTHER_UPDATES)
def test_another_update_passes(judge, update):
    begin, end = "            g = p.grad\n", "            p.grad = 0.0\n"
    old = begin + judge.read("adam").split(begin)[1].split(end)[0] + end
    judge.change("adam", old, update.lstrip("\n"))
    assert judge.words("adam") == ""


def test_the_exercises_have_three_other_solutions():
    counts = {name: [n for n, _ in SOLUTIONS].count(name) for name in NAMES}
    counts["adam"] += len(OTHER_UPDATES)
    assert min(counts.values()) >= 3


# --- cheats ---


@pytest.mark.parametrize("name", NAMES)
def test_an_empty_file(judge, name):
    judge.path(name).write_text("", encoding="utf-8")
    assert "has no function" in judge.words(name)


@pytest.mark.parametrize(
    "name", ["dot", "rmsnorm", "softmax", "cross-entropy", "attention", "causal-mask"]
)
def test_a_function_that_returns_nothing(judge, name):
    header = function_text(judge.read(name), judge.lesson.exercise(name).function).split("):")[0]
    judge.write(name, f"{header}):\n    print('a result')")
    assert "returns nothing" in judge.words(name)
    assert "a result" in judge.failure(name)["printed"]


def test_a_backward_that_does_nothing(judge):
    judge.write("backward", "def backward(self):\n    pass")
    assert "Nothing arrived" in judge.words("backward")


def test_a_layer_that_does_nothing(judge):
    text = function_text(judge.read("layer"), "gpt")
    before, loop = text.split("        # Attention:")
    after = "    return linear(x, weights[" + loop.split("    return linear(x, weights[")[-1]
    judge.write("layer", f"{before}        pass\n{after}")
    assert "Is what attention found lost" in judge.words("layer")


def test_an_update_that_does_nothing(judge):
    text = function_text(judge.read("adam"), "train")
    judge.write("adam", text.replace("g = p.grad", "continue"))
    assert "The parameters did not move" in judge.words("adam")


def test_a_stage_without_pytorch_is_checked_without_it(judge):
    """All exercises of main.py pass in a child in which torch_twin.py is not imported."""
    judge.path("causal-mask").write_text("raise SystemExit\n", encoding="utf-8")
    outcome = run_checks(judge.lesson, judge.folder)
    assert outcome.passed == list(NAMES[:-1])
    assert list(outcome.failures) == ["causal-mask"]
