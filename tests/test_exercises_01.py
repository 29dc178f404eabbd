"""The checks of stage 01's exercises: right solutions pass, and each mistake has its own words."""

import pytest

from exercise_cases import Judge
from learn.run_checks import run_checks
from learn.source import function_text

STAGE = "01_micrograd"


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

PRODUCT = 'return Value(self.data * other.data, (self, other), (other.data, self.data), "*")'
TANH = 'return Value(t, (self,), (1 - t * t,), "tanh")'
RELU = 'return Value(max(self.data, 0.0), (self,), (1.0 if self.data > 0 else 0.0,), "relu")'
POWER = """\
    try:
        power = math.pow(a, n)
        slope = n * math.pow(a, n - 1) if n else 0.0
    except (ValueError, OverflowError) as error:
        raise ValueError(f"{a} ** {n} or its derivative is not a finite real number") from error
    return power, slope
"""
PASS_ON = """\
        for v in reversed(order):
            grad = v.grad
            for child, local_grad in zip(v.children, v.local_grads):
                child.grad += local_grad * grad
"""
CLEAR = """\
        for v in order:
            if v.children:
                v.grad = 0.0
"""
LOSS = """\
    if z.data > 0:  # log(1 + exp(z)) = z + log(1 + exp(-z)), which does not overflow
        return z + (1 + (-z).exp()).log()
    return (1 + z.exp()).log()
"""
EVALUATE = """\
    return loss, sum(score.data * label > 0 for score, label in scores) / len(points)
"""
CLEAR_PARAMETERS = """\
        for p in parameters:
            p.grad = 0.0
"""

MUTANTS = [
    ("multiply", PRODUCT, PRODUCT.replace("(other.data, self.data)", "(self.data, other.data)"),
     "The two derivatives are swapped"),
    ("multiply", PRODUCT, PRODUCT.replace("(other.data, self.data)", "(1.0, 1.0)"),
     "These are the derivatives of a sum"),
    ("multiply", PRODUCT, PRODUCT.replace("(other.data, self.data)", "(other, self)"),
     "The derivatives should be plain numbers"),
    ("multiply", PRODUCT, PRODUCT.replace("(other.data, self.data)", "[-6.0, -6.0]"),
     "This is the product"),
    ("multiply", PRODUCT, PRODUCT.replace("(other.data, self.data)", "(other.data,)"),
     "Each child needs a derivative"),
    ("multiply", PRODUCT, PRODUCT.replace("self.data * other.data", "self.data + other.data"),
     "This is the sum"),
    ("multiply", PRODUCT, "return Value(self.data * other.data)", "should be one of its children"),
    ("multiply", PRODUCT, PRODUCT.replace("(self, other), (other.data, self.data)",
     "(other.data, self.data), (self, other)"), "should be one of its children"),
    ("multiply", PRODUCT, PRODUCT.replace(', "*"', ""), "The name of the operation is missing"),
    ("multiply", PRODUCT, PRODUCT.replace("self.data * other.data", "self * other"),
     "calls __mul__ again"),
    ("multiply", PRODUCT, "return self.data * other.data", "A plain number does not remember"),
    ("multiply", "        other = other if isinstance(other, Value) else Value(other)\n        "
     + PRODUCT, "        " + PRODUCT, "other may be a plain number"),
    ("multiply", PRODUCT, "return self", "This is the very Value"),
    ("multiply", PRODUCT, PRODUCT.replace('"*"', '"x"'),
     "The operation has another name"),
    ("tanh", TANH, TANH.replace('"tanh"', '"Tanh"'), "another spelling of the name"),
    ("tanh", TANH, TANH.replace("1 - t * t", "1 - self.data * self.data"), "made of the input"),
    ("tanh", TANH, TANH.replace("1 - t * t", "1 - t"), "This is 1 - tanh(x)"),
    ("tanh", TANH, TANH.replace("1 - t * t", "t"), "This is tanh itself"),
    ("tanh", TANH, TANH.replace("1 - t * t", "t * t - 1"), "The sign is wrong"),
    ("tanh", TANH, TANH.replace("1 - t * t", "1 - math.tanh(t) ** 2"), "You took tanh twice"),
    ("tanh", TANH, TANH.replace("(1 - t * t,)", "(1 - t * t)"), "the comma does"),
    ("tanh", TANH, TANH.replace("(self,)", "(self)"), "the comma does"),
    ("tanh", TANH, "return Value(t)", "should be one of its children"),
    ("tanh", TANH, "return t", "A plain number does not remember"),
    ("tanh", "math.tanh(self.data)", "math.tanh(self)", "math.tanh takes a plain number"),
    ("tanh", "math.tanh(self.data)", "math.tan(self.data)", "This is tan"),
    ("tanh", "math.tanh(self.data)", "1 - 2 / (math.exp(2 * self.data) + 1)", "overflows a float"),
    ("tanh", "math.tanh(self.data)",
     "((self * 2).exp().data - 1) / ((self * 2).exp().data + 1)", "inf / inf is nan"),
    ("relu", RELU, RELU.replace("(1.0 if self.data > 0 else 0.0,)", "(1.0,)"),
     "The derivative is 1 everywhere"),
    ("relu", RELU, RELU.replace("self.data > 0", "self.data >= 0"), "At 0 itself"),
    ("relu", RELU, RELU.replace("self.data > 0", "self.data > 1"), "for every number above 0"),
    ("relu", RELU, RELU.replace("1.0 if", "self.data if"), "This is the number itself"),
    ("relu", RELU, RELU.replace("1.0 if self.data > 0 else 0.0", "0.0"), "The derivative is 0"),
    ("relu", RELU, RELU.replace("max(self", "abs(self").replace(", 0.0)", ")"),
     "Below 0, the result is 0"),
    ("relu", RELU, RELU.replace("max(", "min("), "Numbers above 0 stay"),
    ("relu", RELU, RELU.replace("max(self.data", "max(self"), "cannot be compared with a number"),
    ("relu", RELU, RELU.replace("if self.data > 0", "if self > 0"),
     "cannot be compared with a number"),
    ("relu", RELU, "return self if self.data > 0 else Value(0.0)", "This is the very Value"),
    ("relu", RELU, RELU.replace('"relu"', '"ReLU"'), "it is 'relu'"),
    ("relu", RELU, RELU.replace("else 0.0", "else -1.0"), "Below 0 the result stays"),
    ("power", "return power, slope", "return slope, power", "The two are swapped"),
    ("power", "return power, slope", "return power", "return both"),
    ("power", "n * math.pow(a, n - 1)", "math.pow(a, n - 1)", "lacks the factor n"),
    ("power", "n * math.pow(a, n - 1)", "n * math.pow(a, n)", "should have one less"),
    ("power", " if n else 0.0", "", "Here n is 0"),
    ("power", "except (ValueError, OverflowError)", "except ValueError", "has the wrong class"),
    ("power", POWER, "    return a**n, n * a ** (n - 1) if n else 0.0\n", "has the wrong class"),
    ("power", POWER, "    try:\n        return a**n, n * a ** (n - 1) if n else 0.0\n"
     "    except ArithmeticError:\n        raise ValueError(f'{a} ** {n}')\n",
     "This is a complex number"),
    ("power", POWER, "    return math.pow(a, n), n * math.pow(a, n - 1) if n else 0.0\n",
     "has the wrong class"),
    ("power", 'f"{a} ** {n} or its derivative is not a finite real number"', '"no number"',
     "should name both numbers"),
    ("power", "    try:\n", "    if a < 0:\n        raise ValueError(f'{a} ** {n}')\n    try:\n",
     "a negative number has powers too"),
    ("power", "slope = n * math.pow(a, n - 1) if n else 0.0",
     "slope = n * math.pow(a, n - 1) if n and (a or n >= 1) else 0.0",
     "the power is finite, but the slope is not"),
    ("backward", "child.grad += local_grad * grad", "child.grad = local_grad * grad",
     "only one of its two shares: gradients add up"),
    ("backward", "child.grad += local_grad * grad", "child.grad += local_grad",
     "Each child got its derivative alone"),
    ("backward", "child.grad += local_grad * grad", "child.grad += local_grad * self.grad",
     "Each child got its derivative alone"),
    ("backward", "child.grad += local_grad * grad", "child.grad += grad",
     "The gradients were passed on as they are"),
    ("backward", "child.grad += local_grad * grad", "child.grad += child.data * grad",
     "multiplied by data"),
    ("backward", "child.grad += local_grad * grad", "child.grad += v.data * grad",
     "multiplied by data"),
    ("backward", "child.grad += local_grad * grad", "child.grad += v.local_grads * grad",
     "belong together, in pairs"),
    ("backward", "        self.grad += 1.0  # d self / d self\n", "", "The gradient of L itself"),
    ("backward", "in reversed(order):", "in order:", "walk from L to the leaves"),
    ("backward", "in reversed(order):", "in []:", "Nothing is passed on"),
    ("backward", CLEAR, "", "gradients of the first one"),
    ("backward", CLEAR, "        self.grad = 0.0\n", "gradients of the first one"),
    ("backward", CLEAR, "        for v in order:\n            v.grad = 0.0\n"
     "            for child in v.children:\n                child.grad = 0.0\n",
     "each call adds to the leaves"),
    ("backward", PASS_ON, PASS_ON + CLEAR, "The leaves are right, but the nodes between are 0"),
    ("neuron", "total = self.b", "total = Value(0.0)", "The bias is missing"),
    ("neuron", "total = total + wi * xi", "total = total - wi * xi", "The products are subtracted"),
    ("neuron", "total = total + wi * xi", "total = total + wi * xi + self.b", "added once"),
    ("neuron", "total = total + wi * xi", "total = self.b + wi * xi", "Only the last product"),
    ("neuron", "total = total + wi * xi", "total = total + wi + xi", "multiply each pair"),
    ("neuron", "total = total + wi * xi", "total = total + wi", "The inputs have no effect"),
    ("neuron", "total = total + wi * xi", "total = total + wi.data * xi.data", "have no data"),
    ("neuron", "total = total + wi * xi", "total = total + wi.data * xi",
     "No gradient reaches the weights"),
    ("neuron", "total = self.b", "total = Value(self.b.data)", "No gradient reaches the bias"),
    ("neuron", "wi * xi", "wi * getattr(xi, 'data', xi)", "No gradient reaches the inputs"),
    ("neuron", "total if self.linear else total.tanh()", "total.tanh()", "This neuron is linear"),
    ("neuron", "total if self.linear else total.tanh()", "total", "tanh is missing"),
    ("neuron", "total if self.linear else total.tanh()", "total.tanh() if self.linear else total",
     "This neuron is linear"),
    ("neuron", "total if self.linear else total.tanh()", "total.data", "A plain number"),
    ("point-loss", "z = score * -label", "z = score * label", "the loss for the other label"),
    ("point-loss", "z = score * -label", "z = -score", "The label is ignored"),
    ("point-loss", "z = score * -label", "z = -score.data * label",
     "score.data is a plain number"),
    ("point-loss", LOSS, "    return (1 + z.exp()).log()\n", "It became inf"),
    ("point-loss", LOSS, "    return z + (1 + (-z).exp()).log()\n", "It became inf"),
    ("point-loss", LOSS, "    return -(1 / (1 + z.exp())).log()\n", "which has no logarithm"),
    ("point-loss", LOSS, "    return 1 / (1 + z.exp())\n", "This is the probability"),
    ("point-loss", LOSS, "    return 1 / (1 + (-z).exp())\n", "the probability of the wrong label"),
    ("point-loss", LOSS, "    return -(1 + z.exp()).log()\n", "The minus is missing"),
    ("point-loss", LOSS, "    return (1 + z.exp()).log() / math.log(2)\n", "This is in bits"),
    ("point-loss", LOSS, "    return z.exp().log()\n", "The 1 is missing"),
    ("point-loss", LOSS, "    return math.log(1 + math.exp(z))\n", "a Value has methods"),
    ("point-loss", LOSS, "    return math.log(1 + math.exp(z.data))\n", "A plain number"),
    ("point-loss", LOSS, "    return (score - label) ** 2\n", "the squared distance"),
    ("point-loss", LOSS, "    if z.data > 700:\n        return z * 0 + z.data\n"
     "    return (1 + z.exp()).log()\n", "could not learn from this point"),
    ("evaluate", EVALUATE, EVALUATE.replace("loss, ", "").replace("(points)", "(points), loss"),
     "The two are swapped"),
    ("evaluate", ".data for score, label in scores) / len(points)",
     ".data for score, label in scores)", "This is the sum of the losses"),
    ("evaluate", EVALUATE, EVALUATE.replace(" / len(points)", ""), "This is how many are right"),
    ("evaluate", EVALUATE, EVALUATE.replace("sum(", "100 * sum("), "in percent"),
    ("evaluate", EVALUATE, EVALUATE.replace("> 0", "< 0"), "the share of wrong points"),
    ("evaluate", EVALUATE, EVALUATE.replace("score.data * label > 0", "score.data > 0"),
     "A score above 0 is right only if"),
    ("evaluate", EVALUATE, EVALUATE.replace("score.data * label > 0", "score.data == label"),
     "need not be equal"),
    ("evaluate", EVALUATE, "    return loss\n", "The accuracy is missing"),
    ("evaluate", EVALUATE, EVALUATE.replace("score.data", "score"), "compare its data"),
    ("evaluate", "    scores = [", "    points.reverse()\n    scores = [",
     "changes what it was given"),
    ("evaluate", "(model(x)[0], label)", "(model(x), label)", "take its first element"),
    ("evaluate", "point_loss(score, label).data", "point_loss(score, label)",
     "a Value came and a number was expected"),
    ("evaluate", "(model(x)[0], label) for x, label in", "(model(x)[0], label) for x, y, label in",
     "A point has two parts"),
    ("evaluate", "model(x)[0]", "model(x[0])[0]", "A point has two parts"),
    ("train", "p.data -= learning_rate", "p.data += learning_rate", "The loss goes up"),
    ("train", "loss = sum(losses) / len(losses)", 'loss, _ = evaluate(model, points["train"])',
     "The loss is a plain number"),
    ("train", CLEAR_PARAMETERS, "", "The gradients of all steps add up"),
    ("train", CLEAR_PARAMETERS + "        loss.backward()\n",
     "        loss.backward()\n" + CLEAR_PARAMETERS, "w has no gradient"),
    ("train", "        loss.backward()\n", "", "w has no gradient"),
    ("train", "p.data -= learning_rate * p.grad", "p -= learning_rate * p.grad",
     "w has a gradient, but did not move"),
    ("train", "p.grad = 0.0", "p.grad = None", "The grad of a leaf is None"),
    ("train", " * (1 - 0.9 * step / config.steps)", "", "The learning rate stays the same"),
    ("train", "1 - 0.9 * step / config.steps", "1 - step / config.steps", "falls to 0"),
    ("train", "1 - 0.9 * step / config.steps", "step / config.steps",
     "Or is the learning rate 0"),
    ("train", "config.learning_rate * (1 -", "0.1 * config.learning_rate * (1 -",
     "does not start at"),
    ("train", "1 - 0.9 * step / config.steps", "1 - 0.9 * (step + 1) / config.steps",
     "does not start at"),
    ("train", "        loss.backward()\n", "        loss.backward()\n        loss.backward()\n",
     "Is backward() called twice"),
    ("train", " / len(losses)", "", "The step follows the sum of the losses"),
    ("train", "loss = sum(losses) / len(losses)", "loss = losses[0]", "Only the first point"),
    ("train", "loss = sum(losses) / len(losses)", "loss = losses[-1]", "Only the last point"),
    ("train", 'for x, label in points["train"]]', 'for x, label in points["val"]]',
     "steps on the val points"),
    ("train", "        log.add(loss.data)\n", "", "The log got nothing"),
    ("train", "log.add(loss.data)", "log.add(loss)", "log.add takes a plain number"),
    ("train", "    return weights, log\n", "", "leave the line return weights, log"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "old", "new", "words"), MUTANTS)
def test_a_known_mistake_has_its_own_words(judge, name, old, new, words):
    judge.change(name, old, new)
    assert words in judge.words(name)


WRONG = [
    ("backward", """
def backward(self):
    self.grad, queue = 1.0, [self]
    for v in queue:
        for child, local_grad in zip(v.children, v.local_grads):
            child.grad += local_grad * v.grad
            if child not in queue:
                queue.append(child)
""", "b passed its gradient on before it was complete"),
    ("backward", """
def backward(self):
    self.grad = 1.0
    stack, seen = [self], {self}
    while stack:
        v = stack.pop()
        for child, local_grad in zip(v.children, v.local_grads):
            child.grad += local_grad * v.grad
            if child not in seen:
                seen.add(child)
                stack.append(child)
""", "b passed its gradient on before it was complete"),
    ("backward", """
def backward(self):
    def visit(v):
        for child, local_grad in zip(v.children, v.local_grads):
            child.grad += local_grad * v.grad
            visit(child)
    self.grad = 1.0
    visit(self)
""", "b passed on its first share twice"),
    ("backward", """
def backward(self, grad=1.0):
    self.grad += grad
    for child, local_grad in zip(self.children, self.local_grads):
        child.backward(local_grad * grad)
""", "the nodes between have the sum of both walks"),
    ("backward", """
def backward(self):
    def clear(v):
        if v.children:
            v.grad = 0.0
            for child in v.children:
                clear(child)
    def visit(v, grad):
        v.grad += grad
        for child, local_grad in zip(v.children, v.local_grads):
            visit(child, local_grad * grad)
    clear(self)
    visit(self, 1.0)
""", "every path is walked by itself"),
    ("backward", """
def backward(self):
    order = []
    def visit(v):
        if v not in order:
            for child in v.children:
                visit(child)
            order.append(v)
    visit(self)
    for v in order:
        v.grad = 0.0 if v.children else v.grad
    self.grad += 1.0
    for v in reversed(order):
        for child, local_grad in zip(v.children, v.local_grads):
            child.grad += local_grad * v.grad
""", "Do you look for a node in a list?"),
    ("backward", """
def backward(self):
    order, seen = [], set()
    def visit(v):
        if v not in seen:
            seen.add(v)
            order.append(v)
            for child in v.children:
                visit(child)
    visit(self)
    self.grad = 1.0
    for v in order:
        for child, local_grad in zip(v.children, v.local_grads):
            child.grad += local_grad * v.grad
""", "b passed its gradient on before it was complete"),
    ("backward", """
def backward(self):
    order = []
    def visit(v):
        for child in v.children:
            visit(child)
        order.append(v)
    visit(self)
    self.grad = 1.0
    for v in reversed(order):
        for child, local_grad in zip(v.children, v.local_grads):
            child.grad += local_grad * v.grad
""", "once for each use"),
    ("backward", """
def backward(self):
    self.grad = 1.0
    for child, local_grad in zip(self.children, self.local_grads):
        child.grad += local_grad * self.grad
        child.backward()
""", "does backward() of each child begin with 1"),
    ("backward", """
def backward(self):
    def visit(v):
        for child in v.children:
            visit(self)
    visit(self)
""", "It calls itself without end"),
    ("neuron", """
def __call__(self, x):
    return sum(wi * xi for wi, xi in zip(self.w, x)).tanh()
""", "Two things. The bias is missing"),
    ("neuron", """
def __call__(self, x):
    for wi, xi in zip(self.w, x):
        self.b = self.b + wi * xi
    return self.b if self.linear else self.b.tanh()
""", "the first one changed self.b"),
    ("neuron", """
def __call__(self, x):
    total = sum(wi * xi for wi, xi in zip(self.w, x))
    return total + self.b if self.linear else total.tanh() + self.b
""", "the bias belongs inside"),
    ("neuron", """
def __call__(self, x):
    return self.w * x + self.b
""", "take its elements one by one"),
    ("point-loss", """
def point_loss(score, label):
    return (1 + max(0.0, -label * score.data) - score * label).relu()
""", "the hinge loss"),
    ("evaluate", """
def evaluate(model, points):
    loss = right = 0
    for x, label in points:
        score = model(x)[0]
        loss += point_loss(score, label).data
        right += score.data * label > 0
        return loss / len(points), right / len(points)
""", "is there a return inside the loop"),
    ("evaluate", """
def evaluate(model, points):
    loss = right = 0
    for x, label in points:
        score = model(x)[0]
        loss += point_loss(score, label).data
        right += score.data * label > 0
    return loss, right
""", "two sums over the points"),
    ("train", """
def train(config, model, points):
    log = common.Log(config.steps)
    for step in log:
        for x, label in points["train"]:
            loss = point_loss(model(x)[0], label)
            for p in model.parameters():
                p.grad = 0.0
            loss.backward()
            for p in model.parameters():
                p.data -= config.learning_rate * (1 - 0.9 * step / config.steps) * p.grad
        log.add(loss.data)
    return [], log
""", "w moves more than once in a step"),
    ("evaluate", """
def evaluate(model, points):
    right = 0
    for x, label in points:
        score = model(x)[0]
        loss = point_loss(score, label).data
        right += score.data * label > 0
    return loss / len(points), right / len(points)
""", "The last point alone decides"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "text", "words"), WRONG)
def test_a_wrong_solution_has_its_own_words(judge, name, text, words):
    judge.write(name, text)
    assert words in judge.words(name)


# --- right solutions, written differently ---

SOLUTIONS = [
    ("multiply", """
def __mul__(self, factor):
    if not isinstance(factor, Value):
        factor = Value(factor)
    a, b = self.data, factor.data
    return Value(a * b, children=(factor, self), local_grads=(a, b), op="*")
"""),
    ("multiply", """
def __mul__(self, other):
    if isinstance(other, (int, float)):
        return self * Value(other)
    out = Value(np.multiply(self.data, other.data))
    out.children, out.local_grads, out.op = [self, other], [other.data, self.data], "*"
    return out
"""),
    ("tanh", """
def tanh(self):
    x = self.data
    if abs(x) > 100:
        t = 1.0 if x > 0 else -1.0
    else:
        t = (math.exp(2 * x) - 1) / (math.exp(2 * x) + 1)
    return Value(t, (self,), (1 - t**2,), "tanh")
"""),
    ("tanh", """
def tanh(self):
    t = np.tanh(self.data)
    return Value(t, [self], [(1 + t) * (1 - t)], op="tanh")
"""),
    ("relu", """
def relu(self):
    if self.data > 0:
        return Value(self.data, (self,), (1,), "relu")
    return Value(0, (self,), (0,), "relu")
"""),
    ("relu", """
def relu(self):
    on = self.data > 0
    return Value(self.data * on, (self,), (float(on),), "relu")
"""),
    ("power", """
def power_and_slope(base, exponent):
    def power(n):
        try:
            result = base**n
        except ArithmeticError:
            result = math.inf
        if isinstance(result, complex) or not math.isfinite(result):
            raise ValueError(f"cannot compute {base:g} to the power of {exponent:g}")
        return result
    if exponent == 0:
        return 1, 0
    return [power(exponent), exponent * power(exponent - 1)]
"""),
    ("power", """
def power_and_slope(a, n):
    try:
        p = math.pow(a, n)
        return np.float64(p), (0 if n == 0 else n * p / a if a else n * math.pow(a, n - 1))
    except ArithmeticError as e:
        raise ValueError("too large: %s ** %s" % (a, n)) from e
    except ValueError as e:
        raise ValueError("no real number: %s ** %s" % (a, n)) from e
"""),
    ("power", """
def power_and_slope(a, n):
    if (a == 0 and n < 1 and n != 0) or (a < 0 and n != int(n)):
        raise ValueError(f"{a} to the {n}")
    try:
        return a**n, n * a ** (n - 1) if n else 0.0
    except OverflowError:
        raise ValueError(f"{a} to the {n}") from None
"""),
    ("backward", """
def backward(self):
    order, visited = [], set()

    def visit(v):
        if v not in visited:
            visited.add(v)
            for child in v.children:
                visit(child)
            order.append(v)

    visit(self)
    for v in order:
        if v.children:
            v.grad = 0
    self.grad = 1
    for v in order[::-1]:
        for child, slope in zip(v.children, v.local_grads):
            child.grad = child.grad + slope * v.grad
"""),
    ("backward", """
def backward(self):
    # Count for each node how many shares it waits for.
    waiting, stack = {self: 0}, [self]
    while stack:
        for child in stack.pop().children:
            if child not in waiting:
                waiting[child] = 0
                stack.append(child)
            waiting[child] += 1
    for node in waiting:
        if len(node.children) > 0:
            node.grad = np.float64(0)
    self.grad += 1
    ready = [self]
    while ready:
        node = ready.pop()
        for i, child in enumerate(node.children):
            child.grad += node.local_grads[i] * node.grad
            waiting[child] -= 1
            if waiting[child] == 0:
                ready.append(child)
"""),
    ("backward", """
def backward(self):
    def nodes(v, seen):
        if id(v) in seen:
            return []
        seen.add(id(v))
        found = [node for child in v.children for node in nodes(child, seen)]
        return found + [v]
    order = nodes(self, set())
    grads = {id(v): 0.0 for v in order}
    grads[id(self)] = 1.0
    for v in reversed(order):
        for child, local_grad in zip(v.children, v.local_grads):
            grads[id(child)] += local_grad * grads[id(v)]
    for v in order:
        v.grad = grads[id(v)] + (0.0 if v.children else v.grad)
"""),
    ("backward", """
def backward(self):
    depth, stack = {}, [self]
    while stack:
        v = stack[-1]
        rest = [child for child in v.children if child not in depth]
        if rest:
            stack += rest
        else:
            depth[v] = 1 + max([depth[child] for child in v.children], default=0)
            stack.pop()
    order = sorted(depth, key=depth.get, reverse=True)
    for v in order:
        v.grad *= not v.children
    self.grad += 1
    for v in order:
        for c, g in zip(v.children, v.local_grads):
            c.grad += v.grad * g
"""),
    ("neuron", """
def __call__(self, inputs):
    weighted = [w * value for w, value in zip(self.w, inputs)]
    result = sum(weighted) + self.b
    if self.linear:
        return result
    return result.tanh()
"""),
    ("neuron", """
def __call__(self, x):
    def add_up(i):
        return self.b if i == len(self.w) else x[i] * self.w[i] + add_up(i + 1)
    return add_up(0) if self.linear else add_up(0).tanh()
"""),
    ("neuron", """
def __call__(self, x):
    out = np.dot(np.array(self.w, dtype=object), np.array(list(x), dtype=object)) + self.b
    return [out.tanh(), out][self.linear]
"""),
    ("point-loss", """
def point_loss(score, label):
    m = score * label
    if m.data < 0:
        return (m.exp() + 1).log() - m
    return (1 + 1 / m.exp()).log() if m.data < 100 else (1 + (-m).exp()).log()
"""),
    ("point-loss", """
def point_loss(s, y):
    z = -(s * y)
    above, size = z.relu(), z.relu() + (-z).relu()
    return above + ((size * -1).exp() + 1.0).log()
"""),
    ("point-loss", """
def point_loss(score, label):
    def softplus(z):
        return (1 + z.exp()).log() if z.data < 30 else z + (-z).exp()
    return softplus(-score) if label == 1 else softplus(score)
"""),
    ("evaluate", """
def evaluate(net, data):
    total, right = 0.0, 0
    for x, label in data:
        (score,) = net(x)
        total += point_loss(score, label).data
        if (score.data > 0) == (label == 1):
            right += 1
    return total / len(data), right / len(data)
"""),
    ("evaluate", """
def evaluate(model, points):
    losses = [point_loss(model(x)[0], label).data for x, label in points]
    right = [np.sign(model(x)[0].data) == label for x, label in points]
    return np.mean(losses), np.mean(right)
"""),
    ("evaluate", """
def evaluate(model, points):
    def measure(some):
        if len(some) > 1:
            half = len(some) // 2
            return [a + b for a, b in zip(measure(some[:half]), measure(some[half:]))]
        ((x, label),) = some
        score = model(x)[0]
        return [point_loss(score, label).data, float(score.data * label > 0)]
    return tuple(number / len(points) for number in measure(points))
"""),
    ("train", """
def train(config, model, points):
    parameters = model.parameters()
    weights = []
    log = common.Log(config.steps, lambda: evaluate(model, points["val"])[0])
    for step in log:
        total = 0
        for x, label in points["train"]:
            total = total + point_loss(model(x)[0], label)
        mean = total * (1 / len(points["train"]))
        for p in model.parameters():
            p.grad = 0
        mean.backward()
        share = step / config.steps
        rate = (1 - share) * config.learning_rate + share * config.learning_rate / 10
        for p in model.parameters():
            p.data = p.data - rate * p.grad
        log.add(mean.data)
    return weights, log
"""),
    ("train", """
def train(config, model, points):
    parameters, n = model.parameters(), len(points["train"])
    weights = []
    log = common.Log(config.steps, lambda: evaluate(model, points["val"])[0])
    for step in log:
        for p in parameters:
            p.grad = np.float64(0.0)
        loss = 0.0
        for x, label in points["train"]:  # the gradients of several results add up
            one = point_loss(model(x)[0], label) / n
            one.backward()
            loss += one.data
        for p in parameters:
            p.data += -config.learning_rate * (1 - 0.9 * step / config.steps) * p.grad
        log.add(loss)
    return weights, log
"""),
    ("train", """
def train(config, model, points):
    log = common.Log(config.steps, lambda: evaluate(model, points["val"])[0])
    rate = config.learning_rate

    def forward():
        return sum(point_loss(model(x)[0], y) for x, y in points["train"]) / len(points["train"])

    def update():
        for p in model.parameters():
            p.data -= rate * p.grad
            p.grad = 0.0

    for _ in log:
        loss = forward()
        loss.backward()
        update()
        rate -= 0.9 * config.learning_rate / config.steps
        log.add(loss.data)
    return [], log
"""),
]  # fmt: skip


@pytest.mark.parametrize(("name", "text"), SOLUTIONS)
def test_another_right_solution_passes(judge, name, text):
    judge.write(name, text)
    judge.path(name).write_text(f"import numpy as np\n{judge.read(name)}", encoding="utf-8")
    assert judge.words(name) == ""


def test_the_large_exercises_have_three_other_solutions():
    counts = {name: [n for n, _ in SOLUTIONS].count(name) for name in NAMES}
    small = {"multiply", "tanh", "relu"}
    assert min(counts.values()) >= 2
    assert min(count for name, count in counts.items() if name not in small) >= 3


# --- cheats and accidents ---


@pytest.mark.parametrize("name", NAMES)
def test_an_empty_file(judge, name):
    judge.path(name).write_text("", encoding="utf-8")
    assert "has no function" in judge.words(name)


@pytest.mark.parametrize("name", NAMES)
def test_a_function_that_prints_instead_of_returning(judge, name):
    header = function_text(judge.read(name), judge.lesson.exercise(name).function).split("):")[0]
    judge.write(name, f"{header}):\n    print('a result')")
    words = {"backward": "The gradient of L itself"}.get(name, "returns nothing")
    assert words in judge.words(name)
    assert "a result" in judge.failure(name)["printed"]


def test_the_reference_in_place_of_the_own_code(judge):
    """In a child of its own, which watches what is opened."""
    code = """
def relu(self):
    import importlib.util
    spec = importlib.util.spec_from_file_location("reference", "{path}")
    reference = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(reference)
    result = reference.Value(self.data).relu()
    return Value(result.data, (self,), result.local_grads, "relu")
""".replace("{path}", judge.reference("relu").as_posix())
    judge.write("relu", code)
    outcome = run_checks(judge.lesson, judge.folder)
    assert outcome.passed == ["multiply", "tanh"]
    assert "This is not your code" in outcome.failures["relu"]["words"]
