"""For tests only: the compiled answer, called from Python.

The tests compare it with `respond.respond`. No module of the server imports this: it answers through `engine`.
"""

from typing import NamedTuple

from libc.stdint cimport uint8_t, uint32_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy

from dnsbl_server.answer._answer cimport BATCH, MIN_BUFFER, SLOW_PATH, Message, answer_batch
from dnsbl_server.answer._directory cimport NO_ZONE, Directory
from dnsbl_server.dns._protocol cimport MAX_TCP
from dnsbl_server.table._format cimport NO_LIST, TEXT_SIZE, list_of


class NumberedReply(NamedTuple):
    """A reply, as `respond.Reply`, with numbers for names.

    packet: the answer, None where there is none; outcome: a number of `_outcome`; zone: its number, or None; hits: the
    numbers of the lists.
    """

    packet: bytes | None
    outcome: int
    zone: int | None
    qtype: int
    hits: tuple[int, ...]


def answer(Directory directory not None, packet, double now, bint tcp=False):
    """Answer one message; see answer_all."""
    return answer_all(directory, (packet,), now, tcp)[0]


def answer_all(Directory directory not None, packets, double now, bint tcp=False):
    """Answer messages side by side, as the engine does with those that arrive together.

    Gives the reply to each, None where it is left to `respond`.
    """
    cdef _Buffer buffer
    cdef Message messages[BATCH]
    cdef uint32_t number
    answers = []
    packets = list(packets)
    while packets:
        buffers = [_Buffer(packet, tcp) for packet in packets[:BATCH]]
        del packets[:BATCH]
        for number, buffer in enumerate(buffers):
            messages[number].packet = buffer.start
            messages[number].size = buffer.size
        answer_batch(directory.pointer(), messages, <uint32_t>len(buffers), tcp, now)
        for number in range(<uint32_t>len(buffers)):
            answers.append(None if messages[number].answer_size == SLOW_PATH else reply_of(&messages[number]))
    return answers


cdef reply_of(const Message* message):
    lists = [list_of(message.verdict.hits + TEXT_SIZE * number) for number in range(message.verdict.hit_count)]
    return NumberedReply(
        message.packet[:message.answer_size] if message.answer_size else None,
        message.verdict.outcome,
        None if message.verdict.zone == NO_ZONE else message.verdict.zone,
        message.verdict.qtype,
        tuple([number for number in lists if number != NO_LIST]),
    )


cdef class _Buffer:
    """A message in memory of its own, which has room for its answer and not a byte more."""

    cdef uint8_t* start
    cdef uint32_t size

    def __cinit__(self, const uint8_t[::1] packet, bint tcp):
        self.size = <uint32_t>packet.shape[0]
        self.start = <uint8_t*>calloc(max(self.size, <uint32_t>(MAX_TCP if tcp else MIN_BUFFER)), 1)
        if self.start == NULL:
            raise MemoryError
        if self.size:
            memcpy(self.start, &packet[0], self.size)

    def __dealloc__(self):
        free(self.start)
