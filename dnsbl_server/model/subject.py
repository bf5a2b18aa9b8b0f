"""What can be listed and asked for: addresses and domain names.

Owns the types that the RIB, the tables and the command line are asked with, so that none of them depends on the kinds
of subjects where it does not look into them.
"""

from dnsbl_server.model.address import Address, Net
from dnsbl_server.model.domain import Domain, Domains

Subject = Address | Domain
# What one entry or exclusion means.
Subjects = Net | Domains
