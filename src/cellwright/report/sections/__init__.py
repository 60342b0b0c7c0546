"""The sections of the page, in their order. One file and one template each; a line here puts it on the page."""

from cellwright.report.section import Section
from cellwright.report.sections import (
    composition,
    history,
    imputation,
    imputed_genes,
    imputed_proteins,
    imputed_types,
    latent,
    leaderboard,
    markers,
    per_type,
    provenance,
    references,
    remedies,
    response,
    response_cells,
    response_genes,
    response_targets,
    response_types,
)

SECTIONS: dict[str, Section] = {
    "imputation": imputation.SECTION,
    "imputed_types": imputed_types.SECTION,
    "imputed_genes": imputed_genes.SECTION,
    "imputed_proteins": imputed_proteins.SECTION,
    "response": response.SECTION,
    "response_types": response_types.SECTION,
    "response_targets": response_targets.SECTION,
    "remedies": remedies.SECTION,
    "response_genes": response_genes.SECTION,
    "response_cells": response_cells.SECTION,
    "leaderboard": leaderboard.SECTION,
    "latent": latent.SECTION,
    "per_type": per_type.SECTION,
    "markers": markers.SECTION,
    "composition": composition.SECTION,
    "history": history.SECTION,
    "provenance": provenance.SECTION,
    "references": references.SECTION,
}
