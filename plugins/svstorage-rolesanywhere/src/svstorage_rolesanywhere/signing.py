"""The signature of Roles Anywhere: Signature Version 4 with the key of a certificate.

https://docs.aws.amazon.com/rolesanywhere/latest/userguide/authentication-sign-process.html
describes it; where that page is silent, Signature Version 4 holds.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding

PATH = "/sessions"
SERVICE = "rolesanywhere"

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


@dataclass(frozen=True, slots=True)
class Identity:
    """A certificate with its key, and the certificates between it and the trust anchor."""

    certificate: x509.Certificate
    key: PrivateKey = field(repr=False)
    chain: Sequence[x509.Certificate] = ()

    @property
    def algorithm(self) -> str:
        kind = "RSA" if isinstance(self.key, rsa.RSAPrivateKey) else "ECDSA"
        return f"AWS4-X509-{kind}-SHA256"

    def sign(self, data: bytes) -> bytes:
        """PKCS #1 v1.5 for RSA, DER for ECDSA, both over SHA-256."""
        if isinstance(self.key, rsa.RSAPrivateKey):
            return self.key.sign(data, padding.PKCS1v15(), hashes.SHA256())
        return self.key.sign(data, ec.ECDSA(hashes.SHA256()))


def signed_headers(
    identity: Identity, host: str, region: str, body: bytes, now: datetime
) -> dict[str, str]:
    """The headers of ``POST /sessions`` with this body, ``Authorization`` among them."""
    moment = now.astimezone(timezone.utc).strftime("%Y%m%dT%H%M%SZ")
    headers = {
        "Content-Type": "application/json",
        "Host": host,
        "X-Amz-Date": moment,
        "X-Amz-X509": _der(identity.certificate),
    }
    if identity.chain:
        headers["X-Amz-X509-Chain"] = ",".join(_der(one) for one in identity.chain)
    names = sorted(headers, key=str.lower)
    listed = ";".join(name.lower() for name in names)
    canonical = "\n".join(
        (
            "POST",
            PATH,
            "",  # no query
            *(f"{name.lower()}:{headers[name]}" for name in names),
            "",
            listed,
            hashlib.sha256(body).hexdigest(),
        )
    )
    scope = f"{moment[:8]}/{region}/{SERVICE}/aws4_request"
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    to_sign = "\n".join((identity.algorithm, moment, scope, digest))
    signature = identity.sign(to_sign.encode()).hex()
    serial = identity.certificate.serial_number
    headers["Authorization"] = (
        f"{identity.algorithm} Credential={serial}/{scope}, SignedHeaders={listed}, "
        f"Signature={signature}"
    )
    return headers


def _der(certificate: x509.Certificate) -> str:
    return base64.b64encode(certificate.public_bytes(Encoding.DER)).decode()
