"""What people see: tables, bars and pages of text in a terminal.

Views draw what they are given. They fetch nothing and decide nothing; that is done in `audit`, `launcher` and `cli`.
"""
