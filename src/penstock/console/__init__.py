"""The console: a page about everything that the overview sees, from the picture down to the single record.

One sampler looks; pages, events and metrics show what it saw last, so ten open pages cost as much as one. Nothing is
fetched from elsewhere: templates, styles and scripts are files of this package. It needs the extra `console`.
"""
