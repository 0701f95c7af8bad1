"""NumPy implementations of the fused primitives: what ops/ defines, written for speed with buffers and BLAS."""
