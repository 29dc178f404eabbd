"""The website: every page is in it, says the same as its Markdown, and asks nobody for anything."""

import posixpath
import re
from functools import partial
from html.parser import HTMLParser
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import unquote, urlsplit

import pytest
from fontTools.ttLib import TTFont
from markdown import Markdown
from markdown_it import MarkdownIt

import build_site
from stages import ROOT

PAGES = [ROOT / "README.md", *sum(build_site.sections().values(), [])]
NAMES = [page.relative_to(ROOT).as_posix() for page in PAGES]
SHOWN = {"h1", "h2", "h3", "h4", "li", "ol", "table", "th", "td", "pre", "summary"}
BLOCKS = SHOWN | {"p", "ul", "tr", "br"}  # whether a list's item has a paragraph does not show
POLICY = """http-equiv="Content-Security-Policy" content="default-src 'self';"""
CODE_OR_FORMULA = re.compile(
    r"(?P<indent>^ *)```(?!math\n).*?^(?P=indent)```$|(?<!\$)`[^`]+`"
    r"|(?P<formula>^ *```math\n.*?^ *```$|\$`[^`]+`\$|\$[^$`]+\$)",
    re.M | re.S,
)
EXPLORER = "<!doctype html><html><head><title>Explorer</title></head><body></body></html>"


def in_site(name):
    """04_embedding_mlp/README.md is 04_embedding_mlp/index.html."""
    return re.sub(r"(README|index)\.md$", "index.md", name)[: -len(".md")] + ".html"


class Page(HTMLParser):
    """A page of the site: its links, what it loads, its anchors and formulas, and its text."""

    def __init__(self, text):
        super().__init__()
        self.links, self.loads, self.ids, self.text = [], [], set(), []
        self.formulas, self.formula_characters = 0, set()
        self.inside = None  # a formula or the link of a heading, whose text the Markdown lacks
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        self.ids.add(values.get("id") or values.get("name"))
        if tag == "a" and "href" in values:
            self.links.append(values["href"])
        for key in ("src", "srcset", "data", "poster", "action"):
            if values.get(key):
                self.loads.append(values[key])
        if tag == "link":
            self.loads.append(values["href"])
        if tag == "math":
            self.formulas += 1
        if tag == "math" or values.get("class") == "headerlink":
            self.inside = tag
        if tag in BLOCKS:
            self.text.append(f" <{tag}> " if tag in SHOWN else " ")

    def handle_endtag(self, tag):
        if tag == self.inside:
            self.inside = None
        if tag in BLOCKS:
            self.text.append(" ")

    def handle_data(self, data):
        if self.inside == "math":
            self.formula_characters |= set(data)
        if not self.inside:
            self.text.append(data)

    def words(self):
        return "".join(self.text).split()


def article(html):
    return re.search(r"<article[^>]*>(.*?)</article>", html, re.S)[1]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    def write_explorer(docs):
        (docs / "explorer.html").write_text(EXPLORER, encoding="utf-8")
        return True

    folder = tmp_path_factory.mktemp("website") / "site"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(build_site, "write_explorer", write_explorer)
        assert build_site.build(folder)
    return folder


@pytest.fixture(scope="module")
def html(site):
    """The text of every page of the site: {name: text}."""
    pages = sorted(site.rglob("*.html"))
    return {path.relative_to(site).as_posix(): path.read_text(encoding="utf-8") for path in pages}


@pytest.fixture(scope="module")
def pages(html):
    return {name: Page(text) for name, text in html.items()}


# --- what is there ---


def test_every_page_of_the_project_is_in_the_site(html):
    own = {*ROOT.glob("*.md"), *ROOT.glob("[a-z0-9]*/README.md"), *ROOT.glob("docs/**/*.md")}
    names = {page.relative_to(ROOT).as_posix() for page in own}
    names = {name for name in names if not name.startswith(("my/", "out/", "site/"))}
    assert names == set(NAMES) and len(NAMES) == len(names)
    assert {in_site(name) for name in NAMES} <= html.keys()


def test_every_file_of_a_stage_is_in_the_site_in_full(html):
    for path in ROOT.glob("[0-9][0-9]_*/*.py"):
        page = Page(article(html[f"{path.relative_to(ROOT).as_posix()}.html"]))
        shown = "".join(page.text).split("<pre>")[1]
        source = path.read_text(encoding="utf-8")
        assert shown.strip() == source.strip(), path


@pytest.mark.parametrize("name", NAMES)
def test_a_page_says_what_its_markdown_says(html, name):
    text = (ROOT / name).read_text(encoding="utf-8")
    text = CODE_OR_FORMULA.sub(lambda match: "" if match["formula"] else match[0], text)
    expected = Page(MarkdownIt("commonmark").enable("table").render(text)).words()
    assert Page(article(html[in_site(name)])).words() == expected


# --- links and what a page asks for ---


def test_every_link_and_anchor_resolves(site, pages):
    count = 0
    for name, page in pages.items():
        for link in page.links + page.loads:
            if re.match(r"(https?|mailto|data):", link):
                continue
            parts = urlsplit(link)
            target = posixpath.normpath(posixpath.join(posixpath.dirname(name), parts.path))
            target = name if not parts.path else unquote(target)
            assert (site / target).is_file(), f"{name}: {link}"
            if parts.fragment and target.endswith(".html"):
                assert unquote(parts.fragment) in pages[target].ids, f"{name}: {link}"
            count += 1
    assert count > 1000


def test_no_page_asks_another_server(site, html, pages):
    for name, page in pages.items():
        foreign = [url for url in page.loads if re.match(r"([a-z]+:)?//", url)]
        assert not foreign, f"{name}: {foreign}"
        assert POLICY in html[name] or name == "explorer.html", name
    for path in site.rglob("*.css"):
        urls = re.findall(r"(?:url\(|@import )[\"']?([^\"')]+)", path.read_text(encoding="utf-8"))
        for url in urls:
            assert url.startswith("data:") or (path.parent / url).is_file(), f"{path}: {url}"


def test_the_menu_has_the_explorer_and_every_lesson(pages):
    links = set(pages["index.html"].links)
    assert "explorer.html" in links and "01_micrograd/index.html" in links
    lessons = {f"../{folder.name}/index.html" for folder in ROOT.glob("[0-9][0-9]_*")}
    assert lessons - {"../03_bigram_learned/index.html"} <= {
        *pages["03_bigram_learned/index.html"].links
    }


def test_the_search_finds_lessons_but_no_code(site):
    index = (site / "search" / "search_index.json").read_text(encoding="utf-8")
    assert "05_microgpt/index.html" in index and "GLOSSARY.html#softmax" in index
    assert ".py.html" not in index and "results/index" not in index


# --- formulas ---


def test_every_formula_is_mathml(pages):
    total = 0
    for name in NAMES:
        matches = CODE_OR_FORMULA.finditer((ROOT / name).read_text(encoding="utf-8"))
        count = sum(match["formula"] is not None for match in matches)
        assert pages[in_site(name)].formulas == count, name
        total += count
    assert total > 400


def test_the_font_has_every_character_of_a_formula(site, pages):
    font = TTFont(site / "math.woff")
    characters = set().union(*(page.formula_characters for page in pages.values()))
    assert {"∂", "∑", "π"} <= characters
    assert not {character for character in characters if ord(character) not in font.getBestCmap()}
    assert "MATH" in font and 50_000 < (site / "math.woff").stat().st_size < 300_000
    assert "Open Font License" in font["name"].getDebugName(13)


@pytest.mark.parametrize(
    "markdown, shown",
    [
        ("cost $x_1 + y_1$ and $z$", 2),
        ("a set $`\\{a, b\\}`$ of two", 1),
        ("$5 and 6$7", 0),
        ("`$a$` is code", 0),
        ("a * b $c * d$ e * f", 1),
    ],
)
def test_what_is_a_formula(markdown, shown):
    page = Markdown(extensions=[build_site.Mathematics()]).convert(markdown)
    assert page.count("<math>") == shown and "<em>" not in page


def test_a_list_keeps_what_is_indented_below_it():
    text = "1. one\n   two\n\n   ```\n   - code\n   ```\n2. three\n- a\n  b\nc\n   d\n"
    expected = "1. one\n    two\n\n    ```\n    - code\n    ```\n\n2. three\n- a\n    b\nc\n   d\n"
    assert build_site.indent_lists(text) == expected
    code = "- a\n\n```\n- x\n  y\n```\n"
    assert build_site.indent_lists(code) == code


# --- what can go wrong ---


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project with a single page and a site from before."""
    root = tmp_path / "project"
    (tmp_path / "outside.md").write_text("# Outside\n", encoding="utf-8")
    (root / "site").mkdir(parents=True)
    (root / "site" / "index.html").write_text("old", encoding="utf-8")
    monkeypatch.setattr(build_site, "ROOT", root)
    monkeypatch.setattr(build_site, "write_explorer", lambda docs: False)
    return root


@pytest.mark.parametrize(
    "page, problem",
    [
        ("[a](#nowhere)", "nowhere"),
        ("[a](missing.md)", "missing.md"),
        ("[a](missing.py)", "missing.py"),
        ("![a](missing.png)", "missing.png"),
        ("[a](../outside.md)", "outside.md"),
        ("a $\\nonsense$", "nonsense"),
    ],
)
def test_an_error_names_the_place_and_leaves_the_old_site(project, capfd, caplog, page, problem):
    (project / "README.md").write_text(f"# Title\n\n{page}\n", encoding="utf-8")
    assert build_site.main() == 2
    printed = capfd.readouterr().err + caplog.text
    assert problem in printed and "README.md" in printed and "Traceback" not in printed
    assert (project / "site" / "index.html").read_text(encoding="utf-8") == "old"


def test_a_site_without_the_explorer_says_so(project, capfd):
    (project / "README.md").write_text("# Title\n\ntext\n", encoding="utf-8")
    assert build_site.main() == 0
    assert "without the explorer" in capfd.readouterr().err
    page = Page((project / "site" / "index.html").read_text(encoding="utf-8"))
    assert "explorer.html" not in page.links and "text" in page.words()


def test_what_the_explorer_says_is_shown(tmp_path, monkeypatch, capfd):
    explorer = tmp_path / "tools" / "explorer" / "__main__.py"
    explorer.parent.mkdir(parents=True)
    monkeypatch.setattr(build_site, "ROOT", tmp_path)
    explorer.write_text("import sys; print('written to', sys.argv[-1]); print(sys.argv[1:3])")
    assert build_site.write_explorer(tmp_path)
    printed = capfd.readouterr().out.replace("\\", "/").splitlines()
    assert printed == ["written to site/explorer.html", "['--no-open', '--out']"]
    explorer.write_text("raise SystemExit('no models')")
    assert not build_site.write_explorer(tmp_path)
    assert "no models" in capfd.readouterr().err


# --- in a browser ---


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, *words):
        pass


@pytest.fixture(scope="module")
def server(site):
    """The address of a server of the site's files."""
    handler = partial(QuietHandler, directory=str(site))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture
def open_page(browser, server):
    """open_page(name, width, scheme) opens a page. The test fails if a page reports an error or
    asks another server."""
    problems, contexts = [], []

    def open_page(name, width=1440, scheme="light"):
        viewport = {"width": width, "height": 900}
        contexts.append(browser.new_context(viewport=viewport, color_scheme=scheme))
        page = contexts[-1].new_page()
        page.on("console", lambda message: problems.append(f"{page.url}: {message.text}"))
        page.on("pageerror", lambda error: problems.append(f"{page.url}: {error}"))
        page.on("request", lambda request: asked.append(request.url))
        page.goto(f"{server}/{name}")
        return page

    asked = []
    yield open_page
    for context in contexts:
        context.close()
    assert not problems
    assert not [url for url in asked if not url.startswith((server, "data:"))]


@pytest.mark.slow
def test_no_page_is_wider_than_a_phone(open_page, server):
    page = open_page("index.html", width=360)
    for name in map(in_site, NAMES):
        page.goto(f"{server}/{name}", wait_until="domcontentloaded")
        assert page.evaluate("document.documentElement.scrollWidth") == 360, name


def test_the_search_of_the_site_finds_a_word(open_page):
    page = open_page("05_microgpt/index.html?q=softmax")
    page.wait_for_selector(".md-search-result__link")
    links = page.eval_on_selector_all(".md-search-result__link", "all => all.map(a => a.href)")
    assert any(re.search(r"GLOSSARY\.html.*#softmax$", link) for link in links)


def test_the_pages_follow_the_colours_of_the_system(open_page):
    colour = "getComputedStyle(document.body).backgroundColor"
    red = {}
    for scheme in ("light", "dark"):
        page = open_page("02_bigram_counts/index.html", scheme=scheme)
        red[scheme] = int(re.search(r"\d+", page.evaluate(colour))[0])
    assert red["light"] > 200 and red["dark"] < 60


def test_the_brackets_of_a_matrix_are_as_high_as_the_matrix(open_page):
    page = open_page("05_microgpt/index.html")
    page.evaluate("document.fonts.ready")
    heights = page.evaluate(
        """() => {
          const matrix = document.querySelector(".formula mtable");
          const height = (element) => element.getBoundingClientRect().height;
          return [height(matrix.previousElementSibling), height(matrix)];
        }"""
    )
    assert heights[0] > 0.8 * heights[1] > 20
