"""Why the same script gives another number: a published record against runs of it elsewhere, the gap taken apart and judged."""

from golf.repro.explain import Explanation, Share, Verdict, explain

__all__ = ["Explanation", "Share", "Verdict", "explain"]
