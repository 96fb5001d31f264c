"""Hugging Face transformers behind the common contract; `import transformers` in here is the framework."""
