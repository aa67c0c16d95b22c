"""An identity from the Workload API of `writ agent`."""

from __future__ import annotations

import os
import tempfile
import threading
import unittest
from collections.abc import Iterator
from concurrent import futures

import grpc
from authority import API, control, identity, instance_of, stop, until
from test_tls import Echo, get, serve

import writ

ADDRESS = os.environ.get("WRIT_TEST_WORKLOAD_API", "")


class WorkloadApi(unittest.TestCase):
    def made(self) -> writ.Identity:
        made = writ.from_workload_api(ADDRESS, server=API)
        self.addCleanup(made.close)
        return made

    def test_it_speaks_mutual_tls_and_follows_the_feed(self) -> None:
        made = self.made()
        self.assertIn("/agent/scribe/", made.spiffe_id)
        planner = identity(self, "planner")
        verifier = writ.create_verifier(made, mode="strict")
        self.addCleanup(verifier.close)
        verifier.ready(20)
        port = serve(self, verifier.protect, Echo, allow="agent/planner/*")
        context = planner.client_context(allow="agent/scribe/*")
        self.assertEqual(get(port, context), planner.credential.serial)

    def test_a_hint_chooses_and_an_unknown_one_is_refused(self) -> None:
        made = writ.from_workload_api(ADDRESS, hint="second")
        self.addCleanup(made.close)
        self.assertIn("/agent/editor/", made.spiffe_id)
        with self.assertRaises(writ.WritError) as refused:
            writ.from_workload_api(ADDRESS, hint="third")
        self.assertEqual(refused.exception.code, "denied")
        self.assertIn(f"writ agent why {os.getpid()}", str(refused.exception))

    def test_renewals_come_by_themselves(self) -> None:
        made = self.made()
        renewed = threading.Event()
        before = made.credential
        made.on("renewed", lambda _: renewed.set())
        control("renew-workload", made.spiffe_id)
        self.assertTrue(renewed.wait(15))
        self.assertNotEqual(made.credential.serial, before.serial)
        self.assertEqual(made.credential.spiffe_id, before.spiffe_id)
        with self.assertRaises(writ.WritError):
            made.renew()

    def test_a_token_is_for_its_audience_and_shown_without_itself(self) -> None:
        svid = writ.fetch_jwt_svid("bank", address=ADDRESS)
        self.assertEqual(svid.token.count("."), 2)
        self.assertNotIn(svid.token, repr(svid))
        self.assertIn("/agent/scribe/", svid.spiffe_id)

    def test_one_that_is_stopped_makes_no_more_connections(self) -> None:
        made = writ.from_workload_api(ADDRESS, hint="second", server=API)
        self.addCleanup(made.close)
        failed: list[writ.WritError] = []
        made.on("failed", failed.append)
        context = made.client_context(allow="writ/server")
        stop(made)
        until(lambda: failed)
        self.assertEqual(failed[0].code, "revoked")
        with self.assertRaises(writ.WritError):
            made.credential
        with self.assertRaises(writ.WritError):
            get(int(API.rsplit(":", 1)[1]), context)
        self.assertTrue(instance_of(made))

    def test_what_its_runtime_says_lets_it_in_and_a_change_takes_it_back(self) -> None:
        claims = dict(writ.runtime_claims(framework="langgraph", tool_manifest="[]"))
        writ.present_runtime({"framework": "another"}, address=ADDRESS)
        with self.assertRaises(writ.WritError) as refused:
            writ.from_workload_api(ADDRESS, hint="evident")
        self.assertEqual(refused.exception.code, "denied")
        made = writ.from_workload_api(ADDRESS, hint="evident", server=API, runtime=lambda: claims)
        self.addCleanup(made.close)
        self.assertIn("/agent/evident/", made.spiffe_id)
        failed: list[writ.WritError] = []
        made.on("failed", failed.append)
        writ.present_runtime({**claims, "tools_sha256": "0" * 64}, address=ADDRESS)
        until(lambda: failed)
        self.assertEqual(failed[0].code, "revoked")
        shown = lambda: control("cli", "instance", "show", instance_of(made))["status"]
        until(lambda: shown() == "quarantined")
        for bad in ({"tools_sha256": "x"}, {"mood": "good"}):
            with self.subTest(bad), self.assertRaises(writ.WritError) as wrong:
                writ.present_runtime(bad, address=ADDRESS)
            self.assertEqual(wrong.exception.code, "bad_request")

    def test_nobody_there_and_addresses_of_another_form(self) -> None:
        with tempfile.TemporaryDirectory() as folder, self.assertRaises(writ.WritError) as refused:
            writ.from_workload_api(f"unix://{folder}/none.sock", timeout=0.5)
        self.assertEqual(refused.exception.code, "unavailable")
        self.assertIn("none.sock", str(refused.exception))
        # Workload Endpoint §4.
        for address in (
            "http://localhost",
            "/run/api.sock",
            "unix:run/api.sock",
            "unix://run/api.sock",
            "unix:///",
            "unix:///run/api.sock?a=b",
            "tcp://localhost:8081",
            "tcp://127.0.0.1",
            "tcp://127.0.0.1:port",
            "tcp://127.0.0.1:8081/",
            "tcp://user@127.0.0.1:8081",
        ):
            with self.subTest(address), self.assertRaises(writ.WritError) as refused:
                writ.from_workload_api(address, timeout=5)
            self.assertEqual(refused.exception.code, "bad_config")

    def test_an_address_may_be_one_of_ip(self) -> None:
        for host in ("127.0.0.1", "[::1]"):
            server = BrokenServer(f"{host}:0", b"\x0a\xff")
            with self.subTest(host), self.assertRaises(writ.WritError) as refused:
                writ.from_workload_api(f"tcp://{host}:{server.port}", timeout=20)
            server.stop()
            self.assertEqual(refused.exception.code, "bad_certificate")

    def test_what_is_not_understood_is_not_asked_again(self) -> None:
        # Workload Endpoint §6.
        for status, code in (
            (grpc.StatusCode.INVALID_ARGUMENT, "bad_request"),
            (grpc.StatusCode.UNIMPLEMENTED, "bad_config"),
        ):
            server = BrokenServer("127.0.0.1:0", status)
            # Far longer than it takes to ask again.
            with self.subTest(code), self.assertRaises(writ.WritError) as refused:
                writ.from_workload_api(f"tcp://127.0.0.1:{server.port}", timeout=600)
            server.stop()
            self.assertEqual((refused.exception.code, server.calls), (code, 1))

    def test_what_is_no_identity_is_refused(self) -> None:
        for message in (b"\x0a\xff", b"\x0a\x02\x0a\x00", b"\x0a\x08\x0a\x00\x12\x04\x30\x82\x00\x00"):
            with tempfile.TemporaryDirectory() as folder:
                address = f"unix://{folder}/api.sock"
                server = BrokenServer(address, message)
                with self.subTest(message), self.assertRaises(writ.WritError) as refused:
                    writ.from_workload_api(address, timeout=5)
                server.stop()
                self.assertEqual(refused.exception.code, "bad_certificate")


class BrokenServer:
    """Answers every call with this message, or this status."""

    def __init__(self, address: str, answer: bytes | grpc.StatusCode) -> None:
        self.calls = 0

        def answers(_: bytes, context: grpc.ServicerContext) -> Iterator[bytes]:
            self.calls += 1
            if isinstance(answer, grpc.StatusCode):
                context.abort(answer, "no")
            else:
                yield answer

        class Handler(grpc.GenericRpcHandler):  # type: ignore[misc]
            def service(self, _: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler:
                return grpc.unary_stream_rpc_method_handler(answers)

        self._server = grpc.server(futures.ThreadPoolExecutor(2), handlers=[Handler()])
        self.port = self._server.add_insecure_port(address)
        self._server.start()

    def stop(self) -> None:
        self._server.stop(None)


if __name__ == "__main__":
    unittest.main()
