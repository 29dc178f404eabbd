"""The view "Copied or invented": edits, pieces, and the share of known names."""

import re
import shutil

import pytest

from explorer.export import collect
from explorer.page import build_page
from stages import load_stage


@pytest.fixture(scope="module")
def splits(explorer_out):
    names = load_stage("02_bigram_counts", "names")
    return names.load_splits(explorer_out.parent / "names.txt")


def open_name(explorer_page, name):
    page = explorer_page(f"copied/{name}")
    page.wait_for_selector(".copied-columns ol >> nth=1")
    return page


def edits(a, b):
    """The edit distance, by the definition."""
    row = list(range(len(b) + 1))
    for i, ch in enumerate(a, 1):
        last, row[0] = row[0], i
        for j, other in enumerate(b, 1):
            last, row[j] = row[j], min(last + (ch != other), row[j] + 1, row[j - 1] + 1)
    return row[-1]


@pytest.mark.parametrize("name", ["emmalina", "zq", "wolfeschlegel", "ava"])
def test_the_nearest_names_are_those_of_least_edits(explorer_page, splits, name):
    page = open_name(explorer_page, name)
    items = page.locator(".copied-columns article").nth(1).locator("li")
    distances = sorted(edits(name, other) for other in splits["train"] if other != name)
    assert items.count() == 6
    for i in range(6):
        label = items.nth(i).locator("[role=img]").get_attribute("aria-label")
        other, described = label.split(": ")
        distance = edits(name, other)
        assert other in splits["train"] and distance == distances[i]
        assert len(described.split(", ")) == distance
        assert items.nth(i).inner_text().endswith(f" {distance} edit{'s' * (distance != 1)}")
        kept = items.nth(i).locator("[role=img] > :not(del)").all_inner_texts()
        assert "".join(kept) == other
    note = page.locator(".copied-columns article").nth(1).locator(".note").first.inner_text()
    assert note.startswith(f"{distances.count(distances[0])} train name")


@pytest.mark.parametrize("name", ["emmalina", "zqx", "ava", "wolfeschlegel9"])
def test_pieces_are_as_few_and_as_long_as_can_be(explorer_page, splits, name):
    page = open_name(explorer_page, name)
    others = [other for other in splits["train"] if other != name]
    items = page.locator(".copied-columns article").first.locator("li")
    pieces = items.locator("strong").all_inner_texts()
    assert "".join(pieces) == name
    for i, piece in enumerate(pieces):
        holders = [other for other in others if piece in other]
        assert f"in {len(holders)} train name" in items.nth(i).inner_text()
        shown = items.nth(i).locator("bdi.copied-name").all_inner_texts()
        assert shown == holders[:3]
        if i + 1 < len(pieces):
            longer = piece + pieces[i + 1][0]
            assert not any(longer in other for other in others)


def test_the_split_of_a_name_is_told(explorer_page, splits):
    page = open_name(explorer_page, "emmalina")
    for split in ("train", "val", "test"):
        page.get_by_label("A name").fill(splits[split][0])
        page.wait_for_function(
            "t => document.querySelector('.copied-verdict').textContent.startsWith(t)",
            arg=f"{splits[split][0]} is in {split}",
        )
    page.get_by_label("A name").fill("zzzzz")
    page.wait_for_function(
        "() => document.querySelector('.copied-verdict').textContent.includes('invented')"
    )


def test_a_model_draws_a_name(explorer_page):
    page = open_name(explorer_page, "emmalina")
    drawn = []
    for _ in range(2):
        page.get_by_label("Seed").fill("3")
        page.get_by_role("button", name="counts").click()
        page.get_by_role("button", name="Draw a name").click()
        drawn.append(page.get_by_label("A name").input_value())
    assert drawn[0] == drawn[1] != "emmalina"


@pytest.mark.slow
def test_shares_at_six_temperatures_for_two_models(explorer_page):
    page = open_name(explorer_page, "emmalina")
    for model in ("counts", "MLP"):
        page.get_by_role("button", name=model).click()
        page.get_by_role("button", name="Draw 200 names").click()
        page.get_by_role("button", name="Draw 200 names").wait_for()
    rows = [
        row.locator("th, td").all_inner_texts()
        for row in page.locator(".copied-table tbody tr").all()
    ]
    assert [row[0] for row in rows] == ["counts"] * 6 + ["MLP"] * 6
    assert [row[1] for row in rows[:6]] == ["0.25", "0.50", "0.75", "1.00", "1.50", "2.00"]
    for row in rows:
        assert abs(sum(float(cell.rstrip(" %")) for cell in row[2:5]) - 100) < 0.01
        assert 1 <= int(row[5]) <= 200
    assert int(rows[0][5]) < int(rows[3][5])  # a low temperature repeats itself
    assert page.locator("svg.chart .series").count() == 2


def test_a_run_can_be_stopped(explorer_page):
    page = open_name(explorer_page, "emmalina")
    page.get_by_role("button", name="best").click()
    page.get_by_role("button", name="Draw 200 names").click()
    page.get_by_role("button", name="Stop").click()
    page.get_by_role("button", name="Draw 200 names").wait_for()
    assert page.get_by_text("stopped", exact=True).first.is_visible()


def test_a_page_without_names_says_how_to_add_them(counts_page):
    page = counts_page("copied")
    assert re.search(r"make explore ARGS=.*--data", page.locator("main").inner_text())


def test_32000_names_are_searched_within_a_second(explorer_page, explorer_out, tmp_path):
    shutil.copytree(explorer_out / "02_bigram_counts", tmp_path / "02_bigram_counts")
    data = tmp_path / "many.txt"
    letters = "abcdefghijklmnopqrstuvwxyz"
    names = [f"{a}{b}e{c}l{d}" for a in letters for b in letters for c in letters for d in "aeo"]
    data.write_text("\n".join(names[:40_000]), encoding="utf-8")
    path = tmp_path / "explorer.html"
    path.write_bytes(build_page(*collect(tmp_path, None, data))[0])
    page = explorer_page("copied/emmalina", path)
    page.wait_for_selector(".copied-columns ol >> nth=1")
    start = page.evaluate("performance.now()")
    page.get_by_label("A name").fill("abezlax")
    page.get_by_text("1 train name is 1 edit away.").wait_for()
    assert page.evaluate("performance.now()") - start < 3000  # other tests run beside this one


def test_nothing_in_it_is_wider_than_the_page(explorer_page):
    page = explorer_page(f"copied/{'wolfeschlegel' * 6}", viewport={"width": 360, "height": 800})
    page.wait_for_selector(".copied-columns ol >> nth=1")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
