#!/usr/bin/env python3
"""Makes an OCI image of one static binary, as the image specification says it (image-spec 1.1), without a container engine.

    packages/image.py BINARY amd64|arm64 VERSION OUTPUT.tar

The same binary gives the same bytes: times are SOURCE_DATE_EPOCH, names are sorted."""

import datetime
import gzip
import hashlib
import io
import json
import os
import sys
import tarfile

EPOCH = int(os.environ.get("SOURCE_DATE_EPOCH", "0"))
# A name for who asks who runs, and where temporary files may be.
FILES = {"etc/passwd": b"root:x:0:0:root:/:/sbin/nologin\n", "etc/group": b"root:x:0:\n"}
FOLDERS = {"etc": 0o755, "tmp": 0o1777, "usr": 0o755, "usr/bin": 0o755, "var": 0o755, "var/lib": 0o755, "var/lib/apisec-top": 0o700}


def entry(name, mode, size=0, kind=tarfile.REGTYPE, link=""):
    made = tarfile.TarInfo(name)
    made.mode, made.size, made.type, made.mtime, made.linkname = mode, size, kind, EPOCH, link
    return made


def tarred(files):
    """A tar of (TarInfo, bytes) pairs."""
    whole = io.BytesIO()
    with tarfile.open(fileobj=whole, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for info, content in files:
            tar.addfile(info, io.BytesIO(content))
    return whole.getvalue()


def layer(binary):
    yield from ((entry(name, mode, kind=tarfile.DIRTYPE), b"") for name, mode in sorted(FOLDERS.items()))
    yield from ((entry(name, 0o644, len(text)), text) for name, text in sorted(FILES.items()))
    yield entry("usr/bin/apisec-top", 0o755, len(binary)), binary
    yield entry("usr/bin/kubectl-apisec", 0o777, kind=tarfile.SYMTYPE, link="apisec-top"), b""


def main(binary, architecture, version, output):
    with open(binary, "rb") as file:
        plain = tarred(layer(file.read()))
    packed = gzip.compress(plain, int(os.environ.get("LEVEL", "9")), mtime=0)
    blobs = {}

    def blob(content, media):
        digest = hashlib.sha256(content).hexdigest()
        blobs[digest] = content
        return {"mediaType": media, "digest": f"sha256:{digest}", "size": len(content)}

    created = datetime.datetime.fromtimestamp(EPOCH, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    labels = {"org.opencontainers.image.title": "apisec-top", "org.opencontainers.image.version": version,
              "org.opencontainers.image.licenses": "Apache-2.0 AND GPL-2.0-only"}
    config = {"created": created, "architecture": architecture, "os": "linux",
              "config": {"Entrypoint": ["/usr/bin/apisec-top"], "Env": ["PATH=/usr/bin"], "WorkingDir": "/", "Labels": labels},
              "rootfs": {"type": "layers", "diff_ids": ["sha256:" + hashlib.sha256(plain).hexdigest()]},
              "history": [{"created": created, "created_by": "packages/image.py"}]}
    manifest = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
                "config": blob(json.dumps(config).encode(), "application/vnd.oci.image.config.v1+json"),
                "layers": [blob(packed, "application/vnd.oci.image.layer.v1.tar+gzip")], "annotations": labels}
    found = blob(json.dumps(manifest).encode(), "application/vnd.oci.image.manifest.v1+json")
    found |= {"platform": {"architecture": architecture, "os": "linux"},
              "annotations": {"org.opencontainers.image.ref.name": version}}
    index = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": [found]}
    files = [(entry("oci-layout", 0o644, 30), b'{"imageLayoutVersion":"1.0.0"}')]
    text = json.dumps(index).encode()
    files.append((entry("index.json", 0o644, len(text)), text))
    files += [(entry(name, 0o755, kind=tarfile.DIRTYPE), b"") for name in ("blobs", "blobs/sha256")]
    files += [(entry(f"blobs/sha256/{digest}", 0o644, len(content)), content) for digest, content in sorted(blobs.items())]
    with open(output, "wb") as file:
        file.write(tarred(files))


if __name__ == "__main__":
    if len(sys.argv) != 5:
        sys.exit(__doc__)
    main(*sys.argv[1:])
