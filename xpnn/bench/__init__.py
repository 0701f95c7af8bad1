"""How fast is it: cases, peers, one runner and its reports; behind `xpnn bench` and `python -m benchmarks`."""
