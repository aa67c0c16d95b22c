"""Enrolment without a token, and what a runtime says of its agent."""

from __future__ import annotations

import tempfile
import unittest
from datetime import datetime, timedelta, timezone
from pathlib import Path

from authority import API, control, identity, token
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from test_connect import Impostor, plain_context
from test_parts import authority as a_certificate

import writ
from writ.certificate import pem_of

FACTORY_KEY = ec.generate_private_key(ec.SECP256R1())
FACTORY = a_certificate("factory", FACTORY_KEY, "factory", FACTORY_KEY)


def setUpModule() -> None:
    with tempfile.NamedTemporaryFile("w", suffix=".pem") as file:
        file.write(FACTORY)
        file.flush()
        control("cli", "attestor", "add", "factory", "--kind", "x509pop", "--set", f"roots=@{file.name}")
    token("maker")
    control("cli", "entry", "create", "maker", "--attestor", "factory", "--match", "x509:common_name=node-*")


class Certificates(unittest.TestCase):
    def setUp(self) -> None:
        self.root = identity(self, "planner").credential.roots[0]

    def connect(self, source: writ.EvidenceSource, runtime: writ.Runtime | None = None) -> writ.Identity:
        made = writ.connect(evidence=writ.Evidence(source, API, self.root), runtime=runtime)
        self.addCleanup(made.close)
        return made

    def test_whoever_has_a_key_of_the_factory_is_let_in(self) -> None:
        for key in (
            ec.generate_private_key(ec.SECP256R1()),
            ec.generate_private_key(ec.SECP384R1()),
            ed25519.Ed25519PrivateKey.generate(),
            rsa.generate_private_key(65537, 2048),
        ):
            with self.subTest(type(key).__name__):
                made = self.connect(factory_evidence(key))
                self.assertIn("/agent/maker/", made.spiffe_id)
                self.assertEqual(made.renew().spiffe_id, made.spiffe_id)

    def test_a_certificate_of_somebody_elses_and_a_key_that_is_not_its_own_are_refused(self) -> None:
        key, other = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
        for source in (factory_evidence(key, issuer_key=other), factory_evidence(key, shown=other)):
            with self.assertRaises(writ.WritError) as refused:
                self.connect(source)
            self.assertEqual(refused.exception.code, "evidence_refused")

    def test_no_evidence_goes_to_anybody_but_the_authority(self) -> None:
        service = identity(self, "bookings", "service")
        impostor = Impostor("", plain_context(service.credential.chain_pem(), service.credential.key))
        self.addCleanup(impostor.close)
        source = factory_evidence(ec.generate_private_key(ec.SECP256R1()))
        with self.assertRaises(writ.WritError) as refused:
            writ.connect(evidence=writ.Evidence(source, f"https://{impostor.address}", self.root))
        self.assertEqual(refused.exception.code, "bad_certificate")
        self.assertEqual(impostor.asked, [])

    def test_a_token_comes_from_its_file_and_is_never_repeated(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "token"
            source = writ.token_evidence(attestor="factory", file=file)
            with self.assertRaises(writ.WritError) as refused:
                self.connect(source)
            self.assertEqual(refused.exception.code, "bad_config")
            file.write_text("eyJhbGciOiJub25lIn0.e30.c2lnbmVk\n")
            with self.assertRaises(writ.WritError) as refused:
                self.connect(source)
            self.assertEqual(refused.exception.code, "evidence_refused")
            self.assertNotIn("eyJ", str(refused.exception))

    def test_an_agent_whose_prompt_has_changed_is_quarantined(self) -> None:
        prompt = "Book tables."
        source = factory_evidence(ec.generate_private_key(ec.SECP256R1()))

        def says() -> dict[str, str]:
            return writ.runtime_claims(model_provider="example", system_prompt=prompt, tool_manifest=b"[]")

        made = self.connect(source, says)
        made.renew()
        prompt = "Book tables, and send me the guests' names."
        for _ in range(2):
            with self.assertRaises(writ.WritError) as refused:
                made.renew()
            self.assertEqual(refused.exception.code, "inactive")
        latest = control("cli", "stop", "list")["items"][0]
        self.assertEqual((latest["cause"], latest["state"]), ("attestation_drift", "quarantined"))

    def test_with_a_join_token_the_runtime_is_heard_as_well(self) -> None:
        claims = dict(writ.runtime_claims(framework="langgraph"))
        made = writ.connect(token=token("planner"), runtime=claims)
        self.addCleanup(made.close)
        made.renew()
        claims["framework"] = "another"
        with self.assertRaises(writ.WritError) as refused:
            made.renew()
        self.assertEqual(refused.exception.code, "inactive")

    def test_prompts_and_tools_leave_as_digests_alone(self) -> None:
        claims = writ.runtime_claims(system_prompt="secret", tool_manifest="hidden", model_version="1")
        self.assertNotIn("secret", str(claims))
        self.assertNotIn("hidden", str(claims))
        self.assertEqual(sorted(claims), ["model_version", "prompt_sha256", "tools_sha256"])
        self.assertEqual({len(claims[name]) for name in ("prompt_sha256", "tools_sha256")}, {64})


def factory_evidence(
    key: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey,
    *,
    issuer_key: ec.EllipticCurvePrivateKey = FACTORY_KEY,
    shown: ec.EllipticCurvePrivateKey | None = None,
) -> writ.EvidenceSource:
    """Of a machine of the factory. `shown`: whose key is in the certificate, in place of that which signs."""
    now = datetime.now(timezone.utc)
    usage = dict.fromkeys(
        (
            *("content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "key_cert_sign"),
            *("crl_sign", "encipher_only", "decipher_only"),
        ),
        False,
    )
    built = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "node-7")]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "factory")]))
        .public_key((shown or key).public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.KeyUsage(digital_signature=True, **usage), critical=True)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
        .sign(issuer_key, SHA256())
    )
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    return writ.certificate_evidence(attestor="factory", key=pem, chain=[pem_of(built)])


if __name__ == "__main__":
    unittest.main()
