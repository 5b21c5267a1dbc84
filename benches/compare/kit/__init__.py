"""Parts of the conformance kit: event sets, what is asked about them, and why answers differ."""
