"""The parts of a report, one module each: a function that takes an `Evaluation` and gives a `Section`."""
