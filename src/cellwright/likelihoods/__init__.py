"""Likelihoods by name. To add one: its file, its line in `LIKELIHOODS`, its reference in `tests/contracts`."""

from typing import Annotated

from pydantic import BeforeValidator, SerializeAsAny

from cellwright.errors import OptionError, did_you_mean
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


def _likelihood_of(value: object) -> Likelihood:
    if isinstance(value, Likelihood):
        return value
    options = dict(value) if isinstance(value, dict) else {"name": value}
    name = options.get("name")
    if not isinstance(name, str) or name not in LIKELIHOODS:
        known = ", ".join(LIKELIHOODS)
        raise OptionError(f"likelihood must be one of {known}; it is {name!r}.{did_you_mean(str(name), LIKELIHOODS)}")
    return LIKELIHOODS[name](**options)


# an option of a model: a likelihood, its options as a dict with its "name", or the bare name; its JSON is the dict
AnyLikelihood = Annotated[SerializeAsAny[Likelihood], BeforeValidator(_likelihood_of)]
