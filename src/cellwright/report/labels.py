"""Labels: names beside points so that they cover neither one another nor the points; pixels in, pixels out.

points (n, 2) in pixels, widths of the names -> for each name how far its middle lies from its point
"""

import math

CHARACTER, HEIGHT = 6.4, 14.0  # of the small print in a figure
DISTANCES = (22.0, 38.0, 56.0, 78.0)
# to the right and below first: where points lie on a rising diagonal or under it, that is the empty half
DIRECTIONS = (330, 0, 300, 30, 270, 240, 60, 210, 180, 90, 150, 120)  # degrees

Box = tuple[float, float, float, float]  # left, top, right, bottom


def offsets(points: list[tuple[float, float]], names: list[str], width: float, height: float) -> list[tuple[int, int]]:
    """The offset of each name from its point, right and down, within a panel of `width` x `height` pixels.

    The first place that is free is taken, near ones before far ones; the last tried where none is. A name goes to the
    side of the rising diagonal on which its point lies.
    """
    taken: list[Box] = [(x - 4, y - 4, x + 4, y + 4) for x, y in points]
    found = []
    for (x, y), name in zip(points, names, strict=True):
        half = CHARACTER * len(name) / 2 + 2
        turn = 0 if y / height > 1 - x / width else 180
        places = [place for distance in DISTANCES for place in _around(distance, half, turn)]
        free = (place for place in places if _is_free(_box(x, y, place, half), taken, width, height))
        place = next(free, places[-1])
        taken.append(_box(x, y, place, half))
        found.append((round(place[0]), round(place[1])))
    return found


def _around(distance: float, half: float, turn: int) -> list[tuple[float, float]]:
    """Places for the middle of a name at a distance of its edge from the point."""
    angles = [math.radians(angle + turn) for angle in DIRECTIONS]
    return [(math.cos(angle) * (distance + half), -math.sin(angle) * distance) for angle in angles]


def _box(x: float, y: float, place: tuple[float, float], half: float) -> Box:
    middle, line = x + place[0], y + place[1]
    return middle - half, line - HEIGHT / 2, middle + half, line + HEIGHT / 2


def _is_free(box: Box, taken: list[Box], width: float, height: float) -> bool:
    left, top, right, bottom = box
    if left < 0 or top < 0 or right > width or bottom > height:
        return False
    return not any(left < r and right > o and top < b and bottom > t for o, t, r, b in taken)
