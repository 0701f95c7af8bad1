"""The host side of the CUDA kernels: which calls they take, how they are launched; CuPy is imported at first use only."""
