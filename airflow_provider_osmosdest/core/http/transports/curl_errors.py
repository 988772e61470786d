"""
Translate libcurl's errors; no other module reads its codes.

How far a request got is decided by what was connected and sent, never by the code: libcurl ends with "could not
connect" where a kept connection took the request and closed, and no other can be opened.
"""

from __future__ import annotations

import errno

import pycurl  # noqa: TID253 - this module is itself imported only when a delivery starts

from airflow_provider_osmosdest.core.errors import AmbiguousError, NotSentError, TlsError, TransportError

__all__ = ["status_stands", "translated"]

# https://curl.se/libcurl/c/libcurl-errors.html; pycurl has no name for the last two.
_SSL_CLIENTCERT = 98
_ECH_REQUIRED = 101
_TLS = frozenset(
    {
        pycurl.E_SSL_CONNECT_ERROR,
        pycurl.E_PEER_FAILED_VERIFICATION,
        pycurl.E_SSL_CERTPROBLEM,
        pycurl.E_SSL_CIPHER,
        pycurl.E_SSL_CACERT_BADFILE,
        pycurl.E_SSL_CRL_BADFILE,
        pycurl.E_SSL_ENGINE_NOTFOUND,
        pycurl.E_SSL_ENGINE_SETFAILED,
        pycurl.E_SSL_ENGINE_INITFAILED,
        pycurl.E_SSL_ISSUER_ERROR,
        pycurl.E_SSL_INVALIDCERTSTATUS,
        pycurl.E_SSL_PINNEDPUBKEYNOTMATCH,
        pycurl.E_USE_SSL_FAILED,
        _SSL_CLIENTCERT,
        _ECH_REQUIRED,
    }
)
# Errors that break a connection during the TLS handshake, and are not about a setting.
_RESETS = frozenset({errno.ECONNRESET, errno.EPIPE, errno.ETIMEDOUT, errno.ECONNREFUSED})

_SUCCESS = 200
_STANDS = 300
"""The first status that is an answer even where its body is missing; a success may announce one that did not come."""


def status_stands(code: int, status: int, *, begun: bool) -> bool:
    """
    Whether a status is the answer although the exchange ended in an error.

    libcurl reports a status only once its whole line is in; refusals often come before the body is out.

    :param code: libcurl's error
    :param status: the status code, 0 where none came
    :param begun: libcurl was about to send the request; before that only a proxy can have answered
    """
    least = _SUCCESS if code == pycurl.E_BAD_CONTENT_ENCODING else _STANDS
    return begun and status >= least


def translated(
    code: int, reason: str, status: int, *, begun: bool, sent: int | None, length: int, os_errno: int
) -> TransportError:
    """
    Return the error that says whether the API can have received any of the request's body.

    :param code: libcurl's error
    :param reason: its message
    :param status: the status code, 0 where none came
    :param begun: libcurl was about to send the request: connected, TLS and the proxy's tunnel agreed on
    :param sent: bytes of the body that left at most, ``None`` where that is not known
    :param length: bytes of the body
    :param os_errno: the system's error number of the last failure, 0 for none
    """
    if not begun:
        return TlsError(reason) if code in _TLS and os_errno not in _RESETS else NotSentError(reason)
    if status:
        return AmbiguousError(f"{reason} (answer {status} not whole)")
    if sent is None or sent >= length:
        return AmbiguousError(reason)
    text = f"{reason} (after {sent:,} of {length:,} bytes)"
    return AmbiguousError(text) if sent else NotSentError(text)
