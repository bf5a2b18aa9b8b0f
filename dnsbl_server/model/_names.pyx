"""Domain names in bulk: millions of them, each with a scope and a number, in two pieces of memory.

Owns the column of names (`Names`), the twin of `Spans`, and the search for duplicates. What the number means, the
caller decides: a line, or a row. Control plane only. Knows no lists and no files.

Memory is reached through raw pointers, and only below an index that is bounded by `count` in the same few lines.
"""

from array import array
from bisect import bisect_right
from itertools import accumulate
from os import urandom

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport UINT32_MAX, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, realloc
from libc.string cimport memcmp, memcpy

from dnsbl_server.model._siphash cimport HashKey, hash_label

cdef enum:
    MAX_LABEL = 63               # RFC 1035 section 2.3.4
    MAX_TEXT = 253               # of a name as text
    AT = 1
    BELOW = 2


cdef class Names:
    """Domain names in the order they were added; of each its name in lower case, its scope (`domain`) and a number."""

    def __init__(self, names=()):
        """`names`: (name, scope, number) of each. Raises ValueError for what is no name or no scope."""
        for name, scope, number in names:
            self.append(name, scope, number)

    def __dealloc__(self):
        free(self.rows)
        free(self.text)

    def __len__(self):
        return <Py_ssize_t> self.count

    def append(self, str name, int scope, uint32_t number):
        """Add a name. Raises ValueError for what is no name in lower case, or no scope."""
        cdef bytes text = name.encode("ascii", "replace")
        if not is_name(<const uint8_t *> PyBytes_AS_STRING(text), PyBytes_GET_SIZE(text)):
            raise ValueError("not a domain name in lower case")
        if not 1 <= scope <= (AT | BELOW):
            raise ValueError("the scope is AT, BELOW or both")
        add_name(self, <const uint8_t *> PyBytes_AS_STRING(text), <uint32_t> PyBytes_GET_SIZE(text), <uint8_t> scope, number)

    def __getitem__(self, Py_ssize_t at):
        if at < 0 or <size_t> at >= self.count:
            raise IndexError("no such name")
        cdef NameRow row = self.rows[at]
        return self.text_of(row).decode("ascii"), row.scope, row.number

    def __iter__(self):
        cdef Py_ssize_t at = 0
        while <size_t> at < self.count:
            yield self[at]
            at += 1

    def covering(self, str name):
        """The rows that hold a name."""
        cdef bytes wanted = name.encode("ascii", "replace")
        cdef const uint8_t *text = <const uint8_t *> PyBytes_AS_STRING(wanted)
        cdef size_t size = <size_t> PyBytes_GET_SIZE(wanted)
        cdef size_t at
        cdef NameRow row
        cdef list found = []
        for at in range(self.count):
            row = self.rows[at]
            if row.size > size or memcmp(self.text + row.start, text + size - row.size, row.size):
                continue
            if row.scope & AT if row.size == size else row.scope & BELOW and text[size - row.size - 1] == c".":
                found.append(at)
        return found

    def longest(self):
        """How many characters the longest name has; 0 where there is none."""
        cdef size_t at
        cdef uint8_t longest = 0
        for at in range(self.count):
            longest = max(longest, self.rows[at].size)
        return longest

    def has_scope(self, int scope):
        """Whether any row has any bit of a scope."""
        cdef size_t at
        for at in range(self.count):
            if self.rows[at].scope & scope:
                return True
        return False

    def rows_among(self, names, parents, int scope):
        """The rows with any bit of a scope, whose name is among `names`, or one label below one of `parents`.

        Both are sets of bytes; b"" as a parent is the root.
        """
        cdef size_t at
        cdef NameRow row
        found = array("I")
        for at in range(self.count):
            row = self.rows[at]
            if not row.scope & scope:
                continue
            if self.text_of(row) not in names:
                while row.size and self.text[row.start] != c".":
                    row.start += 1
                    row.size -= 1
                if row.size:
                    row.start += 1
                    row.size -= 1
                if self.text_of(row) not in parents:
                    continue
            found.append(at)
        return found

    def without(self, rows):
        """The names but for those of some rows, which are sorted."""
        cdef Names out = Names()
        cdef const uint32_t[::1] left_out = array("I", rows)
        cdef Py_ssize_t skipped = 0
        cdef size_t at
        cdef NameRow row
        out.grow(self.count, self.text_size)
        for at in range(self.count):
            if skipped < left_out.shape[0] and left_out[skipped] == at:
                skipped += 1
                continue
            row = self.rows[at]
            add_name(out, self.text + row.start, row.size, row.scope, row.number)
        return out

    cdef bytes text_of(self, NameRow row):
        return PyBytes_FromStringAndSize(<const char *> self.text + row.start, row.size)

    cdef int grow(self, size_t rows, size_t text) except -1:
        """Make room for so many rows, and so many characters, at least."""
        cdef void *memory
        if text > UINT32_MAX:
            raise OverflowError("the names have more than 4 GiB of text")
        if rows > self.capacity:
            rows = max(rows, self.capacity + (self.capacity >> 1), <size_t> 64)
            memory = realloc(self.rows, rows * sizeof(NameRow))
            if memory == NULL:
                raise MemoryError
            self.rows = <NameRow *> memory
            self.capacity = rows
        if text > self.text_capacity:
            text = max(text, self.text_capacity + (self.text_capacity >> 1), <size_t> 1024)
            memory = realloc(self.text, text)
            if memory == NULL:
                raise MemoryError
            self.text = <uint8_t *> memory
            self.text_capacity = text
        return 0


cdef bint is_name(const uint8_t *text, Py_ssize_t size) noexcept:
    """Whether a text is a domain name in lower case, with dots between its labels and none at its ends."""
    cdef Py_ssize_t at, label = 0
    if not 1 <= size <= MAX_TEXT:
        return False
    for at in range(size):
        if text[at] == c".":
            if not label:
                return False
            label = 0
            continue
        if not (c"a" <= text[at] <= c"z" or c"0" <= text[at] <= c"9" or text[at] == c"-" or text[at] == c"_"):
            return False
        label += 1
        if label > MAX_LABEL:
            return False
    return label > 0


# Duplicates


def duplicates(sources):
    """The rows whose name and scope an earlier row has too: (later rows in order, the first row with those of each).

    A row is the position of a name in all sources one after the other.
    """
    cdef size_t rows, slots, slot, at
    cdef uint32_t row = 0
    cdef uint64_t hashed
    cdef uint32_t *table
    cdef uint32_t tag
    cdef Names names
    cdef HashKey key
    sources = tuple(sources)
    starts = [0, *accumulate(map(len, sources))]
    rows = sum(map(len, sources))
    laters, earliers = array("I"), array("I")
    if rows < 2:
        return laters, earliers
    if rows >= UINT32_MAX:
        raise OverflowError(f"{rows} names in one list; at most {UINT32_MAX} can be told apart")
    # Whoever writes a list must not choose which names collide.
    cdef bytes random = urandom(sizeof(key))
    memcpy(&key, PyBytes_AS_STRING(random), sizeof(key))
    slots = rows + (rows >> 1) + 1
    # Of each slot the upper half of a hash, and one more than the row.
    table = <uint32_t *> calloc(slots, 2 * sizeof(uint32_t))
    if table == NULL:
        raise MemoryError
    try:
        for names in sources:
            for at in range(names.count):
                hashed = hash_label(&key, names.rows[at].scope, names.text + names.rows[at].start, names.rows[at].size)
                slot = <size_t> (((hashed & UINT32_MAX) * slots) >> 32)
                tag = <uint32_t> (hashed >> 32)
                while table[2 * slot + 1]:
                    if table[2 * slot] == tag and is_same(sources, starts, table[2 * slot + 1] - 1, names, at):
                        laters.append(row)
                        earliers.append(table[2 * slot + 1] - 1)
                        break
                    slot = slot + 1 if slot + 1 < slots else 0
                else:
                    table[2 * slot] = tag
                    table[2 * slot + 1] = row + 1
                row += 1
    finally:
        free(table)
    return laters, earliers


cdef bint is_same(tuple sources, list starts, size_t row, Names others, size_t at) except -1:
    """Whether a row of all sources, each of which starts at its place in `starts`, has the name and scope of another."""
    cdef Py_ssize_t source = bisect_right(starts, row) - 1
    cdef Names names = sources[source]
    cdef NameRow *one = &names.rows[row - <size_t> starts[source]]
    cdef NameRow *other = &others.rows[at]
    return one.scope == other.scope and one.size == other.size and not memcmp(
        names.text + one.start, others.text + other.start, one.size
    )
