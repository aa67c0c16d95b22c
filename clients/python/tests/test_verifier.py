"""The revocation feed: who is refused, which connections are closed, and what holds when nothing is heard."""

from __future__ import annotations

import asyncio
import http.client
import json
import socket
import ssl
import tempfile
import threading
import time
import unittest
from typing import Any

from authority import API, Wire, control, identity, instance_of, stop, until
from cryptography.hazmat.primitives.asymmetric import ec
from test_parts import authority, leaf_below
from test_tls import Echo, get, serve

import writ
from writ.certificate import pem_of, serial_of
from writ.credential import Credential
from writ.http_client import HttpsClient
from writ.tls import CheckedSocket, IdentityContext, Material


class Judged(Echo):
    """Asks for each request."""

    verifier: writ.Verifier
    server_version = "test"

    def do_GET(self) -> None:
        decision = self.verifier.authorize(self, allow="agent/planner/*")
        if decision:
            super().do_GET()
            return
        body = str(decision.reason).encode()
        self.send_response(503 if decision.reason == "stale" else 403)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def judged(verifier: writ.Verifier) -> Any:
    return type("Handler", (Judged,), {"verifier": verifier})


class Feed(unittest.TestCase):
    def setUp(self) -> None:
        self.service = identity(self, "bookings", "service")
        self.planner = identity(self, "planner")

    def verifier(self, of: writ.Identity | None = None, **options: Any) -> writ.Verifier:
        made = writ.create_verifier(of or self.service, **{"mode": "strict", **options})
        self.addCleanup(made.close)
        made.ready(20)
        return made

    def kept(self, port: int, made: writ.Identity) -> http.client.HTTPSConnection:
        context = made.client_context(allow="service/bookings/*")
        connection = http.client.HTTPSConnection("127.0.0.1", port, context=context, timeout=10)
        self.addCleanup(connection.close)
        self.assertEqual(ask(connection), (200, made.credential.serial))
        return connection

    def test_whoever_is_stopped_loses_its_connections_and_gets_no_other(self) -> None:
        verifier = self.verifier(point="python-1")
        port = serve(self, verifier.protect, judged(verifier), allow="agent/planner/*")
        other = identity(self, "planner")
        kept, spared = self.kept(port, self.planner), self.kept(port, other)
        stop(self.planner)
        self.assertEqual(kept.sock.recv(1), b"")
        with self.assertRaises((OSError, http.client.HTTPException)):
            get(port, self.planner.client_context(allow="service/bookings/*"))
        self.assertEqual(ask(spared), (200, other.credential.serial))
        # The authority was told.
        client = HttpsClient(API, self.service.client_context(allow="writ/server"))
        path = f"/v1/feed/effect?subject=instance:{instance_of(self.planner)}"

        def complete() -> Any:
            try:
                said = client.json("GET", path)
            except writ.WritError as error:
                # The thread that answers reads the stop a moment after others have told of it.
                self.assertEqual(error.code, "not_found")
                return None
            return said if said["complete"] else None

        report = until(complete)
        # The daemon of these tests is a point as well.
        self.assertGreater(report["points"], 1)
        self.assertEqual((report["acknowledged"], report["accepted_after"]), (report["points"], 0))

    def test_somebody_elses_agent_of_the_same_name_goes_on(self) -> None:
        verifier = self.verifier()
        ours, service = self.planner.credential, self.service.credential
        theirs = foreign(ours.spiffe_id.replace(self.planner.trust_domain, "partner.example"))
        # A root may vouch for several trust domains.
        accepting = Material((*service.roots, *theirs.roots), service)
        peers = [handshake(self, accepting, Material(service.roots, one)) for one in (ours, theirs)]
        for peer in peers:
            verifier.track(peer)
            self.assertTrue(verifier.authorize(peer))
        stop(self.planner)
        until(lambda: verifier.fallen([f"instance:{instance_of(self.planner)}"]) == "stopped")
        self.assertEqual(verifier.authorize(peers[0]).reason, "stopped")
        self.assertTrue(verifier.authorize(peers[1]))
        # What was cut lets nothing through.
        until(lambda: not lets_through(peers[0]))
        self.assertTrue(lets_through(peers[1]))

    def test_a_request_on_a_connection_that_nobody_closes_is_refused(self) -> None:
        verifier = self.verifier()
        port = serve(self, self.service.protect, judged(verifier), allow="agent/planner/*")
        kept = self.kept(port, self.planner)
        stop(self.planner)
        until(lambda: verifier.fallen([f"instance:{instance_of(self.planner)}"]) == "stopped")
        self.assertEqual(ask(kept), (403, "stopped"))

    def test_what_is_held_comes_back_when_it_is_released(self) -> None:
        verifier = self.verifier()
        port = serve(self, self.service.protect, judged(verifier), allow="agent/planner/*")
        kept = self.kept(port, self.planner)
        subject = [f"instance:{instance_of(self.planner)}"]
        words = ("stop", "instance", instance_of(self.planner), "--quarantine", "--cause", "risk_signal", "--yes")
        held = control("cli", *words)
        until(lambda: verifier.fallen(subject) == "held")
        self.assertEqual(ask(kept), (403, "held"))
        control("cli", "release", held["id"], "--here")
        until(lambda: verifier.fallen(subject) is None)
        self.assertEqual(ask(kept)[0], 200)

    def test_a_server_that_falls_is_let_go_by_its_clients(self) -> None:
        verifier = self.verifier(self.planner, mode="available")
        port = serve(self, self.service.protect, allow="agent/planner/*")
        context = verifier.client_context(allow="service/bookings/*")
        connection = http.client.HTTPSConnection("127.0.0.1", port, context=context, timeout=20)
        self.addCleanup(connection.close)
        self.assertEqual(ask(connection)[0], 200)
        stop(self.service)
        # Whoever waits for an answer is told at once.
        self.assertIn(read_or_fail(connection.sock), (b"", None))
        with self.assertRaises(writ.PeerRefused) as refused:
            get(port, context)
        self.assertEqual(refused.exception.code, "revoked")

    def test_what_was_stopped_before_is_refused_from_the_beginning(self) -> None:
        stop(self.planner)
        verifier = self.verifier()
        self.assertEqual(verifier.fallen([f"instance:{instance_of(self.planner)}"]), "stopped")

    def test_others_and_strangers(self) -> None:
        verifier = self.verifier()
        self.assertEqual(verifier.authorize(object()).reason, "no_identity")
        port = serve(self, self.service.protect, judged(verifier), allow=lambda _: True)
        reader = identity(self, "reader")
        context = reader.client_context(allow="service/bookings/*")
        connection = http.client.HTTPSConnection("127.0.0.1", port, context=context, timeout=10)
        self.addCleanup(connection.close)
        self.assertEqual(ask(connection), (403, "not_allowed"))

    def test_a_server_that_is_no_authority_is_not_believed(self) -> None:
        port = serve(self, self.service.protect, allow=lambda _: True)
        made = writ.create_verifier(self.planner, mode="strict", server=f"https://127.0.0.1:{port}")
        self.addCleanup(made.close)
        with self.assertRaises(writ.WritError) as refused:
            made.ready(1)
        self.assertEqual(refused.exception.__cause__.code, "bad_certificate")  # type: ignore[union-attr]


class Silence(unittest.TestCase):
    def setUp(self) -> None:
        self.service = identity(self, "bookings", "service")
        self.planner = identity(self, "planner")
        self.wire = Wire()
        self.addCleanup(self.wire.close)

    def verifier(self, mode: Any, **options: Any) -> writ.Verifier:
        made = writ.create_verifier(self.service, mode=mode, server=self.wire.address, strict_ms=2500, **options)
        self.addCleanup(made.close)
        made.ready(20)
        return made

    def test_strict_refuses_everybody_and_comes_back_knowing_what_it_missed(self) -> None:
        verifier = self.verifier("strict")
        alarms: list[float] = []
        verifier.on("alarm", lambda age, cause: alarms.append(age))
        port = serve(self, verifier.protect, judged(verifier), allow="agent/planner/*")
        context = self.planner.client_context(allow="service/bookings/*")
        kept = http.client.HTTPSConnection("127.0.0.1", port, context=context, timeout=20)
        self.addCleanup(kept.close)
        self.assertEqual(ask(kept)[0], 200)
        self.wire.hold()
        self.assertEqual(kept.sock.recv(1), b"")
        self.assertTrue(until(lambda: alarms))
        self.assertGreater(alarms[0], 2500)
        with self.assertRaises((OSError, http.client.HTTPException)):
            get(port, context)
        missed = identity(self, "planner")
        stop(missed)
        # Whoever is well knows what was stopped longer ago than that.
        time.sleep(2.6)
        self.wire.release()
        verifier.ready(20)
        self.assertEqual(verifier.fallen([f"instance:{instance_of(missed)}"]), "stopped")
        get(port, context)

    def test_available_goes_on_for_a_while(self) -> None:
        verifier = self.verifier("available", stale_ms=6000)
        alarms: list[float] = []
        verifier.on("alarm", lambda age, cause: alarms.append(age))
        port = serve(self, verifier.protect, judged(verifier), allow="agent/planner/*")
        context = self.planner.client_context(allow="service/bookings/*")
        kept = http.client.HTTPSConnection("127.0.0.1", port, context=context, timeout=20)
        self.addCleanup(kept.close)
        self.assertEqual(ask(kept)[0], 200)
        self.wire.hold()
        until(lambda: alarms)
        self.assertFalse(verifier.well)
        self.assertEqual(ask(kept)[0], 200)
        until(lambda: verifier.age > 6000)
        self.assertEqual(ask(kept), (503, "stale"))
        self.wire.release()
        verifier.ready(20)
        self.assertEqual(ask(kept)[0], 200)

    def test_available_lets_go_of_those_of_whom_only_the_feed_tells(self) -> None:
        verifier = self.verifier("available")
        brief = writ.connect(token=ephemeral_token("brief"))
        self.addCleanup(brief.close)
        rule = ["agent/planner/*", "agent/brief/*"]
        port = serve(self, verifier.protect, Echo, allow=rule)
        kept = [
            http.client.HTTPSConnection(
                "127.0.0.1", port, context=made.client_context(allow="service/bookings/*"), timeout=20
            )
            for made in (brief, self.planner)
        ]
        for connection in kept:
            self.addCleanup(connection.close)
            self.assertEqual(ask(connection)[0], 200)
        self.wire.hold()
        self.assertEqual(kept[0].sock.recv(1), b"")
        with self.assertRaises((OSError, http.client.HTTPException)):
            get(port, brief.client_context(allow="service/bookings/*"))
        self.assertEqual(ask(kept[1])[0], 200)
        self.wire.release()
        verifier.ready(20)
        get(port, brief.client_context(allow="service/bookings/*"))

    def test_before_the_feed_was_read_nobody_is_answered(self) -> None:
        self.wire.hold()
        for mode in ("strict", "available"):
            made = writ.create_verifier(self.service, mode=mode, server=self.wire.address)  # type: ignore[arg-type]
            self.addCleanup(made.close)
            port = serve(self, made.protect, allow="agent/planner/*")
            with self.assertRaises((OSError, http.client.HTTPException)):
                get(port, self.planner.client_context(allow="service/bookings/*"))
            with self.assertRaises(writ.WritError):
                made.ready(0.1)

    def test_another_mode_and_an_unknown_event_are_refused(self) -> None:
        with self.assertRaises(writ.WritError):
            writ.create_verifier(self.service, mode="lenient")  # type: ignore[arg-type]
        with self.assertRaises(ValueError):
            self.verifier("strict").on("panic", print)  # type: ignore[arg-type]


class Streams(unittest.IsolatedAsyncioTestCase):
    async def test_a_silent_connection_of_asyncio_is_closed_when_its_peer_falls(self) -> None:
        service = await asyncio.to_thread(identity, self, "bookings", "service")
        planner = await asyncio.to_thread(identity, self, "planner")
        verifier = writ.create_verifier(service, mode="strict")
        self.addCleanup(verifier.close)
        await asyncio.to_thread(verifier.ready, 20)
        ended: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self.assertTrue(verifier.authorize(writer, allow="agent/planner/*"))
            verifier.track(writer)
            writer.write(b"welcome\n")
            try:
                ended.set_result(await reader.read(1))
            except OSError:
                ended.set_result(b"")
            writer.close()

        context = verifier.server_context(allow="agent/planner/*")
        server = await asyncio.start_server(handle, "127.0.0.1", 0, ssl=context)
        port = server.sockets[0].getsockname()[1]
        client = planner.client_context(allow="service/bookings/*")
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=client)
        self.assertEqual(await reader.readline(), b"welcome\n")
        await asyncio.to_thread(stop, planner)
        self.assertEqual(await asyncio.wait_for(ended, 5), b"")
        writer.close()
        server.close()


def foreign(uri: str) -> Credential:
    """Of somebody else's authority, whose root is in `roots`."""
    root_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    certificate = leaf_below(uri, key, "partner", root_key)
    return Credential(
        key=key,
        spiffe_id=uri,
        serial=serial_of(certificate),
        certificate=pem_of(certificate),
        chain=(),
        roots=(authority("partner", root_key, "partner", root_key),),
        not_before=0,
        not_after=0,
        renew_after=0,
    )


def handshake(case: unittest.TestCase, accepting: Material, connecting: Material) -> CheckedSocket:
    """The accepting end of a connection, of which the other one is the peer."""
    near, far = socket.socketpair()
    case.addCleanup(near.close)
    case.addCleanup(far.close)
    client = IdentityContext(lambda: connecting)
    thread = threading.Thread(target=lambda: case.addCleanup(client.wrap_socket(far).close), daemon=True)
    thread.start()
    accepted = IdentityContext(lambda: accepting, server_side=True).wrap_socket(near, server_side=True)
    thread.join(20)
    case.addCleanup(accepted.close)
    assert isinstance(accepted, CheckedSocket)
    return accepted


def lets_through(connection: CheckedSocket) -> bool:
    try:
        return connection.send(b"x") == 1
    except OSError:
        return False


def ephemeral_token(name: str) -> str:
    """A join token of an agent whose certificates live five minutes and are on no list."""
    profile = control("cli", "profile", "show", "agent")
    kept = {key: value for key, value in profile.items() if key not in ("version", "updated_at")}
    lifetime = {"default": 300, "least": 60, "most": 300}
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump({**kept, "name": "short", "lifetime": lifetime, "revocation": "ephemeral"}, file)
        file.flush()
        control("cli", "profile", "publish", file.name)
    owner = ("--team", "tests", "--sponsor", "ada@example.com", "--purpose", "tests")
    control("cli", "agent", "register", name, *owner, "--profile", "short")
    text: str = control("cli", "token", "create", name)["token"]
    return text


def ask(connection: http.client.HTTPSConnection) -> tuple[int, str]:
    connection.request("GET", "/")
    answer = connection.getresponse()
    return answer.status, answer.read().decode()


def read_or_fail(connection: socket.socket) -> bytes | None:
    try:
        return connection.recv(1)
    except (OSError, ssl.SSLError):
        return None


if __name__ == "__main__":
    unittest.main()
