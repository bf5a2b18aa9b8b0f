"""The numbers of the protocol: sizes, header bits, response codes, classes and types.

Owns each of them once, for Python and for the compiled modules: `_protocol.pxd` has them, and Python finds them here as
plain integers. Holds no code.
"""
