"""What benchmarks/metagrad.py compares, and how it measures it."""
