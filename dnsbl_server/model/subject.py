"""What can be listed and asked for.

Owns the type that the RIB, the tables and the command line are asked with, so that none of them depends on the kinds
of subjects there are. Today that is one kind: an address.
"""

from dnsbl_server.model.address import Address

Subject = Address
