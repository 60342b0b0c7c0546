"""The section about added cells: the verdict first, classifiers best first, and what its generators cost."""

from cellwright.report.contents import read_contents
from cellwright.report.page import _environment, render_section
from cellwright.report.sections.augment import SECTION, context


def test_the_verdict_leads_and_classifiers_are_ordered_by_macro_f1(augmentation):
    shown = context(read_contents(augmentation))
    assert shown["headline"] == ["Generated cells help: knn (vae)."]
    assert shown["findings"][0] == "2 of 3 classes are rare."
    titles = [row["title"] for row in shown["rows"]]
    assert titles == ["knn (added=vae)", "knn (added=smote)", "knn (added=over)", "knn", "gan"]
    assert [heading.title for heading in shown["headings"]] == ["Macro F1", "Macro F1, rare classes", "Accuracy"]


def test_a_generator_is_named_with_its_cost_and_a_failed_one_with_its_reason(augmentation):
    shown = context(read_contents(augmentation))
    assert shown["generators"] == "vae 12 s"
    assert shown["rows"][-1]["failed"]
    html = render_section("augment", SECTION, read_contents(augmentation), _environment())
    assert "Fitting the generators took vae 12 s" in html
    assert "failed: it ran away" in html


def test_classes_too_small_for_smote_are_named(augmentation):
    assert context(read_contents(augmentation))["fewer"] == "plasma (3 neighbours) and lone (copies)"


def test_sentences_are_text_and_no_markup(augmentation):
    html = render_section("augment", SECTION, read_contents(augmentation), _environment())
    assert "<b>over</b>" not in html
    assert "&lt;b&gt;over" in html


def test_another_study_has_no_such_section(study):
    assert context(read_contents(study)) is None
