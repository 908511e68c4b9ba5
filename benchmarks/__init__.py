"""cytolake against its peers, each benchmark a module: ``python -m benchmarks.features.bench_features``."""
