"A real PostgreSQL for tests: made in a temporary folder, on a free port of the loopback, ended with the tests."
import glob
import os
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


class Postgres:
    "A server of its own; `start`, `kill` (as a power cut would) and `stop`."

    def __init__(self):
        found = sorted(glob.glob("/usr/lib/postgresql/*/bin/postgres")) or [path for path in [shutil.which("postgres")] if path]
        assert found, "PostgreSQL is not installed: apt-get install postgresql (Debian's postgresql-15 puts it into /usr/lib/postgresql/15/bin)"
        self.programs = Path(found[-1]).parent
        self.folder = Path(tempfile.mkdtemp(prefix="dlmine-postgres-"))
        self.user, self.port, self.process = "dlmine", free_port(), None
        # initdb refuses to run as root
        self.prefix = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"] if os.geteuid() == 0 else []
        if self.prefix:
            shutil.chown(self.folder, "nobody", "nogroup")
        self.run("initdb", "-D", self.folder / "data", "-U", self.user, "-A", "trust", "-E", "UTF8", "--no-sync", "--locale=C")

    def run(self, program: str, *arguments):
        done = subprocess.run([*self.prefix, self.programs / program, *arguments], capture_output=True, text=True, cwd="/")
        assert done.returncode == 0, f"{program}: {done.stderr}"

    @property
    def address(self) -> str:
        return f"postgresql://{self.user}@127.0.0.1:{self.port}/postgres"

    def start(self):
        import psycopg

        log = open(self.folder / "log", "a")
        options = ["-c", "fsync=off", "-c", f"unix_socket_directories={self.folder}", "-c", "listen_addresses=127.0.0.1", "-c", "shared_buffers=64MB"]
        self.process = subprocess.Popen([*self.prefix, self.programs / "postgres", "-D", self.folder / "data", "-p", str(self.port), *options], stdout=log, stderr=log, cwd="/")
        for _ in range(300):
            assert self.process.poll() is None, (self.folder / "log").read_text()[-2000:]
            try:
                return psycopg.connect(self.address, connect_timeout=2).close()
            except psycopg.OperationalError:
                time.sleep(0.1)
        raise AssertionError((self.folder / "log").read_text()[-2000:])

    def kill(self):
        "End at once, without a goodbye to anybody who is connected."
        self.process.send_signal(3)  # SIGQUIT: immediate shutdown
        self.process.wait(timeout=30)

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.send_signal(2)  # SIGINT: fast shutdown
            self.process.wait(timeout=30)
        shutil.rmtree(self.folder, ignore_errors=True)

    def load(self, name: str, table):
        "A pa.Table as a table of the server, through COPY."
        import psycopg
        import pyarrow as pa

        kinds = {"int64": "bigint", "double": "double precision", "string": "text", "timestamp[us]": "timestamp", "date32[day]": "date", "bool": "boolean", "timestamp[us, tz=UTC]": "timestamptz"}
        columns = ", ".join(f'"{field.name}" {kinds[str(field.type)]}' for field in table.schema)
        with psycopg.connect(self.address) as connection:
            connection.execute(f'CREATE TABLE "{name}" ({columns})')
            with connection.cursor().copy(f'COPY "{name}" FROM STDIN') as copy:
                for batch in table.to_batches(20_000):
                    for row in zip(*(pa.array(column).to_pylist() for column in batch.columns)):
                        copy.write_row(row)
            connection.execute(f'ANALYZE "{name}"')
