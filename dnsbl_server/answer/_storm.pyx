"""For tests only: messages changed at random are answered, and every answer is held to the rules of all answers.

Owns these rules, as far as they can be checked without the zones, and the loop, which needs no interpreter: with it the
checked and the sanitized builds are given more messages than Python could make. What an answer must be exactly, says
`respond`; this knows only what no answer may be:

- a message that is shorter than a header, or an answer itself, gets none, and any other gets one;
- it has the ID, the opcode and RD of the message, QR, and no bit that we never set; it is no longer than the limit;
- it has the question as it came, or none where the message is no query;
- its records can be read, are as many as it says and of the types that we send, and nothing follows them;
- a message that is left to the slow path is untouched.

No module of the server imports this.
"""

from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcmp, memcpy

from dnsbl_server.answer._answer cimport BATCH, MIN_BUFFER, SLOW_PATH, Message, answer_batch
from dnsbl_server.answer._directory cimport Directory, Names
from dnsbl_server.answer._mutation cimport Dice, mutate, roll
from dnsbl_server.answer._outcome cimport DROPPED, OUTCOME_COUNT
from dnsbl_server.dns._memory cimport get16
from dnsbl_server.dns._protocol cimport (
    AA,
    CLASS_IN,
    FORMERR,
    HEADER_SIZE,
    MAX_TCP,
    MAX_UDP,
    MIN_UDP,
    NOERROR,
    NOTIMP,
    NXDOMAIN,
    OPCODE,
    QR,
    RD,
    RECORD_SIZE,
    REFUSED,
    TC,
    TYPE_A,
    TYPE_OPT,
    TYPE_TXT,
)

cdef enum:
    SOA = 6
    MOST_CHANGES = 6             # of a message


cdef class Storm:
    """Messages that a seed decides, one batch after the other."""

    cdef Directory directory
    cdef Dice dice
    cdef uint8_t* seeds          # one after the other, of MIN_BUFFER bytes each
    cdef uint32_t* sizes
    cdef uint32_t seed_count
    cdef uint8_t* before         # of each message of a batch, what it was
    cdef uint8_t* buffers[2][BATCH]
    cdef Message messages[BATCH]
    cdef uint32_t message_sizes[BATCH]
    cdef uint64_t seen[OUTCOME_COUNT]
    cdef uint64_t left_to_slow_path

    def __cinit__(self, Directory directory not None, seeds, uint64_t seed):
        """seeds: messages that the others are made from, of at most MIN_BUFFER bytes; seed: of the numbers."""
        cdef uint32_t number, tcp
        cdef bytes each
        seeds = [each for each in seeds if len(each) <= MIN_BUFFER]
        if not seeds:
            raise ValueError("no message to start from")
        self.directory = directory
        self.dice.state = seed
        self.seed_count = <uint32_t>len(seeds)
        self.seeds = <uint8_t*>calloc(self.seed_count, MIN_BUFFER)
        self.sizes = <uint32_t*>calloc(self.seed_count, sizeof(uint32_t))
        self.before = <uint8_t*>calloc(BATCH, MIN_BUFFER)
        if self.seeds == NULL or self.sizes == NULL or self.before == NULL:
            raise MemoryError
        for tcp in range(2):
            for number in range(<uint32_t>BATCH):
                # Each in memory of its own, with room for its answer and not a byte more.
                self.buffers[tcp][number] = <uint8_t*>calloc(<size_t>MAX_TCP if tcp else <size_t>MIN_BUFFER, 1)
                if self.buffers[tcp][number] == NULL:
                    raise MemoryError
        for number, each in enumerate(seeds):
            self.sizes[number] = <uint32_t>len(each)
            memcpy(self.seeds + <size_t>number * MIN_BUFFER, <const uint8_t*>each, self.sizes[number])

    def __dealloc__(self):
        cdef uint32_t number, tcp
        free(self.seeds)
        free(self.sizes)
        free(self.before)
        for tcp in range(2):
            for number in range(<uint32_t>BATCH):
                free(self.buffers[tcp][number])

    def run(self, uint64_t count, double now, bint tcp=False):
        """Answer so many messages or a few more, in whole batches, and check each answer. Raises AssertionError."""
        cdef const Names* names = self.directory.pointer()
        cdef uint64_t done = 0
        cdef uint32_t number, rule = 0, failed = 0
        with nogil:
            while done < count and not rule:
                self.fill(tcp)
                answer_batch(names, self.messages, BATCH, tcp, now)
                for number in range(<uint32_t>BATCH):
                    rule = broken(self.before + <size_t>number * MIN_BUFFER, self.message_sizes[number],
                                  &self.messages[number], tcp)
                    if rule:
                        failed = number
                        break
                    if self.messages[number].answer_size == SLOW_PATH:
                        self.left_to_slow_path += 1
                    else:
                        self.seen[self.messages[number].verdict.outcome] += 1
                done += BATCH
        if rule:
            packet = (self.before + <size_t>failed * MIN_BUFFER)[:self.message_sizes[failed]]
            answer = self.messages[failed].packet[:max(0, self.messages[failed].answer_size)]
            raise AssertionError(f"rule {rule} of `broken`, tcp {tcp}, now {now}: {packet.hex()} became {answer.hex()}")

    cdef void fill(self, bint tcp) noexcept nogil:
        """Make a batch of messages."""
        cdef uint32_t number, size
        cdef uint8_t* packet
        for number in range(<uint32_t>BATCH):
            packet = self.before + <size_t>number * MIN_BUFFER
            size = self.make(packet)
            self.message_sizes[number] = size
            self.messages[number].packet = self.buffers[tcp][number]
            self.messages[number].size = size
            memcpy(self.messages[number].packet, packet, size)

    cdef uint32_t make(self, uint8_t* packet) noexcept nogil:
        """Write a message into a buffer of MIN_BUFFER bytes; its size."""
        cdef uint32_t which = roll(&self.dice, self.seed_count)
        cdef uint32_t other = roll(&self.dice, self.seed_count)
        cdef uint32_t size = self.sizes[which]
        cdef uint32_t changes = roll(&self.dice, roll(&self.dice, MOST_CHANGES) + 1)
        memcpy(packet, self.seeds + <size_t>which * MIN_BUFFER, size)
        while changes:
            changes -= 1
            size = mutate(&self.dice, packet, size, MIN_BUFFER, self.seeds + <size_t>other * MIN_BUFFER,
                          self.sizes[other])
        return size

    def packets(self, count):
        """The next messages, as they are, for whoever answers them otherwise."""
        return [self.before[:self.make(self.before)] for _ in range(count)]

    def outcomes(self):
        """How many messages had each outcome so far, and behind them how many were left to the slow path."""
        return [*[self.seen[number] for number in range(<uint32_t>OUTCOME_COUNT)], self.left_to_slow_path]


cdef uint32_t broken(const uint8_t* query, uint32_t size, const Message* message, bint tcp) noexcept nogil:
    """The number of the rule that an answer breaks, or 0."""
    cdef const uint8_t* answer = message.packet
    cdef uint32_t flags, code, end, answer_size
    if size < HEADER_SIZE or query[2] & QR >> 8:
        return 0 if message.answer_size == 0 and message.verdict.outcome == DROPPED else 1
    if message.answer_size == SLOW_PATH:
        return 0 if memcmp(query, answer, size) == 0 else 2
    if message.answer_size < <int>HEADER_SIZE or message.verdict.outcome >= OUTCOME_COUNT:
        return 3
    answer_size = <uint32_t>message.answer_size
    # Without an OPT record nobody takes more over UDP than 512 bytes.
    if answer_size > <uint32_t>(MAX_TCP if tcp else MAX_UDP if answer[11] else MIN_UDP):
        return 4
    flags = get16(answer + 2)
    code = flags & 0xF
    if answer[0] != query[0] or answer[1] != query[1] or (flags ^ get16(query + 2)) & (OPCODE | RD):
        return 5
    if flags & <uint32_t>~(OPCODE | RD | QR | AA | TC | 0xF) or not flags & QR:
        return 6
    if code != NOERROR and code != FORMERR and code != NXDOMAIN and code != NOTIMP and code != REFUSED:
        return 7
    if (flags & OPCODE and code != NOTIMP and code != FORMERR) or (code == NXDOMAIN and not flags & AA):
        return 8
    if get16(answer + 4) > 1 or get16(answer + 8) > 1 or get16(answer + 10) > 1:
        return 9
    if get16(answer + 6) and (get16(answer + 8) or code or flags & TC or not flags & AA):
        return 10
    end = HEADER_SIZE
    if get16(answer + 4):
        while end < answer_size and answer[end]:
            end += 1 + answer[end]
        end += 5
        if end > answer_size or end > size or memcmp(query + HEADER_SIZE, answer + HEADER_SIZE, end - HEADER_SIZE):
            return 11
    elif code != FORMERR and code != NOTIMP:
        return 12
    return 0 if are_records(answer, answer_size, end, tcp) else 13


cdef bint are_records(const uint8_t* answer, uint32_t size, uint32_t at, bint tcp) noexcept nogil:
    """Whether the records behind the question, which ends at `at`, are whole, and nothing is behind them."""
    cdef uint32_t number, rtype, length, part
    cdef uint32_t question = at
    cdef uint32_t before = get16(answer + 6) + get16(answer + 8)
    for number in range(before + get16(answer + 10)):
        if number < before:
            # The owner is the question's name, or for SOA a part of it.
            if at + 2 > size or answer[at] < 0xC0:
                return False
            part = get16(answer + at) & 0x3FFF
            if not HEADER_SIZE <= part < question - 4:
                return False
            at += 2
        elif at >= size or answer[at]:
            return False
        else:
            at += 1
        if at + RECORD_SIZE > size:
            return False
        rtype = get16(answer + at)
        length = get16(answer + at + 8)
        if number >= before:
            # OPT: our size, version 0, of the flags only DO, no options
            if rtype != TYPE_OPT or length or get16(answer + at + 2) != MAX_UDP or get16(answer + at + 4):
                return False
            if get16(answer + at + 6) & 0x7FFF:
                return False
        elif get16(answer + at + 2) != CLASS_IN or answer[at + 4] & 0x80:
            return False
        at += RECORD_SIZE
        if at + length > size:
            return False
        if number < get16(answer + 6):
            if rtype == TYPE_A:
                if length != 4 or answer[at] != 127:
                    return False
            elif rtype != TYPE_TXT or not are_strings(answer + at, length):
                return False
        elif number < before and (rtype != SOA or length < 22):
            return False
        at += length
    return at == size


cdef bint are_strings(const uint8_t* data, uint32_t size) noexcept nogil:
    """Whether the data of a TXT record is one string or more, all whole."""
    cdef uint32_t at = 0
    while at < size:
        at += 1 + data[at]
    return size > 0 and at == size
