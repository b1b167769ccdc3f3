"""Reddit's OAuth code flow, as far as it says who somebody is, and no further."""

from __future__ import annotations

import base64
import hashlib
from typing import Any
from urllib.parse import urlencode

import structlog
from asyncprawcore import exceptions as core
from asyncprawcore.auth import Authorizer, TrustedAuthenticator
from asyncprawcore.requestor import Requestor

from bot.config import Config, Secrets
from bot.errors import BadCredentials, Transient
from bot.reddit import user_agent

log = structlog.get_logger()

# The name and nothing else: whom somebody moderates with is asked with the bot's own account.
_SCOPES = ["identity"]


class _WithVerifier(Authorizer):
    """Adds to the code what proves that whoever brings it began the sign-in (PKCE)."""

    async def redeem(self, code: str, verifier: str) -> None:
        """Changes the code for a token."""
        await self._request_token(
            code=code,
            code_verifier=verifier,
            grant_type="authorization_code",
            redirect_uri=self._authenticator.redirect_uri,
        )


class Identity:
    """Asks Reddit who somebody is. The token that this takes is given back; nothing of it is kept."""

    def __init__(self, config: Config, secrets: Secrets, redirect_uri: str) -> None:
        self._own_app = bool(secrets.web_client_id)
        self._app = {
            "client_id": secrets.web_client_id or secrets.client_id,
            "client_secret": (secrets.web_client_secret if self._own_app else secrets.client_secret).get_secret_value(),
            "redirect_uri": redirect_uri,
        }
        self._requestor: dict[str, Any] = {
            "user_agent": user_agent(config, secrets),
            "timeout": config.reddit.timeout_seconds,
        }
        if config.reddit.base_url is not None:
            self._requestor |= {"reddit_url": config.reddit.base_url, "oauth_url": config.reddit.base_url}

    def authorise_url(self, state: str, verifier: str) -> str:
        """Where Reddit asks somebody whether we may know their name.

        Reddit documents no PKCE and passes over what it does not know; it is sent all the same, since it costs nothing
        and holds from the day on which Reddit looks at it.
        """
        digest = hashlib.sha256(verifier.encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        url = self._authenticator(Requestor(**self._requestor)).authorize_url(
            duration="temporary", scopes=_SCOPES, state=state
        )
        return f"{url}&{urlencode({'code_challenge': challenge, 'code_challenge_method': 'S256'})}"

    async def name(self, code: str, verifier: str) -> str:
        """The name of the account that the code stands for.

        Raises BadCredentials when Reddit does not take the code or our own credentials, Transient when it does not say.
        """
        # A client of its own: what Reddit says of another account's allowance is not the bot's.
        requestor = Requestor(**self._requestor)
        authorizer = _WithVerifier(authenticator=self._authenticator(requestor))
        try:
            await authorizer.redeem(code, verifier)
            headers = {"Authorization": f"bearer {authorizer.access_token}"}
            async with requestor.request("GET", f"{requestor.oauth_url}/api/v1/me", headers=headers) as response:
                if response.status != 200:
                    raise core.ResponseException(response)
                name = (await response.json())["name"]
            await self._give_back(authorizer)
        except core.OAuthException as error:
            raise BadCredentials("Reddit does not take this sign-in") from error
        except core.ResponseException as error:
            if error.response.status in (400, 401, 403):
                raise BadCredentials(f"Reddit does not take this sign-in ({error.response.status})") from error
            raise Transient(f"Reddit answered {error.response.status}") from error
        except Exception as error:
            raise Transient(f"no answer from Reddit ({type(error).__name__})") from error
        finally:
            await requestor.close()
        return str(name)

    async def _give_back(self, authorizer: Authorizer) -> None:
        try:
            await authorizer.revoke()
        except Exception as error:
            # The name is known, and the token ends by itself within the hour: no reason to send anybody away.
            log.warning("review.token_not_returned", error=type(error).__name__)

    def _authenticator(self, requestor: Requestor) -> TrustedAuthenticator:
        return TrustedAuthenticator(requestor=requestor, **self._app)
