"""Drawn sample pictures and the program that draws them."""
