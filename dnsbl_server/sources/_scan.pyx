"""The lines of a list file to spans and names: the plain ones, which nearly all of them are.

Owns a strict reader of addresses, CIDRs, ranges, domain names and hashes in their plainest form, and what makes a line
plain. Every other line goes to a function of the caller's, byte for byte, which decides what it means and what is wrong
with it. So all rules and messages are in Python, and this module must never take a line that they would refuse, warn of
or read otherwise; a property test holds it to that. No byte is read at or behind the end of a line (`end` throughout),
whatever the bytes are.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport UINT32_MAX, uint8_t, uint32_t, uint64_t
from libc.string cimport memchr, memset

from dnsbl_server.model._names cimport Names, add_name
from dnsbl_server.model._spans cimport Span4, Span6, Spans, add, address128

cdef enum:
    # The largest nets that are plain, as prefix lengths; larger ones are rare, and may be worth a warning.
    LARGEST4 = 16
    LARGEST6 = 32
    LOOPBACK = 127
    MAX_LABEL = 63               # RFC 1035 section 2.3.4
    MAX_NAME = 253               # as text
    AT = 1                       # the scope of a name alone (`domain`)


def scan(bytes block, uint64_t line, Py_ssize_t longest, columns, bint takes_nets, scopes, uint32_t longest_name, hashes,
         other):
    """Add the plain lines of a block, which has whole lines, to the columns; their numbers are those of the lines.

    `line` is the number of the first one; columns: the spans of both versions, and the names; takes_nets: whether a
    line may be a net; scopes: that of `name`, `.name` and `*.name`, 0 where it is not plain; longest_name: in
    characters; hashes: how many characters a hash has, and which, 0 where it is not plain. Every line that is neither
    plain nor empty nor just a comment, or has more than `longest` bytes, goes to `other(number, line)`, in order; that
    may append to the columns. Returns the number of lines.
    """
    cdef uchar *start = <uchar *> PyBytes_AS_STRING(block)
    cdef uchar *end = start + PyBytes_GET_SIZE(block)
    cdef uchar *newline
    cdef uint64_t number = line
    cdef Rules rules
    cdef Spans v4, v6
    cdef Names names
    v4, v6, names = columns
    if v4.version != 4 or v6.version != 6:
        raise ValueError("the spans are of the wrong families")
    set_rules(&rules, takes_nets, scopes, longest_name, hashes)
    while start < end:
        if number > UINT32_MAX:
            raise OverflowError("too many lines")
        newline = <uchar *> memchr(start, c"\n", <size_t> (end - start))
        if newline == NULL:
            newline = end
        if newline - start > longest or not read_line(start, newline, <uint32_t> number, v4, v6, names, &rules):
            other(number, PyBytes_FromStringAndSize(<char *> start, newline - start))
        number += 1
        if newline == end:
            break
        start = newline + 1
    return number - line


cdef int set_rules(Rules *rules, bint takes_nets, scopes, uint32_t longest_name, hashes) except -1:
    """The rules as `scan` has them."""
    cdef unsigned char character
    memset(rules, 0, sizeof(Rules))
    rules.takes_nets = takes_nets
    rules.plain, rules.dot, rules.star = scopes
    rules.longest_name = min(longest_name, <uint32_t> MAX_NAME)
    rules.hash_size = hashes[0]
    if rules.hash_size > rules.longest_name or rules.hash_size > MAX_LABEL:
        rules.hash_size = 0
    for character in list(hashes[1]):
        rules.is_of_hash[character] = True
    return 0


cdef bint read_line(uchar *at, uchar *end, uint32_t number, Spans v4, Spans v6, Names names, const Rules *rules) except -1:
    """Add what a line has, if it has anything; false where the line is not plain."""
    cdef uint32_t first = 0, last = 0, size = 0
    cdef address128 first6 = 0, last6 = 0
    cdef uint8_t scope = 0
    cdef uint8_t name[MAX_NAME + 1]
    cdef uchar *behind = NULL
    at = skip_blanks(at, end)
    if is_over(at, end):
        return True
    if rules.takes_nets:
        behind = read_net4(at, end, &first, &last)
        if behind != NULL and is_over(skip_blanks(behind, end), end):
            add(v4, Span4(first, last, number))
            return True
        if behind == NULL:
            behind = read_net6(at, end, &first6, &last6)
            if behind != NULL and is_over(skip_blanks(behind, end), end):
                add(v6, Span6(first6, last6, number))
                return True
    # What has begun like an address may still be a name: 1.2.3.4.example.com.
    if rules.hash_size:
        behind = read_hash(at, end, name, rules)
        size = rules.hash_size
        scope = AT
    else:
        behind = read_name(at, end, name, &size, &scope, rules)
    if behind == NULL or not is_over(skip_blanks(behind, end), end):
        return False
    add_name(names, name, size, scope, number)
    return True


cdef uchar *read_hash(uchar *at, uchar *end, uint8_t *name, const Rules *rules) noexcept:
    """Read as many characters of a hash as one has, to lower case; NULL where there are fewer."""
    cdef uint32_t size = 0
    cdef uint8_t character
    while at < end and size < rules.hash_size:
        character = lower(at[0])
        if not rules.is_of_hash[character]:
            return NULL
        name[size] = character
        size += 1
        at += 1
    return at if size == rules.hash_size else NULL


cdef uchar *read_name(uchar *at, uchar *end, uint8_t *name, uint32_t *size, uint8_t *scope, const Rules *rules) noexcept:
    """Read a name of two labels or more, of which the last is of two characters or more, a letter first, to lower case.

    Returns where it ends, or NULL where there is none. A final dot is left out.
    """
    cdef uint32_t length = 0, label = 0, labels = 1
    # How many labels are numbers, from the first one on; whether the one that is read is one so far.
    cdef uint32_t numbers = 0
    cdef bint is_number = True
    cdef uint8_t character
    scope[0] = rules.plain
    if at[0] == c".":
        scope[0] = rules.dot
        at += 1
    elif at[0] == c"*":
        scope[0] = rules.star
        if end - at < 2 or at[1] != c".":
            return NULL
        at += 2
    if not scope[0]:
        return NULL
    while at < end:
        character = lower(at[0])
        if character == c".":
            if length == label:
                return NULL
            if at + 1 == end or is_end_of_name(at[1]):
                at += 1
                break
            if is_number and numbers == labels - 1:
                numbers += 1
            is_number = True
            labels += 1
            label = length + 1
        elif is_end_of_name(character):
            break
        elif not (c"a" <= character <= c"z" or c"0" <= character <= c"9" or character == c"-" or character == c"_"):
            return NULL
        elif length - label == MAX_LABEL:
            return NULL
        else:
            is_number = is_number and c"0" <= character <= c"9"
        if length == rules.longest_name:
            return NULL
        name[length] = character
        length += 1
        at += 1
    if labels < 2 or length < label + 2 or not c"a" <= name[label] <= c"z":
        return NULL
    # An address that is mistyped
    if labels == 4 and numbers == 3:
        return NULL
    size[0] = length
    return at


cdef bint is_end_of_name(uint8_t character) noexcept:
    return character == c" " or character == c"\t" or character == c"\r" or character == c"#" or character == c";"


cdef uint8_t lower(uint8_t character) noexcept:
    return <uint8_t> (character | 0x20) if c"A" <= character <= c"Z" else character


cdef uchar *skip_blanks(uchar *at, uchar *end) noexcept:
    while at < end and (at[0] == c" " or at[0] == c"\t" or at[0] == c"\r"):
        at += 1
    return at


cdef bint is_over(uchar *at, uchar *end) noexcept:
    """Whether nothing more comes but a comment."""
    return at == end or at[0] == c"#" or at[0] == c";"


cdef uchar *read_net4(uchar *at, uchar *end, uint32_t *first, uint32_t *last) noexcept:
    """Read `a.b.c.d`, `a.b.c.d/16` to `/32` without host bits, or a range no larger than that, outside 127.0.0.0/8.

    Returns where it ends, or NULL where there is no such net.
    """
    cdef unsigned length = 32
    cdef uint32_t host
    cdef uchar *behind
    at = read_address4(at, end, first)
    if at == NULL:
        return NULL
    last[0] = first[0]
    if at < end and at[0] == c"/":
        at = read_length(at + 1, end, &length)
        if at == NULL or length > 32 or length < LARGEST4:
            return NULL
        host = UINT32_MAX >> length if length < 32 else 0
        if first[0] & host:
            return NULL
        last[0] = first[0] | host
    else:
        behind = skip_blanks(at, end)
        if behind < end and behind[0] == c"-":
            at = read_address4(skip_blanks(behind + 1, end), end, last)
            if at == NULL or last[0] < first[0] or last[0] - first[0] > UINT32_MAX >> LARGEST4:
                return NULL
    # Ends of a net this small cannot be on both sides of 127.0.0.0/8.
    if first[0] >> 24 == LOOPBACK or last[0] >> 24 == LOOPBACK:
        return NULL
    return at


cdef uchar *read_address4(uchar *at, uchar *end, uint32_t *address) noexcept:
    """Read four numbers of 0 to 255, without leading zeros, between dots; NULL where there are none."""
    cdef uint32_t number = 0, octet
    cdef unsigned octets = 0
    cdef uchar *start
    while True:
        start = at
        octet = 0
        while at < end and at - start < 3 and c"0" <= at[0] <= c"9":
            octet = 10 * octet + (at[0] - c"0")
            at += 1
        if at == start or octet > 255 or (start[0] == c"0" and at - start > 1):
            return NULL
        number = number << 8 | octet
        octets += 1
        if octets == 4:
            break
        if at == end or at[0] != c".":
            return NULL
        at += 1
    # A fourth digit or a fifth octet.
    if at < end and (at[0] == c"." or c"0" <= at[0] <= c"9"):
        return NULL
    address[0] = number
    return at


cdef uchar *read_length(uchar *at, uchar *end, unsigned *length) noexcept:
    """Read a prefix length of at most three digits, without leading zeros; NULL where there is none."""
    cdef uchar *start = at
    length[0] = 0
    while at < end and at - start < 3 and c"0" <= at[0] <= c"9":
        length[0] = 10 * length[0] + (at[0] - c"0")
        at += 1
    if at == start or (start[0] == c"0" and at - start > 1) or (at < end and c"0" <= at[0] <= c"9"):
        return NULL
    return at


cdef uchar *read_net6(uchar *at, uchar *end, address128 *first, address128 *last) noexcept:
    """Read an IPv6 address or a CIDR of /32 to /128 without host bits, outside of ::/32; NULL where there is none.

    ::/32 has the IPv4-mapped addresses, which are no IPv6 addresses here.
    """
    cdef unsigned length = 128
    cdef address128 host
    at = read_address6(at, end, first)
    if at == NULL or not first[0] >> 96:
        return NULL
    last[0] = first[0]
    if at < end and at[0] == c"/":
        at = read_length(at + 1, end, &length)
        if at == NULL or length > 128 or length < LARGEST6:
            return NULL
        host = ~<address128> 0 >> length if length < 128 else 0
        if first[0] & host:
            return NULL
        last[0] = first[0] | host
    return at


cdef uchar *read_address6(uchar *at, uchar *end, address128 *address) noexcept:
    """Read an IPv6 address of nothing but groups of one to four hexadecimal digits, with at most one `::`.

    NULL where there is none. What it takes, inet_pton takes; that also takes addresses that end in dotted octets.
    """
    cdef address128 head = 0  # the groups before the `::`, or all
    cdef address128 tail = 0  # the groups behind it
    cdef unsigned groups = 0, behind_gap = 0, digits
    cdef bint has_gap = False
    cdef uint32_t group
    if end - at >= 2 and at[0] == c":" and at[1] == c":":
        has_gap = True
        at += 2
    while True:
        group = 0
        digits = 0
        while at < end and digits < 4 and digit_of(at[0]) < 16:
            group = group << 4 | digit_of(at[0])
            digits += 1
            at += 1
        if not digits:
            # Only right behind a `::`, at the end of the address.
            if not has_gap or behind_gap:
                return NULL
            break
        groups += 1
        if has_gap:
            behind_gap += 1
            tail = tail << 16 | group
        else:
            head = head << 16 | group
        if groups == 8 or at == end or at[0] != c":":
            break
        at += 1
        if at < end and at[0] == c":":
            if has_gap:
                return NULL
            has_gap = True
            at += 1
    # What cannot follow: more digits, another group, dotted octets, a scope.
    if at < end and not (at[0] == c"/" or at[0] == c" " or at[0] == c"\t" or at[0] == c"\r" or is_over(at, end)):
        return NULL
    # A `::` stands for at least one group.
    if has_gap == (groups == 8):
        return NULL
    if has_gap:
        # At least one group is left out, so neither shift is by 128.
        head = head << 16 * (8 - groups + behind_gap) if groups > behind_gap else 0
        head |= tail
    address[0] = head
    return at


cdef unsigned digit_of(unsigned char character) noexcept:
    """The value of a hexadecimal digit; 16 for what is none."""
    if c"0" <= character <= c"9":
        return character - c"0"
    character |= 0x20
    return <unsigned> (character - c"a" + 10) if c"a" <= character <= c"f" else 16
