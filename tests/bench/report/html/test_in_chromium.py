"""The page in a real browser: it sorts, filters and toggles, asks for nothing, and is readable to everybody."""

from __future__ import annotations

import shutil
import time

import pytest

from bench.records.store.runs import read_run
from bench.report.html import write_html
from bench.report.summary.summarise import summarise

playwright = pytest.importorskip("playwright.sync_api", reason="needs the package playwright: see CONTRIBUTING.md")

CHROMIUM = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
)
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium: apt-get install chromium"),
]


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture
def page(browser, finished, tmp_path):
    """The page of two models, opened from disk; `said` and `asked` are what the browser logs and asks for."""
    run = read_run(finished.run)
    path = write_html(run, summarise(run), tmp_path / "out" / "report.html")[0]
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    opened = context.new_page()
    opened.said, opened.asked = [], []
    opened.on("console", lambda message: opened.said.append(message.text))
    opened.on("pageerror", lambda error: opened.said.append(str(error)))
    opened.on("request", lambda request: opened.asked.append(request.url))
    opened.goto(path.as_uri())
    yield opened
    context.close()


def column(page, selector: str, number: int) -> list[str]:
    return page.locator(f"{selector} tbody tr:visible > :nth-child({number})").all_inner_texts()


def test_nothing_is_logged_and_nothing_is_asked_of_a_network(page):
    page.evaluate("for (const image of document.images) image.loading = 'eager'")
    page.wait_for_function("[...document.images].every(image => image.complete)")
    assert page.evaluate("[...document.images].filter(image => !image.naturalWidth).length") == 0
    assert page.said == []
    assert [url for url in page.asked if not url.startswith(("file:", "data:"))] == []


def test_a_click_on_a_heading_sorts_by_its_numbers_and_a_second_one_turns_it_round(page):
    table = '#overview table[data-tools="All rows"]'
    heading = page.locator(f"{table} th", has_text="end-to-end")
    assert column(page, table, 1) == ["better", "faster"]
    heading.locator("button").click()
    assert (column(page, table, 1), heading.get_attribute("aria-sort")) == (["faster", "better"], "ascending")
    heading.locator("button").press("Enter")
    assert (column(page, table, 1), heading.get_attribute("aria-sort")) == (["better", "faster"], "descending")


def test_rows_are_filtered_and_columns_chosen(page):
    table = '#overview table[data-tools="All rows"]'
    page.get_by_label("Filter rows").first.fill("FAST")
    assert column(page, table, 1) == ["faster"]
    assert page.get_by_text("1 of 2 rows").is_visible()
    page.locator("#overview summary", has_text="Columns").click()
    assert page.locator(f"{table} th", has_text="parameters").is_visible()
    page.locator("#overview fieldset").get_by_label("parameters").uncheck()
    assert not page.locator(f"{table} th", has_text="parameters").is_visible()


def test_a_cell_of_the_confusion_matrix_names_the_images_that_feed_it(page):
    cell = page.locator("#confusion-matrix td.has").first
    before = page.locator("#confusion-matrix caption").inner_text()
    cell.click()
    assert page.locator("#confusion-images li").count() > 0
    assert "shapes-test" in page.locator("#confusion-images").inner_text()
    page.get_by_label("Cells").select_option(label="pixels")
    assert page.locator("#confusion-matrix caption").inner_text() != before
    cells = page.locator("#confusion-matrix td").all_inner_texts()
    counts = page.evaluate("JSON.parse(document.getElementById('data').textContent).confusions[0].counts.flat()")
    assert [int(text.replace(",", "")) for text in cells] == counts
    page.locator("#confusion-matrix td").first.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.cellIndex") == 2


def test_every_image_is_in_a_table_that_sorts_and_filters(page):
    rows = page.locator("table.images tbody tr")
    assert rows.count() == 12
    page.locator("table.images th", has_text="faster").locator("button").click()
    values = [float(text) for text in column(page, "table.images", 3)]
    assert values == sorted(values)
    page.get_by_label("Filter images").fill("00007")
    assert rows.count() == 1
    page.locator("#images").get_by_label("Show").first.select_option(label="latency, ms")
    assert 3 < float(column(page, "table.images", 2)[0]) < 20


def test_images_show_predictions_errors_or_both_and_the_ground_truth_in_their_place(page):
    tile = page.locator(".tile.model").first
    assert (tile.locator(".prediction").is_visible(), tile.locator(".errors").is_visible()) == (True, False)
    page.locator("#example-tools").get_by_label("Show").select_option(label="errors")
    assert (tile.locator(".prediction").is_visible(), tile.locator(".errors").is_visible()) == (False, True)
    ground_truth = page.locator(".example").first.locator("img").nth(1).get_attribute("src")
    assert not tile.locator(".errors").get_attribute("src").endswith(ground_truth)
    tile.locator("button").press("Enter")
    assert tile.locator(".errors").get_attribute("src").endswith(ground_truth)
    assert tile.locator("button").get_attribute("aria-pressed") == "true"
    tile.locator("button").click()
    assert not tile.locator(".errors").get_attribute("src").endswith(ground_truth)


@pytest.fixture
def few(monkeypatch):
    """Of all images few are shown under every model; asked for before `page`."""
    monkeypatch.setattr("bench.report.html.gallery.MOST_IMAGES", 3)


def test_a_link_of_a_list_opens_an_image_that_is_folded_away(few, page):
    fold = page.locator("details:has(> .further)")
    assert fold.locator(".further:visible").count() == 0
    address = f"#{fold.locator('.further').first.get_attribute('id')}"
    page.locator(f".per-image a[href='{address}']").first.click()
    assert fold.locator(address).is_visible()


def test_a_name_as_long_as_a_path_is_whole_in_the_head_of_its_column(page):
    cut = page.evaluate("""() => {
        const head = document.querySelector('table.heat thead th:last-child');
        head.querySelector('button').textContent = 'framework/a_model_with_a_name_as_long_as_a_path';
        return head.scrollWidth - head.clientWidth;
    }""")
    assert cut <= 0


def test_models_and_kinds_of_images_are_chosen(page):
    page.locator("#example-tools summary").click()
    page.locator("#example-tools").get_by_label("better", exact=True).uncheck()
    assert page.locator('.tile.model[data-model="better"]:visible').count() == 0
    shown = page.locator(".example:visible").count()
    page.locator("#example-tools").get_by_label("Images").select_option(label="models disagree")
    assert 0 < page.locator(".example:visible").count() < shown


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(page, scheme):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="needs the package axe-playwright-python")
    page.emulate_media(color_scheme=scheme)
    found = axe.Axe().run(page).response["violations"]
    serious = {
        one["id"]: [node["html"][:200] for node in one["nodes"][:3]]
        for one in found
        if one["impact"] in ("serious", "critical")
    }
    assert serious == {}


def test_nothing_is_wider_than_a_telephone(page):
    page.set_viewport_size({"width": 390, "height": 844})
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_what_is_folded_away_is_open_in_print(page):
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.locator("details:not([open])").count() == 0
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert page.locator("details:not([open])").count() > 0


def test_the_page_opens_at_once(browser, finished, tmp_path):
    run = read_run(finished.run)
    path = write_html(run, summarise(run), tmp_path / "out" / "report.html", inline=True)[0]
    opened = browser.new_page()
    start = time.monotonic()
    opened.goto(path.as_uri())
    assert time.monotonic() - start < 10
    opened.close()


def test_a_thousand_rows_are_sorted_in_a_tenth_of_a_second(page):
    spent = page.evaluate("""() => {
        const table = document.querySelector('#overview table[data-tools="All rows"]');
        const body = table.tBodies[0];
        while (body.rows.length < 1000) {
            const copy = body.rows[0].cloneNode(true);
            copy.cells[2].textContent = Math.random().toFixed(3);
            body.append(copy);
        }
        document.body.offsetHeight;  // lays the page out
        const button = table.tHead.rows[0].cells[2].querySelector("button");
        const times = Array.from({ length: 5 }, () => {
            const start = performance.now();
            button.click();
            document.body.offsetHeight;
            return performance.now() - start;
        });
        const shown = [...body.rows].map((row) => parseFloat(row.cells[2].textContent));
        return [Math.min(...times), shown.every((value, i) => i === 0 || shown[i - 1] <= value)];
    }""")
    assert spent[1]
    assert spent[0] <= 100


def test_the_seeds_of_a_model_stay_below_its_mean_when_rows_are_sorted(page):
    order = page.evaluate("""() => {
        const table = document.querySelector('#overview table[data-tools="All rows"]');
        const [first, second] = table.tBodies[0].rows;
        first.cells[2].textContent = "0.5 ± 0.1";
        const seed = (name, value) => {
            const row = first.cloneNode(true);
            row.className = "seed";
            row.cells[0].textContent = name;
            row.cells[2].textContent = value;
            return row;
        };
        first.after(seed("seed 0", "0.9"), seed("seed 1", "0.1"));
        second.cells[2].textContent = "0.3";
        table.tHead.rows[0].cells[2].querySelector("button").click();
        return [...table.tBodies[0].rows].map((row) => row.cells[0].textContent);
    }""")
    assert order == ["faster", "better", "seed 1", "seed 0"]
