"""Adapters between `empaste_aug.EMPaste` and the frameworks; each is imported by its own name.

An adapter translates and does nothing else. None imports another, and each alone imports its
framework.
"""
