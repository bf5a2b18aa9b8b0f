from array import array

from dnsbl_server.table.layout import Nodes

def lay_out(nodes: Nodes, key: bytes) -> tuple[bytes | bytearray, array[int], bytes, bytes | bytearray]: ...
