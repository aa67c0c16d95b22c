"""Mutual TLS with an identity, in the servers and clients of the standard library."""

from __future__ import annotations

import asyncio
import http.client
import http.server
import socket
import ssl
import threading
import unittest
from typing import Any
from unittest import mock

from authority import identity

import writ
from writ import key_loading
from writ.certificate import certificate_of, serial_of


class Echo(http.server.BaseHTTPRequestHandler):
    """Says which certificate the client showed."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        connection = self.connection
        assert isinstance(connection, ssl.SSLSocket)
        der = connection.getpeercert(binary_form=True)
        assert der is not None
        body = serial_of(certificate_of(ssl.DER_cert_to_PEM_cert(der))).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


def serve(case: unittest.TestCase, protect: Any, handler: Any = Echo, **rule: Any) -> int:
    """A server behind `protect` of an identity or verifier; gives its port."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    protect(server, **rule)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    case.addCleanup(server.server_close)
    case.addCleanup(server.shutdown)
    return server.server_port


def get(port: int, context: ssl.SSLContext) -> str:
    connection = http.client.HTTPSConnection("127.0.0.1", port, context=context, timeout=10)
    try:
        connection.request("GET", "/")
        return connection.getresponse().read().decode()
    finally:
        connection.close()


class MutualTls(unittest.TestCase):
    def setUp(self) -> None:
        self.service = identity(self, "bookings", "service")
        self.planner = identity(self, "planner")

    def test_each_is_known_to_the_other(self) -> None:
        port = serve(self, self.service.protect, allow="agent/planner/*")
        said = get(port, self.planner.client_context(allow="service/bookings/*"))
        self.assertEqual(said, self.planner.credential.serial)

    def test_a_server_that_is_not_expected_is_refused_before_anything_is_said(self) -> None:
        port = serve(self, self.service.protect, allow="agent/planner/*")
        with self.assertRaises(writ.PeerRefused) as refused:
            get(port, self.planner.client_context(allow="service/payments/*"))
        self.assertEqual(refused.exception.code, "denied")
        self.assertIn(self.service.spiffe_id, refused.exception.message)

    def test_without_a_rule_the_host_name_counts(self) -> None:
        port = serve(self, self.service.protect, allow="agent/planner/*")
        with self.assertRaises(ssl.SSLCertVerificationError):
            get(port, self.planner.client_context())

    def test_a_client_that_is_not_expected_reaches_no_handler(self) -> None:
        reached: list[str] = []

        class Handler(Echo):
            def do_GET(self) -> None:
                reached.append(self.path)
                super().do_GET()

        port = serve(self, self.service.protect, Handler, allow="agent/reader/*")
        with self.assertRaises((OSError, http.client.HTTPException)):
            get(port, self.planner.client_context(allow="service/bookings/*"))
        self.assertEqual(reached, [])

    def test_a_client_without_a_certificate_and_one_of_another_authority_reach_no_handler(self) -> None:
        port = serve(self, self.service.protect, allow="agent/planner/*")
        stranger = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        stranger.check_hostname = False
        stranger.verify_mode = ssl.CERT_NONE
        with self.assertRaises((OSError, http.client.HTTPException)):
            get(port, stranger)

    def test_a_silent_client_holds_up_nobody(self) -> None:
        port = serve(self, self.service.protect, allow="agent/planner/*")
        with socket.create_connection(("127.0.0.1", port)):
            get(port, self.planner.client_context(allow="service/bookings/*"))

    def test_after_a_renewal_both_sides_show_the_new_certificate(self) -> None:
        port = serve(self, self.service.protect, allow="agent/planner/*")
        context = self.planner.client_context(allow="service/bookings/*")
        get(port, context)
        self.service.renew()
        self.planner.renew()
        self.assertEqual(get(port, context), self.planner.credential.serial)
        with context.wrap_socket(socket.create_connection(("127.0.0.1", port))) as connection:
            der = connection.getpeercert(binary_form=True)
        assert der is not None
        self.assertEqual(serial_of(certificate_of(ssl.DER_cert_to_PEM_cert(der))), self.service.credential.serial)

    def test_a_connection_lives_on_through_a_renewal(self) -> None:
        port = serve(self, self.service.protect, allow="agent/planner/*")
        context = self.planner.client_context(allow="service/bookings/*")
        connection = http.client.HTTPSConnection("127.0.0.1", port, context=context, timeout=10)
        self.addCleanup(connection.close)
        for _ in range(3):
            connection.request("GET", "/")
            connection.getresponse().read()
            self.service.renew()
            self.planner.renew()

    def test_a_handshake_that_is_put_off_is_not_left_out(self) -> None:
        port = serve(self, self.service.protect, allow="agent/planner/*")
        context = self.planner.client_context(allow="service/payments/*")
        for use in (lambda one: one.recv(1), lambda one: one.sendall(b"secret"), lambda one: one.write(b"secret")):
            plain = socket.create_connection(("127.0.0.1", port))
            connection = context.wrap_socket(plain, do_handshake_on_connect=False)
            with self.assertRaises(writ.PeerRefused):
                use(connection)
            connection.close()

    def test_no_session_can_be_resumed(self) -> None:
        port = serve(self, self.service.protect, allow="agent/planner/*")
        context = self.planner.client_context(allow="service/bookings/*")
        connection = http.client.HTTPSConnection("127.0.0.1", port, context=context, timeout=10)
        self.addCleanup(connection.close)
        for _ in range(2):
            connection.request("GET", "/")
            connection.getresponse().read()
        session = connection.sock.session
        self.assertFalse(session is not None and session.has_ticket)

    def test_nobody_weakens_a_context(self) -> None:
        context = self.planner.client_context(allow="service/bookings/*")
        for change in (
            lambda: context.load_verify_locations(cadata=self.planner.credential.roots[0]),
            lambda: context.load_default_certs(),
            lambda: context.set_default_verify_paths(),
            lambda: context.load_cert_chain("x"),
            lambda: setattr(context, "verify_mode", ssl.CERT_NONE),
            lambda: setattr(context, "check_hostname", True),
        ):
            with self.assertRaises(ValueError):
                change()
        self.assertEqual(context.verify_mode, ssl.CERT_REQUIRED)

    def test_where_there_is_no_file_in_memory_the_key_goes_over_an_encrypted_one(self) -> None:
        port = serve(self, self.service.protect, allow="agent/planner/*")
        with mock.patch.object(key_loading.os.path, "isdir", return_value=False):
            get(port, self.planner.client_context(allow="service/bookings/*"))


class Asyncio(unittest.IsolatedAsyncioTestCase):
    async def test_streams_know_and_refuse_their_peers(self) -> None:
        service = await asyncio.to_thread(identity, self, "bookings", "service")
        planner = await asyncio.to_thread(identity, self, "planner")
        heard: list[bytes] = []

        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            heard.append(await reader.readline())
            writer.write(b"hello\n")
            writer.close()

        async def ask(allow: str, port: int) -> bytes:
            context = planner.client_context(allow=allow)
            reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
            writer.write(b"secret\n")
            answer = await reader.readline()
            writer.close()
            return answer

        for rule in ("agent/planner/*", "agent/reader/*"):
            server = await asyncio.start_server(handle, "127.0.0.1", 0, ssl=service.server_context(allow=rule))
            port = server.sockets[0].getsockname()[1]
            if rule == "agent/planner/*":
                self.assertEqual(await ask("service/bookings/*", port), b"hello\n")
                with self.assertRaises(writ.PeerRefused):
                    await ask("service/payments/*", port)
            else:
                try:
                    self.assertEqual(await ask("service/bookings/*", port), b"")
                except OSError:
                    pass
            server.close()
        self.assertEqual(heard, [b"secret\n"])


if __name__ == "__main__":
    unittest.main()
