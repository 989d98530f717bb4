"""The house: from settings to an open ledger, the flows over it and the application in front; it knows every room.

A house is opened once a process and closed once. On SQLite only one process may have it open: a lock file says so.
"""

import os
import shutil
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import Self

from tallybook.core.clock import Clock, FrozenClock
from tallybook.core.errors import Unavailable
from tallybook.flows.access import Access
from tallybook.flows.admit import Limits
from tallybook.flows.backtest import Backtests
from tallybook.flows.billing import Billing, Suspensions
from tallybook.flows.exceptions import Exceptions
from tallybook.flows.fill import Fill
from tallybook.flows.ingest import CommitSeen, Ingest
from tallybook.flows.inventory import Inventory
from tallybook.flows.keep import PlanFile, open_books
from tallybook.flows.lease import LeaseEnds, Leases
from tallybook.flows.measure import Measure
from tallybook.flows.metering import Metering
from tallybook.flows.once import Once
from tallybook.flows.subscribe import Accounts
from tallybook.flows.sweep import Job, Sweeper
from tallybook.house.alerts import Alerts
from tallybook.house.costs import open_costs, open_invoices
from tallybook.house.dashboard import open_dashboard, open_sessions, open_stories
from tallybook.house.directory import lock_directory, note_ledger, prepare_directory
from tallybook.house.start import check_hosts, clock_of, own_text, packaged_text
from tallybook.house.vitals import Health
from tallybook.house.webhooks import Webhooks
from tallybook.ledger.accounts import LedgerAccounts
from tallybook.ledger.arrears import LedgerArrears
from tallybook.ledger.commit import Committer
from tallybook.ledger.fills import Fills
from tallybook.ledger.holds import LedgerHolds
from tallybook.ledger.info import check_reachable, shared_secret
from tallybook.ledger.keys import LedgerKeys
from tallybook.ledger.migrate import HEAD, migrate
from tallybook.ledger.open import Ledger, sqlite_url
from tallybook.ledger.own_limits import LedgerOwnLimits
from tallybook.ledger.plans import LedgerPlans
from tallybook.ledger.prune import Prune
from tallybook.ledger.resources import LedgerResources
from tallybook.ledger.schemes import Schemes
from tallybook.ledger.usage import Usage
from tallybook.readers.crew import Readers
from tallybook.settings import Settings
from tallybook.web.app import App
from tallybook.web.dialects import DIALECTS
from tallybook.web.endpoint import Surface
from tallybook.web.log import Log, make_log
from tallybook.web.native.surface import native_surface
from tallybook.web.observe import Observer
from tallybook.web.published import with_documents
from tallybook.web.rooms import Rooms, WebSettings
from tallybook.web.server import Server, ServerSettings

LANES = 1
"""Lanes of group commit; one, as SQLite has one writer and PostgreSQL gains little before there are many cores."""

PRUNE_EVERY = 60
"""Sweeps between two rounds of housekeeping."""


class House:
    """An open house: the flows that web and command line call.

    Attributes:
        app: The ASGI application.
        fill: Fills new meters from earlier events; `serve` starts it.
        sweeper: Does what happens by itself, such as ending leases; `serve` starts it.
    """

    def __init__(self, settings: Settings, clock: Clock, log: Log, *, exclusive: bool = True) -> None:
        self.settings = settings
        self._exclusive = exclusive
        self.clock = clock
        self.draining = False
        self._closing = ExitStack()
        try:
            self._open(log)
        except BaseException:
            self._closing.close()
            raise

    @classmethod
    def open(
        cls, settings: Settings, clock: Clock | None = None, *, log: Log | None = None, exclusive: bool = True
    ) -> Self:
        """Open the house that *settings* describe, making what is missing.

        Args:
            settings: See docs/settings.md.
            clock: Instead of the one the settings ask for.
            log: Instead of one to standard error.
            exclusive: Take the lock that keeps a second server away; a command that only asks, or changes a key,
                does without it and works beside a running server.

        Raises:
            StartRefused: If the ledger is in use, of a newer release, or the settings do not fit together.
            Unavailable: If the ledger cannot be reached.
        """
        return cls(settings, clock or clock_of(settings), log or make_log(settings.log_format), exclusive=exclusive)

    def _open(self, log: Log) -> None:
        settings = self.settings
        self.observer = Observer(log)
        self.ledger = self._open_ledger()
        self.health = Health(self.ledger, self.clock, self.observer)
        plans = self._open_books()
        own_limits = LedgerOwnLimits(self.ledger)
        self.accounts = Accounts(
            LedgerAccounts(self.ledger),
            plans,
            own_limits,
            schemes=self.metering,
            clock=self.clock,
            changes=self.ledger.changes,
        )
        self.exceptions = Exceptions(self.accounts, own_limits)
        usage = Usage(self.ledger)
        self.measure = Measure(usage, self.metering, self.accounts)
        self.costs = open_costs(settings, usage, self.measure, self.accounts, self.metering)
        self.invoices, self._invoice_jobs = open_invoices(settings, self.ledger, self.accounts, self.costs, self.clock)
        self.access = Access(LedgerKeys(self.ledger), self.clock)
        self.sessions, self._ended_sessions = open_sessions(settings, self.ledger, self.access, self.clock)
        self.stories, self._note_jobs = open_stories(self.ledger, self.metering, self.accounts, self.clock)
        self.alerts = Alerts(self.ledger, self.measure, self.accounts, self.costs, self.clock)
        self._open_ingest()
        self.webhooks = Webhooks(self.ledger, settings, self.clock, self.observer)
        self._closing.callback(self.webhooks.close)
        self._open_admission(usage)
        self.fill = Fill(Fills(self.ledger, series_an_hour_max=settings.series_an_hour_max), self.metering)
        self.metering.on_added = self.fill.catch_up
        self._closing.callback(self.fill.close)
        self.app = self._build_app()
        self._closing.callback(self.app.close)

    def _open_ingest(self) -> None:
        settings = self.settings
        writers = [
            Committer(
                self.ledger,
                lane,
                series_an_hour_max=settings.series_an_hour_max,
                accounts_auto_create=settings.accounts_auto_create,
                watcher=self.alerts.watch,
            )
            for lane in range(LANES)
        ]
        self.readers = Readers(settings.reader_processes)
        self.ingest = Ingest(
            writers,
            self.metering,
            self.clock,
            queue_events_max=settings.ingest_queue_events_max,
            queue_bytes_max=settings.ingest_queue_bytes_max,
            seen=self._commit_seen,
            readers=self.readers,
        )
        self._closing.callback(self.ingest.close)
        self._closing.callback(self.readers.close)

    def _open_books(self) -> LedgerPlans:
        """Bring the ledger up to date, put plans and meters in force, and return where plans are kept."""
        settings = self.settings
        plans = LedgerPlans(self.ledger)
        own_plans, plans_name = own_text(settings.plans_file)
        self.opened = open_books(
            lambda: migrate(self.ledger, lambda found: self.observer.log.info("upgrading", revision=found, to=HEAD)),
            plans,
            packaged_text("plans.toml"),
            self.clock,
            own=None if own_plans is None else PlanFile(own_plans, plans_name),
        )
        if not settings.ledger_url:
            note_ledger(settings.data_dir)
        own, own_name = own_text(settings.catalogue_file)
        self.metering = Metering(
            Schemes(self.ledger, lanes_count=LANES),
            self.clock,
            builtin=packaged_text("catalogue.toml"),
            own=own,
            own_name=own_name,
        )
        return plans

    def _open_ledger(self) -> Ledger:
        settings = self.settings
        url = settings.ledger_url
        if not url:
            prepare_directory(settings.data_dir)
            url = sqlite_url(settings.data_dir)
            if self._exclusive:
                self._closing.callback(os.close, lock_directory(settings.data_dir))
        ledger = Ledger(url)
        self._closing.callback(ledger.close)
        return ledger

    def _open_admission(self, usage: Usage) -> None:
        holds = LedgerHolds(self.ledger)
        changes, figures = self.ledger.changes, self.ledger.figures
        self.limits = Limits(self.measure, usage, self.accounts, holds, self.ingest, changes=changes, figures=figures)
        self.leases = Leases(self.accounts, holds, self.ingest)
        self.inventory = Inventory(LedgerResources(self.ledger), self.ingest, self.limits, self.clock)
        self.billing = Billing(self.ingest)
        ends = LeaseEnds(self.leases, self.accounts, holds, self.clock)
        suspensions = Suspensions(self.billing, self.accounts, LedgerArrears(self.ledger), self.clock)
        prune = Prune(self.ledger, self.clock)
        self.sweeper = Sweeper(
            [
                Job("leases", ends.step),
                Job("suspensions", suspensions.step),
                Job("prune", prune.step, every=PRUNE_EVERY),
                self._ended_sessions,
                *self._note_jobs,
                *self._invoice_jobs,
                *self.webhooks.jobs,
                *self.alerts.jobs(self.ingest),
            ],
            self.clock,
        )
        self._closing.callback(self.sweeper.close)

    def _build_app(self) -> App:
        settings = self.settings
        native = native_surface(
            self.observer,
            metrics_public=settings.metrics_public,
            test_clock=isinstance(self.clock, FrozenClock),
        )
        surfaces = [with_documents(_limited(surface, settings)) for surface in (native, *DIALECTS)]
        surfaces.append(open_dashboard(settings))
        check_hosts(settings, {surface.name for surface in DIALECTS})
        self.observer.gauge(
            "tallybook_ingest_queue_events", "Events waiting for their commit.", lambda: self.ingest.queued
        )
        self.observer.gauge(
            "tallybook_reader_processes", "Processes that read large batches.", lambda: self.readers.alive
        )
        self.observer.gauge("tallybook_ledger_bytes", "Size of the ledger.", self.health.ledger_bytes)
        web = WebSettings(
            body_bytes_max=settings.body_bytes_max,
            handler_threads_max=settings.handler_threads_max,
            quick_threads=1 if self.ledger.is_sqlite else settings.handler_threads_max,
            requests_max=settings.requests_max,
            metrics_public=settings.metrics_public,
            dialect_hosts=settings.dialect_hosts,
        )
        return App(surfaces, self.rooms(), self.observer, web)

    def rooms(self) -> Rooms:
        """Return the flows as the web room is given them."""
        return Rooms(
            clock=self.clock,
            ingest=self.ingest,
            measure=self.measure,
            costs=self.costs,
            invoices=self.invoices,
            backtests=Backtests(self.accounts, self.costs),
            access=self.access,
            sessions=self.sessions,
            stories=self.stories,
            accounts=self.accounts,
            limits=self.limits,
            once=Once(self.ingest),
            leases=self.leases,
            exceptions=self.exceptions,
            billing=self.billing,
            alerting=self.alerts.alerting,
            channels=self.webhooks.channels,
            endpoints=self.webhooks.endpoints,
            redeliveries=self.webhooks.redeliveries,
            inventory=self.inventory,
            metering=self.metering,
            cursor_secret=shared_secret(self.ledger, "cursor_secret"),
            not_ready=self.not_ready,
            receipt_seen=self.health.receipt_seen,
            vitals=self.health.reader(self.ingest, self.webhooks, self.sweeper, self.not_ready),
        )

    def serve(self) -> None:
        """Answer requests until SIGTERM or SIGINT, then let running ones finish.

        Raises:
            StartRefused: If the address cannot be listened on.
        """
        settings = self.settings
        self.readers.start()
        self.fill.start()
        self.sweeper.start()
        self.webhooks.start()
        server = ServerSettings(
            host=settings.host,
            port=settings.port,
            connections_max=settings.connections_max,
            drain_notice_s=settings.drain_notice_s,
            drain_timeout_s=settings.drain_timeout_s,
        )
        Server(self.app, server, self.observer.log, draining=self._drain).run()

    def close(self) -> None:
        """Commit what is queued, stop the threads, close the ledger, give up the lock."""
        self._closing.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # --- what is told to operators ---------------------------------------------------------------------------------

    def not_ready(self) -> Sequence[str]:
        """Return why no traffic should come just now."""
        reasons = []
        if self.draining:
            reasons.append("the server is shutting down")
        try:
            check_reachable(self.ledger)
        except Unavailable as error:
            reasons.append(error.message)
        if not self.settings.ledger_url:
            free_bytes = shutil.disk_usage(self.settings.data_dir).free
            if free_bytes < self.settings.disk_free_bytes_min:
                reasons.append("the disk is almost full")
        return reasons

    def _drain(self) -> None:
        self.draining = True
        self.webhooks.deliverer.stop()

    def _commit_seen(self, seen: CommitSeen) -> None:
        self.observer.commit(seen.took_s, seen.events)


def _limited(surface: Surface, settings: Settings) -> Surface:
    if surface.requests_per_minute_max is None:
        return surface
    return replace(surface, requests_per_minute_max=settings.rate_limit_per_minute)
