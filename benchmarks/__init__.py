"""Strength and cost of the attack, one command each (docs/benchmarks.md)."""
