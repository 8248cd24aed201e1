"""Coverage of a build: what the scan adds to the recording, what it leaves out and why, and what stops the build.

The verdicts (ADR 0019):

* An image of a container that is not there, or of which nobody can tell, stops the build: the site could not run it.
* The same of something called image stops it if nobody can tell; if the registry says no, it is listed, and so is what
  Docker Hub refuses: that is how it says no.
* Of a mere word in a text it is listed, unless the registry is one that this build uses and only failed this time.
* ``blocked: NAME # reason`` keeps any of them out, unless a pod of the recording ran it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final, Protocol

from bundler.cluster.usage import Usage, recorded_name
from bundler.coverage.api import Api, Scan, scan
from bundler.coverage.ask import Looks, Said, ask
from bundler.coverage.blocking import as_blocked, pulled
from bundler.coverage.candidates import (
    Candidate,
    Certainty,
    Found,
    gather,
    tags_of,
)
from bundler.coverage.charts import Charts
from bundler.coverage.lists import Lists
from bundler.coverage.runtime_classes import REMEDY, lacking
from bundler.errors import RecordingIncomplete
from installer_stub.bundle.coverage import Answer, Blocked, Coverage, Unresolved
from installer_stub.bundle.reasons import Gone, Listed, Reason, Recorded, Scanned, namespace_of
from installer_stub.kube.owners import Object
from installer_stub.phases.reporter import Reporter
from registry_snapshot.errors import RegistryError, StoreError
from registry_snapshot.oci.descriptor import Descriptor
from registry_snapshot.oci.digest import Digest
from registry_snapshot.oci.reference import DOCKER_HUB, Reference
from registry_snapshot.record.closures import PullFailure
from registry_snapshot.record.snapshot import Snapshot

MAX_WORDS: Final = 500  # words of texts that registries are asked for: more is a document about images, not an application
_BLOCK: Final = "correct the name, or keep it out with a line in images.d/*.txt: blocked: NAME  # reason"
_NOT_ASKED: Final = Said(Answer.UNKNOWN, f"not asked: more than {MAX_WORDS} words look like images", refused=True)
MAX_UNCHOSEN: Final = 200  # images of branches that registries are asked for
_UNCHOSEN: Final = Said(Answer.UNCHOSEN, "list it in images.d/*.txt if a site may choose it, or silence it there: blocked: NAME  # reason")
_SHOWN: Final = 3  # places of one image in a line


class Source(Looks, Protocol):
    """The part of a Recorder that is used."""

    def add(self, reference: Reference, reason: str) -> Descriptor:
        """Record an image that nobody pulled."""

    def keep_tag(self, tag: Reference, digest: Digest, reason: str) -> Descriptor | None:
        """Record that a tag means an image that is recorded by its digest."""

    def finish(self) -> Snapshot:
        """Return what was recorded, whole."""

    def failures(self) -> tuple[PullFailure, ...]:
        """Return pulls that failed."""


@dataclass(frozen=True, slots=True)
class Covered:
    """The result: what is left out, why each image is in, which ones only the scan knows, and what registries said."""

    coverage: Coverage
    reasons: Mapping[Reference, Collection[Reason]]
    added: tuple[Candidate, ...] = ()
    words: Mapping[Reference, str] = field(default_factory=dict)


def cover(
    source: Source,
    api: Api,
    used: Usage,
    lists: Lists,
    *,
    known: Mapping[object, Object],
    strict: bool,
    reporter: Reporter,
    charts: Charts | None = None,
    excused: Collection[tuple[str, str, str]] = (),
) -> Covered:
    """Scan the cluster and record what only the scan knows.

    ``used`` says what pods ran, ``known`` are their owners by uid; ``charts`` are rendered too; ``excused`` are (kind, namespace, name) of
    what may stay unready, runtime classes among them. Raises RecordingIncomplete that names every image, where
    it stands, and what to do; with ``strict`` also for anything that the recording and the lists did not know. Raises
    StoreError, and what ``scan`` raises.
    """
    reporter.step("looking through every object of the cluster for images")
    result = scan(api, known)
    if charts is not None:
        charts.scan(result)
    recorded = {image.reference for image in source.finish().images}
    blocked = {each.reference: each for each in lists.blocked}
    candidates, unreadable = gather(as_blocked(_as_they_ran(result.found, used, recorded), blocked))
    wanted = [each for each in candidates.values() if each.reference not in recorded and each.reference not in blocked]
    answers = _answers(source, wanted)
    present = [each for each in wanted if answers[each.reference] is None]
    absent = [(each, said) for each in wanted if (said := answers[each.reference]) is not None]
    registries = {reference.repository.registry for reference in recorded}
    problems = [f"{each.text!r} is no image reference: {each.place}" for each in unreadable if not _ran(each, used)]
    problems += [f"{name} is blocked in {blocked[name].where}, and the cluster pulled it" for name in pulled(blocked, filter(partial(_ran, used=used), result.found), recorded)]
    problems += [_line(each, said.words) for each, said in absent if _stops(each, said, registries)]
    _stop(problems, "images that the application names cannot be sealed", _remedies(said for each, said in absent if _stops(each, said, registries)))
    branches, _ = gather(as_blocked(result.unchosen, blocked))
    unchosen = _unchosen(source, [each for name, each in branches.items() if name not in recorded and name not in candidates and name not in blocked], result)
    named = {**branches, **candidates}
    _record(source, present, reporter)
    tags = _tags(source, result.found, lists, used)
    covered = Covered(
        Coverage(
            tuple(Unresolved(each.reference, said.answer, tuple(each.places)) for each, said in (*absent, *unchosen)),
            tuple(replace(each, places=tuple(named[each.reference].places)) if each.reference in named else each for each in lists.blocked),
            tuple(result.unread),
            lacking(result.wanted, result.classes, result.handlers, excused),
        ),
        _reasons([*candidates.values(), *tags], used, {*recorded, *(each.reference for each in (*present, *tags))}),
        tuple(sorted(present, key=lambda each: str(each.reference))),
        {each.reference: said.words for each, said in (*absent, *unchosen)},
    )
    _tell(covered, result, reporter)
    if strict:
        _stop(list(surprises(covered)), "--strict: the recording and the lists did not know of", "list what belongs in, in images.d/*.txt; keep out the rest: blocked: NAME  # reason")
    return covered


def surprises(covered: Covered) -> Iterable[str]:
    """Yield a line for everything that neither the recording nor a list knew."""
    for candidate in covered.added:
        yield _line(candidate, "only scanned")
    for each in covered.coverage.unresolved:
        yield _line(Candidate(each.reference, Certainty.TEXT, list(each.places)), f"{each.answer}: {covered.words.get(each.reference, '')}")
    for what in covered.coverage.unread:
        yield f"{what} could not be looked through"
    for runtime in covered.coverage.runtimes:
        yield f"{runtime}; {REMEDY.replace('NAME', runtime.name)}"


def _as_they_ran(found: Iterable[Found], used: Usage, recorded: Collection[Reference]) -> Iterable[Found]:
    """Yield what was found; of a container that ran with another image than its template names, as no more than a word.

    A webhook replaced it: istio's gateways name the image ``auto``.
    """
    for each in found:
        if each.certainty is Certainty.CONTAINER and _ran(each, used) and _reference(each) not in recorded:
            yield replace(each, certainty=Certainty.TEXT)
        else:
            yield each


def _ran(found: Found, used: Usage) -> bool:
    wanted = Recorded(found.place.object, found.container)
    return any(wanted in reasons for reasons in used.reasons.values())


def _reference(found: Found) -> Reference | None:
    try:
        return recorded_name(found.text)
    except RegistryError:
        return None


def _unchosen(source: Looks, candidates: Sequence[Candidate], result: Scan) -> list[tuple[Candidate, Said]]:
    """Return what only branches of charts name that no value chose, and what to say: it is there, or nobody can tell."""
    for each in candidates[MAX_UNCHOSEN:]:
        result.unread[f"{each.reference} of {each.places[0].object}"] = f"not asked: more than {MAX_UNCHOSEN} images in branches of charts that no value chose"
    some = candidates[:MAX_UNCHOSEN]
    answers = ask(source, [each.reference for each in some])
    found = [(each, answers[each.reference] or _UNCHOSEN) for each in some]
    # Docker Hub refuses what it does not have; what is nowhere, and has no use anywhere, is an example.
    return [(each, said) for each, said in found if said is _UNCHOSEN or (said.answer is Answer.UNKNOWN and not (said.refused and each.reference.repository.registry == DOCKER_HUB))]


def _answers(source: Looks, wanted: Iterable[Candidate]) -> Mapping[Reference, Said | None]:
    """Ask for the surest first; what is too much is not asked for."""
    order = sorted(wanted, key=lambda each: (-each.certainty, str(each.reference)))
    sure = [each.reference for each in order if each.certainty is Certainty.CONTAINER]
    others = [each.reference for each in order if each.certainty is not Certainty.CONTAINER]
    return {**dict.fromkeys(others[MAX_WORDS:], _NOT_ASKED), **ask(source, [*sure, *others[:MAX_WORDS]])}


def _stops(candidate: Candidate, said: Said, registries: Collection[str]) -> bool:
    if candidate.certainty is Certainty.CONTAINER:
        return True
    if said.answer is not Answer.UNKNOWN:
        return False
    registry = candidate.reference.repository.registry
    if said.refused:  # Docker Hub says 401, too, of what it does not have
        return candidate.certainty is Certainty.NAMED and registry != DOCKER_HUB and said is not _NOT_ASKED
    return candidate.certainty is Certainty.NAMED or registry in registries


def _record(source: Source, present: Iterable[Candidate], reporter: Reporter) -> None:
    """Record what only the scan knows, and wait until it is whole. Raises RecordingIncomplete, StoreError."""
    names = {each.reference: each for each in present}
    for each in names.values():
        where = str(each.places[0])
        reporter.step(f"adding {each.reference}: only scanned, {where}")
        try:
            source.add(each.reference, where)
        except StoreError:
            raise
        except RegistryError:
            continue  # among the failures
    try:
        source.finish()
    except StoreError:
        raise
    except RegistryError as error:
        failed = [failure for failure in source.failures() if failure.reference in names]
        _stop([_line(names[failure.reference], failure.error.problem) for failure in failed], "images that the scan found could not be fetched", error.remedy or _BLOCK)
        raise


def _tags(source: Source, found: Iterable[Found], lists: Lists, used: Usage) -> list[Candidate]:
    """Keep the tags that stand beside digests, and return them with the places that say so; ``used`` learns of lists'. Raises StoreError."""
    blocked, kept = {each.reference for each in lists.blocked}, []
    for tag, candidate in tags_of(found, lists.listed).items():
        digest = candidate.reference.digest
        if digest is None or blocked & {tag, candidate.reference} or source.keep_tag(tag, digest, f"named beside {digest}") is None:
            continue
        kept.append(Candidate(tag, candidate.certainty, candidate.places))
        for where, reference in lists.listed:
            if (reference.repository, reference.tag, reference.digest) == (tag.repository, tag.tag, digest):
                used.reasons.setdefault(tag, set()).add(Listed(where))
    return kept


def _reasons(candidates: Iterable[Candidate], used: Usage, sealed: Collection[Reference]) -> dict[Reference, set[Reason]]:
    """Return why each image is in; where its own pod ran it, that its template names it says nothing new."""
    reasons: dict[Reference, set[Reason]] = {reference: set(why) for reference, why in used.reasons.items()}
    for each in candidates:
        if each.reference in sealed:
            why = _by_template(reasons.get(each.reference, set()), each)
            reasons[each.reference] = why
            owners = {reason.owner for reason in why if isinstance(reason, Recorded)}
            why.update(place for place in each.places if place.object not in owners)
    return {reference: _without_chance(why) for reference, why in reasons.items()}


def _by_template(why: Collection[Reason], candidate: Candidate) -> set[Reason]:
    """Return the reasons without runs of CronJobs whose template names the image: whether one ran is the hour's chance."""
    named = {place.object for place in candidate.places if place.object.startswith("CronJob ")}
    return {reason for reason in why if not isinstance(reason, Recorded) or reason.owner not in named}


def _without_chance(why: Collection[Reason]) -> set[Reason]:
    """Return the reasons without pods that are gone, if what is there of the same namespace says enough.

    Which pod had gone when the recording ended, and left an event, is another one in the next build.
    """
    there = {namespace_of(reason.owner if isinstance(reason, Recorded) else reason.object) for reason in why if isinstance(reason, (Recorded, Scanned))}
    return {reason for reason in why if not isinstance(reason, Gone) or reason.namespace not in there}


def _tell(covered: Covered, result: Scan, reporter: Reporter) -> None:
    """Say once what is not in, and what was not looked at."""
    for each in covered.coverage.unresolved:
        line = _line(Candidate(each.reference, Certainty.TEXT, list(each.places)), covered.words[each.reference])
        what = "not in, only a branch of a chart that no value chose names it" if each.answer is Answer.UNCHOSEN else f"looks like an image and is none that can be sealed ({each.answer})"
        reporter.step(f"{what}: {line}")
    for blocked in covered.coverage.blocked:
        reporter.step(f"kept out: {_blocked(blocked)}")
    for what, why in result.unread.items():
        reporter.step(f"not looked through: {what}: {why}")
    for runtime in covered.coverage.runtimes:
        reporter.step(f"cannot run on the hosts of this build: {runtime}; {REMEDY.replace('NAME', runtime.name)}")


def _blocked(blocked: Blocked) -> str:
    named = "" if blocked.places else "; nothing names it"
    return f"{blocked.reference} ({blocked.where}: {blocked.reason}){named}"


def _line(candidate: Candidate, words: str) -> str:
    places = [str(place) for place in candidate.places]
    more = f" and at {len(places) - _SHOWN} other places" if len(places) > _SHOWN else ""
    return f"{candidate.reference}: {words}; named by {'; '.join(places[:_SHOWN])}{more}"


def _remedies(answers: Iterable[Said]) -> str:
    return "; ".join(dict.fromkeys([*(said.remedy for said in answers if said.remedy), _BLOCK]))


def _stop(problems: Collection[str], what: str, remedy: str) -> None:
    if problems:
        lines = "\n".join(f"  - {problem}" for problem in sorted(problems))
        raise RecordingIncomplete(f"{what}:\n{lines}", remedy)
