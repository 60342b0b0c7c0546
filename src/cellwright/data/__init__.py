"""Files and AnnData become minibatches; the only room that touches data on disk.

    data or path -open_data-> StoredSource -minibatches(rows, batch_size, plan, rng)-> Minibatch

`open` the way in; `files` which reader takes a path (`SOURCES`); `contents` what was found; `match` and `annotate` fit
it to a schema; `memory` and `disk` hand out rows, `chunks` reads them from where they lie in a file; `plan` says which
rows in which order; `check` refuses unsuitable values; `convert` joins files in one store that is fast to train from.
Nothing is imported here: readers of files are loaded by what opens files.
"""
