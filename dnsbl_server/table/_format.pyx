"""The numbers of a table's format that Python and the compiled modules share, and the fields of an answer.

Owns each of them once: `_format.pxd` has them, and Python finds the constants here as plain integers. The whole layout
stands in `layout.py`. Checks nothing: the fields are read of tables that `_sections` has checked, or is checking.
"""
