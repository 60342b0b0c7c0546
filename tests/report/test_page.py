import base64
import hashlib
import json
import math
import re
import shutil
from html.parser import HTMLParser

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cellwright.errors import RunError
from cellwright.report import SECTIONS, report
from cellwright.report.contents import read_contents
from cellwright.report.page import embed, render
from cellwright.run import SCORE_COLUMNS

HOSTILE = (
    "</script><script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "javascript:alert(1)",
    '"><svg onload=alert(1)>',
    "{{ 7*7 }}{% raw %}",
    "\u202egnp.exe",
    "x" * 10_000,
    "' onmouseover='alert(1)",
    "<a href=https://evil.example>a</a>",
    "<!--",
    "]]>",
    "</style><style>*{display:none}</style>",
    "&lt;b&gt;",
    "${alert(1)}",
    "<iframe srcdoc=x>",
    "\u200f\u061c",
    "%{customdata}",
    "</title><base href=//evil.example>",
    "\x7f\x1b[31m",
    "a\\u003cb",
)


class Elements(HTMLParser):
    """The elements with the names of their attributes, the text outside scripts, and where links lead."""

    def __init__(self):
        super().__init__()
        self.found, self.links, self.text, self._raw = [], set(), [], False

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, tuple(sorted(name for name, _ in attrs))))
        self.links |= {value for name, value in attrs if name in {"href", "src"}}
        self._raw = tag in {"script", "style"}

    def handle_endtag(self, tag):
        self._raw = False

    def handle_data(self, data):
        if not self._raw:
            self.text.append(data)

    def handle_comment(self, data):
        self.found.append(("comment", ()))


def parse(html):
    elements = Elements()
    elements.feed(html)
    elements.close()
    return elements


@pytest.fixture(scope="module")
def page(study):
    return render(read_contents(study))


@pytest.fixture(scope="module")
def hostile_study(study_builder, tmp_path_factory):
    names = study_builder["Names"](
        data=HOSTILE[3],
        origin=HOSTILE[3], labels=HOSTILE[:8], batches=HOSTILE[8:12], features=(*HOSTILE, *(f"{h}2" for h in HOSTILE)),
        cell=HOSTILE[1], reason=HOSTILE[0], setting=HOSTILE[8], extra={h: h for h in HOSTILE},
    )  # fmt: skip
    folder = tmp_path_factory.mktemp("hostile") / "<svg onload=alert(1)>\udce4"
    return study_builder["write_study"](folder, names)


def test_every_section_is_on_the_page_of_a_full_study(page):
    of_responses = {"response", "response_types", "response_targets", "remedies", "response_genes", "response_cells"}
    of_imputations = {"imputation", "imputed_types", "imputed_genes", "imputed_proteins"}
    of_answers = {"confusion", "calibration"}
    of_augmentation = {name for name in SECTIONS if name.startswith("augment")} | of_answers
    of_integration = {name for name in SECTIONS if name.startswith("integration")}
    of_sequences = {"forecasts", "state_transitions", "trajectory", "changes"}
    others = (
        of_sequences
        | of_responses
        | of_imputations
        | of_augmentation
        | of_integration
        | {"tissue", "enrichment", "translation"}
    )
    ids = re.findall(r'<section id="([^"]+)">', page)
    assert ids == [name for name in SECTIONS if name not in others]
    assert re.findall(r'<a href="#([^"]+)">', page) == ids


def test_a_study_of_responses_has_their_sections_first(responses_builder, tmp_path):
    story = responses_builder["Story"](effects={("under", "training"): (0.01, 0.02)})
    page = render(read_contents(responses_builder["write_responses"](tmp_path / "study", story)))
    assert re.findall(r'<section id="([^"]+)">', page) == [
        "response", "response_types", "remedies", "response_genes", "response_cells", "history", "provenance",
        "references",
    ]  # fmt: skip


def test_a_study_of_imputations_has_their_sections_and_no_second_order_of_the_models(recovery):
    page = render(read_contents(recovery))
    assert re.findall(r'<section id="([^"]+)">', page) == [
        "imputation", "imputed_types", "imputed_genes", "imputed_proteins", "provenance", "references",
    ]  # fmt: skip


def test_a_study_of_augmentation_has_its_sections_first(augmentation):
    page = render(read_contents(augmentation))
    assert re.findall(r'<section id="([^"]+)">', page) == ["augment", "augment_types", "provenance", "references"]


def test_hostile_names_of_types_genes_and_reasons_are_text_on_a_page_of_responses(responses_builder, tmp_path):
    effects = {("under", "training"): (0.01, 0.02)}
    story = responses_builder["Story"](
        types=HOSTILE[:2], genes=HOSTILE[:12], reason=HOSTILE[3], failed="gene_shift", effects=effects
    )
    plain = responses_builder["Story"](
        types=("a", "b"), genes=tuple("cdefghijklmn"), failed="gene_shift", effects=effects
    )
    pages = [
        parse(render(read_contents(responses_builder["write_responses"](tmp_path / str(i), one))))
        for i, one in enumerate((story, plain))
    ]
    tags = [[tag for tag, _ in page.found] for page in pages]
    assert tags[0] == tags[1]


def test_the_page_refers_to_nothing_outside_but_papers(page):
    outside = {link for link in parse(page).links if not link.startswith(("#", "https://doi.org/"))}
    assert outside == set()


def test_the_policy_allows_exactly_the_scripts_of_the_page(page):
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', page)[1].replace("&#39;", "'")
    scripts = re.findall(r"<script>(.*?)</script>", page, flags=re.DOTALL)
    hashes = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in scripts]
    assert re.findall(r"'sha256-([^']+)'", policy) == hashes
    assert policy.startswith("default-src 'none';")
    assert "unsafe-inline' 'unsafe-eval" not in policy
    assert "connect-src" not in policy


def test_plotly_is_embedded_once(page):
    assert page.count("plotly.js v") == 1


def test_hostile_names_add_no_element_and_no_attribute(page, hostile_study):
    expected, found = set(parse(page).found), parse(render(read_contents(hostile_study)))
    assert set(found.found) - expected == set()
    assert {link for link in found.links if not link.startswith(("#", "https://doi.org/"))} == set()


def test_hostile_names_are_shown_as_they_are_written(hostile_study):
    text = " ".join(parse(render(read_contents(hostile_study))).text)
    for name in (HOSTILE[0], HOSTILE[1], HOSTILE[4], HOSTILE[11], HOSTILE[12]):
        assert name in text
    assert "49" not in re.findall(r"\b49\b", text)


def test_hostile_names_are_bounded_and_hold_no_control_characters(hostile_study):
    html = render(read_contents(hostile_study))
    assert "x" * 1001 not in html
    assert not re.search(
        "[\x00-\x08\x0b-\x1f\x7f\u202a-\u202e]", re.sub(r"<script>.*?</script>", "", html, flags=re.DOTALL)
    )


def test_a_file_with_nul_in_it_gives_a_page_without(study, tmp_path):
    copy = shutil.copytree(study, tmp_path / "copy")
    (copy / "leaderboard.csv").write_bytes((copy / "leaderboard.csv").read_bytes().replace(b"CD4 T cell", b"CD4\\x00T"))
    record = next((copy / "runs").glob("*-vae-*")) / "run.json"
    record.write_text(record.read_text().replace('"device": "cpu"', '"device": "c\\u0000u"'))
    assert "\x00" not in report(copy).read_text()


@given(
    st.recursive(
        st.text() | st.floats() | st.none(), lambda x: st.lists(x) | st.dictionaries(st.text(), x), max_leaves=8
    )
)
def test_embedded_json_is_the_value_and_cannot_end_its_element(value):
    text = embed(value)
    assert not set("<>&") & set(text)

    def finite(x):
        if isinstance(x, dict):
            return {k: finite(v) for k, v in x.items()}
        if isinstance(x, list):
            return [finite(v) for v in x]
        return None if isinstance(x, float) and not math.isfinite(x) else x

    assert json.loads(text) == finite(value)


def test_the_same_folder_gives_the_same_page(study, page):
    assert render(read_contents(study)) == page


def test_the_report_is_written_into_the_folder_or_to_out(study, page, tmp_path):
    copy = shutil.copytree(study, tmp_path / study.name)
    assert report(copy) == copy / "report.html"
    assert (copy / "report.html").read_text() == page
    assert report(copy, out=tmp_path / "elsewhere.html").read_text() == page


def test_a_report_changes_no_other_file(study, tmp_path):
    copy = shutil.copytree(study, tmp_path / "copy")
    before = {path: path.read_bytes() for path in copy.rglob("*") if path.is_file()}
    report(copy)
    after = {path: path.read_bytes() for path in copy.rglob("*") if path.is_file() and path.name != "report.html"}
    assert after == before


def test_a_place_that_cannot_be_written_is_refused_and_the_old_page_stays(study, tmp_path):
    (tmp_path / "file").write_text("old")
    with pytest.raises(RunError, match="could not be written"):
        report(study, out=tmp_path / "file" / "report.html")
    assert (tmp_path / "file").read_text() == "old"


def test_a_study_without_any_run_says_so(tmp_path):
    (tmp_path / "study.toml").write_text("")
    assert "This folder holds nothing to show yet." in report(tmp_path).read_text()


def test_problems_are_told_on_the_page(study, tmp_path):
    copy = shutil.copytree(study, tmp_path / "copy")
    (next((copy / "runs").glob("*-pca-*-s0")) / "cells.h5ad").write_bytes(b"")
    assert "cells.h5ad of pbmc-pca-1a2b3c4d-s0 could not be read" in report(copy).read_text()


def test_the_builder_writes_what_run_folders_hold(study_builder):
    # the contract of other programs: a drift of the test data would hide a drift of the package
    scores = study_builder["_scores"]("vae", 0, np.random.default_rng(0), study_builder["Names"]())
    assert list(scores.columns) == SCORE_COLUMNS
