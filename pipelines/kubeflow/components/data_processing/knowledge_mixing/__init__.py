"""The knowledge mixing component."""

from .component import knowledge_mixing

__all__ = ["knowledge_mixing"]
