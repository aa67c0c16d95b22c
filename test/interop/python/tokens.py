"""Security event tokens, judged and made by somebody else's cryptography (RFC 7515, 7518, 8037).

verify: JSON {"jwks": ..., "tokens": [...]} on stdin; prints the claims of each, or fails.
sign: prints {"jwks": ..., "tokens": {algorithm: token}}, made with fresh keys over the claims on stdin.
"""

import base64
import json
import sys

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa, utils


def decode(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def encode(octets):
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()


def number(text):
    return int.from_bytes(decode(text), "big")


def verify(token, keys):
    protected, payload, signature = token.split(".")
    header = json.loads(decode(protected))
    assert header["typ"] == "secevent+jwt", header
    (jwk,) = [key for key in keys if key["kid"] == header["kid"]]
    assert jwk["alg"] == header["alg"] and jwk["use"] == "sig", jwk
    signed, raw = f"{protected}.{payload}".encode(), decode(signature)
    if header["alg"] == "ES256":
        assert len(raw) == 64
        point = ec.EllipticCurvePublicNumbers(number(jwk["x"]), number(jwk["y"]), ec.SECP256R1())
        der = utils.encode_dss_signature(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big"))
        point.public_key().verify(der, signed, ec.ECDSA(hashes.SHA256()))
    elif header["alg"] == "RS256":
        public = rsa.RSAPublicNumbers(number(jwk["e"]), number(jwk["n"])).public_key()
        assert public.key_size >= 2048
        public.verify(raw, signed, padding.PKCS1v15(), hashes.SHA256())
    else:
        assert header["alg"] == "EdDSA", header
        ed25519.Ed25519PublicKey.from_public_bytes(decode(jwk["x"])).verify(raw, signed)
    return json.loads(decode(payload))


def make(claims):
    keys, tokens = [], {}

    def add(alg, jwk, sign):
        keys.append({**jwk, "kid": alg, "alg": alg, "use": "sig"})
        header = {"alg": alg, "typ": "secevent+jwt", "kid": alg}
        signed = f"{encode(json.dumps(header).encode())}.{encode(json.dumps(claims).encode())}"
        tokens[alg] = f"{signed}.{encode(sign(signed.encode()))}"

    curve = ec.generate_private_key(ec.SECP256R1())
    at = curve.public_key().public_numbers()

    def es256(octets):
        r, s = utils.decode_dss_signature(curve.sign(octets, ec.ECDSA(hashes.SHA256())))
        return r.to_bytes(32, "big") + s.to_bytes(32, "big")

    add("ES256", {"kty": "EC", "crv": "P-256", "x": encode(at.x.to_bytes(32, "big")), "y": encode(at.y.to_bytes(32, "big"))}, es256)
    edwards = ed25519.Ed25519PrivateKey.generate()
    raw = edwards.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    add("EdDSA", {"kty": "OKP", "crv": "Ed25519", "x": encode(raw)}, edwards.sign)
    modulus = rsa.generate_private_key(65537, 2048)
    n = modulus.public_key().public_numbers().n
    add("RS256", {"kty": "RSA", "n": encode(n.to_bytes(256, "big")), "e": "AQAB"},
        lambda octets: modulus.sign(octets, padding.PKCS1v15(), hashes.SHA256()))
    return {"jwks": {"keys": keys}, "tokens": tokens}


given = json.load(sys.stdin)
if sys.argv[1] == "verify":
    print(json.dumps([verify(token, given["jwks"]["keys"]) for token in given["tokens"]]))
else:
    print(json.dumps(make(given)))
