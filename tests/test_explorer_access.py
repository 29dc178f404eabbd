"""The explorer's page for those who use a keyboard, a screen reader, a phone or high contrast."""

import re

import pytest

from explorer.page import PAGE

VIEWS = re.findall(
    r'View = \{ id: "(\w+)"',
    "".join(path.read_text(encoding="utf-8") for path in sorted(PAGE.glob("view_*.js"))),
)
CONTROLS = {
    "button", "checkbox", "combobox", "link", "listbox", "radio", "searchbox", "slider",
    "spinbutton", "switch", "tab", "textbox", "DisclosureTriangle",
}  # fmt: skip
PICTURES = {"image", "img", "graphics-document"}
TEXTS = ("ink", "soft", "accent", "good", "bad", "positive", "negative")
NORMAL, LARGE = 4.5, 3.0  # the least contrast of text and of what else has to be seen (WCAG 2.2)

CONTRAST = """
const canvas = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
const pixel = (colour) => {
  canvas.clearRect(0, 0, 1, 1);
  canvas.fillStyle = colour;
  canvas.fillRect(0, 0, 1, 1);
  return [...canvas.getImageData(0, 0, 1, 1).data];
};
const light = ([r, g, b]) => {
  const linear = [r, g, b].map((c) => c / 255).map((c) =>
    c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
  return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2];
};
const over = (top, below) => top.slice(0, 3).map((c, i) =>
  (c * top[3] + below[i] * (255 - top[3])) / 255);
const contrast = (a, b) => {
  const [low, high] = [light(a), light(b)].sort((x, y) => x - y);
  return (high + 0.05) / (low + 0.05);
};
// What is painted behind an element, as far as backgrounds tell.
const behind = (node) => {
  if (!node) return pixel(getComputedStyle(document.body).backgroundColor);
  const own = pixel(getComputedStyle(node).backgroundColor);
  return own[3] === 255 ? own : over(own, behind(node.parentElement));
};
"""


@pytest.fixture(scope="module")
def opened(browser, explorer_file):
    """Each view, opened once: {view: page}."""
    context = browser.new_context()
    pages = {}
    for name in VIEWS:
        pages[name] = context.new_page()
        pages[name].goto(f"{explorer_file.as_uri()}#{name}")
    for page in pages.values():
        page.wait_for_selector("html[data-ready]")
    page.wait_for_timeout(300)  # some views go on computing in the background
    yield pages
    context.close()


@pytest.fixture(params=VIEWS)
def view(request, opened):
    """view(width=..., color_scheme="dark") is the page of a view, for each of the views."""

    def show(width=1280, color_scheme="light", reduced_motion="no-preference"):
        page = opened[request.param]
        page.set_viewport_size({"width": width, "height": 900})
        page.emulate_media(color_scheme=color_scheme, reduced_motion=reduced_motion)
        return page

    return show


def accessibility_tree(page):
    """What Chromium tells a screen reader: {role, name, ...properties} of each node."""
    session = page.context.new_cdp_session(page)
    nodes = session.send("Accessibility.getFullAXTree")["nodes"]
    return [
        {
            "role": node["role"]["value"],
            "name": node.get("name", {}).get("value", "").strip(),
            **{p["name"]: p["value"].get("value") for p in node.get("properties", [])},
        }
        for node in nodes
        if not node["ignored"]
    ]


# --- colours ---


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_colours_can_be_told_apart_on_both_grounds(explorer_page, theme):
    grounds = ("ground", "panel")
    least = {(text, ground): NORMAL for text in TEXTS for ground in grounds}
    least |= {("edge", ground): LARGE for ground in grounds}
    least["ground", "accent"] = NORMAL  # a pressed button
    found = explorer_page(color_scheme=theme).evaluate(
        f"""(pairs) => {{ {CONTRAST}
        const probe = document.body.appendChild(document.createElement("i"));
        const pixelOf = (name) => {{
          probe.style.color = `var(--${{name}})`;
          return pixel(getComputedStyle(probe).color);
        }};
        return pairs.map(([a, b]) => contrast(pixelOf(a), pixelOf(b)));
        }}""",
        list(least),
    )
    assert {pair: ratio for pair, ratio in zip(least, found) if ratio < least[pair]} == {}


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_all_text_of_a_view_can_be_read(view, theme):
    page = view(color_scheme=theme)
    pale = page.evaluate(f"""() => {{ {CONTRAST}
      const bad = new Set();
      const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
      while (walker.nextNode()) {{
        const node = walker.currentNode.parentElement;
        if (!walker.currentNode.data.trim()) continue;
        if (node.closest("svg, script, noscript, option, .unseen")) continue;
        if (!node.checkVisibility({{ opacityProperty: true, visibilityProperty: true }})) continue;
        const style = getComputedStyle(node);
        const ground = behind(node);
        const ratio = contrast(over(pixel(style.color), ground), ground);
        const size = parseFloat(style.fontSize);
        const isLarge = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
        if (ratio < (isLarge ? {LARGE} : {NORMAL}) - 0.01)
          bad.add(`${{node.localName}}.${{node.className}} ${{ratio.toFixed(2)}}: ` +
            walker.currentNode.data.trim().slice(0, 30));
      }}
      return [...bad];
    }}""")
    assert pale == []


# --- names and structure ---


def test_every_control_and_picture_has_a_name(view):
    nodes = accessibility_tree(view())
    controls = [node for node in nodes if node["role"] in CONTROLS]
    pictures = [node for node in nodes if node["role"] in PICTURES]
    assert len(controls) > len(VIEWS)
    assert [node for node in controls + pictures if not node["name"]] == []
    focusable = [node for node in nodes if node.get("focusable") and node["role"] != "RootWebArea"]
    assert [node for node in focusable if not node["name"] and node["role"] != "main"] == []


def test_controls_of_a_view_can_be_told_apart(view):
    nodes = accessibility_tree(view())
    names = [
        (n["role"], n["name"]) for n in nodes if n["role"] in ("slider", "textbox", "combobox")
    ]
    assert sorted(names) == sorted(set(names))


def test_headings_go_down_one_level_at_a_time(view):
    headings = [n for n in accessibility_tree(view()) if n["role"] == "heading"]
    levels = [node["level"] for node in headings]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(node["name"] for node in headings)
    assert all(below <= above + 1 for above, below in zip(levels, levels[1:])), headings


def test_the_page_has_landmarks_and_no_id_twice(view):
    page = view()
    roles = [node["role"] for node in accessibility_tree(page)]
    assert roles.count("main") == roles.count("navigation") == roles.count("banner") == 1
    assert page.locator("html").get_attribute("lang") == "en"
    ids = page.evaluate("() => [...document.querySelectorAll('[id]')].map((node) => node.id)")
    assert sorted(ids) == sorted(set(ids))


def test_tables_say_what_their_rows_and_columns_are(view):
    page = view()
    faults = page.evaluate("""() => [...document.querySelectorAll("table")].flatMap((table) => {
      const faults = [];
      const heads = [...table.querySelectorAll("th")];
      if (!heads.length || heads.some((head) => !head.scope)) faults.push("a th without scope");
      const name = table.caption?.textContent || table.ariaLabel ||
        table.getAttribute("aria-labelledby");
      if (!name) faults.push("no caption");
      return faults.map((fault) => `${table.className}: ${fault}`);
    })""")
    assert faults == []


def test_nothing_says_more_by_aria_than_it_is(view):
    """A role on an element that does not take the focus cannot be used by keyboard."""
    dead = view().evaluate("""() => [...document.querySelectorAll(
        "[role=button], [role=slider], [role=checkbox], [role=radio], [role=tab], [onclick]")]
      .filter((node) => node.tabIndex < 0 && !node.closest("[role=group], [role=radiogroup], " +
        "[role=grid], [role=tablist], svg")).map((node) => node.outerHTML.slice(0, 80))""")
    assert dead == []


# --- keyboard ---


def test_the_first_key_leads_past_the_tabs(explorer_page):
    page = explorer_page("word")
    page.keyboard.press("Tab")
    skip = page.get_by_role("link", name="Skip to the view")
    assert skip.evaluate("(link) => link === document.activeElement")
    assert skip.bounding_box()["x"] >= 0
    page.keyboard.press("Enter")
    assert page.evaluate("() => document.activeElement.id") == "view"
    assert "word" in page.evaluate("() => document.querySelector('[aria-current]').href")
    page.keyboard.press("Tab")
    assert page.evaluate("() => document.getElementById('view').contains(document.activeElement)")


def test_tab_goes_through_a_view_in_its_order_and_out_again(view):
    page = view()
    stops = []
    for _ in range(400):
        page.keyboard.press("Tab")
        stop = page.evaluate("""() => {
          const node = document.activeElement;
          if (node === document.body || node === null) return null;
          const style = getComputedStyle(node);
          const all = [...document.querySelectorAll("*")];
          return [all.indexOf(node), style.outlineStyle !== "none", node.outerHTML.slice(0, 80)];
        }""")
        if stop is None or (stops and stop[0] <= stops[-1][0] and stop[0] == stops[0][0]):
            break
        stops.append(stop)
    else:
        pytest.fail(f"the focus does not leave the view: {stops[-3:]}")
    places = [place for place, _, _ in stops]
    assert len(places) > len(VIEWS)
    assert places == sorted(places)
    assert [html for _, is_seen, html in stops if not is_seen] == []


def test_another_view_has_its_title_and_its_tab(explorer_page):
    page = explorer_page()
    for tab in page.get_by_role("navigation").get_by_role("link").all():
        tab.focus()
        page.keyboard.press("Enter")
        page.locator(f"#tabs a[aria-current]:text-is('{tab.text_content()}')").wait_for()
        assert page.title().startswith(tab.text_content())


def test_the_theme_can_be_chosen_by_keyboard_and_stays(explorer_page):
    page = explorer_page(color_scheme="light")
    ground = "() => getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(ground)
    page.get_by_role("button", name="Dark").press("Enter")
    dark = page.evaluate(ground)
    assert dark != light
    page.wait_for_timeout(500)  # Chromium writes its storage a moment later
    page.reload()
    page.wait_for_selector("html[data-ready]")
    assert page.evaluate(ground) == dark
    page.get_by_role("button", name="Light").press("Enter")
    assert page.evaluate(ground) == light


# --- screens and settings ---


@pytest.mark.parametrize("width", [320, 360, 768])
def test_a_view_is_as_wide_as_the_screen(view, width):
    page = view(width=width)
    wide = page.evaluate("""() => document.documentElement.scrollWidth <= innerWidth ? [] :
      [...document.querySelectorAll("main *")].filter((node) =>
        node.getBoundingClientRect().right > innerWidth + 1 &&
        !node.parentElement.closest(".scroll, svg, .unseen")).map((node) =>
        node.outerHTML.slice(0, 100))""")
    assert wide == []
    assert page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")


def test_nothing_moves_for_those_who_do_not_want_it(view):
    page = view(reduced_motion="reduce")
    moving = page.evaluate("""() => [...document.querySelectorAll("*")].filter((node) => {
      const style = getComputedStyle(node);
      return parseFloat(style.transitionDuration) > 0 || style.animationName !== "none" ||
        style.scrollBehavior === "smooth";
    }).map((node) => node.outerHTML.slice(0, 80))""")
    assert moving == []
    assert page.evaluate("() => document.getAnimations().length") == 0


def test_high_contrast_keeps_bars_and_pressed_buttons(explorer_page):
    different = """(node) => getComputedStyle(node).backgroundColor !==
      getComputedStyle(document.body).backgroundColor"""
    page = explorer_page("next", forced_colors="active")
    assert page.locator(".bar > span").first.evaluate(different)
    page = explorer_page("autodiff", forced_colors="active")
    assert page.locator("button[aria-pressed=true]").evaluate(different)
    box = page.locator(".autodiff-node rect").first
    text = page.locator(".autodiff-node text").first
    paint = "(node) => getComputedStyle(node).fill"
    assert box.evaluate(paint) != text.evaluate(paint)


def test_on_paper_a_dark_page_is_light(explorer_page):
    page = explorer_page("next", color_scheme="dark")
    page.get_by_role("button", name="Light").click()
    page.get_by_role("button", name="Dark").click()
    page.emulate_media(media="print", color_scheme="dark")
    assert page.evaluate("() => getComputedStyle(document.body).backgroundColor") == (
        "rgb(255, 255, 255)"
    )
    assert not page.get_by_role("navigation").is_visible()
    assert page.locator("main article").first.is_visible()


def test_small_buttons_are_large_enough_for_a_finger(view):
    page = view(width=360)
    small = page.evaluate("""() => [...document.querySelectorAll(
        "button, select, textarea, input:not([type=checkbox], [type=radio]), #tabs a")]
      .filter((node) => node.checkVisibility()).map((node) => [node, node.getBoundingClientRect()])
      .filter(([, box]) => box.height < 24 && box.width > 0 || box.width > 0 && box.width < 24)
      .map(([node, box]) => `${box.width} x ${box.height}: ${node.outerHTML.slice(0, 80)}`)""")
    assert small == []
