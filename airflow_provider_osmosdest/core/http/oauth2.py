"""OAuth2 client credentials (RFC 6749 section 4.4): fetch a token, keep it, renew it before it expires."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from airflow_provider_osmosdest.core.errors import CredentialsError, NotSentError
from airflow_provider_osmosdest.core.http.urls import masked_url

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["ClientCredentials", "TokenSource"]

# A token that ends while a request is under way is refused: stop using it this many seconds ahead.
_AHEAD = 30.0
# RFC 6749 section 5.1 only recommends ``expires_in``; without it a token is kept until a 401.
_WITHOUT_END = float("inf")
# RFC 6749 appendix A.12: printable ASCII, and no spaces in a header's token (RFC 6750 section 2.1).
_TOKEN = re.compile(r"[\x21-\x7e]+")


@dataclass(frozen=True, slots=True)
class ClientCredentials:
    """
    How to get a token.

    :param url: the token endpoint
    :param client_id: the client's id
    :param client_secret: the client's secret
    :param scope: scopes to request, separated by spaces
    :param audience: the API the token is for, where the server needs it
    """

    url: str
    client_id: str
    client_secret: str = field(repr=False)
    scope: str | None = None
    audience: str | None = None


class TokenSource:
    """
    Give out a token that is valid now.

    :param credentials: how to get one
    :param post: posts a form: URL, body and headers to status and text; raises ``OSError`` where none comes back
    :param learned: is called with every token, so that it can be masked
    :param clock: seconds that only ever grow
    """

    def __init__(
        self,
        credentials: ClientCredentials,
        post: Callable[[str, str, dict[str, str]], tuple[int, str]],
        learned: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._credentials = credentials
        self._post = post
        self._learned = learned
        self._clock = clock
        self._token: str | None = None
        self._good_until = 0.0

    def token(self) -> str:
        """
        Return a token, a new one if the last is about to expire.

        :raises CredentialsError: when the server refuses to give one
        :raises NotSentError: when the server cannot be reached, or fails
        """
        if self._token is None or self._clock() >= self._good_until:
            self._token = self._fetch()
            self._learned(self._token)
        return self._token

    def forget(self, token: str | None) -> None:
        """Drop a token that an API did not accept."""
        if token == self._token:
            self._token = None

    def _fetch(self) -> str:
        from oauthlib.oauth2 import BackendApplicationClient, InsecureTransportError, OAuth2Error

        credentials = self._credentials
        where = masked_url(credentials.url)
        client = BackendApplicationClient(credentials.client_id)
        more: dict[str, Any] = {"audience": credentials.audience} if credentials.audience else {}
        try:
            url, headers, body = client.prepare_token_request(
                credentials.url,
                scope=credentials.scope,
                include_client_id=True,
                client_secret=credentials.client_secret,
                **more,
            )
        except InsecureTransportError:
            raise CredentialsError(
                f"the token endpoint {where} is not https://, and RFC 6749 section 3.2 forbids to send it a secret"
            ) from None
        try:
            status, text = self._post(url, body, {**headers, "Accept": "application/json"})
        except OSError as error:
            raise NotSentError(f"the token endpoint {where} cannot be reached: {type(error).__name__}") from None
        if status >= 500 or status == 429:  # noqa: PLR2004 - RFC 9110 section 15
            raise NotSentError(f"the token endpoint {where} answered {status}")
        try:
            answer: dict[str, Any] = client.parse_request_body_response(text, scope=credentials.scope)
        except OAuth2Error as error:
            # Its description is the server's own words for the person who set this up; it names no secret.
            raise CredentialsError(
                f"the token endpoint {where} answered {status} ({error.error}): check client id, client secret, scope "
                "and audience of the connection"
            ) from None
        except Warning as warning:
            # The server granted another scope than was asked for; RFC 6749 section 5.1 lets it.
            answer = warning.token  # type: ignore[attr-defined] # oauthlib puts it there
        except (ValueError, TypeError, AttributeError, RecursionError):
            answer = {}
        token, seconds = answer.get("access_token"), answer.get("expires_in")
        # A line break in it would begin another header.
        if not isinstance(token, str) or not _TOKEN.fullmatch(token):
            raise CredentialsError(
                f"the token endpoint {where} answered {status}, and not with a token as RFC 6749 section 5.1 has it: "
                "check the connection's oauth2_url"
            )
        self._good_until = self._clock() + max(1.0, float(seconds) - _AHEAD) if seconds else _WITHOUT_END
        return token
