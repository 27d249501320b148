"""How other machines are reached, by every client of ours in the same way: proxies, trusted certificates, HTTP.

What is asked over these connections does not belong here; that is in the package of whoever asks. `proxies` and
`downloads` import the standard library only: they run before any package is installed.
"""
