"""`tallybook import`: a file of usage into the ledger of a data directory, or to a running server."""

import itertools
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import typer

from tallybook.cli.client import Server
from tallybook.cli.importing.destination import HouseDestination, ServerDestination
from tallybook.cli.importing.load import Destination, Load, Reading, Summary
from tallybook.cli.importing.mapping import RowInvalid, RowMapping, rows_are_events
from tallybook.cli.importing.mapping_file import load_mapping
from tallybook.cli.importing.rejects import Rejects
from tallybook.cli.importing.rows import FileFormat, Layout, Row, csv_columns, format_of, read_rows
from tallybook.cli.importing.source import Source, digest_of, opened
from tallybook.cli.options import AsJson, ConfigFile, DataDir, Key, LedgerUrl, ServerUrl, check_place, read_settings
from tallybook.cli.outcome import Exit, print_json, say, stderr_console
from tallybook.cli.progress import shown
from tallybook.cli.rooms import OPERATOR, opened_house
from tallybook.core.errors import Invalid, TallybookError
from tallybook.core.event import encode_lines

DRY_RUN_EVENTS = 5
_HEAD_BYTES = 4_096


@dataclass(frozen=True, slots=True)
class Job:
    """One file and how it is read."""

    path: Path
    file_format: FileFormat
    layout: Layout
    reading: Reading

    def rows(self, source: Source) -> Iterator[Row]:
        """Yield the rows of the opened file."""
        return read_rows(source.stream, self.file_format, self.layout)


def import_(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="CSV, NDJSON or JSON; plain, gzip or zstd")],
    *,
    mapping: Annotated[
        str | None, typer.Option("--mapping", metavar="NAME", help="Mapping file, or llm_trace, web_requests")
    ] = None,
    account: Annotated[str | None, typer.Option("--account", metavar="ID", help="Account of every row")] = None,
    file_format: Annotated[
        FileFormat | None,
        typer.Option("--format", metavar="FORMAT", help="csv, ndjson or json, where the name does not say it"),
    ] = None,
    id_prefix: Annotated[
        str | None, typer.Option("--id-prefix", metavar="TEXT", help="Starts the ids of rows [default: file's digest]")
    ] = None,
    rejects: Annotated[
        Path | None, typer.Option("--rejects", metavar="FILE", help="Where refused rows go [FILE.rejected.ndjson]")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the first events, count nothing")] = False,
    data: DataDir = None,
    ledger: LedgerUrl = None,
    config: ConfigFile = None,
    url: ServerUrl = None,
    key: Key = None,
    as_json: AsJson = False,
) -> int:
    """Count the usage in a file; importing it again counts nothing twice.

    Example: tallybook import access.csv --mapping web_requests --account acme --data tallybook-data
    """
    check_place(data, ledger, url)
    job = _read_job(file, mapping, account, file_format=file_format, id_prefix=id_prefix)
    if dry_run:
        return _show(job)
    rejects_file = rejects or file.with_name(f"{file.name}.rejected.ndjson")
    if rejects_file.exists() and file.exists() and rejects_file.samefile(file):
        raise Invalid("the rejects file would overwrite the file itself; name another with --rejects")
    overrides = {"data_dir": data, "ledger_url": ledger}
    with _destination(config, overrides, url=url, key=key) as destination, Rejects(rejects_file) as kept:
        summary = _load(job, destination, kept)
    return _report(summary, kept, as_json=as_json)


def _read_job(
    path: Path, mapping_name: str | None, account: str | None, *, file_format: FileFormat | None, id_prefix: str | None
) -> Job:
    mapping = None if mapping_name is None else load_mapping(mapping_name)
    with opened(path) as source:
        head = source.stream.read(_HEAD_BYTES)
    found = file_format or format_of(path.name, head)
    layout = mapping.layout if mapping is not None else Layout()
    if found is FileFormat.CSV:
        if ".tsv" in path.suffixes and layout.delimiter == ",":
            layout = Layout("\t", layout.columns)
        _check_columns(path, layout, mapping)
    row_id = id_prefix or _digest(path)
    mapper = rows_are_events if mapping is None else mapping.events
    return Job(path, found, layout, Reading(mapper, row_id, account))


def _check_columns(path: Path, layout: Layout, mapping: RowMapping | None) -> None:
    """Find a column that is not there before the first row counts, not on every row."""
    with opened(path) as source:
        columns = csv_columns(source.stream, layout)
    if mapping is None and not {"id", "type"} <= set(columns):
        raise Invalid("the columns of a CSV file need a --mapping, unless they are id, type, subject, time, data")
    missing = sorted(mapping.columns() - set(columns)) if mapping is not None else []
    if missing:
        raise Invalid(f"the mapping reads the column {missing[0]}; the file has {', '.join(columns)}")


def _digest(path: Path) -> str:
    with shown(stderr_console(), f"reading {path.name}", path.stat().st_size) as report:
        return digest_of(path, lambda position: report(position, 0))


@contextmanager
def _destination(
    config: Path | None, overrides: Mapping[str, object], *, url: str | None, key: str | None
) -> Iterator[Destination]:
    if url is None:
        with opened_house(read_settings(config, overrides), exclusive=True, makes=True) as house:
            yield HouseDestination(house.ingest, OPERATOR)
        return
    server = Server(url, key)
    destination = ServerDestination(server)
    try:
        yield destination
    finally:
        destination.close()
        server.close()


def _load(job: Job, destination: Destination, rejects: Rejects) -> Summary:
    with opened(job.path) as source, shown(stderr_console(), job.path.name, job.path.stat().st_size) as report:

        def progress(summary: Summary) -> None:
            report(source.position_bytes, summary.accepted + summary.duplicate + summary.refused)

        load = Load(destination, rejects, progress)
        try:
            return load.run(job.rows(source), job.reading)
        except (TallybookError, KeyboardInterrupt):
            counted = load.summary.accepted + load.summary.duplicate
            if counted:
                say(f"stopped after {counted:,} events; run the same command again to go on, nothing counts twice")
            raise


def _report(summary: Summary, rejects: Rejects, *, as_json: bool) -> int:
    if as_json:
        print_json({**asdict(summary), "rejects_file": str(rejects.path) if rejects.count else None})
    else:
        skipped = f", {summary.skipped:,} skipped by the mapping" if summary.skipped else ""
        print(
            f"{summary.rows:,} rows{skipped}: {summary.accepted:,} accepted, {summary.duplicate:,} duplicate, "
            f"{summary.conflict:,} conflict, {summary.rejected:,} rejected"
        )
    if rejects.count:
        say(f"what did not count, and why: {rejects.path}")
    return Exit.PARTLY if summary.refused else Exit.OK


def _show(job: Job) -> int:
    """Print the first events that the file would become, and the rows among them that it cannot."""
    refused = False
    with opened(job.path) as source:
        shown_count = 0
        for row in itertools.islice(job.rows(source), 1_000):
            try:
                events = job.reading.events(row)
            except RowInvalid as error:
                say(f"row {row.number} {error.message}")
                refused = True
                continue
            for event in events[: DRY_RUN_EVENTS - shown_count]:
                print(encode_lines([event]).decode(), end="")
                shown_count += 1
            if shown_count == DRY_RUN_EVENTS:
                break
    return Exit.PARTLY if refused else Exit.OK
