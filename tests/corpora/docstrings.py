"""A documentation string in numpy's style, with the traps of a see-also section."""

from __future__ import annotations

NUMPY = """
    sort(a, axis=-1)

    Return a sorted copy of ``an`` `array`.

    Parameters
    ----------
    a : array
        See also `nothing` here? No: this is `prose`.

    See Also
    --------
    argsort, lexsort : Indirect sorts.
    ndarray.sort : Method to sort
        an array in-place, see partition.
    :func:`searchsorted`
    numpy.partition,
    numpy.unique
        Another description: with a colon.
    :ref:`routines`
    sklearn.foo.Bar: No space before the colon.

    Notes
    -----
    not_this : is another section
"""
