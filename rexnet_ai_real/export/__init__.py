"""From a trained detector to the folder that others use: graphs, smaller variants, proof of parity, model card."""
