"""Record folders: written from measured data, checked against their own evidence, offered as a pull request."""

from golf.record.write import Wishes, write_record

__all__ = ["Wishes", "write_record"]
