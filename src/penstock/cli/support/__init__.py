"""What several commands share: options and their values, how a command ends, the start of the stack, the tour.

No command is defined here: those are the files beside this package.
"""
