"""The kinds of step, in the order in which data flows through them."""
