"""Spaces that are ready to be searched; each module is one, as `tinycompile.search.space` says."""
