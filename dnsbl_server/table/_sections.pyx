"""The sections of a table, checked whole when it is opened.

Owns where each section is in memory, and all rules that must hold there. So searching an open table (`_search`) and
writing an answer from it need no checks of their own: nothing that stands in a table leads out of its sections. Knows
neither messages nor queries.
"""

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t, uintptr_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcmp, memcpy

from dnsbl_server.dns._memory cimport get16, native32
from dnsbl_server.dns._name cimport count_labels
from dnsbl_server.dns._protocol cimport MAX_NAME, RECORD_SIZE
from dnsbl_server.table._format cimport (
    ADDRESS_BYTE,
    ANSWER_SIZE,
    CODE_SIZE,
    LABELS_BYTE,
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
from dnsbl_server.table._nodes cimport SHOWS_ADDRESS, check_tree, mask_of

cdef enum:
    MAX_SOA = 1024               # bytes
    MAX_ITEMS = 0x7FFFFFFF       # of a section
    MAX_TEXT = 512               # bytes, about, of a text that a zone file makes
    SPARE = 1 << 20              # bytes; for the few answers of a small table with longer ones
    HASHING_SIZE = 24

cdef uint64_t NOTHING = 0        # what an empty section points to


cdef class Sections:
    """The sections of a table. They stay open as long as this lives."""

    def __cinit__(self, sections, uint32_t lists):
        """sections: memory by name, as layout.py lays it out; lists: of the zone. Raises ValueError."""
        cdef Layout* table = &self.layout
        cdef uint64_t size = 0
        cdef uint64_t count4 = 0, count6 = 0
        cdef uint8_t* shows
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
        open_tree(table, sections)
        # Of each answer, what its texts show; nothing that is asked for shows more than it has.
        shows = <uint8_t*>calloc(<size_t>table.answer_count + 1, 1)
        if shows == NULL:
            raise MemoryError
        with nogil:
            good = check_answers(table, shows) and check_intervals4(table, shows) and check_intervals6(table, shows)
            good = good and check_tree(&table.tree, MAX_NAME - table.name_size, table.answer_count, shows)
            free(shows)
        if not good:
            raise ValueError("its parts do not agree")


cdef int open_tree(Layout* table, sections) except -1:
    """Find the sections of the domain names, of which there are all or none."""
    cdef Tree* tree = &table.tree
    cdef uint64_t size = 0
    cdef const uint8_t* hashing
    tree.nodes = section(sections["nodes"], 1, &tree.nodes_size)
    tree.pairs = <const uint32_t*>section(sections["pairs"], 8, &size)
    if size > MAX_ITEMS:
        raise ValueError("there are too many pairs")
    tree.pair_count = <uint32_t>size
    tree.slots = <const uint64_t*>section(sections["slots"], 8, &size)
    if size > MAX_ITEMS:
        raise ValueError("there are too many slots")
    tree.slot_count = <uint32_t>size
    hashing = section(sections["hashing"], 1, &size)
    if size != (<uint64_t>HASHING_SIZE if tree.slot_count else 0):
        raise ValueError("there is no key of the names")
    if size:
        memcpy(&tree.key, hashing, 16)
        tree.deepest = native32(hashing + 16)
        tree.value_size = native32(hashing + 20)
        if not 1 <= tree.value_size <= 4:
            raise ValueError("the values of the names have no size")
        tree.value_mask = mask_of(tree.value_size)
    return 0


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


cdef bint check_intervals4(const Layout* table, const uint8_t* shows) noexcept nogil:
    """Whether the intervals are sorted and disjoint, the index leads to them, and every answer is one of addresses."""
    cdef uint32_t number, answer, bucket = 0
    for number in range(table.count4):
        if table.end4[2 * <uint64_t>number] < table.first4[number]:
            return False
        if number and table.first4[number] <= table.end4[2 * <uint64_t>number - 2]:
            return False
        answer = table.end4[2 * <uint64_t>number + 1]
        if not 1 <= answer <= table.answer_count or shows[answer] & ~SHOWS_ADDRESS:
            return False
    number = 0
    for bucket in range(table.index4_size):
        while number < table.count4 and <uint64_t>table.first4[number] < <uint64_t>bucket << table.shift4:
            number += 1
        if table.index4[bucket] != number:
            return False
    return table.index4[table.index4_size - 1] == table.count4


cdef bint check_intervals6(const Layout* table, const uint8_t* shows) noexcept nogil:
    """Whether the intervals are sorted and disjoint, and every answer is one of addresses."""
    cdef uint32_t number, answer
    cdef const uint8_t* first
    for number in range(table.count6):
        first = table.first6 + 16 * <uint64_t>number
        # Big-endian numbers sort like their bytes.
        if memcmp(first, table.last6 + 16 * <uint64_t>number, 16) > 0:
            return False
        if number and memcmp(table.last6 + 16 * <uint64_t>number - 16, first, 16) >= 0:
            return False
        answer = table.answer6[number]
        if not 1 <= answer <= table.answer_count or shows[answer] & ~SHOWS_ADDRESS:
            return False
    return True


cdef bint check_answers(const Layout* table, uint8_t* shows) noexcept nogil:
    """Whether every answer lies in its section with its codes and texts, and the next one has a smaller number.

    shows: becomes, for each answer and those that follow it, how many labels of a name their texts show at most; and
    SHOWS_ADDRESS is added where any shows an address.
    """
    cdef uint32_t number, codes, texts, position
    cdef uint32_t labels = 0, addresses = 0
    cdef uint64_t offset, at
    # Bytes of texts that are read: a text has MAX_TEXT at most, and TEXT_SIZE of an answer point to it. Where answers or
    # texts lie in each other, they could be read many times.
    cdef int64_t left = <int64_t>((table.answers_size + table.texts_size) // TEXT_SIZE * (MAX_TEXT + TEXT_SIZE)) + SPARE
    cdef const uint8_t* answer
    cdef const uint8_t* text
    for number in range(1, table.answer_count + 1):
        offset = table.offsets[number]
        if offset + ANSWER_SIZE > table.answers_size:
            return False
        answer = table.answers + offset
        if next_of(answer) >= number:
            return False
        labels = shows[next_of(answer)] & ~<uint32_t>SHOWS_ADDRESS
        addresses = shows[next_of(answer)] & <uint32_t>SHOWS_ADDRESS
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
            left -= <int64_t>length_of(text) + TEXT_SIZE
            if left < 0 or not read_marks(table.texts + at, length_of(text), &labels, &addresses):
                return False
        shows[number] = <uint8_t>(labels | addresses)
    for at in range(table.texts_size):
        if table.texts[at] > 0x7F:
            return False
    return True


cdef bint read_marks(const uint8_t* text, uint32_t size, uint32_t* labels, uint32_t* addresses) noexcept nogil:
    """Add what a text shows; whether its marks are whole, and none stands for a whole name of any length."""
    cdef uint32_t at = 0
    while at < size:
        if text[at] == ADDRESS_BYTE:
            addresses[0] = SHOWS_ADDRESS
        elif text[at] == LABELS_BYTE:
            at += 1
            if at == size or not text[at]:
                return False
            if text[at] > labels[0]:
                labels[0] = text[at]
        at += 1
    return True
