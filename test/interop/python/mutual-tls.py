"""A client of our own Python library: keeps a connection alive and says how often it was answered. A line on standard input has it
renew and open a second connection beside the first."""

import json
import os
import socket
import sys
import threading
import time

import writ

host, port = sys.argv[1].rsplit(":", 1)
allow = sys.argv[2]
identity = writ.connect(token=os.environ["WRIT_TOKEN"])
context = identity.client_context(allow=allow)


def say(**what):
    print(json.dumps(what), flush=True)


def connect():
    return context.wrap_socket(socket.create_connection((host, int(port))))


def exchange(connection):
    connection.sendall(b"hello\n")
    return connection.recv(100)


def renew():
    for _ in sys.stdin:
        serial = identity.renew().serial
        with connect() as second:
            say(renewed=serial, answered=exchange(second).decode())


threading.Thread(target=renew, daemon=True).start()
first = connect()
count = 0
say(id=identity.spiffe_id)
try:
    while exchange(first):
        count += 1
        say(count=count)
        time.sleep(0.02)
    say(ended="closed")
except OSError as error:
    say(ended=type(error).__name__)
# Without closing anything: the process that was cut off goes on living for a moment.
os._exit(0)
