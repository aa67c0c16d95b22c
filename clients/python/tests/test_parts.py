"""What needs no authority: texts, rules, times, and what of the feed is in force."""

from __future__ import annotations

import base64
import hashlib
import os
import random
import stat
import tempfile
import unittest
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from writ import WritError
from writ.authority import Home
from writ.certificate import certificate_of, facts_of_chain, pem_of, serial_of
from writ.credential import Credential, new_key
from writ.feed_events import ALSO_MS, Behind, FeedEntry, Heartbeat, parse_event
from writ.join_token import parse_join_token
from writ.peer_rule import compile_rule
from writ.protobuf import read_fields, write_field
from writ.renewal import first_try, pause_after
from writ.roots import next_roots
from writ.spiffe_id import parse_spiffe_id
from writ.stopped import Stopped
from writ.store import load_identity, save_identity
from writ.workload_messages import jwt_request, parse_x509_svids

DOMAIN = "agents.example.com"


def join_token(address: str, secret: bytes = b"s" * 20) -> str:
    content = b"f" * 32 + b"i" * 16 + secret + address.encode()
    octets = content + hashlib.sha256(content).digest()[:4]
    return "writ-join-1-" + base64.urlsafe_b64encode(octets).rstrip(b"=").decode()


class JoinTokens(unittest.TestCase):
    def test_a_token_gives_fingerprint_and_address(self) -> None:
        for address in ("ca.internal:8443", "[::1]:1", "127.0.0.1:65535"):
            parsed = parse_join_token(f"  {join_token(address)}\n")
            self.assertEqual((parsed.root_fingerprint, parsed.address), (b"f" * 32, address))

    def test_what_is_cut_changed_or_none_is_refused_and_never_repeated(self) -> None:
        good = join_token("ca.internal:8443")
        flipped = good[:40] + ("A" if good[40] != "A" else "B") + good[41:]
        for text in ("", "hello", good[:-1], good + "A", flipped, good + "=", join_token("no-port"), join_token("a:0")):
            with self.subTest(text[:20]), self.assertRaises(WritError) as refused:
                parse_join_token(text)
            self.assertEqual(refused.exception.code, "bad_token")
            if len(text) > 20:
                self.assertNotIn(text[12:40], str(refused.exception))


class Ids(unittest.TestCase):
    def test_good_ones(self) -> None:
        parsed = parse_spiffe_id(f"spiffe://{DOMAIN}/agent/planner/01k")
        self.assertEqual((parsed.trust_domain, parsed.segments), (DOMAIN, ("agent", "planner", "01k")))
        self.assertEqual(parse_spiffe_id(f"spiffe://{DOMAIN}").segments, ())

    def test_bad_ones(self) -> None:
        for text in (
            "",
            f"SPIFFE://{DOMAIN}/a",
            "spiffe://",
            "spiffe:///a",
            f"spiffe://{DOMAIN}/",
            f"spiffe://{DOMAIN}/a//b",
            f"spiffe://{DOMAIN}/a/../b",
            f"spiffe://{DOMAIN}:1/a",
            f"spiffe://u@{DOMAIN}/a",
            f"spiffe://{DOMAIN}/a?b",
            f"spiffe://{DOMAIN}/a%20b",
            f"spiffe://{DOMAIN}/a\n",
            f"spiffe://{DOMAIN}\n/a",
            "spiffe://Agents.example.com/a",
            f"spiffe://{DOMAIN}/" + "a" * 2048,
        ):
            with self.subTest(text[:40]), self.assertRaises(WritError):
                parse_spiffe_id(text)


class Rules(unittest.TestCase):
    def test_whom_they_let_in(self) -> None:
        planner = parse_spiffe_id(f"spiffe://{DOMAIN}/agent/planner/01k")
        foreign = parse_spiffe_id("spiffe://other.example.com/agent/planner/01k")
        deep = parse_spiffe_id(f"spiffe://{DOMAIN}/agent/planner/01k/x")
        for rule, peer, allowed in (
            ("agent/planner/*", planner, True),
            ("agent/planner/*", foreign, False),
            ("agent/planner/*", deep, False),
            ("agent/plan/*", planner, False),
            ("agent/planner/01k", planner, True),
            (f"spiffe://{DOMAIN}/agent/planner/01k", planner, True),
            ("spiffe://other.example.com/agent/planner/*", foreign, True),
            (["service/a/*", "agent/planner/*"], planner, True),
            ([], planner, False),
            (lambda peer: True, planner, True),
            (lambda peer: 1, planner, False),
            (lambda peer: 1 / 0, planner, False),
        ):
            with self.subTest(rule=rule, peer=peer):
                self.assertIs(compile_rule(rule, DOMAIN)(peer), allowed)  # type: ignore[arg-type]

    def test_a_coroutine_is_no_answer(self) -> None:
        async def rule(_: object) -> bool:
            return True

        test = compile_rule(rule, DOMAIN)  # type: ignore[arg-type]
        with self.assertWarns(RuntimeWarning):
            self.assertFalse(test(parse_spiffe_id(f"spiffe://{DOMAIN}/agent/planner/01k")))

    def test_a_rule_that_could_match_nobody_is_refused(self) -> None:
        for rule in ("*", "agent/*", "agent/planner", "planner", "agent/planner/*/x", ""):
            with self.subTest(rule), self.assertRaises(WritError):
                compile_rule(rule, DOMAIN)


class Renewals(unittest.TestCase):
    def test_the_first_try_is_at_two_thirds_or_a_tenth_before(self) -> None:
        credential = a_credential(not_before=0, renew_after=2000, not_after=3000)
        self.assertEqual(first_try(credential, 0), 2000)
        self.assertEqual(first_try(credential, 1), 1700)

    def test_pauses_double_have_a_bound_and_leave_room(self) -> None:
        self.assertEqual([pause_after(n, 1e9, 1) for n in (1, 2, 3, 7, 99)], [1000, 2000, 4000, 60_000, 60_000])
        self.assertEqual(pause_after(1, 1e9, 0), 500)
        self.assertEqual(pause_after(9, 10_000, 1), 5000)
        self.assertEqual(pause_after(9, 0, 1), 500)


class Feed(unittest.TestCase):
    def entry(self, effect: str, *subjects: str, also: tuple[str, ...] = ()) -> FeedEntry:
        return FeedEntry(1, effect, 0, 10_000, subjects, also)

    def test_an_end_counts_more_than_a_hold_and_is_never_released(self) -> None:
        stopped = Stopped()
        stopped.apply(self.entry("hold", "agent:a"), 0)
        self.assertEqual(stopped.of(["serial:1", "agent:a"], 0), "held")
        stopped.apply(self.entry("stop", "agent:a"), 0)
        self.assertEqual(stopped.of(["agent:a"], 0), "stopped")
        stopped.apply(self.entry("release", "agent:a"), 0)
        self.assertEqual(stopped.of(["agent:a"], 0), "stopped")
        self.assertIsNone(stopped.of(["agent:b"], 0))

    def test_a_release_lifts_a_hold_and_what_fell_with_it(self) -> None:
        stopped = Stopped()
        fallen = stopped.apply(self.entry("hold", "agent:a", also=("instance:i",)), 0)
        self.assertEqual(fallen, ("agent:a", "instance:i"))
        self.assertEqual(stopped.of(["instance:i"], 0), "held")
        stopped.apply(self.entry("release", "agent:a"), 0)
        self.assertIsNone(stopped.of(["agent:a", "instance:i"], 0))

    def test_what_falls_with_something_is_refused_for_a_minute(self) -> None:
        stopped = Stopped()
        stopped.apply(self.entry("stop", "owner:x", also=("agent:a",)), 0)
        self.assertEqual(stopped.of(["agent:a"], ALSO_MS - 1), "held")
        self.assertIsNone(stopped.of(["agent:a"], ALSO_MS))

    def test_what_nobody_could_use_is_forgotten(self) -> None:
        stopped = Stopped()
        stopped.apply(self.entry("stop", "serial:1"), 0)
        stopped.forget(9999)
        self.assertEqual(len(stopped), 1)
        stopped.forget(10_000)
        self.assertEqual(len(stopped), 0)

    def test_events_are_read_and_what_has_another_shape_is_an_error(self) -> None:
        state = '{"log":1,"position":2,"epoch":3,"as_of":4,"time":5}'
        beat = parse_event(f"event: heartbeat\ndata: {state}")
        self.assertIsInstance(beat, Heartbeat)
        self.assertIsInstance(parse_event("event: behind\ndata: {}"), Behind)
        self.assertIsNone(parse_event(": comment"))
        self.assertIsNone(parse_event("event: news\ndata: {}"))
        for block in (
            "event: entry\ndata: {}",
            "event: heartbeat\ndata: []",
            "event: entry\ndata: nothing",
            'event: entry\ndata: {"position":1,"effect":"bless","at":1,"expires_at":2,"subjects":[]}',
        ):
            with self.subTest(block), self.assertRaises(ValueError):
                parse_event(block)


class Chains(unittest.TestCase):
    def test_an_authority_is_nobody(self) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        der = certificate_of(authority("a", key, "a", key)).public_bytes(Encoding.DER)
        with self.assertRaises(WritError) as refused:
            facts_of_chain([der])
        self.assertIn("authority", refused.exception.message)

    def test_a_trust_domain_is_no_peer(self) -> None:
        workload = f"spiffe://{DOMAIN}/agent/planner/1"
        self.assertEqual(facts_of_chain([leaf(workload)]).id.uri, workload)
        for uris in ((f"spiffe://{DOMAIN}",), (workload, "https://x.example"), ("https://x.example",), ()):
            with self.subTest(uris), self.assertRaises(WritError) as refused:
                facts_of_chain([leaf(*uris)])
            self.assertEqual(refused.exception.code, "bad_spiffe_id")

    def test_an_authority_counts_whatever_its_leaf_says_of_it(self) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        above = certificate_of(authority("b", key, "a", ec.generate_private_key(ec.SECP256R1())))
        named = x509.SubjectKeyIdentifier.from_public_key(key.public_key()).digest.hex()
        chain = [leaf(f"spiffe://{DOMAIN}/agent/planner/1"), above.public_bytes(Encoding.DER)]
        self.assertIn(f"issuer:{named}", facts_of_chain(chain).subjects)

    def test_what_another_trust_domain_has_is_not_ours(self) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        above = certificate_of(authority("b", key, "a", ec.generate_private_key(ec.SECP256R1())))
        for path in ("agent/planner/1", "service/db/1", "operator/ada", "writ/server"):
            chain = [leaf(f"spiffe://{DOMAIN}/{path}"), above.public_bytes(Encoding.DER)]
            facts = facts_of_chain(chain)
            serial = serial_of(x509.load_der_x509_certificate(chain[0]))
            self.assertIn(f"serial:{serial}", facts.seen_from(DOMAIN).subjects)
            for other in ("partner.example", f"a.{DOMAIN}", "example.com"):
                with self.subTest(path=path, other=other):
                    seen = facts.seen_from(other).subjects
                    self.assertEqual(seen, facts.issuers)
                    self.assertGreater(len(seen), 0)
                    self.assertEqual([one for one in seen if not one.startswith("issuer:")], [])
        planner = facts_of_chain([leaf(f"spiffe://{DOMAIN}/agent/planner/1")]).seen_from(DOMAIN)
        self.assertEqual(planner.subjects[1:], ("agent:planner", "instance:1"))


class Messages(unittest.TestCase):
    def test_fields_come_back(self) -> None:
        message = write_field(1, b"a") + b"\x10\x96\x01" + write_field(3, b"b" * 300)
        self.assertEqual(list(read_fields(message)), [(1, b"a"), (3, b"b" * 300)])
        self.assertEqual(jwt_request(["bank"], None), b"\x0a\x04bank")

    def test_cut_messages_are_refused(self) -> None:
        message = write_field(1, write_field(1, b"spiffe://a/b") + write_field(5, b"hint"))
        self.assertEqual(parse_x509_svids(message)[0].hint, "hint")
        for end in range(1, len(message)):
            with self.subTest(end), self.assertRaises(ValueError):
                list(read_fields(message[:end]))

    def test_whatever_comes_is_read_or_refused_and_nothing_else(self) -> None:
        numbers = random.Random(7)
        good = write_field(1, write_field(1, b"spiffe://a/b") + write_field(2, b"0" * 40) + write_field(5, b"hint"))
        for _ in range(5000):
            message = bytearray(good)
            for _ in range(numbers.randrange(1, 6)):
                message[numbers.randrange(len(message))] = numbers.randrange(256)
            try:
                parse_x509_svids(bytes(message))
            except ValueError:
                pass


class Roots(unittest.TestCase):
    def setUp(self) -> None:
        self.old_key, self.new_key, self.evil_key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(3))
        self.old = authority("old", self.old_key, "old", self.old_key)
        self.new = authority("new", self.new_key, "new", self.new_key)

    def test_a_new_root_counts_where_one_that_is_held_vouches_for_it(self) -> None:
        cross = authority("new", self.new_key, "old", self.old_key)
        self.assertEqual(next_roots([self.old], [self.old, self.new], [cross]), (self.old, self.new))
        self.assertEqual(next_roots([self.old], [self.new], [cross]), (self.new,))

    def test_a_root_without_a_voucher_is_not_believed(self) -> None:
        self.assertEqual(next_roots([self.old], [self.old, self.new], []), (self.old,))
        self.assertEqual(next_roots([self.old], [self.new], []), (self.old,))

    def test_whoever_has_an_intermediate_cannot_make_a_root(self) -> None:
        limited = authority("new", self.new_key, "old", self.old_key, path_length=0)
        other_key = authority("new", self.evil_key, "old", self.old_key)
        forged = authority("new", self.new_key, "old", self.evil_key)
        ended = authority("new", self.new_key, "old", self.old_key, days=-1)
        for voucher in (limited, other_key, forged, ended):
            self.assertEqual(next_roots([self.old], [self.new], [voucher]), (self.old,))

    def test_what_is_no_certificate_is_an_error(self) -> None:
        with self.assertRaises(WritError):
            next_roots([self.old], ["nonsense"], [])


class Store(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.directory = Path(folder.name) / "identity"
        self.credential = a_credential()
        self.home = Home("https://localhost:1", ("root",))

    def test_an_identity_comes_back_and_is_its_owners_alone(self) -> None:
        self.assertIsNone(load_identity(self.directory))
        save_identity(self.directory, self.credential, self.home)
        self.assertEqual(stat.S_IMODE((self.directory / "identity.json").stat().st_mode), 0o600)
        kept = load_identity(self.directory)
        assert kept is not None
        self.assertEqual(kept[0].key_pem(), self.credential.key_pem())
        self.assertEqual((kept[0].spiffe_id, kept[1]), (self.credential.spiffe_id, self.home))

    def test_what_others_can_read_or_replace_is_refused(self) -> None:
        save_identity(self.directory, self.credential, self.home)
        for path, mode in ((self.directory / "identity.json", 0o640), (self.directory, 0o770)):
            before = stat.S_IMODE(path.stat().st_mode)
            path.chmod(mode)
            with self.assertRaises(WritError) as refused:
                load_identity(self.directory)
            self.assertEqual(refused.exception.code, "unsafe_permissions")
            path.chmod(before)

    def test_a_broken_file_is_an_error_that_does_not_repeat_it(self) -> None:
        save_identity(self.directory, self.credential, self.home)
        file = self.directory / "identity.json"
        text = file.read_text()
        for broken in (text[:-9], text.replace('"version": 1', '"version": 2'), "[]", text.replace("MIG", "XXX")):
            file.write_text(broken)
            with self.assertRaises(WritError) as refused:
                load_identity(self.directory)
            self.assertEqual(refused.exception.code, "bad_config")
            self.assertIsNone(refused.exception.__cause__)


class Secrets(unittest.TestCase):
    def test_a_credential_is_shown_without_its_key(self) -> None:
        shown = repr(a_credential())
        self.assertNotIn("PRIVATE", shown)
        self.assertNotIn("key", shown)

    def test_keys_below_a_root_of_another_kind_are_refused(self) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        self.assertIsInstance(new_key(certificate_of(authority("a", key, "a", key))), ec.EllipticCurvePrivateKey)


def a_credential(**times: float) -> Credential:
    key = ec.generate_private_key(ec.SECP256R1())
    credential = Credential(
        key=key,
        spiffe_id=f"spiffe://{DOMAIN}/agent/planner/01k",
        serial="01",
        certificate=authority("a", key, "a", key),
        chain=(),
        roots=(),
        not_before=0,
        not_after=3,
        renew_after=2,
    )
    return replace(credential, **times)  # type: ignore[arg-type]


def leaf(*uris: str) -> bytes:
    """A certificate with these URI names, in DER."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([])
    names: list[x509.GeneralName] = [x509.DNSName("localhost"), *(x509.UniformResourceIdentifier(uri) for uri in uris)]
    now = datetime.now(timezone.utc)
    built = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now, now + timedelta(days=1))
    return built.add_extension(x509.SubjectAlternativeName(names), critical=True).sign(key, SHA256()).public_bytes(Encoding.DER)


def leaf_below(
    uri: str, key: ec.EllipticCurvePrivateKey, issuer: str, issuer_key: ec.EllipticCurvePrivateKey
) -> x509.Certificate:
    """A certificate of a workload, by an authority of `authority`."""
    now = datetime.now(timezone.utc)
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.UniformResourceIdentifier(uri)]), critical=True)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
        .sign(issuer_key, SHA256())
    )


def authority(
    name: str,
    key: ec.EllipticCurvePrivateKey,
    issuer: str,
    issuer_key: ec.EllipticCurvePrivateKey,
    *,
    path_length: int | None = None,
    days: int = 1,
) -> str:
    """A certificate of an authority, in PEM."""
    now = datetime.now(timezone.utc)
    usage = {"key_cert_sign": True, "crl_sign": True}
    others = ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement")
    usage |= dict.fromkeys((*others, "encipher_only", "decipher_only"), False)
    built = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=2))
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=True, path_length=path_length), critical=True)
        .add_extension(x509.KeyUsage(**usage), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
        .sign(issuer_key, SHA256())
    )
    return pem_of(built)


if __name__ == "__main__":
    os.umask(0o077)
    unittest.main()
