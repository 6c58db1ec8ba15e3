"""Trains the compact model: a keypoint encoder from labels, a predictor, a decoder."""
