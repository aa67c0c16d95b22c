"""What platforms vouch for, by strict fakes of their published interfaces: what a real one would refuse is refused here."""

from __future__ import annotations

import base64
import json
import os
import threading
import unittest
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, HTTPServer
from unittest.mock import patch
from urllib.parse import parse_qs, urlsplit

import writ
from writ.evidence import azure_nonce
from writ.platform_evidence import aws_evidence, azure_evidence, gcp_evidence, github_actions_evidence

#: Method and path, query, headers (names in lower case); gives status, body and headers.
Answers = Callable[[str, Mapping[str, str], Mapping[str, str]], "tuple[int, str, Mapping[str, str]]"]

SPKI = b"key"


def challenge(attestor: str) -> str:
    return f"fresh-for-{attestor}"


def token(*said: str) -> str:
    """In the shape of a token, and telling what it was asked for."""
    part = base64.urlsafe_b64encode(json.dumps(said).encode()).decode().rstrip("=")
    return f"e30.{part}.c2ln"


class Platforms(unittest.TestCase):
    def platform(self, answers: Answers) -> str:
        class Handler(BaseHTTPRequestHandler):
            def _answer(self) -> None:
                place = urlsplit(self.path)
                query = {name: values[0] for name, values in parse_qs(place.query).items()}
                asked = {name.lower(): value for name, value in self.headers.items()}
                status, body, headers = answers(f"{self.command} {place.path}", query, asked)
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body.encode())

            do_GET = do_PUT = _answer

            def log_message(self, format: str, *args: object) -> None:
                pass

        server = HTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        return f"http://127.0.0.1:{server.server_port}"

    def refused(self, source: writ.EvidenceSource, code: str) -> writ.WritError:
        with self.assertRaises(writ.WritError) as refused:
            source.present(SPKI, challenge)
        self.assertEqual(refused.exception.code, code)
        return refused.exception

    def test_aws_opens_a_session_first_and_gives_the_document_in_one_line(self) -> None:
        def answers(asked: str, query: Mapping[str, str], headers: Mapping[str, str]) -> tuple[int, str, Mapping[str, str]]:
            if asked == "PUT /latest/api/token" and 1 <= int(headers.get("x-aws-ec2-metadata-token-ttl-seconds", "0")) <= 21_600:
                return 200, "session==", {}
            if headers.get("x-aws-ec2-metadata-token") != "session==":
                return 401, "", {}
            return (200, "MIAG\nCSqG\n", {}) if asked == "GET /latest/dynamic/instance-identity/rsa2048" else (404, "", {})

        said = aws_evidence(attestor="aws", metadata=self.platform(answers)).present(SPKI, challenge)
        self.assertEqual(said, {"kind": "aws", "attestor": "aws", "document": "MIAGCSqG"})

    def test_google_gives_a_token_for_the_audience_in_the_full_format(self) -> None:
        mark = {"Metadata-Flavor": "Google"}

        def answers(asked: str, query: Mapping[str, str], headers: Mapping[str, str]) -> tuple[int, str, Mapping[str, str]]:
            if headers.get("metadata-flavor") != "Google":
                return 403, "", {}
            if asked != "GET /computeMetadata/v1/instance/service-accounts/default/identity" or "audience" not in query:
                return 400, "", mark
            return 200, token(query["audience"], query.get("format", "standard")), mark

        metadata, audience = self.platform(answers), "https://writ.example.com/?a=b&c"
        for kind in ("gcp", "oidc"):
            with self.subTest(kind):
                source = gcp_evidence(attestor="g", audience=audience, kind=kind, metadata=metadata)
                want = {"kind": kind, "attestor": "g", "token": token(audience, "full")}
                self.assertEqual(source.present(SPKI, challenge), want)
        unmarked = self.platform(lambda *_: (200, token(), {}))
        self.refused(gcp_evidence(attestor="g", audience="x", metadata=unmarked), "unavailable")

    def test_azure_gives_a_document_with_the_nonce_of_challenge_and_key(self) -> None:
        def answers(asked: str, query: Mapping[str, str], headers: Mapping[str, str]) -> tuple[int, str, Mapping[str, str]]:
            if headers.get("metadata") != "true" or query.get("api-version") != "2021-12-13":
                return 400, "", {}
            if asked != "GET /metadata/attested/document":
                return 404, "", {}
            return 200, json.dumps({"encoding": "pkcs7", "signature": f"signed {query['nonce']}"}), {}

        said = azure_evidence(attestor="az", metadata=self.platform(answers)).present(SPKI, challenge)
        document = f"signed {azure_nonce('fresh-for-az', SPKI)}"
        self.assertEqual(said, {"kind": "azure", "attestor": "az", "challenge": "fresh-for-az", "document": document})

    def test_github_gives_a_token_to_a_job_that_may_ask(self) -> None:
        def answers(asked: str, query: Mapping[str, str], headers: Mapping[str, str]) -> tuple[int, str, Mapping[str, str]]:
            if headers.get("authorization") != "Bearer of-the-job":
                return 401, "", {}
            if asked != "GET /_apis/idtoken" or query.get("api-version") != "2.0":
                return 404, "", {}
            return 200, json.dumps({"count": 1, "value": token(query["audience"])}), {}

        source = github_actions_evidence(attestor="github", audience="agents.example.com")
        url = f"{self.platform(answers)}/_apis/idtoken?api-version=2.0"
        with patch.dict(os.environ, {"ACTIONS_ID_TOKEN_REQUEST_URL": url, "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "of-the-job"}):
            want = {"kind": "oidc", "attestor": "github", "token": token("agents.example.com")}
            self.assertEqual(source.present(SPKI, challenge), want)
            os.environ["ACTIONS_ID_TOKEN_REQUEST_TOKEN"] = "of-another-job"
            self.assertNotIn("of-another-job", str(self.refused(source, "unavailable")))
            for elsewhere in ("http://192.0.2.1/x", "http://127.0.0.1.example.com/x", "nothing"):
                os.environ["ACTIONS_ID_TOKEN_REQUEST_URL"] = elsewhere
                self.assertIn("id-token: write", str(self.refused(source, "bad_config")))
            del os.environ["ACTIONS_ID_TOKEN_REQUEST_URL"]
            self.refused(source, "bad_config")

    def test_what_is_no_platform_is_said_to_be_none(self) -> None:
        def sources(metadata: str) -> list[writ.EvidenceSource]:
            return [
                aws_evidence(attestor="x", metadata=metadata),
                gcp_evidence(attestor="x", audience="x", metadata=metadata),
                azure_evidence(attestor="x", metadata=metadata),
            ]

        wrong: list[tuple[int, str]] = [(301, ""), (400, ""), (500, ""), (200, "x" * 100_000), (200, "é")]
        for status, body in wrong:
            elsewhere = self.platform(lambda *_, s=status, b=body: (s, b, {"Location": "http://127.0.0.1:1/"}))
            for source in sources(elsewhere):
                self.refused(source, "unavailable")
        for source in sources("http://127.0.0.1:1"):
            self.refused(source, "unavailable")
        for body in ("no JSON", "[]", "null", "{}", '{"signature":1}', '{"signature":""}'):
            self.refused(azure_evidence(attestor="x", metadata=self.platform(lambda *_, b=body: (200, b, {}))), "unavailable")

    def test_a_token_comes_of_a_function_too_and_what_is_none_is_not_sent(self) -> None:
        source = writ.token_evidence(attestor="ci", token=lambda: f"{token('x')}\n")
        self.assertEqual(source.present(SPKI, challenge), {"kind": "oidc", "attestor": "ci", "token": token("x")})
        self.assertNotIn("secret", str(self.refused(writ.token_evidence(attestor="ci", token=lambda: "secret"), "bad_config")))
        for file, fetch in ((None, None), ("x", lambda: "x")):
            with self.assertRaises(writ.WritError):
                writ.token_evidence(attestor="ci", file=file, token=fetch)


if __name__ == "__main__":
    unittest.main()
