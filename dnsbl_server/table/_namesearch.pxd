from libc.stdint cimport uint8_t, uint32_t, uint64_t

from dnsbl_server.dns._message cimport MAX_LABELS
from dnsbl_server.table._nodes cimport Tree

cdef enum:
    AHEAD = 4                    # labels of a name whose nodes are looked for at the same time

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
    uint64_t hash                # of what has been hashed so far
    bint is_left
    bint has_jumped
    uint8_t starts[MAX_LABELS]   # where each label of the known ones starts in the name, the last one first

cdef void search_names(NameLookup* lookups, uint32_t count) noexcept nogil
