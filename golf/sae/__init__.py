"""Sparse autoencoders on the residual stream of a trained model: train, measure, report, exchange."""
