"""Searching names: the answers of many domain names at a time.

Owns the search of a tree of labels (`_nodes`) for the closest encloser of a name, and with it for its answer, and
whether the name exists. It trusts a tree, because `_nodes` has checked it; built with DNSBL_CHECKED, every step into one
is checked all the same. Allocates nothing and holds no lock. Knows neither messages nor queries.

A search mostly waits for memory, so some labels of all names of a batch are looked for at the same time: first their
slots, then the nodes that these lead to, and only then is it seen which of them really are those of the name. Whoever
asks for names of a hundred labels, and has got some onto a list, must not make that many steps of it: what is deeper
than that is found in halves.
"""

from libc.stdint cimport uint8_t, uint32_t, uint64_t

from dnsbl_server.dns._memory cimport CHECK, PREFETCH, native16, native32, native64
from dnsbl_server.model._siphash cimport hash_label, lower_all
from dnsbl_server.table._format cimport NODE_EXISTS, NODE_INNER, NODE_SIZE, PAIR_SHIFT
from dnsbl_server.table._nodes cimport Tree, label_of, next_place, node_size, parent_of, place_of, value_of


cdef void search_names(NameLookup* lookups, uint32_t count) noexcept nogil:
    """Look all names up. Their trees have names."""
    cdef uint32_t number
    cdef bint is_left = True
    for number in range(count):
        lookups[number].node = lookups[number].depth = 0
        lookups[number].hash = 0
        lookups[number].value = value_of(lookups[number].tree, lookups[number].tree.nodes)
        lookups[number].is_left = True
        lookups[number].has_jumped = False
    while is_left:
        is_left = False
        for number in range(count):
            if lookups[number].is_left:
                hash_ahead(&lookups[number])
        for number in range(count):
            if lookups[number].is_left:
                find_ahead(&lookups[number])
        for number in range(count):
            if lookups[number].is_left:
                descend(&lookups[number])
                if lookups[number].is_left and not lookups[number].has_jumped:
                    jump(&lookups[number])
                    find_answer(&lookups[number])
                is_left |= lookups[number].is_left


cdef inline void hash_ahead(NameLookup* lookup) noexcept nogil:
    """Find the hashes of the next labels, and have the processor bring the slots."""
    cdef const Tree* tree = lookup.tree
    cdef const uint8_t* label
    cdef uint32_t step
    lookup.ahead = lookup.known - lookup.depth
    if lookup.ahead > AHEAD:
        lookup.ahead = AHEAD
    for step in range(lookup.ahead):
        label = lookup.name + lookup.starts[lookup.depth + step]
        lookup.hash = hash_label(&tree.key, lookup.hash, label + 1, label[0])
        lookup.hashes[step] = lookup.hash
        PREFETCH(tree.slots + place_of(tree, lookup.hash))


cdef inline void find_ahead(NameLookup* lookup) noexcept nogil:
    """Find what are probably the next nodes, and have the processor bring them."""
    cdef const Tree* tree = lookup.tree
    cdef uint32_t step, node
    for step in range(lookup.ahead):
        node = probable_node(tree, lookup.hashes[step])
        if not node:
            # The search ends there.
            lookup.ahead = step
            return
        lookup.nodes[step] = node
        PREFETCH(tree.nodes + node)
        PREFETCH(tree.nodes + node + NODE_SIZE + 11)


cdef inline uint32_t probable_node(const Tree* tree, uint64_t hashed) noexcept nogil:
    """The first node with the tag of a hash, which is nearly always that of the name; 0 where the name has none."""
    cdef uint32_t place = place_of(tree, hashed)
    cdef uint32_t tag = <uint32_t>(hashed >> 32)
    cdef uint64_t slot = tree.slots[place]
    while slot and slot >> 32 != tag:
        place = next_place(tree, place)
        slot = tree.slots[place]
    return <uint32_t>slot


cdef inline void descend(NameLookup* lookup) noexcept nogil:
    """Go down the nodes that are really those of the next labels, and where there are no more, find the answer."""
    cdef const Tree* tree = lookup.tree
    cdef uint32_t step, node
    cdef const uint8_t* label
    lookup.is_left = lookup.ahead == AHEAD and lookup.depth + AHEAD < lookup.known
    for step in range(lookup.ahead):
        label = lookup.name + lookup.starts[lookup.depth]
        node = lookup.nodes[step]
        if not is_node(tree, node, lookup.node, label):
            node = find_node(tree, lookup.hashes[step], lookup.node, label)
        if not node:
            lookup.is_left = False
            break
        lookup.node = node
        lookup.value = value_of(tree, tree.nodes + node)
        lookup.depth += 1
        if not lookup.value & NODE_INNER:
            lookup.is_left = False
            break
    find_answer(lookup)


cdef void jump(NameLookup* lookup) noexcept nogil:
    """Go down to the last node of a name at once, if it can be found without looking at all between.

    Names above one that is there are there too, so the last one is found in halves, by its tag. Another name may have
    the tag, by chance; then nothing is done, and the search goes on step by step.
    """
    cdef const Tree* tree = lookup.tree
    cdef uint64_t hashes[MAX_LABELS]
    cdef uint32_t low = lookup.depth
    cdef uint32_t high = lookup.known
    cdef uint32_t middle, node, found = lookup.node
    cdef uint64_t hashed = lookup.hash
    cdef const uint8_t* label
    lookup.has_jumped = True
    for middle in range(low, high):
        label = lookup.name + lookup.starts[middle]
        hashed = hash_label(&tree.key, hashed, label + 1, label[0])
        hashes[middle] = hashed
    while low < high:
        middle = (low + high) // 2
        node = probable_node(tree, hashes[middle])
        if node:
            found = node
            low = middle + 1
        else:
            high = middle
    node = found
    for middle in range(low, lookup.depth, -1):
        label = lookup.name + lookup.starts[middle - 1]
        if not is_node(tree, node, parent_of(tree, tree.nodes + node), label):
            return
        node = parent_of(tree, tree.nodes + node)
        if not node:
            return
    if node != lookup.node:
        return
    lookup.node = found
    lookup.depth = low
    lookup.value = value_of(tree, tree.nodes + found)
    lookup.is_left = False


cdef inline void find_answer(NameLookup* lookup) noexcept nogil:
    """Take the answer of the node that the search has ended at, if it has ended."""
    cdef const Tree* tree = lookup.tree
    cdef uint32_t pair = lookup.value >> PAIR_SHIFT
    if lookup.is_left:
        return
    CHECK(pair < tree.pair_count)
    if lookup.depth == lookup.labels:
        lookup.found = tree.pairs[2 * pair]
        lookup.exists = lookup.value & NODE_EXISTS
    else:
        # It is below the last name that was found, which has no such label.
        lookup.found = tree.pairs[2 * pair + 1]
        lookup.exists = lookup.found != 0


cdef uint32_t find_node(const Tree* tree, uint64_t hashed, uint32_t parent, const uint8_t* label) noexcept nogil:
    """The node of a label below another one, which some other node came before; 0 where there is none."""
    cdef uint32_t place = place_of(tree, hashed)
    cdef uint64_t slot = tree.slots[place]
    while slot:
        if slot >> 32 == hashed >> 32 and is_node(tree, <uint32_t>slot, parent, label):
            return <uint32_t>slot
        place = next_place(tree, place)
        slot = tree.slots[place]
    return 0


cdef inline bint is_node(const Tree* tree, uint32_t offset, uint32_t parent, const uint8_t* label) noexcept nogil:
    """Whether a node has this parent and this label, which may be in either case."""
    cdef const uint8_t* node = tree.nodes + offset
    cdef const uint8_t* own = label_of(tree, node)
    cdef uint32_t size = label[0]
    CHECK(offset and <uint64_t>offset + node_size(tree) <= tree.nodes_size)
    CHECK(<uint64_t>offset + node_size(tree) + own[0] <= tree.nodes_size)
    if parent_of(tree, node) != parent or own[0] != size:
        return False
    label += 1
    own += 1
    while size >= 8:
        if native64(own) != lower_all(native64(label)):
            return False
        own += 8
        label += 8
        size -= 8
    if size & 4:
        if native32(own) != lower_all(native32(label)):
            return False
        own += 4
        label += 4
    if size & 2:
        if native16(own) != lower_all(native16(label)):
            return False
        own += 2
        label += 2
    return not size & 1 or own[0] == lower_all(label[0])
