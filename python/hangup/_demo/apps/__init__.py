"""The small applications the demonstration serves, each loaded by its bare name through `introspect`."""
