import itertools

import pytest

from cellwright.report.theme import PALETTE, axis_name, colours, grid, layout_axis


def test_colours_do_not_depend_on_the_order_of_the_categories():
    assert colours(["b", "a", "c10", "c9"]) == colours(["c9", "c10", "a", "b"])


def test_colours_are_distinct_within_the_palette():
    assert len(set(colours(map(str, range(len(PALETTE)))).values())) == len(PALETTE) == len(set(PALETTE))


def test_neighbouring_colours_differ_for_protanopes_and_deuteranopes():
    # Viénot, Brettel and Mollon (1999): the plane that a dichromat sees, in linear RGB, red and green mixed into one
    def seen(colour, red):
        r, g, b = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
        r, g, b = r**2.2, g**2.2, b**2.2
        return red * r + (1 - red) * g, b

    for red in (0.1124, 0.2929):
        for one, other in itertools.pairwise(PALETTE[:8]):
            assert max(abs(a - b) for a, b in zip(seen(one, red), seen(other, red), strict=True)) > 0.05


@pytest.mark.parametrize(("n", "n_columns"), [(1, 1), (4, 2), (5, 3), (30, 3)])
def test_panels_lie_within_the_figure_and_do_not_overlap(n, n_columns):
    places = grid(n, n_columns, gap_x=0.03, gap_y=0.14 / -(-n // n_columns))
    for across, up in places:
        assert 0 <= across[0] < across[1] <= 1
        assert 0 <= up[0] < up[1] <= 1
    for (x, y), (u, v) in itertools.combinations(places, 2):
        assert x[1] <= u[0] or u[1] <= x[0] or y[1] <= v[0] or v[1] <= y[0]


def test_axes_are_named_as_plotly_names_them():
    assert [axis_name("x", 0), axis_name("y", 2), layout_axis("x", 0), layout_axis("y", 2)] == [
        "x",
        "y3",
        "xaxis",
        "yaxis3",
    ]
