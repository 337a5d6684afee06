"""Scenarios about freshness statements, about a clock that is behind, and about what is remembered."""

import trust_verify as verify
from trust_parts import *  # noqa: F403

GOOD = compact(statement())
AFTER = "2026-06-02T00:00:01Z"  # one second after `UNTIL`


def fresh_scenarios():
    """Yields (name, expected class, what it shows, inputs)."""
    yield from time_scenarios()
    yield from signer_scenarios()
    yield from content_scenarios()
    yield from not_required_scenarios()
    yield from boot_scenarios()
    yield from behind_scenarios()
    yield from memory_scenarios()


def needing(tolerance=0, role_name="timestamp", **more):
    """A root that wants the stream's seals to be fresh."""
    keys, timestamp, expires = more.pop("more", ()), more.pop("timestamp", None), more.pop("expires", EXPIRES)
    signed = signed_root(
        extension=rules((STREAM, rule(freshness=(role_name, tolerance))), **more), more=keys, expires=expires
    )
    if timestamp is not None:
        signed["roles"]["timestamp"] = timestamp
    return root_file(signed)


def dated(name, expect, why, data=None, **inputs):
    """A scenario in which freshness is needed."""
    if data is not None:
        inputs["freshness"] = data
    inputs.setdefault("root", needing())
    return seal(f"fresh-{name}", expect, why, **inputs)


def at(time):
    return dict(clock={"trusted": time})


def known(fresh_until, sequence=7, **more):
    return dict(state=state(streams=floor(sequence, fresh_until=fresh_until), **more))


def time_scenarios():
    yield dated("current", "accept", "The statement speaks of today.", fresh())
    yield dated("at-its-last-second", "accept", "`until` is the last second.", fresh(), **at(UNTIL))
    yield dated("one-second-over", "stale", "One second later, without tolerance.", fresh(), **at(AFTER))
    hour = dict(root=needing(3600))
    yield dated("within-tolerance", "accept", "One second later, with tolerance.", fresh(), **at(AFTER), **hour)
    yield dated("at-the-last-second-of-the-tolerance", "accept", "An hour later.", fresh(), **at("2026-06-02T01:00:00Z"), **hour)
    yield dated("over-the-tolerance", "stale", "An hour and a second later.", fresh(), **at("2026-06-02T01:00:01Z"), **hour)
    yield dated("missing", "freshness_missing", "There is no statement.")
    yield dated("missing-with-tolerance", "freshness_missing", "Tolerance is for a statement that has ended.", **hour)
    yield dated("remembered", "accept", "An earlier statement still speaks of today.", **known(UNTIL))
    yield dated("remembered-at-its-last-second", "accept", "As for a statement that is given.", **known(UNTIL), **at(UNTIL))
    yield dated("remembered-and-over", "stale", "As for a statement that is given.", **known(UNTIL), **at(AFTER))
    yield dated("remembered-within-tolerance", "accept", "As for a statement that is given.", **known(UNTIL), **at(AFTER), **hour)
    yield dated("remembered-of-a-lower-sequence", "accept", "It was remembered with sequence 6.", **known(UNTIL, 6))
    elsewhere = {"acme/os/x86_64/testing": {"sequence": 7, "freshUntil": UNTIL}}
    yield dated("remembered-of-another-stream", "freshness_missing", "Each stream has its own.", state=state(streams=elsewhere))
    yield dated("remembered-is-later", "accept", "The later one counts: the one that is remembered.",
        fresh(created=CREATED, until="2026-05-02T00:00:00Z"), **known(UNTIL))  # fmt: skip
    yield dated("given-is-later", "accept", "The later one counts: the one that is given.", fresh(), **known("2026-05-02T00:00:00Z"))
    yield dated("both-over", "stale", "Neither speaks of today.",
        fresh(created=CREATED, until="2026-05-02T00:00:00Z"), **known("2026-05-31T23:59:59Z"))  # fmt: skip
    yield dated("from-the-future-by-300-seconds", "accept", "Clocks may differ by five minutes.", fresh(created="2026-06-01T00:05:00Z"))
    yield dated("from-the-future-by-301-seconds", "freshness_from_future", "By a second more.", fresh(created="2026-06-01T00:05:01Z"))
    last = dict(expires="9999-12-31T23:59:59Z")
    end = fresh(created="9999-12-31T23:59:59Z", until="9999-12-31T23:59:59Z")
    yield dated("at-the-end-of-time", "accept", "Five minutes later there is no year.", end,
        root=needing(315360000, **last), **at("9999-12-31T23:58:00Z"))  # fmt: skip


def signer_scenarios():
    yield dated("by-release-key-only", "freshness_threshold", "Who releases does not say what is current.", fresh(REL1))
    yield dated("by-root-keys", "freshness_threshold", "Neither do root keys.", fresh(ROOT1, ROOT2))
    yield dated("by-foreign-key", "freshness_threshold", "A key that the root does not have.", fresh(FOREIGN))
    yield dated("unsigned", "freshness_threshold", "Nobody signed.", envelope(compact(fresh_statement()), signatures=[]))
    replaced = needing(timestamp=role(1, ONLINE2), more=[ONLINE2])
    yield dated("by-revoked-online-key", "freshness_threshold", "The online key was replaced; it is in `snapshot` only.", fresh(), root=replaced)
    yield dated("by-the-key-that-replaced-it", "accept", "The new online key.", fresh(ONLINE2), root=replaced)
    two = needing(timestamp=role(2, ONLINE, ONLINE2), more=[ONLINE2])
    yield dated("by-one-of-two", "freshness_threshold", "Two online keys must sign.", fresh(), root=two)
    yield dated("by-two-of-two", "accept", "Two online keys signed.", fresh(ONLINE, ONLINE2), root=two)
    yield dated("by-one-key-twice", "freshness_threshold", "Keys are counted.", fresh(ONLINE, ONLINE), root=two)
    other = needing(role_name="heartbeat", roles={"heartbeat": role(1, ONLINE2)}, more=[ONLINE2])
    yield dated("by-the-role-of-the-rule", "accept", "The rule names another role than `timestamp`.", fresh(ONLINE2), root=other)
    yield dated("by-timestamp-instead", "freshness_threshold", "The rule names another role than `timestamp`.", fresh(), root=other)
    post_quantum = needing(timestamp=role(1, PQ1), more=[PQ1])
    yield dated("by-ml-dsa-key", "accept", "An online key of ML-DSA-65.", fresh(PQ1), root=post_quantum)
    edited = envelope(compact(fresh_statement(until="2026-06-03T00:00:00Z")), signatures=[entry(compact(fresh_statement()), ONLINE)])
    yield dated("edited", "freshness_threshold", "`until` was changed after it was signed.", edited)


def content_scenarios():
    def said(name, expect, why, **changes):
        return dated(name, expect, why, fresh(**changes))

    def with_predicate(**changes):
        predicate = {"sequence": 7, "created": NOW, "until": UNTIL, **changes}
        return {"predicate": {name: value for name, value in predicate.items() if value is not None}}

    def with_digest(**changes):
        return {"subject": [{"name": STREAM, "digest": changes}]}

    # What it points at
    yield said("of-an-older-sequence", "accept", "Sequence 6 was current then; this seal is newer.", sequence=6, seal=b"six")
    yield said("of-a-newer-sequence", "not_current", "Sequence 8 is current.", sequence=8)
    yield said("of-another-payload", "not_current", "Another seal of this sequence is current.", seal=b"other")
    yield said("of-another-stream", "other_stream", "It speaks of the testing channel.", stream="acme/os/x86_64/testing")

    # Its times
    longest = {"created": "2026-05-01T12:00:00Z", "until": "2026-06-01T12:00:00Z"}
    yield said("of-31-days", "accept", "The longest that there is.", **longest)
    yield said("of-31-days-and-a-second", "until_out_of_range", "One second more.", **{**longest, "until": "2026-06-01T12:00:01Z"})
    yield said("until-before-created", "until_out_of_range", "It ends before it starts.", until="2026-05-31T23:59:59Z")
    yield said("of-one-second", "accept", "It ends when it starts.", until=NOW)
    yield said("created-malformed", "time_malformed", "An offset.", created="2026-06-01T00:00:00+00:00")
    yield said("until-malformed", "time_malformed", "A day that does not exist.", until="2026-06-31T00:00:00Z")

    # Its form
    yield dated("malformed", "json_syntax", "No JSON.", b"current")
    yield dated("empty", "json_syntax", "No bytes.", b"")
    yield dated("not-utf-8", "json_not_utf8", "A byte that UTF-8 does not have.", fresh().replace(b"payloadType", b"payload\xffype"))
    yield dated("of-another-payload-type", "payload_type", "Some other DSSE envelope.",
        envelope(compact(fresh_statement()), ONLINE, payloadType="text/plain"))  # fmt: skip
    yield dated("with-unknown-envelope-fields", "accept", "DSSE: unknown fields outside the payload are ignored.",
        envelope(compact(fresh_statement()), ONLINE, extra=1))  # fmt: skip
    yield dated("payload-not-json", "json_syntax", "The payload is text.", envelope(b"current", ONLINE))
    yield dated("payload-oversize", "field_length", "A payload one byte over 64 KiB.",
        envelope(compact(fresh_statement()).ljust(verify.MAX_PAYLOAD + 1), ONLINE))  # fmt: skip
    twice = compact(fresh_statement()).replace(b'"until":', b'"until":"2027-01-01T00:00:00Z","until":')
    yield dated("duplicate-key", "json_duplicate_key", "Two ends.", envelope(twice, ONLINE))
    yield said("statement-v0.1", "statement_type", "in-toto's older statement.", _type="https://in-toto.io/Statement/v0.1")
    yield said("unknown-statement-field", "field_unknown", "A fifth field.", comment="x")
    yield said("unknown-predicate-field", "field_unknown", "A field that a newer version may define.", **with_predicate(extra=1))
    subject_now = fresh_statement()["subject"]
    yield said("without-subject", "subject_count", "It speaks of nothing.", subject=[])
    yield said("of-two-subjects", "subject_count", "It speaks of two seals.", subject=subject_now * 2)
    yield said("unknown-subject-field", "field_unknown", "A subject has a name and a digest.", subject=[{**subject_now[0], "uri": "x"}])
    yield said("stream-malformed", "stream_name", "A name that would leave its directory.", stream="acme/../etc")
    yield said("without-digest", "field_missing", "No digest.", **with_digest())
    yield said("digest-malformed", "digest_malformed", "Capitals.", **with_digest(sha256="AB" * 32))
    yield said("with-another-digest", "digest_unknown", "A file digest: it points at a seal, not at an image.",
        **with_digest(**subject_now[0]["digest"], **{SHA256: "ab" * 32}))  # fmt: skip
    yield said("sequence-zero", "field_range", "Sequences start at 1.", sequence=0)
    yield said("without-until", "field_missing", "No end.", **with_predicate(until=None))
    yield said("until-null", "field_type", "null is not the same as absent.", predicate={"sequence": 7, "created": NOW, "until": None})

    # What is not one, and what is no seal
    yield dated("is-the-seal", "freshness_threshold", "The seal itself, as its freshness statement.", envelope())
    yield dated("is-a-seal-by-the-online-key", "predicate_type", "A seal that the online key signed.", envelope(GOOD, ONLINE))
    release_key_online = needing(timestamp=role(1, REL1))
    yield dated("is-the-seal-by-one-key-for-both", "predicate_type", "One key may have both roles; the types differ.", envelope(), root=release_key_online)
    yield seal("fresh-statement-as-seal", "threshold", "A freshness statement, as a seal.", fresh(), root=needing())
    yield seal("fresh-statement-as-seal-by-release-key", "predicate_type", "Even one that a release key signed.", fresh(REL1), root=needing())

    # Of two rules the earlier one
    yield dated("envelope-before-signers", "json_trailing_bytes", "Malformed, and by a foreign key.", fresh(FOREIGN) + b"{}")
    yield dated("signers-before-payload", "freshness_threshold", "By a foreign key, and malformed.", envelope(b"current", FOREIGN))
    yield said("payload-before-stream", "until_out_of_range", "Malformed, and of another stream.", stream="acme/os", until=CREATED)
    yield said("stream-before-future", "other_stream", "Of another stream, and from the future.", stream="acme/os", created="2026-06-01T12:00:00Z")
    yield said("future-before-current", "freshness_from_future", "From the future, and of a newer sequence.", sequence=8, created="2026-06-01T12:00:00Z")
    yield dated("current-before-stale", "not_current", "Of a newer sequence, and over.", fresh(sequence=8), **at(AFTER))
    yield dated("unusable-before-remembered", "freshness_threshold", "It is refused although what is remembered would do.", fresh(FOREIGN), **known(UNTIL))


def not_required_scenarios():
    def free(name, expect, why, data=None, **inputs):
        return dated(f"not-needed-{name}", expect, why, data, **{"root": plain_root(), **inputs})

    yield free("malformed", "accept", "The rule does not ask for it: it is as if there were none.", b"current")
    yield free("by-foreign-key", "accept", "The rule does not ask for it.", fresh(FOREIGN))
    yield free("of-another-stream", "accept", "The rule does not ask for it.", fresh(stream="acme/os"))
    yield free("from-the-future", "accept", "The rule does not ask for it.", fresh(created="2026-06-01T12:00:00Z"))
    yield free("and-current", "accept", "It is reported all the same.", fresh())
    yield free("and-over", "accept", "It is not refused.", fresh(), **at(AFTER))
    yield free("of-a-newer-sequence", "not_current", "`timestamp` signed that sequence 8 is current.", fresh(sequence=8))
    yield free("of-another-payload", "not_current", "`timestamp` signed that another seal is current.", fresh(seal=b"other"))
    yield free("of-a-newer-sequence-and-over", "not_current", "Sequence 8 is there, even if this has ended.", fresh(sequence=8), **at(AFTER))
    yield free("of-a-newer-sequence-by-foreign-key", "accept", "Anybody could say so.", fresh(FOREIGN, sequence=8))
    other = plain_root(extension=rules((STREAM, rule()), ("acme/*", rule(freshness=("heartbeat", 0))), roles={"heartbeat": role(1, ONLINE2)}), more=[ONLINE2])
    yield free("by-the-role-of-another-rule", "accept", "Where the rule names no role, it is `timestamp`.", fresh(ONLINE2, sequence=8), root=other)
    yield free("and-remembered", "accept", "An earlier statement still speaks of today.", **known(UNTIL))
    yield free("unusable-and-remembered", "accept", "What is remembered still counts.", b"current", **known(UNTIL))
    boot = dict(clock={"lowerBound": NOW})
    yield free("at-boot", "accept", "Nothing is asked for and nothing is known.", **boot)
    yield free("at-boot-and-given", "accept", "At boot the clock says too little.", fresh(), **boot)
    yield free("at-boot-and-over", "accept", "It has ended for sure.", fresh(), clock={"lowerBound": AFTER})


def boot_scenarios():
    def boot(name, expect, why, data=None, *, time=NOW, tolerance=0, at_boot="warn", **inputs):
        clock = "unknown" if time is None else {"lowerBound": time}
        return dated(f"at-boot-{name}", expect, why, data, root=needing(tolerance, atBoot=at_boot), clock=clock, **inputs)

    refuse = dict(at_boot="refuse")
    yield boot("missing", "accept", "It is reported.")
    yield boot("missing-refused", "freshness_missing", "The root says `refuse`.", **refuse)
    yield boot("given", "accept", "It may have ended: only the least possible time is known.", fresh())
    yield boot("given-and-refuse", "accept", "Nothing shows that it has ended.", fresh(), **refuse)
    yield boot("over", "accept", "It is reported.", fresh(), time=AFTER)
    yield boot("over-refused", "stale", "The root says `refuse`.", fresh(), time=AFTER, **refuse)
    yield boot("within-tolerance", "accept", "With the tolerance nothing shows that it has ended.", fresh(), time=AFTER, tolerance=1, **refuse)
    yield boot("from-the-future", "accept", "The clock may be slow.", fresh(created="2026-06-01T12:00:00Z"), **refuse)
    yield boot("unusable", "accept", "It is as if none had been given: whoever can spoil it can withhold it.", fresh(FOREIGN))
    yield boot("unusable-and-refuse", "freshness_threshold", "The root says `refuse`.", fresh(FOREIGN), **refuse)
    yield boot("of-a-newer-sequence", "not_current", "Sequence 8 is current.", fresh(sequence=8))
    yield boot("remembered", "accept", "An earlier statement may speak of today.", **known(UNTIL), **refuse)
    yield boot("remembered-and-over", "stale", "An earlier statement has ended.", time=AFTER, **known(UNTIL), **refuse)
    yield boot("root-expired-and-over", "accept", "Both are reported.", fresh(), time=EXPIRES)
    yield boot("at-the-end-of-time", "accept", "The tolerance goes beyond the last year.", tolerance=315360000,
        data=fresh(created="9999-12-31T00:00:00Z", until="9999-12-31T23:59:58Z"), time="9999-12-31T23:59:59Z")  # fmt: skip
    yield boot("without-clock", "accept", "Nothing is known of the time.", fresh(), time=None, **refuse)
    yield boot("without-clock-missing", "accept", "It is reported.", time=None)
    yield boot("without-clock-missing-refused", "freshness_missing", "The root says `refuse`; this needs no clock.", time=None, **refuse)
    seen = dict(time=None, state=state(newest=AFTER))
    yield boot("without-clock-but-time-seen", "accept", "A time that was seen signed shows that it has ended.", fresh(), **seen)
    yield boot("without-clock-but-time-seen-refused", "stale", "The same, and the root says `refuse`.", fresh(), **seen, **refuse)
    yield boot("behind-time-seen-refused", "stale", "The least possible time is what was seen; only a trusted clock is wrong.", fresh(), state=state(newest=AFTER), **refuse)


def behind_scenarios():
    early = at("2026-05-02T00:00:00Z")
    seen = lambda time, **more: dict(state=state(newest=time), **early, **more)  # noqa: E731
    yield seal("clock-behind-root-expiry", "clock_behind", "The root had expired by a time that was seen signed.", **seen(EXPIRES))
    yield seal("clock-behind-nothing-ended", "accept", "The clock is wrong, and nothing has ended.", **seen(NOW))
    yield seal("clock-at-time-seen", "accept", "The same second is not behind.", state=state(newest=NOW))
    yield seal("clock-behind-and-root-expired-by-both", "clock_behind", "By its own time too, but nothing can be said.",
        clock={"trusted": "2031-01-01T00:00:00Z"}, state=state(newest="2032-01-01T00:00:00Z"))  # fmt: skip
    one = rules((STREAM, rule()))
    yield seal("lower-bound-behind-root-expiry", "accept", "What was seen signed is the least possible time.",
        clock={"lowerBound": NOW}, state=state(newest=EXPIRES))  # fmt: skip
    yield seal("lower-bound-behind-root-expiry-refused", "root_expired", "The same, and the root says `refuse`.",
        root=plain_root(extension={**one, "atBoot": "refuse"}), clock={"lowerBound": NOW}, state=state(newest=EXPIRES))  # fmt: skip
    yield dated("clock-behind", "clock_behind", "It had ended by a time that was seen signed.", fresh(), **seen(AFTER))
    yield dated("clock-behind-missing", "freshness_missing", "This needs no clock.", **seen(AFTER))
    yield dated("clock-behind-not-over", "accept", "It had not ended by then; that it is current cannot be said.", fresh(), **seen(NOW))
    yield dated("clock-behind-within-tolerance", "accept", "With the tolerance it had not ended by then.", fresh(), **seen(AFTER, root=needing(1)))
    yield dated("clock-behind-from-the-future", "accept", "A clock that is behind does not know the future.",
        fresh(created="2026-06-01T12:00:00Z"), **seen(NOW))  # fmt: skip
    yield dated("clock-behind-of-a-newer-sequence", "not_current", "This needs no clock.", fresh(sequence=8), **seen(AFTER))
    yield dated("not-needed-clock-behind-and-over", "accept", "It is not refused.", fresh(), **seen(AFTER, root=plain_root()))


def memory_scenarios():
    """What counts in these is `stateAfter`."""

    def remembered(name, why, data=None, **inputs):
        if data is not None:
            inputs["freshness"] = data
        return seal(f"remembered-{name}", "accept", why, **inputs)

    later_root = plain_root(version=3)
    yield remembered("root-version", "The root's version replaces a lower one.", root=later_root, state=state(root_version=2))
    yield remembered("newer-time", "The newest time is later than this statement's, and stays.", state=state(newest="2026-05-31T00:00:00Z"))
    yield remembered("older-time", "This statement's time is the newest.", state=state(newest="2026-04-01T00:00:00Z"))
    yield remembered("other-streams", "What is remembered of other streams stays.",
        state=state(streams={"acme/os/x86_64/testing": {"sequence": 99, "payload": digest("x"), "freshUntil": UNTIL}, "z": {"sequence": 1}}))  # fmt: skip
    yield remembered("payload-of-an-equal-sequence", "A payload that was unknown is added.", state=state(streams=floor(7)))
    yield remembered("payload-of-a-higher-sequence", "Sequence and payload are replaced.", state=state(streams=floor(6, b"six")))
    yield remembered("fresh-until-with-a-higher-sequence", "It stays when the sequence is replaced.",
        state=state(streams=floor(6, b"six", fresh_until=UNTIL)))  # fmt: skip
    yield remembered("fresh-until", "The first statement.", fresh(), root=needing())
    yield remembered("fresh-until-not-needed", "Also where the rule does not ask for it.", fresh())
    yield remembered("fresh-until-over", "Also when it has ended.", fresh(), **at(AFTER))
    yield remembered("fresh-until-of-an-older-sequence", "Also of an older seal.", fresh(sequence=6, seal=b"six"), root=needing())
    yield remembered("fresh-until-later", "A later one replaces it.", fresh(), **known("2026-06-01T12:00:00Z"))
    yield remembered("fresh-until-earlier", "An earlier one does not.", fresh(), **known("2026-06-10T00:00:00Z"))
    yield remembered("nothing-unusable", "One that is not usable is not remembered.", fresh(FOREIGN))
    yield remembered("nothing-at-boot", "What a lower bound cannot judge is not remembered.", fresh(), clock={"lowerBound": NOW}, root=needing())
    yield remembered("nothing-without-clock", "Nor without a clock.", fresh(), clock="unknown", root=needing())
    yield remembered("nothing-while-behind", "Nor while the clock is behind.", fresh(), root=needing(),
        state=state(newest="2026-06-01T00:00:01Z"))  # fmt: skip
    yield remembered("no-time-of-freshness", "The newest time is that of seals, not that of freshness statements.", fresh(),
        state=state(newest="2026-05-15T00:00:00Z"))  # fmt: skip
