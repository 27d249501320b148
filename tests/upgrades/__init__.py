"""Homes that earlier releases made: how to build each release, and how to fill a home with it."""
