"""How a path is named in a message: recognisable, and without the secrets an URL may hold."""

from __future__ import annotations

import re

__all__ = ["display"]

_PASSWORD = re.compile(r"(://[^/@:\s]*):[^/@\s]*@")
_QUERY = re.compile(r"(\w+://[^\s?]*)\?[^\s'\"]*")


def display(text: object) -> str:
    """
    Return ``str(text)`` with the passwords and query strings of any URLs in it blotted out.

    A connection id (``s3://my_aws@bucket/key``) is no secret and stays; the query string of a presigned
    URL is one.

    :param text: a path, or a message of a storage library that may quote one
    """
    return _QUERY.sub(r"\1?***", _PASSWORD.sub(r"\1:***@", str(text)))
