"""A workload as py-spiffe makes it, unmodified: all that the Workload API gives, as one line of JSON; then, with "watch", one
line for each X.509 context that comes."""

import json
import sys
import threading

from spiffe import WorkloadApiClient


def say(what):
    print(json.dumps(what), flush=True)


def svids(context):
    return [[str(svid.spiffe_id), format(svid.leaf.serial_number, "x")] for svid in context.x509_svids]


with WorkloadApiClient() as client:
    if sys.argv[1:] == ["watch"]:
        ended = threading.Event()

        def failed(error):
            say({"failed": str(error)})
            ended.set()

        client.stream_x509_contexts(lambda context: say({"svids": svids(context)}), failed)
        ended.wait()
    else:
        context = client.fetch_x509_context()
        token = client.fetch_jwt_svid(audience={"bank"})
        validated = client.validate_jwt_svid(token.token, audience="bank")
        own = client.fetch_jwt_bundles().get_bundle_for_trust_domain(token.spiffe_id.trust_domain)
        try:
            client.validate_jwt_svid(token.token, audience="somebody-else")
            other = "believed"
        except Exception as error:
            other = type(error).__name__
        bundle = client.fetch_x509_bundles().get_bundle_for_trust_domain(token.spiffe_id.trust_domain)
        say(
            {
                "svids": svids(context),
                "roots": len(bundle.x509_authorities),
                "token": str(token.spiffe_id),
                "validated": str(validated.spiffe_id),
                "keys": len(own.jwt_authorities),
                "other": other,
            }
        )
