import pytest

from emulator.googleapi.database import Database
from emulator.googleapi.errors import UnavailableError


class Notes(Database):
    def __init__(self, folder, version=1):
        super().__init__(folder, "notes.sqlite", "CREATE TABLE notes (text TEXT);", version)

    def add(self, *texts):
        with self.transaction():
            for text in texts:
                self._database.execute("INSERT INTO notes VALUES (?)", (text.strip(),))

    def count(self):
        return self._row("SELECT count(*) FROM notes")[0]


def test_transaction_writes_everything_or_nothing(tmp_path):
    notes = Notes(tmp_path)
    notes.add("a", "b")
    with pytest.raises(AttributeError):
        notes.add("c", None)
    notes.close()
    assert Notes(tmp_path).count() == 2


def test_closed_database_is_unavailable():
    notes = Notes(None)
    notes.close()
    with pytest.raises(UnavailableError):
        notes.count()


def test_file_of_another_schema_version_is_refused(tmp_path):
    Notes(tmp_path).close()
    with pytest.raises(RuntimeError, match="schema version 1, but this emulator reads version 2: delete the file"):
        Notes(tmp_path, version=2)
