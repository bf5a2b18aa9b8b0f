"""The domain names of a table: a tree of labels, and the slots by which its nodes are found.

Owns the sections `nodes`, `pairs`, `hashing` and `slots` (see `layout`): how they are written, and all rules that must
hold in them, so that a search of them (`_namesearch`) needs no checks of its own. Checking allocates nothing, and takes
as long as there are names. Knows neither queries nor what an answer says.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcmp, memcpy, memset

from dnsbl_server.dns._memory cimport PREFETCH
from dnsbl_server.dns._protocol cimport MAX_LABEL
from dnsbl_server.model._siphash cimport hash_label
from dnsbl_server.table._format cimport NODE_EXISTS, NODE_INNER, PAIR_SHIFT

cdef enum:
    RING = 16                    # nodes whose slots are on their way
    MAX_DEPTH = 127              # labels of two bytes at least each, in front of the root
    MAX_RUN = 512                # slots that are taken one after the other

# Bytes of all nodes: what an offset of 32 bits reaches. They have so few pairs that four bytes have room for any value.
cdef uint64_t MAX_NODES = 0xFFFFFFFF

TOO_MANY = "its domain names take more than 4 GiB"


# Writing --------------------------------------------------------------------------------------------------------------

cdef struct Node:
    uint64_t hash
    uint32_t offset
    uint32_t pair
    uint32_t depth
    uint32_t bits


def lay_out(nodes, const uint8_t[::1] key not None):
    """The sections nodes, pairs, hashing and slots of a tree that has a node besides the root.

    nodes: a `layout.Nodes`; key: 16 bytes. Raises OverflowError where there is more than a table can hold, ValueError
    where the columns do not fit each other.
    """
    cdef const uint8_t[::1] labels = nodes.labels
    cdef const uint32_t[::1] parents = nodes.parents
    cdef const uint32_t[::1] at = nodes.at
    cdef const uint32_t[::1] below = nodes.below
    cdef uint64_t count = <uint64_t>parents.shape[0]
    cdef uint64_t size, places = 2
    cdef bytes hashing, records, pairs, slots
    cdef Tree tree
    cdef uint8_t* out
    cdef Node* made = NULL
    cdef uint32_t* places_of_pairs = NULL
    if at.shape[0] != parents.shape[0] or below.shape[0] != parents.shape[0] or key.shape[0] != 16:
        raise ValueError("columns of nodes that do not fit each other")
    if not count or not labels.shape[0]:
        raise ValueError("there is no node besides the root")
    if count > MAX_NODES // 8:
        raise OverflowError(TOO_MANY)
    while places < 2 * (count + 1):
        places *= 2
    try:
        made = <Node*>calloc(count + 1, sizeof(Node))
        places_of_pairs = <uint32_t*>calloc(places, sizeof(uint32_t))
        if made == NULL or places_of_pairs == NULL:
            raise MemoryError
        memset(&tree, 0, sizeof(tree))
        memcpy(&tree.key, &key[0], 16)
        pairs = write_pairs(made, places_of_pairs, places - 1, &at[0], &below[0], <uint32_t>count)
        tree.value_size = 1
        while (len(pairs) // 8) << PAIR_SHIFT > 1 << 8 * tree.value_size:
            tree.value_size += 1
        # The labels have their lengths with them.
        size = (node_size(&tree) - 1) * (count + 1) + 1 + <uint64_t>labels.shape[0]
        if size > MAX_NODES:
            raise OverflowError(TOO_MANY)
        records = PyBytes_FromStringAndSize(NULL, <Py_ssize_t>size)
        out = <uint8_t*>PyBytes_AS_STRING(records)
        if not write_nodes(&tree, out, made, &labels[0], <uint64_t>labels.shape[0], &parents[0], <uint32_t>count):
            raise ValueError("columns of nodes that do not fit each other")
        write_values(&tree, out, made, &parents[0], <uint32_t>count)
        # At most two of three are taken, so that a name that is not there is soon known not to be.
        tree.slot_count = <uint32_t>(count + (count + 1) // 2 + 1)
        slots = PyBytes_FromStringAndSize(NULL, 8 * <Py_ssize_t>tree.slot_count)
        write_slots(&tree, <uint64_t*>PyBytes_AS_STRING(slots), made, count)
    finally:
        free(made)
        free(places_of_pairs)
    hashing = bytes(key) + int(tree.deepest).to_bytes(4, "little") + int(tree.value_size).to_bytes(4, "little")
    return records, pairs, hashing, slots


cdef bint write_nodes(Tree* tree, uint8_t* out, Node* made, const uint8_t* label, uint64_t left,
                      const uint32_t* parents, uint32_t count) noexcept:
    """Write all of the nodes but their values, and find their hashes; False where the columns do not fit each other.

    label: the first one, behind its length; left: bytes of all of them.
    """
    cdef uint32_t number, parent, size
    cdef uint32_t offset = node_size(tree)
    memset(out, 0, offset)
    for number in range(1, count + 1):
        parent = parents[number - 1]
        if parent >= number or not left:
            return False
        size = label[0]
        if size > left - 1 or made[parent].depth == MAX_DEPTH:
            return False
        made[number].offset = offset
        made[number].depth = made[parent].depth + 1
        if made[number].depth > tree.deepest:
            tree.deepest = made[number].depth
        made[number].hash = hash_label(&tree.key, made[parent].hash, label + 1, size)
        memcpy(out + offset + tree.value_size, &made[parent].offset, 4)
        memcpy(out + offset + tree.value_size + 4, label, size + 1)
        offset += node_size(tree) + size
        label += size + 1
        left -= size + 1
    return not left


cdef bytes write_pairs(Node* made, uint32_t* places, uint64_t mask, const uint32_t* at, const uint32_t* below,
                       uint32_t size):
    """The distinct pairs of answers; each node gets the number of its own.

    places: a hash table of the numbers of pairs, all 0; mask: how many it has but one.
    """
    cdef uint32_t number, place
    cdef uint32_t count = 1
    cdef uint64_t pair
    cdef uint64_t* pairs = <uint64_t*>calloc(<size_t>size + 1, sizeof(uint64_t))
    if pairs == NULL:
        raise MemoryError
    for number in range(1, size + 1):
        pair = <uint64_t>below[number - 1] << 32 | at[number - 1]
        made[number].bits = NODE_EXISTS if pair else 0
        if not pair:
            continue
        place = <uint32_t>((pair * <uint64_t>0x9E3779B97F4A7C15 >> 32) & mask)
        while places[place] and pairs[places[place]] != pair:
            place = <uint32_t>((place + 1) & mask)
        if not places[place]:
            places[place] = count
            pairs[count] = pair
            count += 1
        made[number].pair = places[place]
    try:
        return (<uint8_t*>pairs)[:8 * <Py_ssize_t>count]
    finally:
        free(pairs)


cdef void write_values(const Tree* tree, uint8_t* out, Node* made, const uint32_t* parents, uint32_t number) noexcept:
    """Write the values of so many nodes, each after those below it."""
    cdef uint32_t value
    while number:
        value = made[number].pair << PAIR_SHIFT | made[number].bits
        memcpy(out + made[number].offset, &value, tree.value_size)
        made[parents[number - 1]].bits |= NODE_INNER | (made[number].bits & NODE_EXISTS)
        number -= 1
    # Of the root nothing is listed itself, and the zone exists in any case.
    value = made[0].bits | NODE_EXISTS
    memcpy(out, &value, tree.value_size)


cdef void write_slots(const Tree* tree, uint64_t* slots, const Node* made, uint64_t count) noexcept:
    """Put each node but the root into the first free slot for its hash."""
    cdef uint64_t number
    cdef uint32_t place
    memset(slots, 0, 8 * <size_t>tree.slot_count)
    for number in range(1, count + 1):
        if number + RING <= count:
            PREFETCH(slots + place_of(tree, made[number + RING].hash))
        place = place_of(tree, made[number].hash)
        while slots[place]:
            place = next_place(tree, place)
        slots[place] = slot_of(made[number].hash, made[number].offset)


# Checking -------------------------------------------------------------------------------------------------------------

cdef struct Step:
    # One of the nodes from the root to the one that is looked at, or the last one beside it.
    uint64_t hash
    const uint8_t* node          # NULL: there has been none yet
    uint32_t offset
    uint32_t name_size


cdef bint check_tree(const Tree* tree, uint32_t room, uint32_t answer_count, const uint8_t* shows) noexcept nogil:
    """Whether all that a search relies on holds, and no answer shows more labels than the name has that leads to it.

    room: bytes that a name has in front of the zone's name; shows: of each answer, how many labels its texts show at
    most, or SHOWS_ADDRESS.
    """
    cdef Step steps[MAX_DEPTH + 2]
    cdef uint64_t hashes[RING]
    cdef uint32_t offsets[RING]
    cdef uint64_t at = node_size(tree)
    cdef uint64_t taken, count = 0
    cdef uint32_t depth = 0, deepest = 0
    cdef uint32_t number
    cdef const uint8_t* node = tree.nodes
    cdef const uint8_t* label
    if not tree.slot_count:
        return not tree.nodes_size and not tree.pair_count
    if tree.nodes_size < at or tree.nodes_size > MAX_NODES or parent_of(tree, node) or label_of(tree, node)[0]:
        return False
    if value_of(tree, node) >> PAIR_SHIFT or not tree.pair_count or tree.pairs[0] or tree.pairs[1]:
        return False
    for number in range(2 * tree.pair_count):
        if tree.pairs[number] > answer_count:
            return False
    taken = taken_slots(tree)
    if 4 * taken > 3 * <uint64_t>tree.slot_count:
        return False
    steps[0].hash = steps[0].offset = steps[0].name_size = 0
    steps[0].node = node
    steps[1].node = NULL
    while at < tree.nodes_size:
        node = tree.nodes + at
        label = label_of(tree, node)
        if tree.nodes_size - at < node_size(tree) or tree.nodes_size - at - node_size(tree) < label[0]:
            return False
        # Depth first: its parent is the node before it, or one above that.
        while steps[depth].offset != parent_of(tree, node):
            if not depth:
                return False
            depth -= 1
        if not check_node(tree, node, &steps[depth], &steps[depth + 1]):
            return False
        depth += 1
        # A name with more labels than MAX_DEPTH is too long.
        steps[depth].name_size = steps[depth - 1].name_size + label[0] + 1
        if steps[depth].name_size > room:
            return False
        number = 2 * (value_of(tree, node) >> PAIR_SHIFT)
        if shows[tree.pairs[number]] > depth or shows[tree.pairs[number + 1]] > depth:
            return False
        steps[depth].hash = hash_label(&tree.key, steps[depth - 1].hash, label + 1, label[0])
        steps[depth].node = node
        steps[depth].offset = <uint32_t>at
        steps[depth + 1].node = NULL
        if depth > deepest:
            deepest = depth
        # Its slot is looked at when it has come.
        number = count % RING
        if count >= RING and not is_in_slots(tree, hashes[number], offsets[number]):
            return False
        hashes[number] = steps[depth].hash
        offsets[number] = <uint32_t>at
        PREFETCH(tree.slots + place_of(tree, hashes[number]))
        count += 1
        at += node_size(tree) + label[0]
    for number in range(<uint32_t>RING if count > RING else <uint32_t>count):
        if not is_in_slots(tree, hashes[number], offsets[number]):
            return False
    return deepest == tree.deepest and taken == count


cdef inline bint check_node(const Tree* tree, const uint8_t* node, const Step* parent, const Step* before) noexcept nogil:
    """Whether a node fits to its parent, and to the one before it among its siblings."""
    cdef uint32_t value = value_of(tree, node)
    cdef uint32_t above = value_of(tree, parent.node)
    cdef const uint8_t* label = label_of(tree, node)
    cdef const uint8_t* other
    cdef uint32_t size = label[0]
    cdef uint32_t at
    cdef int order
    if not 1 <= size <= MAX_LABEL or value >> PAIR_SHIFT >= tree.pair_count:
        return False
    for at in range(size):
        if not IS_LISTABLE[label[1 + at]]:
            return False
    if not above & NODE_INNER or (value & NODE_EXISTS and not above & NODE_EXISTS):
        return False
    at = 2 * (value >> PAIR_SHIFT)
    if (tree.pairs[at] or tree.pairs[at + 1]) and not value & NODE_EXISTS:
        return False
    if before.node == NULL:
        return True
    other = label_of(tree, before.node)
    order = memcmp(other + 1, label + 1, size if size < other[0] else other[0])
    return order < 0 or (not order and other[0] < size)


cdef inline bint is_in_slots(const Tree* tree, uint64_t hashed, uint32_t offset) noexcept nogil:
    """Whether a search meets a node before a free slot."""
    cdef uint32_t place = place_of(tree, hashed)
    cdef uint64_t slot = slot_of(hashed, offset)
    cdef uint32_t left = tree.slot_count
    while left and tree.slots[place] and tree.slots[place] != slot:
        place = next_place(tree, place)
        left -= 1
    return left and tree.slots[place] == slot


cdef uint64_t taken_slots(const Tree* tree) noexcept nogil:
    """How many slots are taken; more than there are where so many follow each other that a search would take long.

    With a key that nobody knew who chose the names, MAX_RUN are never taken in a row.
    """
    cdef uint64_t taken = 0
    cdef uint32_t place, run = 0
    for place in range(tree.slot_count):
        if not tree.slots[place]:
            run = 0
            continue
        run += 1
        if run > MAX_RUN:
            return <uint64_t>tree.slot_count + 1
        taken += 1
    return taken


cdef uint8_t IS_LISTABLE[256]    # whether a label in a list may have a character


cdef void fill_listable() noexcept:
    cdef uint8_t character
    memset(IS_LISTABLE, 0, sizeof(IS_LISTABLE))
    for character in b"abcdefghijklmnopqrstuvwxyz0123456789_-":
        IS_LISTABLE[character] = 1


fill_listable()
