import itertools

import numpy as np

from cellwright.report.labels import CHARACTER, HEIGHT, offsets

SIZE = (400.0, 380.0)


def boxes(points, names):
    for (x, y), name, (dx, dy) in zip(points, names, offsets(points, names, *SIZE), strict=True):
        half = CHARACTER * len(name) / 2
        yield x + dx - half, y + dy - HEIGHT / 2, x + dx + half, y + dy + HEIGHT / 2


def overlap(a, b):
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def test_names_of_points_on_a_diagonal_cover_neither_one_another_nor_a_point():
    along = np.random.default_rng(0).uniform(60, 340, 10)
    points = [(float(x), 380 - float(x)) for x in along]
    names = [f"GENE{i}" for i in range(10)]
    found = list(boxes(points, names))
    assert not any(overlap(a, b) for a, b in itertools.combinations(found, 2))
    assert not any(left < x < right and top < y < low for left, top, right, low in found for x, y in points)


def test_names_stay_within_the_panel():
    points = [(1.0, 1.0), (399.0, 1.0), (1.0, 379.0), (399.0, 379.0), (200.0, 379.0)]
    for left, top, right, low in boxes(points, ["ISG15"] * 5):
        assert 0 <= left < right <= SIZE[0]
        assert 0 <= top < low <= SIZE[1]


def test_a_name_goes_to_its_side_of_the_diagonal():
    (right, down), (left, up) = offsets([(200.0, 300.0), (200.0, 60.0)], ["a", "b"], *SIZE)
    assert right > 0 < down
    assert left < 0 > up


def test_where_no_place_is_free_a_name_is_still_placed():
    assert len(offsets([(5.0, 5.0)] * 80, ["LONGNAME"] * 80, 60.0, 30.0)) == 80
