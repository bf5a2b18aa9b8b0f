from libc.stdint cimport uint8_t, uint32_t, uint64_t

from dnsbl_server.dns._message cimport MAX_LABELS
from dnsbl_server.model._siphash cimport HashKey

cdef enum:
    AHEAD = 4                    # labels of a name whose nodes are looked for at the same time
    SHOWS_ADDRESS = 0x80         # of what an answer shows: more than any count of labels

cdef struct Tree:
    # Where the names of a table are; see layout.py. A table without names has no slots.
    const uint8_t* nodes
    const uint32_t* pairs        # answers of the name itself, and of the names below it, in turn
    const uint64_t* slots
    HashKey key
    uint64_t nodes_size          # bytes
    uint32_t pair_count
    uint32_t slot_count
    uint32_t deepest             # labels of the name that has the most

cdef struct NameLookup:
    # A name to look up in a tree.
    const Tree* tree
    const uint8_t* name          # wire form, in either case
    uint32_t labels              # how many there are in front of the zone's name
    uint32_t known               # how many of them a search needs at most, which are the last ones
    uint32_t found               # the number of the answer that the name had at first, 0 where it is not listed
    bint exists                  # because it or a name below it is listed, or was
    # What the search goes by: the node that it has come to, how deep that is, and the next ones.
    uint32_t node
    uint32_t depth
    uint32_t value
    uint32_t ahead
    uint32_t nodes[AHEAD]
    uint64_t hashes[AHEAD]
    uint64_t hash
    bint is_left
    uint8_t starts[MAX_LABELS]   # where each label of the known ones starts in the name, the last one first

cdef bint check_tree(const Tree* tree, uint32_t room, uint32_t answer_count, const uint8_t* shows) noexcept nogil
cdef void search_names(NameLookup* lookups, uint32_t count) noexcept nogil
