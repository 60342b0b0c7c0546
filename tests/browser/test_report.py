"""The report in a real browser: no error, no connection, and every button does what it says.

Needs Chromium and its driver (Debian: chromium, chromium-driver). Skips with the reason where they are not installed;
with CELLWRIGHT_BROWSER=required their absence is a failure.
"""

import json
import os
import runpy
import shutil
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import Select, WebDriverWait

from cellwright.report import report

pytestmark = pytest.mark.browser
BUILDER = runpy.run_path(str(Path(__file__).parents[1] / "report" / "study_folder.py"))
RESPONSES = runpy.run_path(str(Path(__file__).parents[1] / "report" / "response_folder.py"))
INTEGRATION = runpy.run_path(str(Path(__file__).parents[1] / "report" / "integration_folder.py"))
RECOVERY = runpy.run_path(str(Path(__file__).parents[1] / "report" / "recovery_folder.py"))
CLASSIFICATION = runpy.run_path(str(Path(__file__).parents[1] / "report" / "classification_folder.py"))
TISSUE = runpy.run_path(str(Path(__file__).parents[1] / "report" / "tissue_folder.py"))
TRAJECTORY = runpy.run_path(str(Path(__file__).parents[1] / "report" / "trajectory_folder.py"))
OPTIONS = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=1280,900",
]
HOSTILE = ("</script><script>document.title='hit'</script>", "<img src=x onerror=\"document.title='hit'\">")


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not (chromium and driver):
        reason = "no browser: install Debian's chromium and chromium-driver"
        if os.environ.get("CELLWRIGHT_BROWSER") == "required":
            pytest.fail(reason)
        pytest.skip(reason)
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for option in [*OPTIONS, f"--user-data-dir={tmp_path_factory.mktemp('chromium')}"]:
        options.add_argument(option)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    session = webdriver.Chrome(options=options, service=Service(driver))
    yield session
    session.quit()


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    return BUILDER["write_study"](tmp_path_factory.mktemp("browser") / "study")


@pytest.fixture
def page(browser, study):
    open_page(browser, report(study))
    return browser


def open_page(browser, path):
    browser.get_log("browser")
    browser.get_log("performance")
    browser.get(path.as_uri())
    WebDriverWait(browser, 20).until(
        lambda b: b.execute_script(
            "const all = [...document.querySelectorAll('.canvas')];"
            "return all.length > 0 && all.every(div => div.data && div.querySelector('.main-svg'))"
        )
    )


def first_column(browser):
    return browser.execute_script(
        "return [...document.querySelector('table.leaderboard').tBodies[0].rows].map(row => row.cells[0].dataset.value)"
    )


def click(browser, selector, text=None):
    found = browser.find_elements(By.CSS_SELECTOR, selector)
    button = next(element for element in found if text is None or element.text == text)
    browser.execute_script("arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", button)
    button.click()


def test_nothing_is_logged_as_an_error(page):
    assert [entry for entry in page.get_log("browser") if entry["level"] == "SEVERE"] == []


def test_nothing_but_the_file_is_asked_for(page):
    events = [json.loads(entry["message"])["message"] for entry in page.get_log("performance")]
    asked = [e["params"]["request"]["url"] for e in events if e["method"] == "Network.requestWillBeSent"]
    assert [url for url in asked if not url.startswith("data:")] == [page.current_url]


def test_every_figure_is_drawn(page, study):
    drawn = page.execute_script("return [...document.querySelectorAll('.canvas')].map(div => div.data.length)")
    assert len(drawn) == 5
    assert min(drawn) > 0


def test_a_heading_sorts_best_first_and_then_the_other_way_failures_last(page):
    assert first_column(page) == ["vae", "gnn", "pca", "ae", "gan"]
    click(page, "table.leaderboard thead button", "time")
    assert first_column(page) == ["pca", "ae", "vae", "gnn", "gan"]
    click(page, "table.leaderboard thead button", "time")
    assert first_column(page) == ["gnn", "vae", "ae", "pca", "gan"]
    click(page, "table.leaderboard thead button", "model")
    assert first_column(page) == ["ae", "gnn", "pca", "vae", "gan"]
    assert page.find_element(By.CSS_SELECTOR, "table.leaderboard th[aria-sort]").text == "model"


def test_the_toggle_shows_the_scores_of_held_out_cells(page):
    """Of its own table; that of the other task, which has no such scores, stays as it is."""
    views = page.find_elements(By.CSS_SELECTOR, ".view")
    assert [view.is_displayed() for view in views] == [True, False, True]
    click(page, "button[data-block]", "Held-out cells")
    assert [view.is_displayed() for view in views] == [False, True, True]


def test_the_colour_buttons_change_the_traces_of_all_maps(page):
    names = "return document.querySelector('#latent .canvas').data.map(trace => trace.name)"
    labels = set(BUILDER["Names"]().labels)
    assert set(page.execute_script(names)) == labels
    click(page, "#latent .buttons button", "by batch")
    assert set(page.execute_script(names)) == set(BUILDER["Names"]().batches)
    assert page.find_element(By.CSS_SELECTOR, "#latent button[aria-pressed='true']").text == "by batch"


def test_every_cell_is_a_point_whatever_the_colour(page):
    count = "return document.querySelector('#latent .canvas').data.reduce((n, trace) => n + trace.x.length, 0)"
    for view in ("by cluster", "by batch", "by label"):
        click(page, "#latent .buttons button", view)
        assert page.execute_script(count) == 4 * 700


def test_maps_are_drawn_by_webgl_where_the_browser_has_it(page):
    has = "return document.createElement('canvas').getContext('webgl') !== null"
    kinds = "return [...new Set(document.querySelector('#latent .canvas').data.map(trace => trace.type))]"
    assert page.execute_script(kinds) == (["scattergl"] if page.execute_script(has) else ["scatter"])
    assert "WebGL is not supported" not in page.find_element(By.ID, "latent").text


def test_the_legend_has_each_category_once(page):
    traces = "return document.querySelector('#latent .canvas').data"
    shown = page.execute_script(f"{traces}.filter(trace => trace.showlegend).map(trace => trace.name)")
    assert sorted(shown) == sorted(BUILDER["Names"]().labels)


def test_a_term_can_be_chosen_in_the_training_curves(page):
    top = "return Math.max(...document.querySelector('#history .canvas').data[0].y)"
    total = page.execute_script(top)
    click(page, "#history .buttons button", "kl")
    assert page.execute_script(top) < 20 < total


def test_a_figure_can_be_saved_as_a_picture(page):
    made = page.execute_async_script(
        "const done = arguments[arguments.length - 1];"
        "const figure = document.querySelector('#latent .canvas');"
        "Plotly.toImage(figure, {format: 'png'}).then(done, error => done(String(error)))"
    )
    assert made.startswith("data:image/png;base64,")
    assert [entry for entry in page.get_log("browser") if entry["level"] == "SEVERE"] == []


def test_the_page_is_not_wider_than_the_window(page):
    for width in (1280, 800):
        page.set_window_size(width, 900)
        fits = "return document.documentElement.scrollWidth <= document.documentElement.clientWidth"
        WebDriverWait(page, 10).until(lambda b, fits=fits: b.execute_script(fits))  # plotly redraws a moment later
    page.set_window_size(1280, 900)


def test_hostile_names_do_not_run(browser, tmp_path):
    labels = tuple(f"{HOSTILE[i % 2]}{i}" for i in range(8))
    names = BUILDER["Names"](labels=labels, batches=HOSTILE, features=tuple(f"{HOSTILE[0]}{i}" for i in range(40)))
    open_page(browser, report(BUILDER["write_study"](tmp_path / "hostile", names)))
    assert browser.title == "hostile · cellwright"
    assert browser.find_elements(By.CSS_SELECTOR, "img[src='x'], [onerror]") == []
    assert [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"] == []


@pytest.fixture(scope="module")
def responses(tmp_path_factory):
    effects = {(remedy, place): (0.01, 0.02) for remedy in RESPONSES["REMEDIES"] for place in RESPONSES["PLACES"]}
    story = RESPONSES["Story"](effects=effects)
    return report(RESPONSES["write_responses"](tmp_path_factory.mktemp("browser") / "responses", story))


def choose(browser, selector, name):
    Select(browser.find_element(By.CSS_SELECTOR, selector)).select_by_visible_text(name)


def test_every_figure_of_responses_is_drawn_and_nothing_is_logged(browser, responses):
    open_page(browser, responses)
    for section in ("response_types", "remedies", "response_genes", "response_cells"):
        traces = f"return document.querySelector('#{section} .canvas').data.length"
        assert browser.execute_script(traces) > 0
    assert [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"] == []


def test_the_list_of_models_shows_the_genes_of_the_chosen_one(browser, responses):
    open_page(browser, responses)
    means = "return document.querySelector('#response_genes .canvas').data.map(trace => [...trace.y])"
    control, network, *_ = browser.execute_script(means)
    assert network != control
    choose(browser, "#response_genes select", "no_change")
    control, predicted, *_ = browser.execute_script(means)
    assert predicted == control


def test_the_list_of_models_shows_the_cells_of_the_chosen_one(browser, responses):
    open_page(browser, responses)
    arrows = (
        "return document.querySelector('#response_cells .canvas').layout.annotations"
        ".filter(note => note.showarrow).map(note => note.x)"
    )
    before = browser.execute_script(arrows)
    choose(browser, "#response_cells select", "no_change")
    after = browser.execute_script(arrows)
    assert before != after


def test_the_measure_can_be_chosen_in_both_parts_of_the_remedies(browser, responses):
    open_page(browser, responses)
    text = "return document.querySelector('#remedies .canvas').data[0].text[0].at(-1)"
    assert browser.execute_script(text) == "+0.010 *"
    click(browser, "#remedies figure button", "E-distance")
    assert browser.execute_script(text) == "−0.010"
    tables = browser.find_elements(By.CSS_SELECTOR, "#remedies table")
    click(browser, "#remedies button[data-block]", "E-distance")
    assert [table.is_displayed() for table in tables] == [False, True]


def test_on_a_phone_the_panels_stand_below_one_another(browser, responses):
    open_page(browser, responses)
    domains = (
        "const axes = document.querySelector('#response_genes .canvas').layout;"
        "return [axes.xaxis.domain[1], axes.xaxis2.domain[1]]"
    )
    assert browser.execute_script(domains)[0] < 0.5
    metrics = {"width": 390, "height": 844, "deviceScaleFactor": 1, "mobile": True}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    try:
        WebDriverWait(browser, 10).until(lambda b: b.execute_script(domains) == [1, 1])
        fits = "return document.documentElement.scrollWidth <= document.documentElement.clientWidth"
        WebDriverWait(browser, 10).until(lambda b: b.execute_script(fits))
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_hostile_names_of_types_and_genes_do_not_run(browser, tmp_path):
    effects = {("under", "training"): (0.01, 0.02)}
    genes = tuple(f"{HOSTILE[i % 2]}{i}" for i in range(12))
    story = RESPONSES["Story"](types=HOSTILE, genes=genes, effects=effects)
    open_page(browser, report(RESPONSES["write_responses"](tmp_path / "hostile", story)))
    assert browser.title == "hostile · cellwright"
    assert browser.find_elements(By.CSS_SELECTOR, "img[src='x'], [onerror]") == []
    assert [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"] == []


@pytest.fixture(scope="module")
def recovery(tmp_path_factory):
    return report(RECOVERY["write_recovery"](tmp_path_factory.mktemp("browser") / "recovery"))


def test_every_figure_of_imputations_is_drawn_and_nothing_is_logged(browser, recovery):
    open_page(browser, recovery)
    for section in ("imputed_types", "imputed_genes", "imputed_proteins"):
        traces = f"return document.querySelector('#{section} .canvas').data.length"
        assert browser.execute_script(traces) > 0
    assert [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"] == []


def test_the_list_of_models_shows_the_imputed_genes_of_the_chosen_one(browser, recovery):
    """Of the made-up models the third adds 2 to every value; the measured ones stay as they are."""
    open_page(browser, recovery)
    values = (
        "const of = axis => document.querySelector('#imputed_genes .canvas').data.filter(t => t.xaxis === axis)"
        ".flatMap(t => [...t.x]); return [of('x'), of('x2')]"
    )
    measured, best = browser.execute_script(values)
    assert best == pytest.approx(measured)
    choose(browser, "#imputed_genes select", "magic")
    again, third = browser.execute_script(values)
    assert again == measured
    assert third == pytest.approx([value + 2 for value in measured], abs=0.02)


def test_a_button_shows_what_becomes_of_the_clusters_of_each_type(browser, recovery):
    open_page(browser, recovery)
    rare = "return document.querySelector('#imputed_types .canvas').data[0].text[2][0]"
    assert browser.execute_script(rare) == "−3.3"
    click(browser, "#imputed_types .buttons button", "Clusters")
    assert browser.execute_script(rare) == "−.30"


def test_the_list_of_models_shows_the_proteins_of_the_chosen_one(browser, recovery):
    open_page(browser, recovery)
    first = "return document.querySelector('#imputed_proteins .canvas').data[1].x[0]"
    assert browser.execute_script(first) == pytest.approx(0.8)
    choose(browser, "#imputed_proteins select", "magic")
    assert browser.execute_script(first) == pytest.approx(0.7)


def test_the_table_of_imputations_sorts_beneath_its_bands(browser, recovery):
    open_page(browser, recovery)
    assert first_column(browser) == ["vae", "knn_gamma", "magic", "as_measured"]
    click(browser, "#imputation thead button", "ARI")
    assert first_column(browser) == ["magic", "knn_gamma", "vae", "as_measured"]


def test_imputations_fit_a_phone(browser, recovery):
    open_page(browser, recovery)
    metrics = {"width": 390, "height": 844, "deviceScaleFactor": 1, "mobile": True}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    try:
        columns = (
            "const axes = document.querySelector('#imputed_genes .canvas').layout;"
            "return axes.xaxis.domain[0] === axes.xaxis3.domain[0]"
        )
        WebDriverWait(browser, 10).until(lambda b: b.execute_script(columns))
        fits = "return document.documentElement.scrollWidth <= document.documentElement.clientWidth"
        WebDriverWait(browser, 10).until(lambda b: b.execute_script(fits))
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_hostile_names_of_imputations_do_not_run(browser, tmp_path):
    genes = tuple(f"{HOSTILE[i % 2]}{i}" for i in range(4))
    story = RECOVERY["Story"](types=(*HOSTILE, "T"), genes=genes, setting=HOSTILE[1], failed="magic", reason=HOSTILE[0])
    open_page(browser, report(RECOVERY["write_recovery"](tmp_path / "hostile", story)))
    assert browser.title == "hostile · cellwright"
    assert browser.find_elements(By.CSS_SELECTOR, "img[src='x'], [onerror]") == []
    assert [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"] == []


def test_maps_before_and_after_show_two_panels_whichever_model_is_chosen(browser, tmp_path):
    open_page(browser, report(INTEGRATION["write_integration"](tmp_path / "lanes")))
    section = browser.find_element(By.ID, "integration_maps")
    figure = section.find_element(By.CLASS_NAME, "canvas")
    buttons = section.find_element(By.CLASS_NAME, "buttons").find_elements(By.TAG_NAME, "button")
    for model in [button.text for button in buttons]:
        click(browser, "#integration_maps .buttons button", model)
        axes = browser.execute_script("return [...new Set(arguments[0].data.map(trace => trace.xaxis))]", figure)
        titles = browser.execute_script("return arguments[0].layout.annotations.map(note => note.text)", figure)
        assert sorted(axes) == ["x", "x2"]
        assert titles == ["<b>before, by batch: pca</b>", f"<b>after, by batch: {model}</b>"]


def test_a_tissue_is_drawn_in_its_proportions_and_a_button_changes_the_model(browser, tmp_path):
    open_page(browser, report(TISSUE["write_tissue"](tmp_path / "study")))
    assert [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"] == []
    units = browser.execute_script(
        "const look = document.querySelector('#tissue .canvas')._fullLayout;"
        "return ['', '2', '3', '4', '5', '6'].map((i) => [look[`xaxis${i}`], look[`yaxis${i}`]].map("
        "(axis) => axis._length / Math.abs(axis.range[1] - axis.range[0])))"
    )
    assert len(units) == 6
    for across, down in units:
        assert across == pytest.approx(down, rel=0.01)
    codes = "return document.querySelector('#tissue .canvas').data.map(trace => trace.x.length).join()"
    first = browser.execute_script(codes)
    click(browser, "#tissue .buttons button", "pca")
    assert browser.execute_script(codes) != first
    assert (
        browser.execute_script(
            "return document.querySelector('#tissue .canvas').data.reduce((n, trace) => n + trace.x.length, 0)"
        )
        == 3 * 288
    )


def test_a_trajectory_is_drawn_with_all_its_cells_whichever_model_and_colour(browser, tmp_path):
    open_page(browser, report(TRAJECTORY["write_trajectory"](tmp_path / "study")))
    cells = (
        "return document.querySelector('#trajectory .canvas').data.filter(trace => trace.mode === 'markers')"
        ".reduce((n, trace) => n + trace.x.length, 0)"
    )
    n_obs = TRAJECTORY["N_OBS"]
    for view in ("vae: pseudotime", "vae: branch", "pca: branch"):
        choose(browser, "#trajectory select", view)
        assert browser.execute_script(cells) == n_obs
    rows = "return document.querySelector('#changes .canvas').data[0].z.length"
    click(browser, "#changes .buttons button", "myeloid")
    assert browser.execute_script(rows) == len(TRAJECTORY["Story"]().features)
    assert [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"] == []


def test_hostile_names_of_a_trajectory_do_not_run(browser, tmp_path):
    story = TRAJECTORY["Story"](fates=HOSTILE, features=HOSTILE, labels=(*HOSTILE, "c"), cell=HOSTILE[0])
    open_page(browser, report(TRAJECTORY["write_trajectory"](tmp_path / "hostile", story)))
    assert browser.title == "hostile · cellwright"
    assert browser.find_elements(By.CSS_SELECTOR, "img[src='x'], [onerror]") == []
    assert [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"] == []


def test_confusions_of_another_model_are_drawn_and_every_threshold_has_a_ring(browser, tmp_path):
    open_page(browser, report(CLASSIFICATION["write_classification"](tmp_path / "study")))
    assert [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"] == []
    shares = "return document.querySelector('#confusion .canvas').data[0].z.join()"
    first = browser.execute_script(shares)
    choice = Select(browser.find_element(By.CSS_SELECTOR, "#confusion select"))
    assert {option.text for option in choice.options} == {"logistic", "gru"}
    choice.select_by_index(1)
    assert browser.execute_script(shares) != first
    # the curves of both models and a ring for the threshold of each
    drawn = "return document.querySelectorAll('#calibration .canvas')[1].data.length"
    assert browser.execute_script(drawn) == 4
