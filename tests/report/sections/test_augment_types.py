"""A heat map per classifier: rare classes first, with how many training cells they have."""

from cellwright.report.contents import read_contents
from cellwright.report.sections.augment_types import context


def test_rare_classes_come_first_with_their_training_cells(augmentation):
    figure = context(read_contents(augmentation))["figure"]
    assert list(figure.views) == ["knn", "logistic"]
    axes = figure.views["knn"]["layout"]
    assert axes["yaxis"]["ticktext"] == ["plasma (6)", "rare B (30)", "T cells"]
    assert axes["xaxis"]["ticktext"] == ["over", "smote", "vae"]


def test_a_cell_is_the_change_against_nothing(augmentation):
    trace = context(read_contents(augmentation))["figure"].views["knn"]["data"][0]
    assert trace["z"] == [[0.01, 0.02, 0.05]] * 3
    assert trace["text"][0] == ["+0.010", "+0.020", "+0.050"]
    assert trace["customdata"][0][2] == "<b>plasma</b>, vae<br>F1 0.500 to 0.550, +0.050"


def test_the_scale_is_even_around_no_change(augmentation):
    trace = context(read_contents(augmentation))["figure"].views["knn"]["data"][0]
    assert (trace["zmin"], trace["zmax"]) == (-0.05, 0.05)


def test_another_study_has_no_such_section(study):
    assert context(read_contents(study)) is None
