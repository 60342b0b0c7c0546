"""Parts that several architectures are composed of: a cell encoder and a feature decoder."""
