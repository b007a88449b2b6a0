"""Nearest neighbours and bitext mining over sentence vectors, in memory that does not grow with their pairs."""
