"""Holds what torch-native adapters share.

An adapter brings a network `(B, 3, H, W) float -> (B, C, h, w)` logits, wrapped in a
`network.SemanticNetwork`, and gets the whole contract of `bench.adapter` from
`semantic.SemanticAdapter`: device and precision, pre- and postprocessing, training, weight files.
"""
