"""Text: names and numbers as they stand on the page. Names come from files of strangers; here they become harmless.

any string -visible-> no control characters -short-> bounded length -in_figure-> no markup for plotly
"""

import html
import math
import re
import unicodedata

MISSING = "–"
# marks that turn the direction of what follows, so that a name could rearrange the page around it
_TURNS_DIRECTION = {"\u202a", "\u202b", "\u202c", "\u202d", "\u202e", "\u2066", "\u2067", "\u2068", "\u2069"}


def visible(text: str) -> str:
    """`text` with white space as a space, and with other control characters and lone surrogates as U+FFFD."""
    return "".join(map(_visible_character, text))


def _visible_character(character: str) -> str:
    if character in "\n\r\t":
        return " "
    hidden = unicodedata.category(character) in {"Cc", "Cs"} or character in _TURNS_DIRECTION
    return "\ufffd" if hidden else character


def short(value: object, at_most: int = 60) -> str:
    """`value` as visible text of at most `at_most` characters, the last an ellipsis where it was cut."""
    # cut before cleaning as well, so that a name of a million characters costs nothing
    text = visible(str(value)[: at_most + 1])
    return text if len(text) <= at_most else text[: at_most - 1] + "…"


def in_figure(value: object, at_most: int = 60) -> str:
    """`short`, escaped for plotly, which reads `<b>`, `<a href>` and entities in every string that it draws."""
    return html.escape(short(value, at_most), quote=False)


def natural(text: str) -> list[tuple[int, int, str]]:
    """A sort key by which cluster "10" comes after cluster "9"."""
    parts = re.split(r"([0-9]{1,18})", text)
    return [(0, int(part), "") if i % 2 else (1, 0, part) for i, part in enumerate(parts)]


def number(value: float, decimals: int = 3) -> str:
    """`0.812`, `1,204`, `2.1e-05`; a dash where there is none."""
    if not math.isfinite(value):
        return MISSING if math.isnan(value) else ("∞" if value > 0 else "−∞")
    if abs(value) >= 1000:
        text = f"{value:,.0f}"
    elif value and abs(value) < 0.5 * 10**-decimals:
        text = f"{value:.1e}"
    else:
        text = f"{value:.{decimals}f}"
    return text.replace("-", "−", 1) if text.startswith("-") else text


def duration(seconds: float) -> str:
    """`0.4 s`, `12 s`, `3 min 20 s`, `2 h 05 min`; a dash where it is not known."""
    if not math.isfinite(seconds):
        return MISSING
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def size(n_bytes: float) -> str:
    """`212 MB`, `1.4 GB`, in powers of 1000; a dash where it is not known."""
    if not math.isfinite(n_bytes) or n_bytes <= 0:
        return MISSING
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if n_bytes >= scale:
            return f"{n_bytes / scale:.1f} {unit}" if n_bytes < 10 * scale else f"{n_bytes / scale:.0f} {unit}"
    return f"{n_bytes:.0f} B"


def listed(names: list[str], at_most: int = 6) -> str:
    """`a`, `a and b`, `a, b and c`, `a, b and 4 more`."""
    if len(names) > at_most:
        names = [*names[: at_most - 1], f"{len(names) - at_most + 1} more"]
    return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))


def counted(n: int, noun: str) -> str:
    """`1 seed`, `3 seeds`."""
    return f"{n:,} {noun}" if n == 1 else f"{n:,} {noun}s"
