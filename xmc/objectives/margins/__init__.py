"""Margins on the cosines of positives: what the loss sees of them, while rankings see the cosines."""
