"""The explorer's playground: its parser, its gradients against engine.py, and its walk back."""

import math
import random
import re
from urllib.parse import quote

import pytest

from explorer.page import join_modules
from stages import load_stage

Value = load_stage("01_micrograd", "engine").Value
FUNCTIONS = ("exp", "log", "tanh", "relu")
HAND = "a = 2; b = -3; c = a * b; d = c + a; L = d ** 2"
EARLY = "x = 3; b = x + 1; b + b * 5"
MUSEUM = "a = 2; b = 3; c = a + b; d = a * b; (c + d) + c * d"
GRAPH = """const graphOf = (text, turnsOf = sortedTurns) => {
  try {
    const { result, variables } = evaluateExpression(text);
    const turns = turnsOf(result);
    backwardTo(result, turns, turns.length + 1);
    return {
      nodes: turns.map((v) => [v.op, v.data, v.grad]),
      result: result.data,
      grads: Object.fromEntries(variables.map(({ name, value }) => [name, value.grad])),
    };
  } catch (error) {
    if (!(error instanceof ExpressionError)) throw error;
    return error.message;
  }
};"""


@pytest.fixture(scope="module")
def script(browser):
    """script("return x + 1", 2) runs JavaScript beside the modules of the playground."""
    page = browser.new_page()
    exports = "Object.assign(globalThis, ...Object.values(modules));"
    page.evaluate(f"() => {{ {join_modules('view_autodiff.js')} {exports} }}")
    yield lambda body, x=None: page.evaluate(f"(x) => {{ {GRAPH}\n{body} }}", x)
    page.close()


# --- the same numbers as engine.py ---


class Writer:
    """Random expressions in a few variables."""

    def __init__(self, seed):
        self.rng = random.Random(seed)
        self.statements = [(name, f"{self.rng.uniform(-2, 2):.3f}") for name in "abc"]
        for name in ("d", "e"):
            self.statements.append((name, self.write(2)))
        self.statements.append(("L", self.write(3)))

    def write(self, depth):
        """An expression with at least one variable."""
        if depth == 0:
            return self.rng.choice([name for name, _ in self.statements])
        kind = self.rng.randrange(8)
        inner = self.write(depth - 1)
        if kind == 0:
            return f"{self.rng.choice(FUNCTIONS)}({inner})"
        if kind == 1:
            return f"-({inner})"
        if kind == 2:
            return f"({inner}) ** {self.rng.choice(['2', '3', '-1', '0.5', '0', '-2'])}"
        if kind == 3:
            return f"{self.rng.choice(['2', '0.5', f'({inner})'])} ** tanh({self.write(depth - 1)})"
        other = self.rng.choice([self.write(depth - 1), f"{self.rng.uniform(0.1, 3):.2f}"])
        left, right = self.rng.sample([inner, other], 2)
        return f"({left}) {self.rng.choice('+-*/')} ({right})"

    def text(self):
        return "\n".join(f"{name} = {right}" for name, right in self.statements)


def graph_in_python(text):
    """As graphOf() in JavaScript, with the Values of the stage."""

    def function(name):
        return lambda v: getattr(v, name)()

    names = {name: function(name) for name in FUNCTIONS}
    try:
        for line in text.split("\n"):
            name, right = line.split(" = ")
            v = eval(right, {}, names)
            names[name] = v if isinstance(v, Value) else Value(float(v))
    except ValueError as error:
        return str(error)
    result = names[name]
    result.backward()
    return {
        "nodes": [[v.op, v.data, v.grad] for v in turns_in_python(result)],
        "result": result.data,
        "grads": {name: names[name].grad for name in "abc"},
    }


def turns_in_python(result):
    """The nodes of a graph in the order in which engine.py's backward() visits them."""
    order, visited, stack = [], set(), [(result, False)]
    while stack:
        v, children_done = stack.pop()
        if children_done:
            order.append(v)
        elif v not in visited:
            visited.add(v)
            stack += [(v, True), *((child, False) for child in v.children if child.children)]
    return [v for v in reversed(order) if v.children]


def close(expected):
    return pytest.approx(expected, rel=1e-9, abs=1e-12, nan_ok=True)


def without_point_zero(message):
    """Python writes -3.0 and -0.0 where JavaScript writes -3 and 0, and last digits differ."""
    return re.sub(
        r"-?\d+(\.\d+)?(e[-+]?\d+)?", lambda number: f"{float(number[0]) + 0.0:.6g}", message
    )


def test_random_expressions_have_the_gradients_of_the_engine(script):
    texts = [Writer(seed).text() for seed in range(120)]
    found = script("return x.map((text) => graphOf(text));", texts)
    errors = 0
    for text, graph in zip(texts, found, strict=True):
        expected = graph_in_python(text)
        if isinstance(expected, str):
            errors += 1
            message = re.sub(r" at line \d+, character \d+$", "", graph)
            assert without_point_zero(message) == without_point_zero(expected), text
            continue
        assert [node[0].replace(".0", "") for node in expected["nodes"]] == [
            node[0] for node in graph["nodes"]
        ], text
        numbers = [number for node in graph["nodes"] for number in node[1:]]
        assert numbers == close([n for node in expected["nodes"] for n in node[1:]]), text
        assert graph["result"] == close(expected["result"])
        assert graph["grads"] == close(expected["grads"]), text
    assert 5 < errors < 60


def test_infinity_and_nan_are_those_of_the_engine(script):
    text = "a = 800\nb = 1\nc = 2\nL = log(exp(a)) * b - c"
    expected = graph_in_python(text)
    found = script("return graphOf(x);", text)
    assert expected["result"] == found["result"] == math.inf
    assert math.isnan(expected["grads"]["a"]) and math.isnan(found["grads"]["a"])
    assert found["grads"]["b"] == expected["grads"]["b"] == math.inf
    assert script("return graphOf('relu(0) + tanh(1000)').result;") == 1


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("-2 ** 2", -4), ("(-2) ** 2", 4), ("2 ** 3 ** 2", 512), ("2 ** -1", 0.5),
        ("7 - 2 - 1", 4), ("8 / 4 / 2", 1), ("1 - -1", 2), ("+3", 3), ("2 + 3 * 4", 14),
        (".5 + 1.", 1.5), ("1e3 - 2.5E-1", 999.75), ("exp(0) + log(1)", 1), ("x = 3", 3),
        ("größe = 2; größe * größe", 4), ("(1 +\n2)", 3), (";\n2;;\n", 2), ("\tx = 1;\r\n x", 1),
        ("x = 2 * 3; x / 2", 3), ("a = 2; y = a; y + 1", 3),
    ],
)  # fmt: skip
def test_expressions_are_read_as_python_reads_them(script, text, number):
    assert script("return graphOf(x).result;", text) == number


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a + f(x)", "unknown function f (known: exp, log, tanh, relu) at character 5"),
        ("tanh x", "tanh needs parentheses, as in tanh(x), at character 1"),
        ("2 * (a + b", "there is no ) for the ( at character 5"),
        ("a)", "a ) without its ( at character 2"),
        ("a +", "a number or a name is missing at character 4"),
        ("a = ", "a number or a name is missing at character 5"),
        ("1\n2 * * 3", "unexpected * at line 2, character 5"),
        ("2 a", "write an operation before a, at character 3"),
        ("(a)(b)", "write an operation before (, at character 4"),
        ("a ^ 2", "a power is written **, not ^, at character 3"),
        ("a $ b", "unexpected $ at character 3"),
        ("🙂", "unexpected 🙂 at character 1"),
        (" ; ", "an expression is missing at character 1"),
        ("exp = 3", "exp is a function: choose another name at character 1"),
        ("x = 3; x = 4", "x is set twice: choose another name at character 8"),
        ("x + 1; x = 3", "x is set here, but it was used before: rename it at character 8"),
        ("x = -3; 2 + log(x)", "log of -3: only numbers above 0 have a logarithm at character 13"),
        ("x = 0; 1 / x", "0 ** -1 or its derivative is not a finite real number at character 10"),
        ("1 / 0", "1 / 0: nothing can be divided by 0 at character 3"),
        ("(-2) ** 0.5", "-2 ** 0.5 is not a finite real number at character 6"),
        ("1e999", "1e999 is too large for a number at character 1"),
        ("x" + "+x" * 250, "too long: cut the expression at character 501"),
        ("(" * 400, "a number or a name is missing at character 401"),
        ("alert(1)", "unknown function alert (known: exp, log, tanh, relu) at character 1"),
    ],
)  # fmt: skip
def test_a_mistake_is_named_with_its_place(script, text, message):
    assert script("return graphOf(x);", text) == message


# --- the walk back ---


def test_the_lesson_example_by_hand(script):
    graph = script("return graphOf(x);", HAND)
    assert graph["nodes"] == [["**2", 16, 1], ["+", -4, -8], ["*", -6, -8]]
    assert graph["grads"] == {"a": 16, "b": -16}


def test_the_steps_of_the_walk(script):
    body = """
      const { result } = evaluateExpression(x);
      const turns = sortedTurns(result);
      return [0, 1, 2, 3, 4].map((step) => {
        const passed = backwardTo(result, turns, step);
        return [nodesOf(result).map((v) => v.grad), passed.map((p) => [p.child.name, p.amount])];
      });"""
    assert script(body, HAND) == [  # gradients of a, b, c, d, L; what the last turn passed on
        [[0, 0, 0, 0, 0], []],
        [[0, 0, 0, 0, 1], []],
        [[0, 0, 0, -8, 1], [["d", -8]]],
        [[-8, 0, -8, -8, 1], [["c", -8], ["a", -8]]],
        [[16, -16, -8, -8, 1], [["a", 24], ["b", -16]]],
    ]


def test_wrong_orders_give_what_the_lesson_and_the_museum_show(script):
    assert script("return graphOf(x).grads;", EARLY) == {"x": 6}
    assert script("return graphOf(x, nearestTurns).grads;", EARLY) == {"x": 1}
    assert script("return graphOf(x).grads;", MUSEUM) == {"a": 25, "b": 19}
    # The engine with the exhibit's two patches gives these.
    assert script("return graphOf(x, straightTurns).grads;", MUSEUM) == {"a": 21, "b": 16}


def test_nudging_agrees_with_the_gradients(script):
    texts = [Writer(seed).text() for seed in range(200, 230)]
    body = """return x.map((text) => {
      const { grads } = graphOf(text);
      return grads && ["a", "b", "c"].map((name) => {
        const { value } = evaluateExpression(text).variables.find((v) => v.name === name);
        return [grads[name], slopeByNudging(text, new Map(), name, value.data)];
      });
    });"""
    pairs = [pair for found in script(body, texts) if found for pair in found]
    compared = [(grad, nudged) for grad, nudged in pairs if nudged and abs(grad) < 1e3]
    assert len(compared) > 40
    for grad, nudged in compared:
        assert nudged["slope"] == pytest.approx(grad, rel=1e-4, abs=1e-4)
        assert nudged["error"] < 1e-6
    assert script("return slopeByNudging('x = 0; log(x + 1e-9)', new Map(), 'x', 0);") is None


def test_nudging_says_how_much_rounding_may_change(script):
    slope, error = script(
        "const { slope, error } = slopeByNudging('x = 1; x + 1e9', new Map(), 'x', 1);"
        "return [slope, error];"
    )
    assert slope != pytest.approx(1, abs=1e-4) and slope == pytest.approx(1, abs=error)
    large = script("return slopeByNudging('x = 1e7; 3 * x', new Map(), 'x', 1e7);")
    assert large["slope"] == pytest.approx(3, abs=1e-6)


def test_new_numbers_are_written_into_the_text(script):
    body = """
      const { variables } = evaluateExpression(x);
      return textWithValues(x, variables, new Map([["a", 1.84], ["b", -2.84], ["free", 7]]));"""
    text = "a = 2; b = -3\nfree + a * b"
    assert script(body, text) == "a = 1.84; b = -2.84\nfree + a * b"


# --- the drawing ---


def test_no_boxes_overlap_and_no_line_runs_under_a_box(script):
    body = """return x.map((text) => {
      const { nodes } = evaluateExpression(text);
      const { at, edges, width, height } = layoutGraph(nodes, () => [100, 60]);
      const ids = new Map(nodes.map((node, i) => [node, i]));
      return {
        width, height,
        boxes: nodes.map((node) => [at.get(node).x, at.get(node).y]),
        lines: edges.map((e) => [ids.get(e.child), ids.get(e.parent), e.path]),
      };
    });"""
    texts = [HAND, EARLY, MUSEUM, "a * a", "x", *(Writer(seed).text() for seed in (3, 4, 5, 6))]
    kept = [text for text in texts if isinstance(script("return graphOf(x);", text), dict)]
    assert len(kept) > 6
    for drawing in script(body, kept):
        boxes = drawing["boxes"]
        for i, (x, y) in enumerate(boxes):
            assert 0 <= x <= drawing["width"] - 100 and 30 <= y <= drawing["height"] - 30
            for other_x, other_y in boxes[:i]:
                assert abs(x - other_x) >= 100 or abs(y - other_y) >= 60
        for child, parent, path in drawing["lines"]:
            assert path[0] == [boxes[child][0] + 100, boxes[child][1]]
            assert path[-1][0] == boxes[parent][0]
            assert [x for x, _ in path] == sorted(x for x, _ in path)
            for x, y in path[1:-1]:  # where the line passes a layer
                assert not any(bx <= x <= bx + 100 and abs(y - by) < 30 for bx, by in boxes)


def test_lines_cross_as_little_as_they_can(script):
    body = """
      const { nodes } = evaluateExpression(x);
      const { edges } = layoutGraph(nodes, () => [100, 60]);
      return edges.map(({ path }) => path);"""
    paths = script(body, "a*b + c*d + e*f + g*h")
    pieces = [piece for path in paths for piece in zip(path, path[1:])]
    crossings = sum(
        (p[0][1] - q[0][1]) * (p[1][1] - q[1][1]) < 0
        for i, p in enumerate(pieces)
        for q in pieces[:i]
        if p[0][0] == q[0][0] and p[1][0] == q[1][0]
    )
    assert crossings == 0


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "0.000"), (-0.0, "0.000"), (-0.00001, "-1.00e-5"), (1.23456, "1.235"),
        (1234567.0, "1.23e+6"), (math.inf, "inf"), (-math.inf, "-inf"), (math.nan, "NaN"),
    ],
)  # fmt: skip
def test_numbers_are_written_with_three_decimals(script, number, text):
    assert script("return fixedNumber(x);", number) == text


# --- the view ---


@pytest.fixture
def view(explorer_page):
    """view(text) opens the playground, with an expression or with its first example."""

    def open_view(text="", **options):
        return explorer_page(f"autodiff/{quote(text)}" if text else "autodiff", **options)

    return open_view


def row(page, name):
    """What the table of variables says of one: [value, grad, by nudging]."""
    cells = page.locator(".autodiff-variables tr", has=page.get_by_role("rowheader", name=name))
    return cells.locator(".autodiff-number").all_text_contents()


def button(page, name):
    return page.get_by_role("button", name=name, exact=True)


def sentences(page):
    return page.locator(".autodiff-sentences li").all_text_contents()


def test_the_view_opens_with_the_lesson_example(view):
    page = view()
    assert row(page, "a") == ["2.000", "16.000", "16.000"]
    assert row(page, "b") == ["-3.000", "-16.000", "-16.000"]
    graph = page.get_by_role("img", name="The graph of L")
    assert graph.locator(".autodiff-title").all_text_contents() == [
        "a", "b", "c = a * b", "d = c + a", "L = d ** 2",
    ]  # fmt: skip
    page.get_by_text("All nodes as a table").click()
    nodes = page.get_by_role("table", name="The nodes of the graph")
    assert nodes.get_by_role("row", name="d c + a -4.000 -8.000").is_visible()


def test_typing_an_expression_and_making_a_mistake(view):
    page = view()
    text = page.get_by_role("textbox", name="Expression")
    text.fill("x * y")
    assert row(page, "x") == ["2.000", "3.000", "3.000"]
    assert row(page, "y") == ["3.000", "2.000", "2.000"]
    text.fill("x * y +")
    problem = page.locator("#autodiff-problem")
    assert problem.text_content() == "a number or a name is missing at character 8"
    assert text.get_attribute("aria-invalid") == "true"
    assert page.locator("#announcer").text_content() == problem.text_content()
    text.fill("x * y + 1")
    assert problem.text_content() == "" and text.get_attribute("aria-invalid") == "false"


def test_a_text_in_the_address_is_text(view):
    page = view("<img src=x onerror=alert(1)>")
    assert page.locator("#autodiff-problem").text_content() == "unexpected < at character 1"
    assert page.locator("#view img").count() == 0
    for name in ("First", "Next", "Play", "One step downhill"):
        button(page, name).click()  # there is no graph, and nothing happens


def test_another_address_brings_another_expression(view):
    page = view("x = 2; x ** 3")
    assert row(page, "x") == ["2.000", "12.000", "12.000"]
    page.evaluate("() => { location.hash = 'autodiff/x%20*%205%20%2B%201'; }")
    page.get_by_text("v2 = v1 + 1").wait_for()
    assert page.get_by_role("textbox", name="Expression").input_value() == "x * 5 + 1"
    assert row(page, "x") == ["2.000", "5.000", "5.000"]


def test_a_slider_changes_text_numbers_and_gradients(view):
    page = view("a = 3; a * a * k")
    slider = page.get_by_role("slider", name="value of a")
    slider.focus()
    slider.press("ArrowRight")
    number = float(row(page, "a")[0])
    assert 3 < number < 3.3
    text = page.get_by_role("textbox", name="Expression").input_value()
    assert text == f"a = {number:g}; a * a * k"
    assert row(page, "a")[1:] == [f"{4 * number:.3f}"] * 2
    page.get_by_role("slider", name="value of k").press("End")  # k is not set in the text
    assert row(page, "k") == ["5.000", f"{number**2:.3f}", f"{number**2:.3f}"]
    assert page.get_by_role("textbox", name="Expression").input_value() == text
    told = page.locator("#announcer", has_text=f"gradient of k {number**2:.3f}")
    told.wait_for(state="attached")


def test_a_slider_stops_where_the_expression_ends(view):
    page = view("x = 1; log(x)")
    page.get_by_role("slider", name="value of x").press("Home")
    problem = page.locator("#autodiff-problem").text_content()
    expected = "log of -5: only numbers above 0 have a logarithm at character 8"
    assert problem == f"x = -5: {expected}"
    assert page.get_by_role("textbox", name="Expression").input_value() == "x = 1; log(x)"


def test_a_box_can_be_dragged(view):
    page = view("x = 1; x ** 2")
    box = page.locator("[data-variable=x] rect").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 60, y, steps=3)
    page.mouse.move(x + 120, y, steps=3)
    page.mouse.up()
    page.mouse.move(x, y)  # this is no dragging any more
    assert row(page, "x") == ["3.000", "6.000", "6.000"]


def test_walking_back_step_by_step(view):
    page = view()
    button(page, "First").click()
    assert sentences(page) == ["Forward is done: L = 16.000. All gradients are 0."]
    assert row(page, "a")[1] == "0.000"
    for _ in range(3):
        button(page, "Next").click()
    assert sentences(page)[0] == "Turn 2 of 3: d = c + a passes on its gradient, -8.000."
    assert sentences(page)[2].endswith("Gradient of a: 0.000 + (-8.000) = -8.000.")
    assert sentences(page)[0] in page.locator("#announcer").text_content()
    assert page.locator(".autodiff-turn .autodiff-title").all_text_contents() == ["d = c + a"]
    assert page.locator(".autodiff-passing text").all_text_contents() == ["-8.000", "-8.000"]
    assert row(page, "a") == ["2.000", "-8.000", "16.000"]
    button(page, "Next").press("Enter")
    assert sentences(page)[1] == (
        "To a: -3.000 (the other factor, b) × (-8.000) = 24.000. "
        "Gradient of a: -8.000 + 24.000 = 16.000."
    )
    assert button(page, "Next").get_attribute("aria-disabled") == "true"
    button(page, "Next").press("Enter")
    assert row(page, "a") == ["2.000", "16.000", "16.000"]
    button(page, "Back").click()
    assert row(page, "a")[1] == "-8.000"


def test_the_graph_scrolls_to_the_node_whose_turn_it_is(view):
    page = view(viewport={"width": 360, "height": 800})
    button(page, "First").click()
    right_end = page.locator(".autodiff-scroll").bounding_box()["x"] + 328
    for _ in range(2):
        button(page, "Next").click()
    turn = page.locator(".autodiff-turn").bounding_box()
    assert 0 < turn["x"] < turn["x"] + turn["width"] < right_end
    assert page.evaluate("() => scrollX") == 0


def test_playing_ends_at_the_last_step(view):
    page = view(is_new=True)  # a clock stays in its context
    page.clock.install(time=0)
    page.clock.pause_at(1)  # else it goes on while the clicks wait for a busy machine
    button(page, "Play").click()
    assert button(page, "Pause").is_visible()
    assert page.locator(".autodiff-counter").text_content() == "step 0 of 4"
    for _ in range(4):
        page.clock.run_for(1600)
    assert page.locator(".autodiff-counter").text_content() == "step 4 of 4"
    assert button(page, "Play").is_visible()


def test_a_wrong_order_is_seen_in_the_nudges(view):
    page = view()
    page.get_by_role("combobox", name="Example").select_option(
        "Why sort? A walk that does not wait"
    )
    assert row(page, "x") == ["3.000", "1.000", "≠ 6.000"]
    button(page, "sorted, as in engine.py").click()
    assert row(page, "x") == ["3.000", "6.000", "6.000"]
    assert button(page, "sorted, as in engine.py").evaluate("(b) => b === document.activeElement")


def test_gradient_descent_changes_the_ticked_variables(view):
    page = view()
    button(page, "One step downhill").click()
    outcome = page.locator(".autodiff-outcome p")
    assert outcome.text_content() == "Step 1: the result fell from 16.000 to 11.462."
    text = page.get_by_role("textbox", name="Expression").input_value()
    assert text.startswith("a = 1.84; b = -2.84\n")
    page.get_by_role("checkbox", name="b").uncheck()
    button(page, "One step downhill").click()
    assert row(page, "b")[0] == "-2.840" and row(page, "a")[0] != "1.840"
    assert page.get_by_role("img", name="The result at each step: 16.000, 11.462, ").is_visible()
    page.get_by_role("checkbox", name="a").uncheck()
    button(page, "One step downhill").click()
    assert page.locator("#autodiff-problem").text_content() == "no step: tick a variable first"


def test_every_example_works(view):
    page = view()
    example = page.get_by_role("combobox", name="Example")
    titles = example.locator("option:not([disabled])").all_text_contents()
    assert len(titles) > 8
    for title in titles:
        example.select_option(title)
        assert page.locator("#autodiff-problem").text_content() == ""
        assert page.locator("p.autodiff-look").last.text_content()
        differs = "≠" in page.locator(".autodiff-variables").text_content()
        assert differs == title.startswith("Why sort?")
    page.get_by_role("textbox", name="Expression").fill("1 + x")
    assert example.evaluate("(select) => select.value") == "your own"


def test_the_other_lesson_numbers(view):
    page = view()
    example = page.get_by_role("combobox", name="Example")
    for title, result in [("A neuron", "0.245"), ("The loss of a point, from the lesson", "0.127")]:
        example.select_option(title)
        assert page.locator(".autodiff-data").last.text_content() == f"data {result}"
