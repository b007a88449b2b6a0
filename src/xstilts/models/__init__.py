"""Encoders and heads: the one room that knows Hugging Face."""
