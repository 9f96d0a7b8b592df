"""The reloader: what a server loaded together serves together, until a reload replaces it.

A reload that finds an error changes nothing and says why. A successful one keeps every session that is still valid.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Final

from telnetsd.administration.authority.authorities import AskPassphrase
from telnetsd.administration.enrolment.upkeep import keep_up
from telnetsd.administration.installation.change import recover
from telnetsd.administration.installation.generation import Generation, load_generation, load_home_trust
from telnetsd.administration.watch import FileStamps, own_crl_files, sign, sign_files
from telnetsd.audit.log import AuditUnavailableError
from telnetsd.audit.trail import Trail
from telnetsd.config.key import fixed_values
from telnetsd.config.settings import Settings
from telnetsd.daemon.systemd import ServiceManager
from telnetsd.daemon.workers.process import make_context
from telnetsd.errors import OperatorError
from telnetsd.events.of_changes import CrlRejected
from telnetsd.events.of_the_server import ReloadFailed, ServerReloaded
from telnetsd.events.reason import ReloadReason
from telnetsd.files.home import Home, require_only_ours
from telnetsd.pki.authority import utc_now
from telnetsd.pki.crl import CrlFinding

RETRY_S: Final = 5.0
"""How long after a failed reload the server checks for changed files again."""

logger = logging.getLogger(__name__)

Adopt = Callable[[Generation, ReloadReason], Awaitable[None]]
"""Makes the serving processes continue with another generation."""


class Reloader:
    """The generation that serves now, and how to get the next one.

    Args:
        home: The installation.
        generation: The first generation.
        trail: Bound to nothing.
        ask: Asks for the passphrase of the CA's key.
        adopt: Called with each new generation.
        manager: Notified while a reload is in progress.
    """

    def __init__(
        self,
        home: Home,
        generation: Generation,
        trail: Trail,
        *,
        ask: AskPassphrase,
        adopt: Adopt,
        manager: ServiceManager,
    ) -> None:
        self._home = home
        self._generation = generation
        self._begun_with = generation.settings
        self._trail = trail
        self._ask = ask
        self._adopt = adopt
        self._manager = manager
        self._own_crls = own_crl_files(home)
        self._own_signature = sign(sorted(self._own_crls))
        self._files: FileStamps = sign_files(home, self._own_crls)
        self._changing_files: FileStamps = self._files
        self._is_loading = asyncio.Lock()
        self._told_crls: set[CrlFinding] = set()
        self._told_upkeep = ""
        self._told_waiting = ""
        self._reloading: set[asyncio.Task[None]] = set()
        self._retry_at = 0.0

    @property
    def generation(self) -> Generation:
        """The generation that serves."""
        return self._generation

    async def reload(self, reason: ReloadReason, by: str) -> str:
        """Load everything again.

        Args:
            reason: Why.
            by: Who requested it, for the log.
        Returns: One line that says what serves now.
        Raises:
            OperatorError: Something is wrong; nothing has changed.
        """
        async with self._is_loading:
            self._manager.reloading()
            status = "a reload failed: internal error"
            try:
                status = said = await self._take_over(reason, by)
            except OperatorError as error:
                status = f"nothing was reloaded: {error}"
                raise
            finally:
                self._manager.ready(status)
        await self.tell_of_crls()
        return said

    async def _take_over(self, reason: ReloadReason, by: str) -> str:
        files = sign_files(self._home, self._own_crls)
        try:
            generation, own_crls = await asyncio.to_thread(self._load)
        except OperatorError as error:
            # Until the files change again, another attempt would fail in the same way.
            self._files = files
            message = f"nothing was reloaded: {error}"
            await self._trail.record(ReloadFailed(message=message, operator=by))
            raise
        said = _describe(generation)
        waiting = _waiting_for_restart(self._begun_with, generation.settings)
        if waiting:
            said += f"; {waiting}"
        message = f"the server reloaded: {said}"
        await self._trail.record(ServerReloaded(reason=reason, message=message, operator=by))
        self._generation = generation
        await self._adopt(generation, reason)
        self._own_crls = own_crls
        self._files = tuple(one for one in files if Path(one[0]) not in own_crls)
        if waiting and waiting != self._told_waiting:
            logger.warning("%s", waiting)
        self._told_waiting = waiting
        return said

    def tick(self) -> None:
        """Check the files; loading runs in the background."""
        files = sign_files(self._home, self._own_crls)
        # Wait for one interval without a change: writing several files, or a long one, takes time.
        is_quiet, self._changing_files = files == self._changing_files, files
        is_free = not self._is_loading.locked() and time.monotonic() >= self._retry_at
        if files != self._files and is_quiet and is_free:
            self.reload_in_background(ReloadReason.FILES_CHANGED, "a change of files")

    def reload_in_background(self, reason: ReloadReason, by: str) -> None:
        """Reload without keeping the caller waiting; report an error on the operator's terminal."""
        reloading = asyncio.get_running_loop().create_task(self._reload_and_warn(reason, by))
        self._reloading.add(reloading)
        reloading.add_done_callback(self._reloading.discard)

    async def finish(self) -> None:
        """Wait for every reload that has begun."""
        await asyncio.gather(*self._reloading)

    async def _reload_and_warn(self, reason: ReloadReason, by: str) -> None:
        try:
            await self.reload(reason, by)
        except AuditUnavailableError as error:
            logger.warning("not reloaded yet: %s", error)
        except OperatorError as error:
            logger.warning("nothing was reloaded: %s", error)
        except Exception:
            logger.exception("a reload failed: internal error; it is retried")
        else:
            return
        self._retry_at = time.monotonic() + RETRY_S

    async def tell_of_crls(self) -> None:
        """Record each CRL that is not, or is no longer, the current CRL of its CA; once."""
        trust = self._generation.trust
        problems = set(trust.crls.find_problems(trust.authorities, utc_now()))
        news = sorted(problems - self._told_crls, key=lambda one: one.source)
        try:
            for problem in news:
                await self._trail.record(CrlRejected(reason=problem.problem, message=problem.message))
                logger.warning("%s", problem.message)
        except AuditUnavailableError as error:
            logger.warning("%s", error)
            return
        self._told_crls = problems

    async def keep_up(self) -> None:
        """Sign CRLs before they are late, and forget requests that have expired."""
        try:
            await asyncio.to_thread(keep_up, self._home, self._ask)
            self._told_upkeep = ""
        except OperatorError as error:
            if str(error) != self._told_upkeep:
                self._told_upkeep = str(error)
                logger.warning("our CRL was not signed again: %s; run: telnetsd ca crl", error)
        except Exception:
            logger.exception("maintenance failed: internal error; it is retried")
        await self._take_own_crls()
        await self.tell_of_crls()

    async def _take_own_crls(self) -> None:
        """Read our own CRLs again, which each revocation re-signs, so that reports about them are current."""
        signature = sign(sorted(self._own_crls))
        if signature == self._own_signature:
            return
        async with self._is_loading:
            try:
                trust = await asyncio.to_thread(load_home_trust, self._home, self._generation.trust.crls)
            except OperatorError as error:
                logger.warning("our own CRLs were not read again: %s", error)
                return
            self._own_signature = signature
            known = replace(self._generation.trust, crls=trust.crls)
            self._generation = replace(self._generation, trust=known)

    def _load(self) -> tuple[Generation, frozenset[Path]]:
        require_only_ours(self._home)
        recover(self._home)
        generation = load_generation(self._home, self._generation.trust.crls)
        make_context(generation)  # what OpenSSL rejects is an error before anything has changed
        return generation, own_crl_files(self._home)


def _waiting_for_restart(begun_with: Settings, now: Settings) -> str:
    """Return which changes since the server started need a restart; empty if there are none."""
    before = dict(fixed_values(begun_with))
    after = dict(fixed_values(now))
    waiting = [name for name in dict.fromkeys((*before, *after)) if before.get(name) != after.get(name)]
    return f"a change of {' and '.join(waiting)} takes effect at the next restart" if waiting else ""


def _describe(generation: Generation) -> str:
    anchors, crls = len(generation.trust.anchors), len(generation.trust.crls.lists)
    entries, until = len(generation.policy.entries), generation.server_chain[0].not_valid_after_utc
    return (
        f"{anchors} trust anchor{'' if anchors == 1 else 's'}, {crls} CRL{'' if crls == 1 else 's'},"
        f" {entries} cert-to-name entr{'y' if entries == 1 else 'ies'}, server certificate until {until:%Y-%m-%d}"
    )
