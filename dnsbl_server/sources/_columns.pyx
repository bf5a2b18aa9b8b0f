"""Lines with a listing of their own to spans, names and numbers: rows of columns, and entries with a comment behind.

Owns how a row in its plainest form is cut into fields, and what makes a row plain. The entry itself is read by `_scan`.
What the fields of the listing mean is the caller's: their bytes are looked up in a dict of numbers, and where they are
new, a function gives the number. Every line that is not plain goes to another function, byte for byte, as in `_scan`;
this module must never take a line that Python would refuse, warn of or read otherwise, and a property test holds it to
that. No byte is read at or behind the end of a line or field (`end` throughout), whatever the bytes are.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.dict cimport PyDict_GetItem
from libc.stdint cimport UINT32_MAX, uint8_t, uint32_t, uint64_t
from libc.string cimport memchr, memcpy, memset

from dnsbl_server.model._names cimport Names
from dnsbl_server.model._spans cimport Span4, Spans, add
from dnsbl_server.sources._scan cimport Rules, read_address4, read_line, set_rules, skip_blanks, uchar

cdef enum:
    MAX_FIELDS = 64              # columns of a row that are looked at
    MAX_LISTING_FIELDS = 8
    MAX_KEY = 8192               # bytes; a line has at most 4,096
    PENDING = 1024
    SMALL = 1 << 16              # the addresses of the largest range that is plain, as in `_scan`
    LOOPBACK = 127

cdef struct Field:
    uchar *start
    uchar *end

cdef struct Pending:
    # Numbers of listings that are not in their array yet; `rows` counts those that are, too.
    uint32_t numbers[PENDING]
    size_t count
    size_t rows

cdef struct Layout:
    # How a row is cut into fields: see `scan_columns`.
    int delimiter
    int quote                    # -1: there is none
    int comment                  # -1: there is none
    bint skips_spaces
    int first                    # the columns of the entry
    int last                     # -1: there is none
    int fields[MAX_LISTING_FIELDS]
    unsigned field_count
    unsigned needed              # fields of a row


def scan_columns(bytes block, uint64_t line, Py_ssize_t longest, columns, numbers, rules, layout, entry, fields,
                 dict known, number_of, other):
    """Add the plain rows of a block, which has whole lines, to the columns, and the numbers of their listings.

    line, longest, columns: as in `scan`; numbers: arrays of the numbers of the listings, one for each of the columns;
    rules: those of `scan`, from `takes_nets` to `hashes`; layout: the characters of delimiter, quote and comment (-1:
    there is none), and whether spaces before a field mean nothing; entry: the columns, from 0, of the entry, or of the
    first and the last address of it (-1: there is none); fields: the columns of its listing, whose bytes make a key,
    joined by newlines. Its number is `known[key]`, or else `number_of(key, line)`; below 0 the row is not plain. Every
    row that is not goes to `other(number, line)`, in order, which may append to columns and numbers. Returns the
    number of lines.
    """
    cdef Layout cut
    cdef Rules of_entry
    cdef int column
    memset(&cut, 0, sizeof(cut))
    cut.delimiter, cut.quote, cut.comment, cut.skips_spaces = layout
    cut.first, cut.last = entry
    if len(fields) > MAX_LISTING_FIELDS:
        raise ValueError("too many fields")
    highest = max([cut.first, cut.last] + list(fields))
    if entry[0] < 0 or highest >= MAX_FIELDS or min(fields, default=0) < 0:
        raise ValueError("there is no such column")
    cut.needed = 1 + highest
    for column in fields:
        cut.fields[cut.field_count] = column
        cut.field_count += 1
    takes_nets, scopes, longest_name, hashes = rules
    set_rules(&of_entry, takes_nets, scopes, longest_name, hashes)
    return scan_lines(block, line, longest, columns, numbers, &of_entry, &cut, known, number_of, other)


def scan_comments(bytes block, uint64_t line, Py_ssize_t longest, columns, numbers, rules, dict known, number_of, other):
    """Add plain lines as `scan` does; the comment behind an entry is the key of its listing, without blanks around it.

    A comment begins with any number of `#` and `;` and blanks between them. All else is as in `scan_columns`.
    """
    cdef Rules of_entry
    takes_nets, scopes, longest_name, hashes = rules
    set_rules(&of_entry, takes_nets, scopes, longest_name, hashes)
    return scan_lines(block, line, longest, columns, numbers, &of_entry, NULL, known, number_of, other)


cdef scan_lines(bytes block, uint64_t line, Py_ssize_t longest, columns, numbers, const Rules *rules, const Layout *layout,
                dict known, number_of, other):
    cdef uchar *start = <uchar *> PyBytes_AS_STRING(block)
    cdef uchar *end = start + PyBytes_GET_SIZE(block)
    cdef uchar *newline
    cdef uint64_t number = line
    cdef Spans v4, v6
    cdef Names names
    cdef Pending pending4, pending6, pending_names
    cdef long listing
    cdef size_t count4, count6, count_names
    cdef Field entry, last
    cdef bytes key
    cdef bint is_taken
    v4, v6, names = columns
    numbers4, numbers6, numbers_of_names = numbers
    if v4.version != 4 or v6.version != 6:
        raise ValueError("the spans are of the wrong families")
    if any(each.typecode != "I" for each in numbers):
        raise ValueError("the numbers are of the wrong type")
    begin(&pending4, numbers4)
    begin(&pending6, numbers6)
    begin(&pending_names, numbers_of_names)
    while start < end:
        if number > UINT32_MAX:
            raise OverflowError("too many lines")
        newline = <uchar *> memchr(start, c"\n", <size_t> (end - start))
        if newline == NULL:
            newline = end
        is_taken = newline - start <= longest
        if is_taken and not means_nothing(start, newline, layout):
            key = None
            if layout == NULL:
                key = cut_comment(start, newline, &entry)
                last.start = last.end = NULL
            else:
                key = cut_row(start, newline, layout, &entry, &last)
            is_taken = key is not None
            if is_taken:
                listing = listing_of(known, key, number_of, number)
                is_taken = listing >= 0
            if is_taken:
                count4, count6, count_names = v4.count, v6.count, names.count
                if last.start == NULL:
                    is_taken = read_line(entry.start, entry.end, <uint32_t> number, v4, v6, names, rules)
                else:
                    is_taken = rules.takes_nets and read_range(&entry, &last, <uint32_t> number, v4)
                if v4.count > count4:
                    put(&pending4, numbers4, count4, listing)
                elif v6.count > count6:
                    put(&pending6, numbers6, count6, listing)
                elif names.count > count_names:
                    put(&pending_names, numbers_of_names, count_names, listing)
                else:
                    # A line with nothing but a listing, or with an empty field.
                    is_taken = False
        if not is_taken:
            flush(&pending4, numbers4)
            flush(&pending6, numbers6)
            flush(&pending_names, numbers_of_names)
            other(number, PyBytes_FromStringAndSize(<char *> start, newline - start))
            begin(&pending4, numbers4)
            begin(&pending6, numbers6)
            begin(&pending_names, numbers_of_names)
        number += 1
        if newline == end:
            break
        start = newline + 1
    flush(&pending4, numbers4)
    flush(&pending6, numbers6)
    flush(&pending_names, numbers_of_names)
    return number - line


cdef long listing_of(dict known, bytes key, number_of, uint64_t line) except? -1:
    """The number of a listing; below 0 where the line is not plain."""
    cdef object found = None
    cdef void *borrowed = <void *> PyDict_GetItem(known, key)
    if borrowed != NULL:
        return <object> borrowed
    found = number_of(key, line)
    return found


cdef int begin(Pending *pending, numbers) except -1:
    pending.count = 0
    pending.rows = <size_t> len(numbers)
    return 0


cdef int flush(Pending *pending, numbers) except -1:
    """Put into the array what is not in it yet."""
    cdef Py_ssize_t size
    if pending.count:
        size = <Py_ssize_t> (pending.count * sizeof(uint32_t))
        numbers.frombytes(PyBytes_FromStringAndSize(<char *> pending.numbers, size))
        pending.count = 0
    return 0


cdef int put(Pending *pending, numbers, size_t row, long listing) except -1:
    """Give a row the number of its listing, and those before that have none 0: the listing of the list."""
    if pending.rows > row:
        raise ValueError("a row has two numbers")
    if pending.rows < row:
        flush(pending, numbers)
        numbers.frombytes(bytes((row - pending.rows) * sizeof(uint32_t)))
        pending.rows = row
    if pending.count == PENDING:
        flush(pending, numbers)
    pending.numbers[pending.count] = <uint32_t> listing
    pending.count += 1
    pending.rows += 1
    return 0


cdef bint means_nothing(uchar *at, uchar *end, const Layout *layout) noexcept:
    """Whether a line is empty, or just a comment."""
    at = skip_blanks(at, end)
    if at == end:
        return True
    if layout == NULL:
        return at[0] == c"#" or at[0] == c";"
    return at[0] == layout.comment


cdef bytes cut_comment(uchar *at, uchar *end, Field *entry):
    """The comment behind an entry, and what stands before it."""
    entry.start = at
    while at < end and at[0] != c"#" and at[0] != c";":
        at += 1
    entry.end = at
    while at < end and (at[0] == c"#" or at[0] == c";" or is_blank(at[0])):
        at += 1
    while end > at and is_blank((end - 1)[0]):
        end -= 1
    return PyBytes_FromStringAndSize(<char *> at, end - at)


cdef bytes cut_row(uchar *at, uchar *end, const Layout *layout, Field *entry, Field *last):
    """The key of the listing of a row, and the fields of its entry; None where the row is not plain.

    All of it is checked, so that a quote that is not closed is found in any column.
    """
    cdef Field fields[MAX_FIELDS]
    cdef Field field
    cdef unsigned count = 0, number
    cdef uint8_t key[MAX_KEY]
    cdef size_t size = 0, length
    if end > at and (end - 1)[0] == c"\r":
        end -= 1
    if memchr(at, c"\r", <size_t> (end - at)) != NULL or memchr(at, 0, <size_t> (end - at)) != NULL:
        return None
    while True:
        at = cut_field(at, end, layout, &field)
        if at == NULL:
            return None
        if count < MAX_FIELDS:
            fields[count] = field
        count += 1
        if at == end:
            break
        at += 1
    if count < layout.needed:
        return None
    entry[0] = fields[layout.first]
    if has_comment(entry):
        return None
    last.start = last.end = NULL
    if layout.last >= 0:
        last[0] = fields[layout.last]
    for number in range(layout.field_count):
        field = fields[layout.fields[number]]
        length = <size_t> (field.end - field.start)
        if size + length + 1 > MAX_KEY:
            return None
        if number:
            key[size] = c"\n"
            size += 1
        memcpy(key + size, field.start, length)
        size += length
    return PyBytes_FromStringAndSize(<char *> key, <Py_ssize_t> size)


cdef uchar *cut_field(uchar *at, uchar *end, const Layout *layout, Field *field) noexcept:
    """Cut one field; returns where its delimiter stands, or the end, and NULL where the row is not plain."""
    cdef uchar *behind
    if layout.skips_spaces:
        while at < end and at[0] == c" ":
            at += 1
    if at < end and at[0] == layout.quote:
        at += 1
        behind = <uchar *> memchr(at, layout.quote, <size_t> (end - at))
        if behind == NULL:
            return NULL
        field.start, field.end = at, behind
        behind += 1
        return behind if behind == end or behind[0] == layout.delimiter else NULL
    behind = <uchar *> memchr(at, layout.delimiter, <size_t> (end - at))
    if behind == NULL:
        behind = end
    field.start, field.end = at, behind
    return behind


cdef bint has_comment(const Field *field) noexcept:
    """Whether a field has what `_scan` takes for a comment."""
    cdef size_t length = <size_t> (field.end - field.start)
    return memchr(field.start, c"#", length) != NULL or memchr(field.start, c";", length) != NULL


cdef bint read_range(const Field *first, const Field *last, uint32_t number, Spans v4) except -1:
    """Add the range of a row, as far as it is plain: of IPv4 addresses, no larger than a /16, outside of 127.0.0.0/8."""
    cdef uint32_t low = 0, high = 0
    if not (is_address4(first, &low) and is_address4(last, &high)):
        return False
    if high < low or high - low >= SMALL or low >> 24 == LOOPBACK or high >> 24 == LOOPBACK:
        return False
    add(v4, Span4(low, high, number))
    return True


cdef bint is_address4(const Field *field, uint32_t *address) noexcept:
    """Read an IPv4 address, which is all of a field but blanks."""
    cdef uchar *at = read_address4(skip_blanks(field.start, field.end), field.end, address)
    return at != NULL and skip_blanks(at, field.end) == field.end


cdef bint is_blank(unsigned char character) noexcept:
    return character == c" " or character == c"\t" or character == c"\r"
