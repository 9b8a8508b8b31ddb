"""Who the server is and whom it knows: a certificate authority of its own, client certificates, tokens, kubeconfig files."""

import base64
import datetime
import ipaddress
import json
import secrets
import ssl

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from rights import User


def pem(key):
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())


class Authority:
    """The cluster's certificate authority and its tokens."""

    def __init__(self, folder):
        self.folder, self.tokens = folder, {}
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "kubernetes")])
        ca = self.build(self.name, self.key.public_key()).add_extension(x509.BasicConstraints(True, None), True)
        usage = dict.fromkeys(("content_commitment", "data_encipherment", "key_agreement", "encipher_only", "decipher_only",
                               "crl_sign"), False)
        ca = ca.add_extension(x509.KeyUsage(digital_signature=True, key_encipherment=True, key_cert_sign=True, **usage), True)
        self.certificate = ca.sign(self.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
        (folder / "ca.crt").write_bytes(self.certificate)

    def build(self, subject, public):
        moment = datetime.datetime.utcnow()
        return (x509.CertificateBuilder().subject_name(subject).issuer_name(self.name).public_key(public)
                .serial_number(x509.random_serial_number()).not_valid_before(moment - datetime.timedelta(hours=1))
                .not_valid_after(moment + datetime.timedelta(days=2)))

    def issue(self, user, server=False):
        """A certificate and its key, for the server or for a client whose groups are its organisations."""
        key = ec.generate_private_key(ec.SECP256R1())
        names = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, g) for g in user.groups]
        subject = x509.Name([*names, x509.NameAttribute(NameOID.COMMON_NAME, user.name)])
        purpose = ExtendedKeyUsageOID.SERVER_AUTH if server else ExtendedKeyUsageOID.CLIENT_AUTH
        made = self.build(subject, key.public_key()).add_extension(x509.ExtendedKeyUsage([purpose]), False)
        if server:
            hosts = [x509.DNSName("localhost"), x509.DNSName("kubernetes.default.svc"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
            made = made.add_extension(x509.SubjectAlternativeName(hosts), False)
        return made.sign(self.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM), pem(key)

    def context(self):
        """TLS of the server; a client certificate is asked for, and not demanded."""
        certificate, key = self.issue(User("kube-apiserver"), server=True)
        path = self.folder / "server.pem"
        path.write_bytes(certificate + key)
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(path)
        context.load_verify_locations(self.folder / "ca.crt")
        context.verify_mode = ssl.CERT_OPTIONAL
        return context

    def token(self, user):
        made = secrets.token_urlsafe(24)
        self.tokens[made] = user
        return made

    def kubeconfig(self, server, user, certificate=False, namespace="default"):
        """The text of a kubeconfig (JSON is YAML)."""
        if certificate:
            cert, key = (base64.b64encode(b).decode() for b in self.issue(user))
            credentials = {"client-certificate-data": cert, "client-key-data": key}
        else:
            credentials = {"token": self.token(user)}
        cluster = {"server": server, "certificate-authority-data": base64.b64encode(self.certificate).decode()}
        return json.dumps({"apiVersion": "v1", "kind": "Config", "current-context": "fake",
                           "clusters": [{"name": "fake", "cluster": cluster}], "users": [{"name": user.name, "user": credentials}],
                           "contexts": [{"name": "fake", "context": {"cluster": "fake", "user": user.name, "namespace": namespace}}]},
                          indent=2)

    def who(self, request):
        """The user of a request; `None` where it shows nothing that is known."""
        header = request.headers.get("Authorization", "")
        if header.startswith("Bearer "):
            return self.tokens.get(header[7:].strip())
        certificate = request.transport and request.transport.get_extra_info("peercert")
        if not certificate:
            return None
        subject = [pair for part in certificate["subject"] for pair in part]
        name = next((v for k, v in subject if k == "commonName"), "")
        return User(name, (*(v for k, v in subject if k == "organizationName"), "system:authenticated"))
