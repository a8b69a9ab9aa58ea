"""Which image files are read: the same by preparation, which learns from them, and by the server."""

from __future__ import annotations

FORMATS = {
    "image/png": "PNG",
    "image/jpeg": "JPEG",
    "image/gif": "GIF",
    "image/bmp": "BMP",
    "image/webp": "WEBP",
    "image/tiff": "TIFF",
}
"""Pillow's name of each format, by content type. Of several frames the first is read."""

MAX_PIXELS = 50_000_000  # of one image: about 150 MB once decoded
