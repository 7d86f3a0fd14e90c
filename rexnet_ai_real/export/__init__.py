"""From a trained detector to a folder that others use: graphs, smaller variants, proof of parity, model card."""
