"""The declaration of a pipeline and all that follows from it without asking anybody: types, columns, schemas, records.

Pure: no client library, no clock, no settings. Whoever fetches, carries or stores records imports from here, never the
other way round. A pipeline of its own does not belong here: `penstock.users` is one, and the example for others.
"""
