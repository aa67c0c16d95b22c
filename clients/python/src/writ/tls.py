"""TLS with an identity: contexts that show the newest certificate, and judge a peer before anything of it is read.

They are ``ssl.SSLContext`` to whatever takes one (``http.client``, ``socketserver``, ``asyncio``, httpx, urllib3, aiohttp). What
decides about trust cannot be changed from outside: roots, certificate and verification are the identity's.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Union

from .certificate import PeerFacts, facts_of_chain
from .credential import Credential
from .key_loading import load_credential


class PeerRefused(ssl.SSLCertVerificationError):
    """The peer's chain is good, and yet it may not come in. ``code`` is ``denied``, ``revoked`` or ``unavailable``."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(1, message)
        self.code = code
        self.message = message


@dataclass(frozen=True, eq=False)
class Material:
    """What connections are made with: whom to trust, and who one is (``None``: a stranger, who shows nothing)."""

    roots: tuple[str, ...]
    credential: Credential | None


#: Told of each connection with a verified chain before anything that came over it is read; raises ``PeerRefused``.
Gate = Callable[["Connection", PeerFacts], None]


class CheckedSocket(ssl.SSLSocket):
    """A connection over a socket. Nothing is read or written before its peer was judged, nor after it was cut."""

    peer_facts: PeerFacts | None = None
    #: Set by Python, of listening sockets above all.
    do_handshake_on_connect: bool
    _judged = False
    _cut = False

    def do_handshake(self, block: bool = False) -> None:
        super().do_handshake(block)
        if not self._judged:
            _judge(self)
            self._judged = True

    def read(self, len: int = 1024, buffer: Any = None) -> Any:
        self._require_peer()
        return super().read(len, buffer)

    def write(self, data: Any) -> int:
        self._require_peer()
        return super().write(data)

    def send(self, data: Any, flags: int = 0) -> int:
        self._require_peer()
        return super().send(data, flags)

    def accept(self) -> tuple[ssl.SSLSocket, Any]:
        """Of a listening socket: with the certificate of now, where Python would keep to the one of its beginning."""
        plain, address = socket.socket.accept(self)
        context = self.context
        outer = context.outer if isinstance(context, _Fixed) else context
        return outer.wrap_socket(plain, server_side=True, do_handshake_on_connect=self.do_handshake_on_connect), address

    def cut(self) -> None:
        """Closes the connection under whoever uses it, from any thread."""
        self._cut = True
        try:
            # Not the method of the TLS socket: after that one, Python would send in clear.
            socket.socket.shutdown(self, socket.SHUT_RDWR)
        except OSError:
            pass

    def _require_peer(self) -> None:
        if self._cut:
            raise _cut_off()
        if not self._judged:
            self.do_handshake()
        elif getattr(self, "_sslobj", None) is None:
            raise ssl.SSLError(1, "The TLS connection was ended.")


class CheckedObject(ssl.SSLObject):
    """A connection whose octets somebody else carries, such as ``asyncio``."""

    peer_facts: PeerFacts | None = None
    _judged = False
    _cut = False
    _carrier: Any = None

    def do_handshake(self) -> None:
        super().do_handshake()
        if not self._judged:
            _judge(self)
            self._judged = True

    def read(self, len: int = 1024, buffer: Any = None) -> Any:
        self._require_peer()
        return super().read(len, buffer)

    def write(self, data: Any) -> int:
        self._require_peer()
        return super().write(data)

    def carried_by(self, carrier: Any) -> None:
        """Says over which socket the octets go, so that ``cut`` can close it even while nothing is said."""
        self._carrier = carrier
        if self._cut:
            self.cut()

    def cut(self) -> None:
        """Lets nothing more through in either direction, and closes the socket where it is known; from any thread."""
        self._cut = True
        if self._carrier is not None:
            try:
                self._carrier.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def _require_peer(self) -> None:
        if self._cut:
            raise _cut_off()
        if not self._judged:
            self.do_handshake()


Connection = Union[CheckedSocket, CheckedObject]


class IdentityContext(ssl.SSLContext):
    """Mutual TLS (1.3) with what ``material`` gives at each new connection.

    ``gate`` judges the peer after its chain. With ``by_host_name`` a server's certificate must be for its host name, too.
    """

    def __new__(cls, material: Callable[[], Material], **options: Any) -> IdentityContext:
        return super().__new__(cls, ssl.PROTOCOL_TLS_SERVER if options.get("server_side") else ssl.PROTOCOL_TLS_CLIENT)

    def __init__(
        self,
        material: Callable[[], Material],
        *,
        server_side: bool = False,
        gate: Gate | None = None,
        by_host_name: bool = False,
    ) -> None:
        self._material = material
        self._server_side = server_side
        self._gate = gate
        self._by_host_name = by_host_name
        self._alpn: list[str] | None = None
        self._fixed: tuple[Material, _Fixed] | None = None

    def wrap_socket(
        self,
        sock: socket.socket,
        server_side: bool = False,
        do_handshake_on_connect: bool = True,
        suppress_ragged_eofs: bool = True,
        server_hostname: str | bytes | None = None,
        session: ssl.SSLSession | None = None,
    ) -> ssl.SSLSocket:
        # A resumed session would skip the check of the certificate, so none is.
        return self._now().wrap_socket(
            sock, server_side, do_handshake_on_connect, suppress_ragged_eofs, server_hostname
        )

    def wrap_bio(
        self,
        incoming: ssl.MemoryBIO,
        outgoing: ssl.MemoryBIO,
        server_side: bool = False,
        server_hostname: str | bytes | None = None,
        session: ssl.SSLSession | None = None,
    ) -> ssl.SSLObject:
        return self._now().wrap_bio(incoming, outgoing, server_side, server_hostname)

    def set_alpn_protocols(self, alpn_protocols: Iterable[str]) -> None:
        wanted = list(alpn_protocols)
        if wanted != self._alpn:
            self._alpn = wanted
            self._fixed = None

    def load_cert_chain(self, *_: Any, **__: Any) -> None:
        raise _sealed("certificate")

    def load_verify_locations(self, *_: Any, **__: Any) -> None:
        raise _sealed("roots")

    def load_default_certs(self, *_: Any, **__: Any) -> None:
        raise _sealed("roots")

    def set_default_verify_paths(self) -> None:
        raise _sealed("roots")

    @property  # type: ignore[override]
    def verify_mode(self) -> ssl.VerifyMode:
        return ssl.CERT_REQUIRED

    @verify_mode.setter
    def verify_mode(self, value: ssl.VerifyMode) -> None:
        if value != ssl.CERT_REQUIRED:
            raise _sealed("verification")

    @property
    def check_hostname(self) -> bool:
        return self._by_host_name

    @check_hostname.setter
    def check_hostname(self, value: bool) -> None:
        if value != self._by_host_name:
            raise _sealed("check of the host name")

    def material(self) -> Material:
        """What the next connection is made with."""
        return self._material()

    def is_current(self, context: ssl.SSLContext) -> bool:
        """Whether a connection that has this context shows the newest certificate."""
        return context is self._now()

    def _now(self) -> _Fixed:
        """The context of this moment. It is never changed, so no handshake sees half of a renewal."""
        material = self._material()
        fixed = self._fixed
        if fixed is None or fixed[0] is not material:
            fixed = (material, self._fix(material))
            self._fixed = fixed
        return fixed[1]

    def _fix(self, material: Material) -> _Fixed:
        fixed = _Fixed(ssl.PROTOCOL_TLS_SERVER if self._server_side else ssl.PROTOCOL_TLS_CLIENT)
        fixed.outer = self
        fixed.gate = self._gate
        fixed.minimum_version = ssl.TLSVersion.TLSv1_3
        fixed.check_hostname = self._by_host_name
        fixed.verify_mode = ssl.CERT_REQUIRED
        fixed.options |= ssl.OP_NO_TICKET
        if self._server_side:
            fixed.num_tickets = 0
        fixed.load_verify_locations(cadata="".join(material.roots))
        if material.credential is not None:
            load_credential(fixed, material.credential)
        if self._alpn is not None:
            fixed.set_alpn_protocols(self._alpn)
        return fixed


class _Fixed(ssl.SSLContext):
    """One certificate's worth of an ``IdentityContext``."""

    sslsocket_class = CheckedSocket
    sslobject_class = CheckedObject
    outer: IdentityContext
    gate: Gate | None


def _judge(connection: Connection) -> None:
    if connection.session_reused:
        raise PeerRefused("denied", "The peer resumed a session in place of showing its certificate.")
    try:
        connection.peer_facts = facts_of_chain(_verified_chain(connection))
    except Exception:  # whatever is wrong with it: nobody is known by it
        connection.peer_facts = None
    gate = connection.context.gate if isinstance(connection.context, _Fixed) else None
    if gate is None:
        return
    if connection.peer_facts is None:
        raise PeerRefused("denied", "The peer has no SPIFFE ID.")
    gate(connection, connection.peer_facts)


def _verified_chain(connection: Connection) -> list[bytes]:
    """DER, the peer's own first. Public since Python 3.13; before that the same is there under another name."""
    public = getattr(connection, "get_verified_chain", None)
    chain = (public if public is not None else connection._sslobj.get_verified_chain)()  # type: ignore[union-attr]
    return [one if isinstance(one, bytes) else ssl.PEM_cert_to_DER_cert(one.public_bytes()) for one in chain]


def _cut_off() -> PeerRefused:
    return PeerRefused("revoked", "The connection was cut: the peer may not be trusted any more.")


def _sealed(what: str) -> ValueError:
    return ValueError(f"The {what} of this context cannot be changed: it is the identity's.")
