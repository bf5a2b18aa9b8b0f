# See _format.pxd for what they mean.
NO_LIST: int
ADDRESS_BYTE: int
LABELS_BYTE: int
NODE_SIZE: int
NODE_EXISTS: int
NODE_INNER: int
PAIR_SHIFT: int
ANSWER_SIZE: int
CODE_SIZE: int
TEXT_SIZE: int
