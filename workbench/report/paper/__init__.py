"""Files for a paper: LaTeX tables, macros, methods, bibliography."""
