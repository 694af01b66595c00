"""What the host names of AWS say: which are S3 endpoints, of which region and kind.

"Amazon Simple Storage Service endpoints and quotas" in the AWS General Reference, the older
dashed form ``s3-<region>``, and the names of VPC interface endpoints.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_REGION = r"(?P<region>[a-z]{2,4}(?:-[a-z]+)+-\d+)"
_DOMAIN = r"\.amazonaws\.com(?:\.cn)?\Z"
_S3 = re.compile(rf"s3(?P<fips>-fips)?(?P<dualstack>\.dualstack)?(?:[.-]{_REGION})?{_DOMAIN}")
_VPC = re.compile(rf".+\.s3\.{_REGION}\.vpce{_DOMAIN}")
_BUCKET = re.compile(rf".+\.s3(?:[.-].+)?{_DOMAIN}")
# Access points, control endpoints and the like. The rest of the domain is not all AWS itself:
# names of EC2 machines and load balancers lead to whatever their tenants run there.
_OTHER = re.compile(rf"(?:.+\.)?s3[a-z0-9-]*(?:\.dualstack)?(?:\.{_REGION})?{_DOMAIN}")


@dataclass(frozen=True, slots=True)
class AwsHost:
    """An AWS host name taken apart. ``region`` is None for the global name.

    ``movable`` hosts have a sister for every region; VPC endpoints and the like have not.
    """

    region: str | None
    fips: bool = False
    dualstack: bool = False
    movable: bool = True

    def name(self, region: str) -> str:
        """The host of the same kind in another region."""
        domain = "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"
        if self.region is None and region == "us-east-1" and not (self.fips or self.dualstack):
            return f"s3.{domain}"
        fips, dualstack = "-fips" * self.fips, ".dualstack" * self.dualstack
        return f"s3{fips}{dualstack}.{region}.{domain}"


def aws_host(host: str) -> AwsHost | None:
    """What the name says, or None for a host that is not an S3 service of AWS."""
    host = host.rstrip(".")
    found = _S3.match(host)
    if found:
        return AwsHost(found["region"], bool(found["fips"]), bool(found["dualstack"]))
    found = _VPC.match(host)
    if found:
        return AwsHost(found["region"], movable=False)
    return AwsHost(None, movable=False) if _OTHER.match(host) else None


def names_bucket(host: str) -> bool:
    """True for ``bucket.s3.eu-central-1.amazonaws.com``."""
    return bool(_BUCKET.match(host)) and not _VPC.match(host)
