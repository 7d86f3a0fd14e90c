"""Detectors of other programs, to be measured on the same images: a network of timm's, any function in Python."""
