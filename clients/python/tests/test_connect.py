"""An identity from a join token: who it trusts before it says anything, how it is renewed, how it ends."""

from __future__ import annotations

import base64
import hashlib
import http.server
import os
import ssl
import tempfile
import threading
import time
import unittest
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from authority import API, identity, instance_of, stop, token, until
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509.oid import NameOID
from test_parts import authority as a_certificate

import writ
from writ.authority import Authority, Home
from writ.certificate import certificate_of, pem_of, spiffe_id_of
from writ.credential import Credential
from writ.http_client import HttpsClient
from writ.identity import Identity
from writ.machine_clock import MachineClock
from writ.renewal import Renewer
from writ.tls import Material
from writ.writ_server import server_context, unknown_server_context


def clock_ahead(ms: float) -> MachineClock:
    return MachineClock(wall=lambda: time.time() * 1000 + ms)


class Enrolment(unittest.TestCase):
    def test_the_certificate_is_for_the_key_that_was_made_here(self) -> None:
        made = identity(self, "planner")
        certificate = certificate_of(made.credential.certificate)
        self.assertEqual(spiffe_id_of(certificate).uri, made.spiffe_id)
        self.assertRegex(made.spiffe_id, r"^spiffe://[a-z0-9.-]+/agent/planner/[0-9a-z]{26}$")
        self.assertEqual(certificate.public_key(), made.credential.key.public_key())
        self.assertEqual(str(made.server).rsplit(":", 1)[1], API.rsplit(":", 1)[1])
        self.assertGreater(made.credential.not_after, made.credential.renew_after)

    def test_a_token_is_good_once(self) -> None:
        text = token("planner")
        writ.connect(token=text).close()
        with self.assertRaises(writ.WritError) as refused:
            writ.connect(token=text)
        self.assertEqual(refused.exception.code, "token_refused")
        self.assertNotIn(text, str(refused.exception))

    def test_a_file_holds_a_token_as_well(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "token"
            file.write_text(f"{token('planner')}\n")
            writ.connect(token_file=file).close()
            with self.assertRaises(writ.WritError) as refused:
                writ.connect(token_file=Path(folder) / "none")
            self.assertEqual(refused.exception.code, "bad_token")
        with self.assertRaises(writ.WritError):
            writ.connect()

    def test_nobody_there(self) -> None:
        with self.assertRaises(writ.WritError) as refused:
            writ.connect(token=readdressed(token("planner"), "127.0.0.1:1"))
        self.assertEqual(refused.exception.code, "unavailable")


class Impostors(unittest.TestCase):
    """Each is asked for the root and for nothing else: no token reaches it."""

    def enrol_at(self, impostor: Impostor) -> None:
        self.addCleanup(impostor.close)
        text = token("planner")
        with self.assertRaises(writ.WritError) as refused:
            writ.connect(token=readdressed(text, impostor.address))
        self.assertEqual(refused.exception.code, "bad_certificate")
        self.assertEqual(impostor.asked, ["GET /v1/trust/root.pem"])
        # What it was to have is still good.
        writ.connect(token=text).close()

    def test_another_root(self) -> None:
        # All is well with it, but that the token names another.
        root_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
        root = a_certificate("corporate", root_key, "corporate", root_key)
        leaf = server_certificate(root_key, key, "spiffe://agents.example.com/writ/server", "localhost")
        impostor = Impostor(root, plain_context(leaf, key))
        impostor.address = impostor.address.replace("127.0.0.1", "localhost")
        self.enrol_at(impostor)

    def test_our_root_over_a_certificate_of_somebody_elses(self) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        own = a_certificate("evil", key, "evil", key)
        self.enrol_at(Impostor(identity(self, "planner").credential.roots[0], plain_context(own, key)))

    def test_a_service_of_our_own_trust_domain(self) -> None:
        service = identity(self, "bookings", "service")
        context = plain_context(service.credential.chain_pem(), service.credential.key)
        self.enrol_at(Impostor(service.credential.roots[0], context))

    def test_a_renewal_goes_to_the_authority_alone(self) -> None:
        service = identity(self, "bookings", "service")
        context = plain_context(service.credential.chain_pem(), service.credential.key)
        impostor = Impostor("", context)
        self.addCleanup(impostor.close)
        made = identity(self, "planner")
        home = Home(f"https://{impostor.address}", made.credential.roots)
        with self.assertRaises(writ.WritError) as refused:
            Authority(home, made.spiffe_id).renew(made.credential)
        self.assertEqual(refused.exception.code, "bad_certificate")
        self.assertEqual(impostor.asked, [])


class ForeignRoots(unittest.TestCase):
    """Below a root that does not say its trust domain: it may vouch for others beside, so the host name has to be right, too."""

    def test_id_and_host_name_have_to_be_right(self) -> None:
        root_key = ec.generate_private_key(ec.SECP256R1())
        root = a_certificate("corporate", root_key, "corporate", root_key)
        for uri, name, accepted in (
            ("spiffe://agents.example.com/writ/server", "localhost", True),
            ("spiffe://agents.example.com/writ/server", "other.example.com", False),
            ("spiffe://agents.example.com/service/writ/server", "localhost", False),
            ("spiffe://agents.example.com/writ/ocsp", "localhost", False),
        ):
            key = ec.generate_private_key(ec.SECP256R1())
            server = Impostor("yes", plain_context(server_certificate(root_key, key, uri, name), key))
            self.addCleanup(server.close)
            address = server.address.replace("127.0.0.1", "localhost")
            client = HttpsClient(f"https://{address}", unknown_server_context(root))
            with self.subTest(uri=uri, name=name):
                if accepted:
                    self.assertEqual(client.send("GET", "/").body, b"yes")
                    continue
                with self.assertRaises(writ.WritError) as refused:
                    client.send("GET", "/")
                self.assertEqual((refused.exception.code, server.asked), ("bad_certificate", []))


class Renewal(unittest.TestCase):
    def test_a_renewal_has_a_new_key_and_the_same_id(self) -> None:
        made = identity(self, "planner")
        before, told = made.credential, []
        made.on("renewed", told.append)
        made.on("renewed", lambda _: 1 / 0)
        with self.assertLogs("writ", "ERROR"):
            after = made.renew()
        self.assertEqual(after.spiffe_id, before.spiffe_id)
        self.assertNotEqual(after.serial, before.serial)
        self.assertNotEqual(after.key_pem(), before.key_pem())
        self.assertEqual(told, [made.credential])

    def test_renewals_that_overlap_are_one(self) -> None:
        made = identity(self, "planner")
        serials: list[str] = []
        threads = [threading.Thread(target=lambda: serials.append(made.renew().serial)) for _ in range(5)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(len(serials), 5)
        self.assertLess(len(set(serials)), 3)

    def test_it_comes_by_itself_and_once(self) -> None:
        made = identity(self, "planner")
        made.close()
        credential = made.credential
        renewed: list[Credential] = []
        # This clock is past the time to renew. After the first renewal the authority's own time is known.
        late = credential.renew_after - time.time() * 1000 + 1000
        home = Home(API, credential.roots)
        keeper = Renewer(Authority(home, credential.spiffe_id), kept=True, clock=clock_ahead(late))
        again = Identity(credential, keeper)
        self.addCleanup(again.close)
        again.on("renewed", renewed.append)
        until(lambda: again.credential is not credential)
        time.sleep(0.5)
        self.assertEqual(len(renewed), 1)

    def test_a_wrong_clock_or_one_that_is_set_delays_no_renewal(self) -> None:
        made = identity(self, "planner")
        made.close()
        credential = made.credential
        hour = 3_600_000.0
        due = 0.7 * (credential.not_after - credential.not_before)
        # How far the clock is off at first, by how much it is set then, what really passes, and whether it is time by then.
        for off, set_by, passed, is_due in [
            (-3 * hour, 0.0, due, True),
            (3 * hour, 0.0, due / 2, False),
            (0.0, -100 * hour, due, True),
            (0.0, 0.0, due / 2, False),
        ]:
            now = [0.0, time.time() * 1000 + off]
            clock = MachineClock(steady=lambda: now[0], wall=lambda: now[1])
            keeper = Renewer(Authority(Home(API, credential.roots), credential.spiffe_id), clock=clock)
            again = Identity(credential, keeper)
            now[:] = [now[0] + passed, now[1] + passed + set_by]
            self.assertEqual(keeper.authority_time() >= credential.renew_after, is_due, (off, set_by, passed))
            again.close()

    def test_it_is_tried_again_while_the_authority_is_away_and_ends_with_the_certificate(self) -> None:
        made = identity(self, "planner")
        made.close()
        credential = made.credential
        failed: list[Exception] = []
        ended: list[Exception] = []
        # Three seconds before the end.
        late = credential.not_after - time.time() * 1000 - 3000
        home = Home("https://127.0.0.1:1", credential.roots)
        keeper = Renewer(Authority(home, credential.spiffe_id), kept=True, clock=clock_ahead(late))
        again = Identity(credential, keeper)
        again.on("failed", failed.append)
        again.on("ended", ended.append)
        until(lambda: ended, 30)
        self.assertGreater(len(failed), 1)
        self.assertTrue(again.is_over)
        self.assertIsInstance(failed[0], writ.WritError)

    def test_an_instance_that_was_stopped_is_renewed_no_more(self) -> None:
        made = identity(self, "planner")
        ended: list[Exception] = []
        made.on("ended", ended.append)
        stop(made)
        with self.assertRaises(writ.WritError) as refused:
            made.renew()
        self.assertEqual(refused.exception.code, "revoked")
        self.assertTrue(ended and made.is_over)

    def test_it_can_stop_itself(self) -> None:
        made = identity(self, "planner")
        made.stop()
        material = Material(made.credential.roots, made.credential)
        client = HttpsClient(API, server_context(made.trust_domain, lambda: material))
        with self.assertRaises(writ.WritError) as refused:
            client.json("GET", "/v1/whoami")
        self.assertIn(refused.exception.code, ("revoked", "not_authenticated"))

    def test_a_closed_one_stays_closed(self) -> None:
        made = identity(self, "planner")
        with made:
            pass
        with self.assertRaises(writ.WritError):
            made.renew()


class Restarts(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.store = os.path.join(folder.name, "identity")

    def test_a_restart_goes_on_with_its_instance_and_its_latest_certificate(self) -> None:
        with writ.connect(token=token("planner"), store=self.store) as first:
            serial = first.renew().serial
        with writ.connect(store=self.store) as second:
            self.assertEqual((second.spiffe_id, second.credential.serial), (first.spiffe_id, serial))

    def test_one_that_was_stopped_meanwhile_enrols_anew(self) -> None:
        with writ.connect(token=token("planner"), store=self.store) as first:
            stop(first)
        with self.assertRaises(writ.WritError):
            writ.connect(store=self.store)
        with writ.connect(token=token("planner"), store=self.store) as second:
            self.assertNotEqual(instance_of(second), instance_of(first))

    def test_the_typescript_library_and_this_one_read_each_others_stores(self) -> None:
        directory = os.environ["WRIT_TEST_STORE"]
        with writ.connect(store=directory) as made:
            self.assertIn("/agent/stored/", made.spiffe_id)
            made.renew()


@unittest.skipUnless(hasattr(os, "fork"), "there is no fork here")
class Forks(unittest.TestCase):
    def test_a_forked_process_does_not_go_on_with_the_identity(self) -> None:
        made = identity(self, "planner")
        context = made.client_context(allow="writ/server")
        verifier = writ.create_verifier(made, mode="available")
        self.addCleanup(verifier.close)
        verifier.ready(20)
        child = os.fork()
        if child == 0:
            # Nobody reads the feed there.
            os._exit(0 if verifier.age == float("inf") else 1)
        self.assertEqual(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), 0)
        child = os.fork()
        if child == 0:
            try:
                context.wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO())
            except writ.WritError as error:
                os._exit(0 if error.code == "unavailable" else 2)
            os._exit(1)
        self.assertEqual(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), 0)


class Impostor:
    """A server that gives out a root, and writes down what it is asked."""

    def __init__(self, root: str, context: ssl.SSLContext) -> None:
        self.asked: list[str] = []
        asked = self.asked

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                asked.append(f"{self.command} {self.path}")
                self.send_response(200)
                self.end_headers()
                self.wfile.write(root.encode())

            do_POST = do_GET

            def log_message(self, *_: Any) -> None:
                pass

        class Server(http.server.ThreadingHTTPServer):
            def handle_error(self, *_: Any) -> None:
                pass

        self._server = Server(("127.0.0.1", 0), Handler)
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.address = f"127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def plain_context(chain: str, key: Any) -> ssl.SSLContext:
    from writ.key_loading import load_credential

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    load_credential(context, Credential(key, "", "", chain, (), (), 0, 0, 0))
    return context


def server_certificate(
    root_key: ec.EllipticCurvePrivateKey, key: ec.EllipticCurvePrivateKey, uri: str, name: str
) -> str:
    now = datetime.now(timezone.utc)
    names = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(uri), x509.DNSName(name)])
    built = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "corporate")]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(names, critical=True)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(root_key.public_key()), critical=False)
        .sign(root_key, SHA256())
    )
    return pem_of(built)


def readdressed(text: str, address: str) -> str:
    """The same token with another address in it."""
    encoded = text.strip().removeprefix("writ-join-1-")
    content = base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4))[:68] + address.encode()
    octets = content + hashlib.sha256(content).digest()[:4]
    return "writ-join-1-" + base64.urlsafe_b64encode(octets).rstrip(b"=").decode()


if __name__ == "__main__":
    unittest.main()
