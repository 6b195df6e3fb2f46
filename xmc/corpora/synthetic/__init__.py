"""``synthetic``: a data set of any size, drawn from a known law, for work at scale.

What can be learnt from it is known: titles are composed of words, queries share half of their words with
their labels' titles and say the other half by aliases, whose meaning only the training rows tell. What cannot
be learnt is known as well: the best precision that any system can expect is part of the data set.
"""

from __future__ import annotations

from xmc.corpora.synthetic.build import build_synthetic
from xmc.corpora.synthetic.law import Law

__all__ = ["Law", "build_synthetic"]
