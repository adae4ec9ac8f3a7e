"""The reads of plain code, in SQL that SQLite and MySQL have in common."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from typing import Any, ClassVar

from candidates import Candidate
from data import ARTIFACT_TYPE, CONTEXT_TYPE, Match

INPUT, OUTPUT = 3, 4
"""Types of events, as ml-metadata numbers them."""


class PlainReads(Candidate):
    """Straightforward statements, two for nodes and their properties; rows instead of objects."""

    mark: ClassVar[str]
    """What stands for a parameter in a statement."""
    types: dict[str, int]
    """The ids of the types, by their names."""

    @abstractmethod
    def reading(self) -> AbstractContextManager[Any]:
        """A transaction in which statements see one state of the store."""

    @abstractmethod
    def rows(self, statement: str, parameters: Sequence[Any] = ()) -> Sequence[tuple[Any, ...]]:
        """Run a statement, in which ? stands for parameters."""

    def _among(self, ids: Iterable[int]) -> str:
        """A list of as many parameters."""
        return f"IN ({','.join(self.mark for _ in ids)})"

    def _nodes(self, table: str, ids: Sequence[int]) -> Sequence[tuple[Any, ...]]:
        among = self._among(ids)
        found = self.rows(f"SELECT * FROM {table} WHERE id {among}", ids)  # noqa: S608 - our own words
        self.rows(
            f"SELECT * FROM {table}Property WHERE {table.lower()}_id {among}",  # noqa: S608
            ids,
        )
        return found

    def read_artifacts(self, ids: Sequence[int]) -> int:
        """Two statements."""
        with self.reading():
            return len(self._nodes("Artifact", ids))

    def find_context(self, name: str) -> bool:
        """Two statements."""
        with self.reading():
            found = self.rows(
                "SELECT * FROM Context WHERE type_id = ? AND name = ?".replace("?", self.mark),
                (self.types[CONTEXT_TYPE], name),
            )
            self.rows(
                f"SELECT * FROM ContextProperty WHERE context_id = {self.mark}",  # noqa: S608
                (found[0][0],),
            )
        return len(found) == 1

    def newest(self, match: Match, limit: int) -> list[int]:
        """A join, and a statement for the properties."""
        statement = (
            "SELECT a.* FROM Artifact a JOIN ArtifactProperty p ON p.artifact_id = a.id "  # noqa: S608
            f"WHERE p.name = ? AND p.is_custom_property = 0 AND p.{match.column} > ? "
            f"ORDER BY a.create_time_since_epoch DESC, a.id DESC LIMIT {limit}"
        )
        with self.reading():
            found = self.rows(statement.replace("?", self.mark), (match.key, match.bound))
            ids = [row[0] for row in found]
            self.rows(
                f"SELECT * FROM ArtifactProperty WHERE artifact_id {self._among(ids)}",  # noqa: S608
                ids,
            )
        return ids

    def trace(self, artifact: int, hops: int) -> tuple[int, int, int]:
        """A statement for each hop, then the nodes."""
        seen: dict[str, set[int]] = {"artifact": {artifact}, "execution": set()}
        here, there, frontier, events = "artifact", "execution", [artifact], 0
        with self.reading():
            for _ in range(hops):
                found = self.rows(
                    f"SELECT {there}_id FROM Event "  # noqa: S608
                    f"WHERE {here}_id {self._among(frontier)} AND type = {self.mark}",
                    (*frontier, OUTPUT if here == "artifact" else INPUT),
                )
                events += len(found)
                frontier = [*{id for (id,) in found} - seen[there]]
                seen[there].update(frontier)
                here, there = there, here
                if not frontier:
                    break
            artifacts = self._nodes("Artifact", [*seen["artifact"]])
            executions = self._nodes("Execution", [*seen["execution"]])
        return len(artifacts), len(executions), events

    def read_all(self) -> int:
        """Two statements."""
        with self.reading():
            found = self.rows(
                f"SELECT * FROM Artifact WHERE type_id = {self.mark}",  # noqa: S608
                (self.types[ARTIFACT_TYPE],),
            )
            self.rows("SELECT * FROM ArtifactProperty")
        return len(found)
