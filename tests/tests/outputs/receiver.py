"""Takes findings as collectors do and reads each with somebody else's library. One line per message: its kind and `ok`, or why not.

Arguments: certificate, key, and the port for syslog over TCP (0: any). The first line names the ports."""
import http.server
import socket
import ssl
import sys
import threading

from google.protobuf import json_format
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from syslog_rfc5424_parser import SyslogMessage


def say(*words):
    # In one piece: several threads speak.
    sys.stdout.write(" ".join(map(str, words)) + "\n")
    sys.stdout.flush()


def read(kind, text):
    try:
        message = SyslogMessage.parse(text)
        named = next(iter(message.sd.values()))
        say(kind, "ok" if message.appname == "apisec-top" and named["id"] and message.msg else f"bad {text}")
    except Exception as error:
        say(kind, "bad", repr(error), repr(text))


def stream(kind, connection):
    """Messages with their lengths in front of them (RFC 6587, RFC 5425)."""
    held = connection.makefile("rb")
    while True:
        length = b""
        while (byte := held.read(1)) not in (b" ", b""):
            length += byte
        if not byte:
            return
        read(kind, held.read(int(length)).decode())


def serve(kind, listener, wrap=lambda connection: connection):
    def one(connection):
        try:
            stream(kind, wrap(connection))
        except OSError:
            pass  # whoever only tries whether somebody is there says nothing

    while True:
        threading.Thread(target=one, args=[listener.accept()[0]], daemon=True).start()


def datagrams(listener):
    while True:
        read("udp", listener.recv(65536).decode())


class Collector(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        try:
            request = json_format.Parse(body, ExportLogsServiceRequest())
            records = [r for res in request.resource_logs for scope in res.scope_logs for r in scope.log_records]
            whole = self.path == "/v1/logs" and all(r.time_unix_nano and r.severity_number and r.body.string_value for r in records)
            for _ in records:
                say("otlp", "ok" if whole else f"bad {body[:300]}")
        except json_format.ParseError as error:
            say("otlp", "bad", repr(error))
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


def listener(port=0, kind=socket.SOCK_STREAM):
    made = socket.socket(socket.AF_INET, kind)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.bind(("127.0.0.1", port))
    if kind == socket.SOCK_STREAM:
        made.listen()
    return made


certificate, key, port = sys.argv[1:4]
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(certificate, key)
tcp, tls, udp = listener(int(port)), listener(), listener(kind=socket.SOCK_DGRAM)
collector = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Collector)
secure = lambda connection: context.wrap_socket(connection, server_side=True)
for target, args in [(serve, ("tcp", tcp)), (serve, ("tls", tls, secure)), (datagrams, (udp,)), (collector.serve_forever, ())]:
    threading.Thread(target=target, args=args, daemon=True).start()
say("ports", *(made.getsockname()[1] for made in (tcp, tls, udp)), collector.server_port)
sys.stdin.read()
