"""Judges tokens as an OAuth server does that was told an issuer and an audience: discovery, keys by name, PyJWT.

Reads lines {"token": …} and says for each what came of it. Keys are kept as PyJWT keeps them.
"""

import json
import ssl
import sys
import urllib.request

import jwt

issuer, audience, roots = sys.argv[1:4]
context = ssl.create_default_context(cafile=roots)


def fetched(url):
    with urllib.request.urlopen(url, context=context) as answer:
        return json.load(answer), dict(answer.headers)


found, headers = fetched(issuer + "/.well-known/openid-configuration")
keys, key_headers = fetched(found["jwks_uri"])
said = {"configuration": found, "headers": headers, "keys": keys, "key_headers": key_headers}
print(json.dumps(said), flush=True)
client = jwt.PyJWKClient(found["jwks_uri"], ssl_context=context)
for line in sys.stdin:
    token = json.loads(line)["token"]
    try:
        claims = jwt.decode(
            token,
            client.get_signing_key_from_jwt(token).key,
            # What the issuer says of itself, as verifiers do that were given nothing but its URL.
            algorithms=found["id_token_signing_alg_values_supported"],
            issuer=found["issuer"],
            audience=audience,
            options={"require": ["exp", "iat", "iss", "sub", "aud"]},
        )
        print(json.dumps({"claims": claims}), flush=True)
    except jwt.PyJWTError as error:
        print(json.dumps({"refused": type(error).__name__}), flush=True)
