"""The sections of a table, checked whole when it is opened.

Owns where each section is in memory, and all rules that must hold there. So searching an open table (`_search`) and
writing an answer from it need no checks of their own: nothing that stands in a table leads out of its sections. Knows
neither messages nor queries.
"""

from libc.stdint cimport uint8_t, uint32_t, uint64_t, uintptr_t
from libc.string cimport memcmp

from dnsbl_server.dns._memory cimport get16
from dnsbl_server.dns._name cimport count_labels
from dnsbl_server.dns._protocol cimport RECORD_SIZE
from dnsbl_server.table._format cimport (
    ANSWER_SIZE,
    CODE_SIZE,
    NO_LIST,
    TEXT_SIZE,
    code_count,
    length_of,
    list_of,
    next_of,
    offset_of,
    text_count,
    texts_of,
)

cdef enum:
    MAX_SOA = 1024               # bytes
    MAX_ITEMS = 0x7FFFFFFF       # of a section

cdef uint64_t NOTHING = 0        # what an empty section points to


cdef class Sections:
    """The sections of a table. They stay open as long as this lives."""

    def __cinit__(self, sections, uint32_t lists):
        """sections: memory by name, as layout.py lays it out; lists: of the zone. Raises ValueError."""
        cdef Layout* table = &self.layout
        cdef uint64_t size = 0
        cdef uint64_t count4 = 0, count6 = 0
        cdef bint good
        self.memory = dict(sections)
        table.lists = lists
        table.name = section(sections["name"], 1, &size)
        table.name_size = <uint32_t>size
        self.labels = count_labels(table.name, size)
        if not self.labels:
            raise ValueError("the zone's name is none")
        table.soa = section(sections["soa"], 1, &size)
        table.soa_size = <uint32_t>size
        # What is not in the index cannot be answered, so there is nothing that could be too long.
        if not RECORD_SIZE <= size <= MAX_SOA or get16(table.soa + 8) != size - RECORD_SIZE:
            raise ValueError("the SOA record is none")
        table.first4 = <const uint32_t*>section(sections["first4"], 4, &count4)
        table.end4 = <const uint32_t*>section(sections["end4"], 8, &size)
        if size != count4 or count4 > MAX_ITEMS:
            raise ValueError("the IPv4 sections do not fit each other")
        table.count4 = <uint32_t>count4
        table.index4 = <const uint32_t*>section(sections["index4"], 4, &size)
        table.shift4 = 32
        while table.shift4 > 16 and (<uint64_t>1 << (32 - table.shift4)) + 1 < size:
            table.shift4 -= 1
        if (<uint64_t>1 << (32 - table.shift4)) + 1 != size:
            raise ValueError("the IPv4 index is none")
        table.index4_size = <uint32_t>size
        table.first6 = section(sections["first6"], 16, &count6)
        table.last6 = section(sections["last6"], 16, &size)
        table.answer6 = <const uint32_t*>section(sections["answer6"], 4, &count4)
        if size != count6 or count4 != count6 or count6 > MAX_ITEMS:
            raise ValueError("the IPv6 sections do not fit each other")
        table.count6 = <uint32_t>count6
        table.offsets = <const uint32_t*>section(sections["offsets"], 4, &size)
        if not 1 <= size <= MAX_ITEMS:
            raise ValueError("there is no index of the answers")
        table.answer_count = <uint32_t>size - 1
        table.answers = section(sections["answers"], 1, &table.answers_size)
        table.texts = section(sections["texts"], 1, &table.texts_size)
        with nogil:
            good = check_answers(table) and check_intervals4(table) and check_intervals6(table)
        if not good:
            raise ValueError("its parts do not agree")


cdef const uint8_t* section(const uint8_t[::1] data, uint64_t item, uint64_t* count) except? NULL:
    """Where a section starts, and how many items of a size it has."""
    cdef uint64_t size = <uint64_t>data.shape[0]
    if size % item:
        raise ValueError("a section has half an item")
    count[0] = size // item
    if not size:
        # It has no first byte to take the address of.
        return <const uint8_t*>&NOTHING
    if <uintptr_t>&data[0] % 8:
        raise ValueError("a section does not start at a multiple of eight")
    return &data[0]


cdef bint check_intervals4(const Layout* table) noexcept nogil:
    """Whether the intervals are sorted and disjoint, the index leads to them, and every answer is there."""
    cdef uint32_t number, bucket = 0
    for number in range(table.count4):
        if table.end4[2 * <uint64_t>number] < table.first4[number]:
            return False
        if number and table.first4[number] <= table.end4[2 * <uint64_t>number - 2]:
            return False
        if not 1 <= table.end4[2 * <uint64_t>number + 1] <= table.answer_count:
            return False
    number = 0
    for bucket in range(table.index4_size):
        while number < table.count4 and <uint64_t>table.first4[number] < <uint64_t>bucket << table.shift4:
            number += 1
        if table.index4[bucket] != number:
            return False
    return table.index4[table.index4_size - 1] == table.count4


cdef bint check_intervals6(const Layout* table) noexcept nogil:
    """Whether the intervals are sorted and disjoint, and every answer is there."""
    cdef uint32_t number
    cdef const uint8_t* first
    for number in range(table.count6):
        first = table.first6 + 16 * <uint64_t>number
        # Big-endian numbers sort like their bytes.
        if memcmp(first, table.last6 + 16 * <uint64_t>number, 16) > 0:
            return False
        if number and memcmp(table.last6 + 16 * <uint64_t>number - 16, first, 16) >= 0:
            return False
        if not 1 <= table.answer6[number] <= table.answer_count:
            return False
    return True


cdef bint check_answers(const Layout* table) noexcept nogil:
    """Whether every answer lies in its section with its codes and texts, and the next one has a smaller number."""
    cdef uint32_t number, codes, texts, position
    cdef uint64_t offset, at
    cdef const uint8_t* answer
    cdef const uint8_t* text
    for number in range(1, table.answer_count + 1):
        offset = table.offsets[number]
        if offset + ANSWER_SIZE > table.answers_size:
            return False
        answer = table.answers + offset
        if next_of(answer) >= number:
            return False
        codes = code_count(answer)
        texts = text_count(answer)
        # What is listed has a record of either type.
        if not codes or not texts:
            return False
        if offset + ANSWER_SIZE + CODE_SIZE * <uint64_t>codes + TEXT_SIZE * <uint64_t>texts > table.answers_size:
            return False
        for position in range(texts):
            text = texts_of(answer) + TEXT_SIZE * position
            at = offset_of(text)
            if at + length_of(text) > table.texts_size:
                return False
            if list_of(text) != NO_LIST and list_of(text) >= table.lists:
                return False
    for at in range(table.texts_size):
        if table.texts[at] > 0x7F:
            return False
    return True
