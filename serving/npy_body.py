"""NumPy bodies (``numpy.save``), without pickle.

The header is read apart and its size compared with the body's before anything
is allocated: ``numpy.load`` would allocate whatever a header claims.
Format: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
"""

from __future__ import annotations

import io
import math
import tokenize

import numpy as np
import numpy.typing as npt
from numpy.lib import format as npy

from serving.errors import Refused

# What numpy's parser of headers, which are Python literals, raises for damaged ones.
_DAMAGED = (ValueError, TypeError, EOFError, SyntaxError, tokenize.TokenError, MemoryError, RecursionError)
_HEADERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}


def read_array(body: bytes) -> npt.NDArray:
    """Return the array, a view on ``body``.

    Raises:
        Refused: for objects (pickles), a damaged header, or a body that is
            longer or shorter than its header says.
    """
    stream = io.BytesIO(body)
    try:
        version = npy.read_magic(stream)
        if version not in _HEADERS:
            raise Refused(f"the array has format version {version}; expected 1.0 or 2.0, as numpy.save writes")
        shape, fortran_order, dtype = _HEADERS[version](stream)
    except _DAMAGED as error:
        raise Refused(f"the body is not a NumPy array, as numpy.save writes it: {str(error)[:200]}") from error
    if dtype.kind not in "uif":
        raise Refused(f"the array's dtype is {dtype}; expected numbers, never objects")
    return _view(body, stream.tell(), shape, fortran_order, dtype)


def _view(body: bytes, offset: int, shape: tuple[int, ...], fortran_order: bool, dtype: np.dtype) -> npt.NDArray:
    if any(size < 0 for size in shape) or offset + math.prod(shape) * dtype.itemsize != len(body):
        raise Refused(f"the header says {list(shape)} of {dtype}; the body has {len(body) - offset} bytes after it")
    if not shape or shape[0] == 0:
        raise Refused(f"the array's shape is {list(shape)}; expected at least one row")
    array = np.frombuffer(body, dtype, offset=offset)
    return array.reshape(shape, order="F" if fortran_order else "C")
