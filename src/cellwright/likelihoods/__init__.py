"""Likelihoods by name. To add one: its file, its line in `LIKELIHOODS`, its reference in `tests/contracts`."""

from typing import Annotated

from pydantic import BeforeValidator, SerializeAsAny

from cellwright.core.options import chosen_from, chosen_per_name
from cellwright.likelihoods.bernoulli import Bernoulli
from cellwright.likelihoods.gaussian import Gaussian
from cellwright.likelihoods.head import Head, Likelihood
from cellwright.likelihoods.negative_binomial import NegativeBinomial
from cellwright.likelihoods.poisson import Poisson
from cellwright.likelihoods.zinb import ZINB

__all__ = [
    "LIKELIHOODS",
    "ZINB",
    "AnyLikelihood",
    "Bernoulli",
    "Gaussian",
    "Head",
    "Likelihood",
    "LikelihoodPerModality",
    "NegativeBinomial",
    "Poisson",
]

LIKELIHOODS: dict[str, type[Likelihood]] = {
    "bernoulli": Bernoulli,
    "gaussian": Gaussian,
    "negative_binomial": NegativeBinomial,
    "poisson": Poisson,
    "zinb": ZINB,
}

# an option of a model: a likelihood, its options as a dict with its "name", or the bare name; its JSON is the dict
AnyLikelihood = Annotated[SerializeAsAny[Likelihood], BeforeValidator(chosen_from(LIKELIHOODS, "likelihood"))]
# a likelihood for each of several modalities, by name; its JSON is a dict of dicts
LikelihoodPerModality = Annotated[
    dict[str, SerializeAsAny[Likelihood]], BeforeValidator(chosen_per_name(LIKELIHOODS, "likelihood"))
]
