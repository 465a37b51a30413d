"""Files appear whole or not at all: the one writer of drafts, under the name that the steps import."""

from kakou.whole_files import draft_of, write_json, write_text

__all__ = ["draft_of", "write_json", "write_text"]
