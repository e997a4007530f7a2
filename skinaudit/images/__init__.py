"""Pixels in: image folders, label files, decoders, identities."""
