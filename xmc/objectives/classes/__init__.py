"""Labels as classes of queries: the momentum mean of each, and the boundary that a mean is nearest to."""
