"""Harm of an imputation: the metrics of what it invents, the value above which it is harm, and the model without any.

report and study read the same limits: what is recommended, and what the page says of it.
"""

from cellwright.metrics import false_correlation, false_markers

# a rise of |correlation| in permuted genes, a share of the genes between halves of one label: more is harm
LIMITS = {"false_correlation": false_correlation.HARMLESS, "false_markers": false_markers.HARMLESS}
FLOOR = "as_measured"  # the model that fills nothing in, and therefore does no harm
