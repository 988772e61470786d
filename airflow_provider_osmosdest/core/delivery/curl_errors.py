"""What became of an exchange that libcurl reports an error for: the one place that reads its codes."""

from __future__ import annotations

import errno
from typing import Any

import pycurl  # noqa: TID253 - this module is itself imported only when a delivery starts

from airflow_provider_osmosdest.core.errors import AmbiguousError, NotSentError, TlsError, TransportError

__all__ = ["status_stands", "translated"]

# https://curl.se/libcurl/c/libcurl-errors.html
_NEVER_CONNECTED = frozenset(
    {
        pycurl.E_COULDNT_RESOLVE_PROXY,
        pycurl.E_COULDNT_RESOLVE_HOST,
        pycurl.E_COULDNT_CONNECT,
        pycurl.E_INTERFACE_FAILED,
    }
)
_TLS = frozenset(
    {
        pycurl.E_SSL_CONNECT_ERROR,
        pycurl.E_PEER_FAILED_VERIFICATION,
        pycurl.E_SSL_CERTPROBLEM,
        pycurl.E_SSL_CIPHER,
        pycurl.E_SSL_CACERT_BADFILE,
        pycurl.E_SSL_ISSUER_ERROR,
        pycurl.E_SSL_INVALIDCERTSTATUS,
        pycurl.E_SSL_PINNEDPUBKEYNOTMATCH,
        pycurl.E_USE_SSL_FAILED,
    }
)
# The status came whole, whatever became of the rest: a refusal stands, and was often sent before the body was out.
_STATUS_STANDS = frozenset(
    {pycurl.E_SEND_ERROR, pycurl.E_RECV_ERROR, pycurl.E_PARTIAL_FILE, pycurl.E_OPERATION_TIMEDOUT}
)
_RESETS = frozenset({errno.ECONNRESET, errno.EPIPE, errno.ETIMEDOUT, errno.ECONNREFUSED})


def status_stands(code: int, status: int) -> bool:
    """
    Whether a status is the answer although the exchange ended in an error.

    :param code: libcurl's error
    :param status: the status code, 0 where none came
    """
    if code == pycurl.E_BAD_CONTENT_ENCODING:
        return status > 0
    return status >= 300 and code in _STATUS_STANDS  # noqa: PLR2004 - what was promised to a success may be missing


def translated(curl: Any, code: int, reason: str, status: int, length: int) -> TransportError:
    """
    Tell from libcurl's error whether the API can have seen the whole request.

    :param curl: the handle, as the exchange left it
    :param code: libcurl's error
    :param reason: its message
    :param status: the status code, 0 where none came
    :param length: bytes of the request's body
    """
    if code == pycurl.E_ABORTED_BY_CALLBACK:
        return AmbiguousError("the server closed the connection without an answer")
    number: int = curl.getinfo(pycurl.OS_ERRNO)
    if code in _TLS and number not in _RESETS:
        return TlsError(reason)
    if code in _NEVER_CONNECTED or code in _TLS or not curl.getinfo(pycurl.PRETRANSFER_TIME):
        return NotSentError(reason)
    # libcurl counts what the socket took, never less than what went out: short of the body is safe.
    sent = int(curl.getinfo(pycurl.SIZE_UPLOAD_T))
    if sent < length:
        return NotSentError(f"{reason} (after {sent:,} of {length:,} bytes)")
    return AmbiguousError(f"{reason} (answer {status} not whole)" if status else reason)
