"""The systems of the source documents, computed with the library's own functions."""
