"""Files made to deceive or to exhaust their readers: one test for each line of the threat model."""
