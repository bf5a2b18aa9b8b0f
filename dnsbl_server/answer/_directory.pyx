"""The names of the zones in service: which zone a question's name is in.

Owns the compiled twin of `Snapshot.find` and `Snapshot.has_zone_at_or_below`: a hash table of the names of all zones
and of those above them. It keeps the tables of the zones open. It never changes, so any thread may read it. Knows a
table only by the zone's name, and a message only by the labels of its question.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free

from dnsbl_server.dns._message cimport MAX_LABELS
from dnsbl_server.dns._name cimport lower
from dnsbl_server.table._sections cimport Sections

cdef enum:
    # FNV-1a, 64 bits; without a key, because only the names of the operator's own zones are in the table
    HASH_SEED = 0xCBF29CE484222325
    HASH_PRIME = 0x100000001B3


cdef class Directory:
    """The tables of a snapshot with the names of their zones: all that compiled answers are made from."""

    def __cinit__(self, tables):
        """tables: one for each zone; they are numbered in this order."""
        cdef Sections table
        cdef uint32_t number = 0
        cdef uint32_t places = 8
        cdef uint32_t label
        cdef const uint8_t* wire
        cdef uint16_t starts[MAX_LABELS]
        cdef uint64_t hashed
        self.tables = tuple(tables)
        self.names.tables = <Layout*>calloc(<size_t>len(self.tables) + 1, sizeof(Layout))
        while places < 2 * sum([(<Sections?>each).labels for each in self.tables]):
            places *= 2
        self.names.places = <Name*>calloc(places, sizeof(Name))
        if self.names.tables == NULL or self.names.places == NULL:
            raise MemoryError
        self.names.mask = places - 1
        for table in self.tables:
            self.names.tables[number] = table.layout
            wire = table.layout.name
            starts[0] = 0
            for label in range(1, table.labels):
                starts[label] = <uint16_t>(starts[label - 1] + 1 + wire[starts[label - 1]])
            hashed = HASH_SEED
            for label in range(table.labels):
                wire = table.layout.name + starts[table.labels - 1 - label]
                hashed = hash_label(hashed, wire)
                self.add(hashed, wire, table.layout.name_size - starts[table.labels - 1 - label],
                         number if label + 1 == table.labels else <uint32_t>NO_ZONE)
            self.names.most_labels = max(self.names.most_labels, table.labels)
            number += 1
        self.names.zone_count = number

    def __dealloc__(self):
        free(self.names.tables)
        free(self.names.places)

    cdef void add(self, uint64_t hashed, const uint8_t* wire, uint32_t size, uint32_t zone) noexcept:
        """Add a name; one that is there already becomes that of a zone, if it now is."""
        cdef uint32_t place = <uint32_t>hashed & self.names.mask
        cdef Name* name = &self.names.places[place]
        while name.wire != NULL and not (name.hash == hashed and is_name(name, wire, size)):
            place = (place + 1) & self.names.mask
            name = &self.names.places[place]
        if name.wire == NULL:
            name.zone = NO_ZONE
        name.wire = wire
        name.size = size
        name.hash = hashed
        if zone != NO_ZONE:
            name.zone = zone

    cdef Names* pointer(self) noexcept:
        """The names, for as long as this lives."""
        return &self.names


cdef uint32_t find_zone(const Names* names, const uint8_t* packet, const Labels* labels, uint32_t end, uint32_t* front,
                        bint* exists) noexcept nogil:
    """The zone with the longest name that the question's name is at or below, or NO_ZONE.

    end: of the name; front: how many labels stand in front of the zone's; exists: whether the name itself is that of
    a zone, or above one.
    """
    cdef uint64_t hashed = HASH_SEED
    cdef uint32_t zone = NO_ZONE
    cdef uint32_t label = labels.count
    cdef uint32_t least = 0 if labels.count <= names.most_labels else labels.count - names.most_labels
    cdef uint32_t place
    cdef const uint8_t* wire
    cdef const Name* name
    exists[0] = False
    front[0] = 0
    while label > least:
        label -= 1
        wire = packet + labels.at[label]
        hashed = hash_label(hashed, wire)
        place = <uint32_t>hashed & names.mask
        while names.places[place].wire != NULL:
            name = &names.places[place]
            place = (place + 1) & names.mask
            # A name above a zone means something only where it is the whole name that was asked for.
            if name.hash != hashed or (name.zone == NO_ZONE and label):
                continue
            if is_name(name, wire, <uint32_t>(packet + end - wire)):
                if name.zone != NO_ZONE:
                    zone = name.zone
                    front[0] = label
                exists[0] = not label
                break
    return zone


cdef inline uint64_t hash_label(uint64_t hashed, const uint8_t* label) noexcept nogil:
    """Add the next label to the left to the hash of a name."""
    cdef uint32_t at
    for at in range(<uint32_t>label[0] + 1):
        hashed = (hashed ^ lower(label[at])) * <uint64_t>HASH_PRIME
    return hashed


cdef inline bint is_name(const Name* name, const uint8_t* wire, uint32_t size) noexcept nogil:
    """Whether a name is that of a place, in either case."""
    cdef uint32_t at
    if name.size != size:
        return False
    for at in range(size):
        if name.wire[at] != lower(wire[at]):
            return False
    return True
