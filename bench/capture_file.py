"""Writes pcap files of HTTP/1.1 over TCP, Ethernet and IPv4: for replay here and for peers."""
import struct
from ipaddress import IPv4Address

EPOCH = 1_760_000_000
CONNECTION = struct.Struct("!6s6sHBBHHHBBH4s4sHHIIBBHHH")


class CaptureFile:
    def __init__(self, path):
        self.file = path.open("wb", buffering=1 << 20)
        self.file.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, 1))
        self.microseconds = 0

    def frame(self, source, target, sequence, acknowledged, flags, payload):
        """One frame; `source` and `target` are (packed address, port)."""
        self.microseconds += 5
        length = 54 + len(payload)
        seconds, rest = divmod(self.microseconds, 1_000_000)
        self.file.write(struct.pack("<IIII", EPOCH + seconds, rest, length, length))
        self.file.write(
            CONNECTION.pack(
                b"\x02\0\0\0\0\1", b"\x02\0\0\0\0\2", 0x0800, 0x45, 0, 40 + len(payload), 0, 0x4000, 64, 6, 0,
                source[0], target[0], source[1], target[1], sequence & 0xFFFFFFFF, acknowledged & 0xFFFFFFFF,
                0x50, flags, 65535, 0, 0,
            )
        )
        self.file.write(payload)

    def connection(self, client, server, exchanges):
        """A whole connection: handshake, exchanges of (request, answer), and both ends' close."""
        ours, theirs = 1000, 9000
        self.frame(client, server, ours, 0, 0x02, b"")
        self.frame(server, client, theirs, ours + 1, 0x12, b"")
        ours, theirs = ours + 1, theirs + 1
        self.frame(client, server, ours, theirs, 0x10, b"")
        for request, answer in exchanges:
            self.frame(client, server, ours, theirs, 0x18, request)
            ours += len(request)
            self.frame(server, client, theirs, ours, 0x18, answer)
            theirs += len(answer)
        self.frame(client, server, ours, theirs, 0x11, b"")
        self.frame(server, client, theirs, ours + 1, 0x11, b"")
        self.frame(client, server, ours + 1, theirs + 1, 0x10, b"")

    def close(self):
        self.file.close()


def address(text, port):
    return IPv4Address(text).packed, port


def request(method, path, host="api.example"):
    return f"{method} {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: bench/1\r\nAccept: application/json\r\n\r\n".encode()


def answer(body='{"items":[{"id":1,"name":"alpha"},{"id":2,"name":"beta"},{"id":3,"name":"gamma"}],"page":1,"pages":12,"total":36}'):
    return f"HTTP/1.1 200 OK\r\nServer: bench\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\nConnection: keep-alive\r\n\r\n{body}".encode()


def two_hundred_thousand(path):
    """200,000 requests: 2,000 connections of 100, eight services, mixed paths."""
    file = CaptureFile(path)
    reply = answer()
    for number in range(2000):
        client = address(f"10.1.{number // 250}.{number % 250 + 1}", 40000)
        server = address(f"10.2.0.{number % 8 + 1}", 8080)
        asked = (request("GET", f"/v1/users/{number * 100 + i}/orders?page={i}") if i % 3 else request("POST", "/v1/carts") for i in range(100))
        file.connection(client, server, ((one, reply) for one in asked))
    file.close()
    return 200_000
