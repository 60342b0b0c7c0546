"""The sections of the page, in their order. One file and one template each; a line here puts it on the page."""

from cellwright.report.section import Section
from cellwright.report.sections import (
    composition,
    history,
    latent,
    leaderboard,
    markers,
    per_type,
    provenance,
    references,
)

SECTIONS: dict[str, Section] = {
    "leaderboard": leaderboard.SECTION,
    "latent": latent.SECTION,
    "per_type": per_type.SECTION,
    "markers": markers.SECTION,
    "composition": composition.SECTION,
    "history": history.SECTION,
    "provenance": provenance.SECTION,
    "references": references.SECTION,
}
