"""The names of all lists of a zone as one tree, label by label from the right.

Owns how millions of names become nodes, the order of these, and which of them a table needs. What is written of a name
is a number here, its rule, and so is what holds below a name, its state: what they mean the caller decides, through
functions that are called for distinct cases and not for each name. Control plane only. Knows no listings.

Memory is reached through raw pointers, and only below an index that is bounded by a count in the same few lines.
"""

from array import array
from os import urandom

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.stdint cimport UINT32_MAX, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc, qsort, realloc
from libc.string cimport memcmp, memcpy

from dnsbl_server.model._names cimport Names
from dnsbl_server.model._siphash cimport HashKey, hash_label

from dnsbl_server.table.layout import Nodes

cdef enum:
    MAX_LABELS = 128             # of two bytes at least each, so a name of 255 bytes has fewer
    # Cases that `join` and `combine` remember, as a power of 2.
    CASE_BITS = 12
    CASES = 1 << CASE_BITS

cdef struct Node:
    uint64_t hash                # of the whole name; a place in the order, once there is one
    uint32_t parent
    uint32_t label               # where it starts in the labels, at its length
    uint32_t rule                # 0 where nothing is written of the name; its value, once there is one
    uint32_t child_count

cdef struct Slot:
    uint32_t tag
    uint32_t node                # 0 where it is free: the root is in no slot

cdef struct Sibling:
    uint64_t prefix              # the first bytes of the label, which sort as the label does
    const uint8_t *label
    uint32_t node

cdef struct Case:
    # What a function said of numbers; it is remembered where `labels` is not 0.
    uint32_t one
    uint32_t other
    uint32_t labels
    uint32_t value
    uint32_t state


cdef class Trie:
    """The names of all lists of a zone, each with the number of its rule, and all names above them."""

    cdef Node *tree              # `count` nodes; the first is the root, and parents stand before their children
    cdef size_t count
    cdef size_t capacity
    cdef uint8_t *labels         # each behind its length
    cdef size_t labels_size
    cdef size_t labels_capacity
    cdef Slot *slots
    cdef size_t slot_count
    cdef uint32_t *order         # the nodes but for the root, depth first and siblings by label
    cdef HashKey key

    def __dealloc__(self):
        free(self.tree)
        free(self.labels)
        free(self.slots)
        free(self.order)

    def add(self, Names names not None, kinds, const uint32_t[::1] rules not None, join):
        """Add names; the rule of one is `rules[3 * kind + scope - 1]`, and where that is 0 it counts nowhere.

        kinds: of each row, 0 behind their end or where there are none. A name that has a rule gets `join(rule, other)`.
        """
        cdef const uint32_t[::1] known = array("I") if kinds is None else kinds
        cdef size_t row, place, kinds_known = <size_t> known.shape[0], rules_known = <size_t> rules.shape[0]
        cdef uint32_t rule, node
        cdef Case *cases
        self.check_unordered()
        cases = <Case *> calloc(CASES, sizeof(Case))
        if cases == NULL:
            raise MemoryError
        try:
            for row in range(names.count):
                place = 3 * <size_t> (known[row] if row < kinds_known else 0) + names.rows[row].scope - 1
                if place >= rules_known:
                    raise IndexError("a kind without rules")
                rule = rules[place]
                if not rule:
                    continue
                node = self.node_of(names.text + names.rows[row].start, names.rows[row].size)
                if self.tree[node].rule:
                    rule = joined(cases, self.tree[node].rule, rule, join)
                self.tree[node].rule = rule
        finally:
            free(cases)

    cdef int check_unordered(self) except -1:
        """Begin with the root, once; and once there is an order, there are no slots any more."""
        cdef bytes random
        if not self.count:
            random = urandom(sizeof(HashKey))
            memcpy(&self.key, PyBytes_AS_STRING(random), sizeof(HashKey))
            self.grow()
            self.grow_labels(0)
            self.tree[0] = Node(0, 0, 0, 0, 0)
            self.count = 1
        if self.slots == NULL:
            raise ValueError("the tree has its order already")
        return 0

    cdef uint32_t node_of(self, const uint8_t *text, size_t size) except 0:
        """The node of a name, which is made with all above it where it is not there."""
        cdef size_t end = size, start, slot
        cdef uint64_t hashed = 0
        cdef uint32_t parent = 0, node, length, tag
        cdef const uint8_t *label
        while end:
            start = end
            while start and text[start - 1] != c".":
                start -= 1
            label = text + start
            length = <uint32_t> (end - start)
            end = start - 1 if start else 0
            hashed = hash_label(&self.key, hashed, label, length)
            tag = <uint32_t> (hashed >> 32)
            slot = <size_t> (((hashed & UINT32_MAX) * self.slot_count) >> 32)
            while True:
                node = self.slots[slot].node
                if not node:
                    node = self.make_node(hashed, parent, label, length)
                    break
                if self.slots[slot].tag == tag and self.is_child(node, parent, label, length):
                    break
                slot = slot + 1 if slot + 1 < self.slot_count else 0
            parent = node
        return parent

    cdef bint is_child(self, uint32_t node, uint32_t parent, const uint8_t *label, uint32_t size) noexcept:
        cdef const uint8_t *own = self.labels + self.tree[node].label
        return self.tree[node].parent == parent and own[0] == size and not memcmp(own + 1, label, size)

    cdef uint32_t make_node(self, uint64_t hashed, uint32_t parent, const uint8_t *label, uint32_t size) except 0:
        cdef uint32_t node
        if self.count == self.capacity:
            self.grow()
        self.grow_labels(size + 1)
        node = <uint32_t> self.count
        self.tree[node] = Node(hashed, parent, <uint32_t> self.labels_size, 0, 0)
        self.labels[self.labels_size] = <uint8_t> size
        memcpy(self.labels + self.labels_size + 1, label, size)
        self.labels_size += size + 1
        self.tree[parent].child_count += 1
        self.count += 1
        self.put(node)
        return node

    cdef void put(self, uint32_t node) noexcept:
        """Put a node into the first free slot from its place on; there is one."""
        cdef uint64_t hashed = self.tree[node].hash
        cdef size_t slot = <size_t> (((hashed & UINT32_MAX) * self.slot_count) >> 32)
        while self.slots[slot].node:
            slot = slot + 1 if slot + 1 < self.slot_count else 0
        self.slots[slot] = Slot(<uint32_t> (hashed >> 32), node)

    cdef int grow(self) except -1:
        """Make room for half as many nodes more, and for their slots, of which a third stays free."""
        cdef size_t capacity = max(self.capacity + (self.capacity >> 1), <size_t> 64)
        cdef size_t node
        cdef void *memory
        if self.count >= UINT32_MAX:
            raise OverflowError("the names have more than 4,294,967,295 labels")
        memory = realloc(self.tree, capacity * sizeof(Node))
        if memory == NULL:
            raise MemoryError
        self.tree = <Node *> memory
        free(self.slots)
        self.slot_count = capacity + (capacity >> 1)
        self.slots = <Slot *> calloc(self.slot_count, sizeof(Slot))
        if self.slots == NULL:
            raise MemoryError
        self.capacity = capacity
        for node in range(1, self.count):
            self.put(<uint32_t> node)
        return 0

    cdef int grow_labels(self, size_t more) except -1:
        cdef size_t size = self.labels_size + more
        cdef void *memory
        if size > UINT32_MAX:
            raise OverflowError("the labels of the names take more than 4 GiB")
        if size > self.labels_capacity or self.labels == NULL:
            size = max(size, self.labels_capacity + (self.labels_capacity >> 1), <size_t> 1024)
            memory = realloc(self.labels, size)
            if memory == NULL:
                raise MemoryError
            self.labels = <uint8_t *> memory
            self.labels_capacity = size
        return 0

    def walk(self, combine):
        """Give each node its value, parents first, siblings in the order of their labels.

        `combine(state, rule, labels)` returns a value and the state below the node: state is that of its parent, 0 at
        the top, and labels is how many the name has.
        """
        cdef size_t at
        cdef unsigned depth
        cdef uint32_t node
        cdef uint32_t states[MAX_LABELS + 1]
        cdef uint32_t path[MAX_LABELS + 1]
        cdef Case *case
        cdef Case *cases
        self.sort()
        cases = <Case *> calloc(CASES, sizeof(Case))
        if cases == NULL:
            raise MemoryError
        depth = 0
        path[0] = states[0] = 0
        try:
            for at in range(self.count - 1):
                node = self.order[at]
                # What comes next is a child of the node before it, or of one above that.
                while path[depth] != self.tree[node].parent:
                    depth -= 1
                if depth == MAX_LABELS:
                    raise ValueError("a name of too many labels")
                depth += 1
                path[depth] = node
                case = case_of(cases, states[depth - 1], self.tree[node].rule, depth)
                if not case.labels:
                    case.value, case.state = combine(case.one, case.other, depth)
                    case.labels = depth
                states[depth] = case.state
                self.tree[node].rule = case.value
        finally:
            free(cases)

    cdef int sort(self) except -1:
        """Put the nodes in order, and give back what was needed to find them."""
        cdef size_t node, at, count
        cdef uint32_t parent, start, most = 0
        cdef unsigned depth = 0
        cdef uint32_t *starts
        cdef uint32_t *children
        cdef Sibling *siblings
        cdef uint32_t path[MAX_LABELS + 1]
        self.check_unordered()
        count = self.count
        free(self.slots)
        self.slots = NULL
        self.slot_count = 0
        for node in range(count):
            most = max(most, self.tree[node].child_count)
        # Where the children of each node start; while the tree is walked, where the next one is.
        starts = <uint32_t *> malloc((count + 1) * sizeof(uint32_t))
        children = <uint32_t *> malloc(count * sizeof(uint32_t))
        siblings = <Sibling *> malloc(max(most, <uint32_t> 1) * sizeof(Sibling))
        self.order = <uint32_t *> malloc(count * sizeof(uint32_t))
        try:
            if starts == NULL or children == NULL or siblings == NULL or self.order == NULL:
                raise MemoryError
            starts[0] = 0
            for node in range(count):
                starts[node + 1] = starts[node] + self.tree[node].child_count
            for node in range(1, count):
                parent = self.tree[node].parent
                children[starts[parent]] = <uint32_t> node
                starts[parent] += 1
            # Filled, each starts where the next one did.
            for node in range(count - 1, 0, -1):
                starts[node] = starts[node - 1]
            starts[0] = 0
            for node in range(count):
                if self.tree[node].child_count > 1:
                    self.sort_children(children + starts[node], self.tree[node].child_count, siblings)
            path[0] = 0
            at = 0
            while at < count - 1:
                parent = path[depth]
                if not self.tree[parent].child_count:
                    depth -= 1
                    continue
                self.tree[parent].child_count -= 1
                start = starts[parent]
                starts[parent] += 1
                self.order[at] = children[start]
                at += 1
                if depth == MAX_LABELS:
                    raise ValueError("a name of too many labels")
                depth += 1
                path[depth] = children[start]
        finally:
            free(starts)
            free(children)
            free(siblings)
        return 0

    cdef void sort_children(self, uint32_t *children, size_t count, Sibling *siblings) noexcept:
        cdef size_t at
        for at in range(count):
            siblings[at].label = self.labels + self.tree[children[at]].label
            siblings[at].prefix = prefix_of(siblings[at].label)
            siblings[at].node = children[at]
        qsort(siblings, count, sizeof(Sibling), by_label)
        for at in range(count):
            children[at] = siblings[at].node

    def nodes(self, const uint32_t[::1] at not None, const uint32_t[::1] below not None):
        """The columns of the nodes that a table needs: those that exist, and those that hide what holds above them.

        `at[value]`, `below[value]`: the numbers of the answers of nodes with a value, 0 for none. The tree is used up.
        """
        cdef size_t place, count = self.count - 1, kept = 0, size = 0
        cdef size_t known = <size_t> min(at.shape[0], below.shape[0])
        cdef Node *node
        cdef Node *parent
        cdef uint32_t number
        cdef uint8_t *target
        if self.order == NULL:
            raise ValueError("the tree has not been walked")
        # From here on the count of children is whether a node exists: it has an answer, or a child that exists.
        for place in range(count, 0, -1):
            node = &self.tree[self.order[place - 1]]
            if node.rule >= known:
                raise IndexError("a value without answers")
            if at[node.rule] or below[node.rule]:
                node.child_count = 1
            if node.child_count and node.parent:
                self.tree[node.parent].child_count = 1
        # And the hash is the number that it has in the table, 0 where it is left out.
        self.tree[0].hash = 0
        for place in range(count):
            node = &self.tree[self.order[place]]
            parent = &self.tree[node.parent]
            node.hash = 0
            if node.parent and not parent.hash:
                continue
            if node.child_count or (node.parent and below[parent.rule]):
                kept += 1
                node.hash = kept
                size += self.labels[node.label] + 1
        cdef bytes labels = PyBytes_FromStringAndSize(NULL, <Py_ssize_t> size)
        columns = [array("I", bytes(4)) * kept for _ in range(3)]
        cdef uint32_t[::1] parents = columns[0]
        cdef uint32_t[::1] ats = columns[1]
        cdef uint32_t[::1] belows = columns[2]
        target = <uint8_t *> PyBytes_AS_STRING(labels)
        for place in range(count):
            node = &self.tree[self.order[place]]
            if not node.hash:
                continue
            number = <uint32_t> node.hash - 1
            parents[number] = <uint32_t> self.tree[node.parent].hash
            ats[number] = at[node.rule]
            belows[number] = below[node.rule]
            memcpy(target, self.labels + node.label, self.labels[node.label] + 1)
            target += self.labels[node.label] + 1
        free(self.tree)
        free(self.labels)
        free(self.order)
        self.tree = NULL
        self.labels = NULL
        self.order = NULL
        self.count = 1
        return Nodes(labels, *columns)


cdef uint32_t joined(Case *cases, uint32_t one, uint32_t other, join) except 0:
    """The number of a rule with what two others say."""
    cdef Case *case = case_of(cases, one, other, 1)
    if not case.labels:
        case.value = join(one, other)
        case.labels = 1
    if not case.value:
        raise ValueError("two rules are none")
    return case.value


cdef inline Case *case_of(Case *cases, uint32_t one, uint32_t other, uint32_t labels) noexcept:
    """Where a case is remembered; its `labels` are 0 if it is not."""
    cdef uint32_t place = (one * 2654435761u + other * 2246822519u + labels * 3266489917u) >> (32 - CASE_BITS)
    cdef Case *case = &cases[place]
    if not (case.labels == labels and case.one == one and case.other == other):
        case[0] = Case(one, other, 0, 0, 0)
    return case


cdef uint64_t prefix_of(const uint8_t *label) noexcept nogil:
    """The first eight bytes of a label as a number, zeroes behind its end."""
    cdef uint64_t prefix = 0
    cdef unsigned at, size = min(label[0], <uint8_t> 8)
    for at in range(size):
        prefix = prefix << 8 | label[1 + at]
    return prefix << (8 * (8 - size)) if size else 0


cdef int by_label(const void *one, const void *other) noexcept nogil:
    cdef const Sibling *a = <const Sibling *> one
    cdef const Sibling *b = <const Sibling *> other
    cdef int order
    if a.prefix != b.prefix:
        return 1 if a.prefix > b.prefix else -1
    order = memcmp(a.label + 1, b.label + 1, min(a.label[0], b.label[0]))
    return order if order else <int> a.label[0] - <int> b.label[0]
