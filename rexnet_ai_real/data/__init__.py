"""Images on disk -> manifest -> split -> decoded -> transformed -> batches."""
