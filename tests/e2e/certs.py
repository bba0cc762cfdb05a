# SPDX-License-Identifier: Apache-2.0
"""Certificates made on the spot by the openssl command, which Debian's libssl-dev users have at hand."""
import os
import subprocess


def make(folder, name="localhost"):
    """A self-made certificate for localhost and 127.0.0.1. Returns (cert file, key file)."""
    cert, key = os.path.join(folder, f"{name}.crt"), os.path.join(folder, f"{name}.key")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
         "-keyout", key, "-out", cert, "-days", "2", "-subj", f"/CN={name}",
         "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"],
        check=True, capture_output=True)
    return cert, key
