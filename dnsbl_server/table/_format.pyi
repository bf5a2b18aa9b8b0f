# See _format.pxd for what they mean.
NO_LIST: int
ADDRESS_BYTE: int
ANSWER_SIZE: int
CODE_SIZE: int
TEXT_SIZE: int
