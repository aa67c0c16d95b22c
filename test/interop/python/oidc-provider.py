"""An OpenID provider that nobody here wrote, over TLS on a port of its own choice, which it prints.

Usage: oidc-provider.py CERTIFICATE KEY
"""

import sys

from oidc_provider_mock import app
from werkzeug.serving import make_server

certificate, key = sys.argv[1:]
server = make_server("127.0.0.1", 0, app(), ssl_context=(certificate, key))
print(server.server_port, flush=True)
server.serve_forever()
