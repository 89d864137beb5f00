"""WebSockets that live in the native engine, and what gives them to Python's frameworks."""
