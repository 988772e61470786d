from __future__ import annotations

import errno

import pycurl
import pytest

from airflow_provider_osmosdest.core.errors import AmbiguousError, NotSentError, TlsError
from airflow_provider_osmosdest.core.http.transports.curl_errors import status_stands, translated

# Every name pycurl has for an error, by what it says where the request had not begun; of one that had begun, the code
# says nothing.
TLS = """
    SSL_CONNECT_ERROR PEER_FAILED_VERIFICATION SSL_CACERT SSL_PEER_CERTIFICATE SSL_CERTPROBLEM SSL_CIPHER
    SSL_CACERT_BADFILE SSL_CRL_BADFILE SSL_ENGINE_NOTFOUND SSL_ENGINE_SETFAILED SSL_ENGINE_INITFAILED SSL_ISSUER_ERROR
    SSL_INVALIDCERTSTATUS SSL_PINNEDPUBKEYNOTMATCH USE_SSL_FAILED FTP_SSL_FAILED
"""
HTTP = """
    UNSUPPORTED_PROTOCOL FAILED_INIT URL_MALFORMAT URL_MALFORMAT_USER NOT_BUILT_IN COULDNT_RESOLVE_PROXY
    COULDNT_RESOLVE_HOST COULDNT_CONNECT FTP_WEIRD_SERVER_REPLY REMOTE_ACCESS_DENIED FTP_ACCESS_DENIED HTTP2
    PARTIAL_FILE FTP_PARTIAL_FILE HTTP_RETURNED_ERROR HTTP_NOT_FOUND WRITE_ERROR UPLOAD_FAILED FTP_COULDNT_STOR_FILE
    READ_ERROR OUT_OF_MEMORY OPERATION_TIMEDOUT OPERATION_TIMEOUTED RANGE_ERROR HTTP_RANGE_ERROR HTTP_POST_ERROR
    BAD_DOWNLOAD_RESUME FTP_BAD_DOWNLOAD_RESUME FUNCTION_NOT_FOUND LIBRARY_NOT_FOUND ABORTED_BY_CALLBACK
    BAD_FUNCTION_ARGUMENT BAD_CALLING_ORDER INTERFACE_FAILED HTTP_PORT_FAILED TOO_MANY_REDIRECTS UNKNOWN_OPTION
    GOT_NOTHING SEND_ERROR RECV_ERROR SHARE_IN_USE BAD_CONTENT_ENCODING FILESIZE_EXCEEDED SEND_FAIL_REWIND LOGIN_DENIED
    CONV_FAILED CONV_REQD SSL_SHUTDOWN_FAILED AGAIN CHUNK_FAILED NO_CONNECTION_AVAILABLE MALFORMAT_USER
    BAD_PASSWORD_ENTERED
"""
# What comes of other protocols than HTTP, or is no error of an exchange; they are read as any other.
NEVER = """
    OK ALREADY_COMPLETE CALL_MULTI_PERFORM UNKNOWN_TELNET_OPTION TELNET_OPTION_SYNTAX FILE_COULDNT_READ_FILE QUOTE_ERROR
    LDAP_CANNOT_BIND LDAP_SEARCH_FAILED LDAP_INVALID_URL SSH REMOTE_DISK_FULL REMOTE_FILE_EXISTS REMOTE_FILE_NOT_FOUND
    TFTP_NOTFOUND TFTP_PERM TFTP_DISKFULL TFTP_ILLEGAL TFTP_UNKNOWNID TFTP_EXISTS TFTP_NOSUCHUSER RTSP_CSEQ_ERROR
    RTSP_SESSION_ERROR FTP_ACCEPT_FAILED FTP_USER_PASSWORD_INCORRECT FTP_WEIRD_PASS_REPLY FTP_ACCEPT_TIMEOUT
    FTP_WEIRD_USER_REPLY FTP_WEIRD_PASV_REPLY FTP_WEIRD_227_FORMAT FTP_CANT_GET_HOST FTP_CANT_RECONNECT
    FTP_COULDNT_SET_BINARY FTP_COULDNT_SET_TYPE FTP_COULDNT_RETR_FILE FTP_WRITE_ERROR FTP_QUOTE_ERROR
    FTP_COULDNT_SET_ASCII FTP_PORT_FAILED FTP_COULDNT_USE_REST FTP_COULDNT_GET_SIZE FTP_PRET_FAILED FTP_BAD_FILE_LIST
"""
ROWS = {f"E_{name}": kind for kind, names in (("tls", TLS), ("http", HTTP), ("never", NEVER)) for name in names.split()}
# What libcurl has and pycurl has no name for: HTTP2_STREAM to ECH_REQUIRED (https://curl.se/libcurl/c/libcurl-errors.html).
NAMELESS = {92: "http", 93: "http", 94: "http", 95: "http", 96: "http", 97: "http", 98: "tls", 99: "http", 100: "http"}
NAMELESS[101] = "tls"
CODES = {**{getattr(pycurl, name): kind for name, kind in ROWS.items() if hasattr(pycurl, name)}, **NAMELESS}
RESETS = [errno.ECONNRESET, errno.EPIPE, errno.ETIMEDOUT, errno.ECONNREFUSED]


def of(code=pycurl.E_RECV_ERROR, *, status=0, begun=True, sent=5, length=5, os_errno=0):
    return translated(code, "reason", status, begun=begun, sent=sent, length=length, os_errno=os_errno)


def test_every_error_that_pycurl_names_has_a_row():
    named = {name for name in dir(pycurl) if name.startswith("E_") and not name.startswith("E_MULTI_")}
    assert named - set(ROWS) == set(), "say in TLS, HTTP or NEVER what it means"
    assert sorted(code for code in CODES if 0 < code < 102) == sorted(
        {getattr(pycurl, name) for name in named if 0 < getattr(pycurl, name) < 102} | set(NAMELESS)
    )


@pytest.mark.parametrize(("code", "kind"), sorted(CODES.items()))
class TestEachCode:
    def test_before_the_request_begins_nothing_was_sent(self, code, kind):
        for sent in (None, 0, 5):
            came = of(code, begun=False, sent=sent)
            assert type(came) is (TlsError if kind == "tls" else NotSentError)
            assert str(came) == "reason"

    def test_what_breaks_a_handshake_is_not_about_a_setting(self, code, kind):
        for number in RESETS:
            assert type(of(code, begun=False, os_errno=number)) is NotSentError
        assert type(of(code, begun=False, os_errno=errno.EINPROGRESS)) is (TlsError if kind == "tls" else NotSentError)

    def test_once_it_has_begun_a_single_byte_is_enough_for_doubt(self, code, kind):
        assert type(of(code, sent=0)) is NotSentError
        for sent in (None, 1, 4, 5, 6):
            assert type(of(code, sent=sent)) is AmbiguousError

    def test_of_a_success_only_a_whole_one_is_an_answer(self, code, kind):
        for status in (0, 100, 103, 199):
            assert not status_stands(code, status, begun=True)
        for status in (200, 299):
            assert status_stands(code, status, begun=True) is (code == pycurl.E_BAD_CONTENT_ENCODING)

    def test_any_other_status_stands_whatever_became_of_the_rest(self, code, kind):
        for status in (300, 307, 413, 500, 599):
            assert status_stands(code, status, begun=True)
            assert not status_stands(code, status, begun=False), "it is a proxy's, and no tunnel came about"


@pytest.mark.parametrize(
    ("sent", "length", "text"),
    [
        (0, 5_000, "reason (after 0 of 5,000 bytes)"),
        (1, 5_000, "reason (after 1 of 5,000 bytes)"),
        (4_999, 5_000, "reason (after 4,999 of 5,000 bytes)"),
        (5_000, 5_000, "reason"),
        (5_001, 5_000, "reason"),
        (None, 5_000, "reason"),
    ],
)
def test_the_message_says_how_much_was_out(sent, length, text):
    assert str(of(sent=sent, length=length)) == text


def test_of_a_request_without_a_body_no_byte_need_be_out():
    assert type(of(sent=0, length=0)) is AmbiguousError
    assert type(of(sent=0, length=0, begun=False)) is NotSentError


@pytest.mark.parametrize("sent", [None, 0, 3, 5])
@pytest.mark.parametrize("status", [1, 100, 200])
def test_the_begin_of_an_answer_shows_that_the_request_arrived(sent, status):
    came = of(status=status, sent=sent)
    assert type(came) is AmbiguousError
    assert str(came) == f"reason (answer {status} not whole)"
