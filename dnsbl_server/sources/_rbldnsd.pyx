"""The lines of rbldnsd's data files to rows: the plain ones; and the rows to the columns of a list file.

Owns a strict reader of IPv4 addresses, CIDRs and domain names in their plainest form with a value behind them that is
known already. Every other line goes to a function of the caller's, byte for byte, so all rules and messages are in
Python; a property test holds both to the same meaning. No byte is read at or behind the end of a line.

A row has a kind, which is the number of its value: kinds below `FIRST_VALUE` list nothing, and go to the caller.
"""

from array import array

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.dict cimport PyDict_GetItem
from cpython.object cimport PyObject
from libc.stdint cimport UINT32_MAX, uint8_t, uint32_t, uint64_t
from libc.string cimport memchr

from dnsbl_server.model._names cimport NameRow, Names, add_name
from dnsbl_server.model._spans cimport Span4, Span6, Spans, add, address128
from dnsbl_server.sources._scan cimport read_address4, uchar

cdef enum:
    FIRST_VALUE = 2
    LOOPBACK = 127
    # What a list file takes unasked: see `Sink`.
    LARGEST4 = 16
    LARGEST6 = 32
    MAX_LABEL = 63               # RFC 1035 section 2.3.4
    MAX_NAME = 253               # as text
    ROOM = 4096                  # kinds that are kept before they are given to Python
    AT = 1
    BELOW = 2


cdef class Scanner:
    """What was read of one dataset so far.

    rows: Spans, or Names whose scope is 1; kinds: of each row, for names with the scope: 4 * kind + scope; values: the
    kind of each value by its bytes, b"" for none, without those that Python must see; takes_cr: a line may end with a
    CR; takes_lengths: an address may have a prefix length; largest: the most addresses that an entry may have;
    longest_name: in characters.
    """

    cdef readonly object rows
    cdef readonly object kinds
    cdef readonly dict values
    cdef public bint takes_cr
    cdef public bint takes_lengths
    cdef public uint64_t largest
    cdef public uint32_t longest_name

    def __init__(self, rows):
        self.rows = rows
        self.kinds = array("I")
        self.values = {}
        self.takes_cr = False
        self.takes_lengths = True
        self.largest = <uint64_t> 1 << 32
        self.longest_name = MAX_NAME

    def scan(self, bytes block, uint64_t line, Py_ssize_t longest, other):
        """Add the plain lines of a block of whole lines; their numbers are those of the lines, from `line` on.

        Lines that are not plain, or have more than `longest` bytes, go to `other(number, line)`, in order; that may
        add rows, and change what this object says. Returns the number of lines.
        """
        cdef uchar *start = <uchar *> PyBytes_AS_STRING(block)
        cdef uchar *end = start + PyBytes_GET_SIZE(block)
        cdef uchar *newline
        cdef uchar *over
        cdef uint64_t number = line
        cdef uint32_t kind = 0, filled = 0
        cdef uint32_t pending[ROOM]
        cdef Spans spans = None
        cdef Names names = None
        cdef int taken
        if isinstance(self.rows, Spans):
            spans = self.rows
            if spans.version != 4:
                spans = None
        else:
            names = self.rows
        while start < end:
            if number > UINT32_MAX:
                raise OverflowError("too many lines")
            newline = <uchar *> memchr(start, c"\n", <size_t> (end - start))
            if newline == NULL:
                newline = end
            over = newline
            if self.takes_cr and over > start and (over - 1)[0] == c"\r":
                over -= 1
            taken = 0
            if newline - start <= longest:
                if spans is not None:
                    taken = read_net(self, start, over, <uint32_t> number, spans, &kind)
                elif names is not None:
                    taken = read_name_line(self, start, over, <uint32_t> number, names, &kind)
            if taken == 2:
                pending[filled] = kind
                filled += 1
            if filled and (filled == ROOM or taken == 0):
                self.kinds.frombytes(PyBytes_FromStringAndSize(<char *> pending, <Py_ssize_t> (filled * sizeof(uint32_t))))
                filled = 0
            if taken == 0:
                other(number, PyBytes_FromStringAndSize(<char *> start, newline - start))
            number += 1
            if newline == end:
                break
            start = newline + 1
        if filled:
            self.kinds.frombytes(PyBytes_FromStringAndSize(<char *> pending, <Py_ssize_t> (filled * sizeof(uint32_t))))
        return number - line


cdef bint is_blank(uchar character) noexcept:
    return character == c" " or character == c"\t"


cdef uchar *skip_blanks(uchar *at, uchar *end) noexcept:
    while at < end and is_blank(at[0]):
        at += 1
    return at


cdef bint is_comment(uchar *at, uchar *end) noexcept:
    """Whether nothing more comes, or a comment that is no special."""
    if at == end:
        return True
    return (at[0] == c"#" or at[0] == c";") and (at + 1 == end or at[1] != c"$")


cdef bint find_kind(Scanner scanner, uchar *at, uchar *end, uint32_t *kind) except -1:
    """The kind of the value of a line; false where Python must look at it."""
    cdef PyObject *found
    at = skip_blanks(at, end)
    if at < end and (at[0] == c"#" or at[0] == c";"):
        # Whatever it says, the bytes behind it mean nothing, unless a NUL or a CR is the end of the line.
        end = at
    while end > at and is_blank((end - 1)[0]):
        end -= 1
    if end > at and (memchr(at, 0, <size_t> (end - at)) != NULL or (end - 1)[0] == c"\r"):
        return False
    found = PyDict_GetItem(scanner.values, PyBytes_FromStringAndSize(<char *> at, end - at))
    if found == NULL:
        return False
    kind[0] = <uint32_t> <object> found
    return True


cdef int read_net(Scanner scanner, uchar *at, uchar *end, uint32_t number, Spans spans, uint32_t *kind) except -1:
    """Read a line: 0 where Python must, 1 where it has nothing, 2 where a net was added."""
    cdef uint32_t first = 0, host
    cdef unsigned length = 32
    cdef uchar *behind
    at = skip_blanks(at, end)
    if is_comment(at, end):
        return 1
    behind = read_address4(at, end, &first)
    if behind == NULL:
        return 0
    if behind < end and behind[0] == c"/":
        if not scanner.takes_lengths:
            return 0
        behind = read_length(behind + 1, end, &length)
        if behind == NULL:
            return 0
    host = UINT32_MAX >> length if length < 32 else 0
    if first & host or first >> 24 == LOOPBACK or <uint64_t> host + 1 > scanner.largest:
        return 0
    if behind < end and not (is_blank(behind[0]) or behind[0] == c":" or behind[0] == c"#" or behind[0] == c";"):
        return 0
    if not find_kind(scanner, behind, end, kind):
        return 0
    add(spans, Span4(first, first | host, number))
    return 2


cdef uchar *read_length(uchar *at, uchar *end, unsigned *length) noexcept:
    """Read a prefix length of 8 to 32, without leading zeros; NULL where there is none."""
    cdef uchar *start = at
    length[0] = 0
    while at < end and at - start < 2 and c"0" <= at[0] <= c"9":
        length[0] = 10 * length[0] + (at[0] - c"0")
        at += 1
    if at == start or start[0] == c"0" or not 8 <= length[0] <= 32:
        return NULL
    return at


cdef int read_name_line(Scanner scanner, uchar *at, uchar *end, uint32_t number, Names names, uint32_t *kind) except -1:
    """Read a line: 0 where Python must, 1 where it has nothing, 2 where a name was added.

    A plain name has two labels or more of letters, digits, hyphens and underscores, the last with a letter first.
    """
    cdef uint8_t name[MAX_NAME + 1]
    cdef uint32_t size = 0, label = 0, labels = 1, scope = AT, longest
    cdef uint8_t character
    at = skip_blanks(at, end)
    if is_comment(at, end):
        return 1
    if at[0] == c".":
        scope = AT | BELOW
        at += 1
    elif at[0] == c"*":
        if end - at < 2 or at[1] != c".":
            return 0
        scope = BELOW
        at += 2
    longest = scanner.longest_name if scanner.longest_name < <uint32_t> MAX_NAME else <uint32_t> MAX_NAME
    while at < end and not is_blank(at[0]):
        character = at[0]
        if c"A" <= character <= c"Z":
            character |= 0x20
        if size == longest:
            return 0
        if character == c".":
            if size == label:
                return 0
            labels += 1
            label = size + 1
        elif not (c"a" <= character <= c"z" or c"0" <= character <= c"9" or character == c"-" or character == c"_"):
            return 0
        elif size - label == MAX_LABEL:
            return 0
        name[size] = character
        size += 1
        at += 1
    if labels < 2 or size == label or not c"a" <= name[label] <= c"z":
        return 0
    if not find_kind(scanner, at, end, kind):
        return 0
    kind[0] = 4 * kind[0] + scope
    add_name(names, name, size, AT, number)
    return 2


def whole_blocks(Spans rows, const uint32_t[::1] kinds, uint64_t limit):
    """Spans broken up into whole /8, /16, /24 and /32 blocks, each with the kind of its span.

    Raises OverflowError where these are more than `limit`.
    """
    cdef Spans out = Spans(4)
    cdef size_t at
    cdef uint64_t first, last, size
    cdef Span4 span
    cdef uint32_t pending[ROOM]
    cdef uint32_t filled = 0
    if rows.version != 4 or <size_t> kinds.shape[0] != rows.count:
        raise ValueError("not a kind for each span of IPv4")
    of_blocks = array("I")
    for at in range(rows.count):
        span = (<Span4 *> rows.data)[at]
        first, last = span.first, span.last
        while first <= last:
            size = 1 << 24
            while first & (size - 1) or first + size - 1 > last:
                size >>= 8
            if out.count == limit:
                raise OverflowError(f"more than {limit:,} blocks")
            add(out, Span4(<uint32_t> first, <uint32_t> (first + size - 1), span.number))
            if filled == ROOM:
                of_blocks.frombytes(PyBytes_FromStringAndSize(<char *> pending, sizeof(pending)))
                filled = 0
            pending[filled] = kinds[<Py_ssize_t> at]
            filled += 1
            first += size
    of_blocks.frombytes(PyBytes_FromStringAndSize(<char *> pending, <Py_ssize_t> (filled * sizeof(uint32_t))))
    return out, of_blocks


def move_spans(Spans rows, const uint32_t[::1] kinds, const unsigned char[::1] dropped, const uint32_t[::1] numbers,
               Spans into, other):
    """Add the rows that a list file takes unasked to a column; returns the number of the listing of each, by `numbers`.

    Rows whose place in `dropped` is not 0 are left out; all others go to `other(first, last, line, kind)`.
    """
    cdef size_t at
    cdef uint32_t kind, filled = 0
    cdef bint is_plain
    cdef Span4 four
    cdef Span6 six
    if <size_t> kinds.shape[0] != rows.count or <size_t> dropped.shape[0] != rows.count or rows.version != into.version:
        raise ValueError("not a kind for each span")
    out = array("I", bytes(4 * rows.count))
    cdef uint32_t[::1] view = out if rows.count else array("I", bytes(4))
    for at in range(rows.count):
        if dropped[<Py_ssize_t> at]:
            continue
        kind = kinds[<Py_ssize_t> at]
        is_plain = kind >= FIRST_VALUE and kind < <size_t> numbers.shape[0]
        if rows.version == 4:
            four = (<Span4 *> rows.data)[at]
            is_plain = is_plain and four.last - four.first <= UINT32_MAX >> LARGEST4
            is_plain = is_plain and four.first >> 24 != LOOPBACK and four.last >> 24 != LOOPBACK
            if is_plain:
                add(into, four)
        else:
            six = (<Span6 *> rows.data)[at]
            is_plain = is_plain and six.last - six.first <= ~<address128> 0 >> LARGEST6 and (six.first >> 96) != 0
            if is_plain:
                add(into, six)
        if is_plain:
            view[filled] = numbers[<Py_ssize_t> kind]
            filled += 1
        else:
            other(*rows[<Py_ssize_t> at], kind)
    del view
    del out[filled:]
    return out


def move_names(Names rows, const uint32_t[::1] kinds, const unsigned char[::1] dropped, const uint32_t[::1] numbers,
               Names into, other):
    """Add the names that a list file takes unasked to a column, as `move_spans` does; other: called with a row."""
    cdef size_t at
    cdef uint32_t kind, filled = 0
    cdef NameRow row
    if <size_t> kinds.shape[0] != rows.count or <size_t> dropped.shape[0] != rows.count:
        raise ValueError("not a kind for each name")
    out = array("I", bytes(4 * rows.count))
    cdef uint32_t[::1] view = out if rows.count else array("I", bytes(4))
    for at in range(rows.count):
        if dropped[<Py_ssize_t> at]:
            continue
        kind = kinds[<Py_ssize_t> at] >> 2
        row = rows.rows[at]
        if FIRST_VALUE <= kind < <size_t> numbers.shape[0] and memchr(rows.text + row.start, c".", row.size) != NULL:
            add_name(into, rows.text + row.start, row.size, <uint8_t> (kinds[<Py_ssize_t> at] & 3), row.number)
            view[filled] = numbers[<Py_ssize_t> kind]
            filled += 1
        else:
            other(at)
    del view
    del out[filled:]
    return out
