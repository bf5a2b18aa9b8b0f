cpdef enum:
    # Sizes in bytes
    HEADER_SIZE = 12           # RFC 1035 section 4.1.1
    MIN_UDP = 512              # what every resolver takes over UDP: RFC 1035 section 4.2.1
    MAX_UDP = 1232             # what is sent and announced: no fragments on any path (RFC 9715)
    MAX_TCP = 65535
    MAX_LABEL = 63             # RFC 1035 section 2.3.4
    MAX_NAME = 255             # the length of each label and the root included
    MAX_STRING = 255           # of a TXT record: RFC 1035 section 3.3
    RECORD_SIZE = 10           # type, class, TTL and length of a record
    POINTER_SIZE = 2           # of a compressed name

    # The second 16 bits of a header (RFC 1035 section 4.1.1)
    QR = 0x8000
    OPCODE_SHIFT = 11
    OPCODE = 0x7800
    AA = 0x0400
    TC = 0x0200
    RD = 0x0100

    # Response codes
    NOERROR = 0
    FORMERR = 1
    SERVFAIL = 2
    NXDOMAIN = 3
    NOTIMP = 4
    REFUSED = 5
    BADVERS = 16               # RFC 6891 section 9

    # Classes
    CLASS_IN = 1
    CLASS_CH = 3

    # Types
    TYPE_A = 1
    TYPE_NS = 2
    TYPE_SOA = 6
    TYPE_PTR = 12
    TYPE_MX = 15
    TYPE_TXT = 16
    TYPE_AAAA = 28
    TYPE_SRV = 33
    TYPE_OPT = 41
    TYPE_DS = 43
    TYPE_DNSKEY = 48
    TYPE_SVCB = 64
    TYPE_HTTPS = 65
    TYPE_IXFR = 251
    TYPE_AXFR = 252
    TYPE_ANY = 255
