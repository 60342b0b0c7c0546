"""The nouns that every room may know: options, schema, minibatch, objective, abilities."""
