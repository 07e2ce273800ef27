//! The benchmarks are in `benches/`; this library is empty so that the package has a target.
