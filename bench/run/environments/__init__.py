"""Python environments of adapters: found, made, locked and described."""
