"""Shared by several commands: options and their values, the end of a command, the start of the stack, the tour.

No command is defined here: those are the files beside this package.
"""
