from libc.stdint cimport uint8_t, uint32_t

from dnsbl_server.answer._directory cimport Names

cdef enum:
    BATCH = 64                   # messages that are answered side by side, at most
    # A message's buffer has room for this, however short it is, and for MAX_TCP with TCP.
    MIN_BUFFER = 2048
    # What a message can have in place of the size of its answer
    SILENT = 0                   # it gets no answer
    SLOW_PATH = -1               # it is untouched, and left to `respond`
    PENDING = -2                 # only inside of `answer_batch`

cdef struct Verdict:
    # What there is to count of a message, besides its answer.
    uint32_t outcome             # a number of `_outcome`
    uint32_t zone                # number of the zone, or NO_ZONE
    uint32_t qtype               # 0 where none could be read
    uint32_t hit_count
    const uint8_t* hits          # the texts of the answer, TEXT_SIZE bytes each

cdef struct Message:
    uint8_t* packet              # its buffer, in which it is answered
    uint32_t size
    int answer_size              # or SILENT or SLOW_PATH
    Verdict verdict

cdef void answer_batch(const Names* names, Message* messages, uint32_t count, bint tcp, double now) noexcept nogil
