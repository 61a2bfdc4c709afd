"""The vocabulary that tests/house_words.py measures with: banned phrases, imperative verbs and names to replace.

Each phrase has a hint with the plain wording. A new entry needs few false alarms: try it with
`python tests/house_words.py --list product-phrases/NAME` before you keep it.
"""

import re
from typing import NamedTuple


def _words(text: str) -> set[str]:
    return set(text.split())


# ---- phrases ---------------------------------------------------------------------------------------


class Phrase(NamedTuple):
    """A banned phrase: its short name, its pattern and the plain wording."""

    name: str
    pattern: re.Pattern[str]
    hint: str


def _phrase(name: str, pattern: str, hint: str, *, exact_case: bool = False) -> Phrase:
    return Phrase(name, re.compile(pattern.replace(" ", r"\s+"), 0 if exact_case else re.IGNORECASE), hint)


START = r"(?:^|(?<=[.;:!?]\s)|(?<=\n\n)|(?<=\n-\s))"  # where a sentence begins

PHRASES = (
    # pronouns that stand for an unnamed thing
    _phrase("whoever", r"\b(?:whoever|whomever|who ever)\b", "name the caller"),
    _phrase("whatever", r"\b(?:whatever|whichever|whatsoever)\b", "'any', or name the thing"),
    _phrase("he-who", r"\b(?:for|to|by|of|from|with|and|or) who\b", "name the caller: 'callers that ...'"),
    _phrase("who-first", START + r"Who\b[^?.;]*(?=[.;]|$)", "name the subject"),
    _phrase("somebody", r"\b(?:somebody|nobody|anybody)\b", "name the function, the strategy or the user"),
    _phrase("of which", r"\bof (?:which|whom)\b", "'whose', or a second sentence"),
    _phrase(
        "preposition-what",
        r"\b(?:of|by|for|from|to|with|in|on|after|before|behind|than|as|over) what\b",
        "name the thing instead of 'what ...'",
    ),
    _phrase(
        "what-is",
        START
        + r"What\b(?! if| about| to do:)[^?.;]{0,200}?\b(?:is|are|was|were|has|does|comes|leads)\b[^?.;]*(?=[.;]|$)",
        "begin with the noun: 'The missing fills are ...'",
    ),
    # inverted and elliptic sentences
    _phrase("none-where", r"\bNone (?:where|when|for what|of)\b", "'Return None if ...'", exact_case=True),
    _phrase(
        "none-is",
        r"\b(?:none (?:is|are|was|were|has|have|does|do|of them|of it|of these|there)|there (?:is|are|"
        r"was) none|where none)\b",
        "'nothing matches', 'the list is empty'",
        exact_case=True,
    ),
    _phrase(
        "no-such",
        r"\b(?:none|no|any) such\b(?! (?:file|file or directory|table|column|option|command|process)\b)",
        "'unknown X', 'no X matches'",
    ),
    _phrase("only-one", r"\bno only one\b", "'exactly one'"),
    _phrase(
        "is-no",
        r"\b(?:is|are|was|were) no (?:business|matter|reason|branch|plain|money|concern|use)\b",
        "'is not a ...'",
    ),
    _phrase(
        "that-is-so",
        r"\b(?:that|this|it|which) (?:is|was) so\b|\bso it (?:is|was)\b|\bif so be\b|\bsaid so\b|\bsays so\b",
        "say the fact again",
    ),
    _phrase(
        "inverted",
        START + r"(?:Nor|Nowhere|Never|Neither|Not until|Only then|Only so) (?:is|are|was|does|do|did|has|have|"
        r"can|will|must)\b",
        "subject first",
    ),
    _phrase("else-first", START + r"Else\b(?! if\b|:)", "'Otherwise'", exact_case=True),
    _phrase("save-that", r"\bsave (?:that|where|for|when|what)\b|\ball but\b|\bbut for\b", "'except'"),
    _phrase("so-that-chain", r"\bso that\b[^.;?!]*\bso that\b", "two sentences"),
    _phrase(
        "as-it-stands", r"\bas (?:it|they|he) (?:stands?|stood|came|comes?|lies?|lay)\b", "'unchanged', 'verbatim'"
    ),
    # verbs of another trade
    _phrase(
        "stands",
        r"\b(?:stands|stood)\b(?! for\b)|\bstand (?:on|at|in|still|there|by|beside|where|as|after|"
        r"before)\b|\bstanding (?:at|in|on|there|orders?)\b",
        "'is', 'rests', 'remains'",
    ),
    _phrase(
        "lies",
        r"\b(?:lies|lying|lain)\b|\blay (?:in|on|at|there|between|before|behind|beside)\b|\blie (?:in|on|"
        r"at|there|between|beside|before|behind|beyond|outside)\b",
        "'is', 'is stored'",
    ),
    _phrase("laid", r"\blaid\b(?! out\b)|\blays\b(?! out\b)", "'built', 'rebuilt', 'written'"),
    _phrase("anew", r"\b(?:anew|afresh)\b", "'again', 're-'"),
    _phrase("told", r"\btold\b(?! apart\b)", "'reported', 'given', 'sent'"),
    _phrase("tells", r"\btells?\b(?! (?:the|a|an) (?:user|reader|person|people))", "'reports', 'shows', 'states'"),
    _phrase(
        "asked",
        r"\basked\b|\b(?:is|are|be|was) asking\b|\basks (?:for|about|whether|what|it|them|a|an|the|this|"
        r"that|every|again|nothing|no|only|its|our)\b",
        "'requested', 'queried', 'called'",
    ),
    _phrase(
        "is-said",
        r"\b(?:is|are|was|were|be|been) said\b|\b(?:has|have|had) said\b|\bsays nothing\b|"
        r"\bhas its say\b|\bto say so\b|\bsaid (?:that|by|in|of|to|once|twice|with)\b",
        "'is stated', 'is logged'",
    ),
    _phrase("heard", r"\b(?:heard|hears|hear)\b", "'received', 'hashed'"),
    _phrase("takes-down", r"\b(?:takes?|took|taken|taking) down\b", "'record'"),
    _phrase("lets-go", r"\b(?:lets?|letting) go\b|\blets\b", "'release', 'allow'"),
    _phrase("goes-on", r"\b(?:goes|go|went|going|gone) on\b", "'continues'"),
    _phrase("comes-of", r"\b(?:comes?|came) (?:of|to nothing|to pass|upon|in between|to light)\b", "'results from'"),
    _phrase("lived", r"\blived\b|\blives? through\b", "'ran', 'happened'"),
    _phrase("outdo", r"\boutdo(?:es|ne)?\b", "'overrides'"),
    _phrase("speaks-against", r"\bspeaks? (?:against|for|of)\b|\bvouch(?:es|ed)?\b", "'prevents', 'covers', 'proves'"),
    _phrase("looks", r"\blook(?:s|ed)? (?:at|upon|into)\b|\btwo looks\b|\ba look\b(?!-)", "'reads', 'checks'"),
    _phrase("wish", r"\bwish(?:es|ed)?\b", "'intent'"),
    _phrase(
        "woken",
        r"\b(?:woke|woken|wakes?)\b(?! (?:the|a) (?:task|thread|process|reader|writer)\b)",
        "'triggered', 'fired'",
    ),
    _phrase("gone", r"\b(?:is|are|was) gone\b|\bgone by\b", "'ended', 'was removed'"),
    _phrase("of-its-own", r"\bof (?:its|their|his|one's) own\b", "'its own ...'"),
    # words out of use
    _phrase("word for word", r"\bword for word\b", "'exactly', 'byte for byte'"),
    _phrase(
        "archaic",
        r"\b(?:lest|whence|thence|hence|thereof|whereof|therein|wherein|thereby|whereby|thereupon|"
        r"hereafter|ere|amid|amidst|whilst|betwixt|nay|shall|albeit|forth|hither|whither|in vain|"
        r"by and by|all the same|ever so|many a|such as it)\b",
        "plain present-day English",
    ),
    _phrase(
        "no-more",
        r"\bno more\b(?=[.;,:)]|$)|\bbe that as it may\b|\bas may be\b|\bfor its (?:part|own sake)\b|"
        r"\bof no account\b",
        "'not', 'no longer'",
    ),
    _phrase("alike", r"\balike\b|\b(?:and|or) the like\b", "'both', 'and similar'"),
    _phrase(
        "beholden",
        r"\b(?:is|are) (?:for|on|up to) (?:the )?(?:caller|reader|others?|who|whom) to\b|\bis (?:\w+'s|"
        r"ours|theirs|its) (?:to|business|affair)\b",
        "'The caller does ...'",
    ),
)

# ---- first words -----------------------------------------------------------------------------------

WH_WORDS = {"What", "Whether", "How", "As", "Of", "That", "Who", "Whose", "Where", "Whatever"}

VERBS = _words("""
    check end exit open read redraw script stop stretch trade pack
    abandon abort accept accumulate acquire acknowledge activate adapt add adjust admit adopt advance aggregate
    align configure deposit forbid lift probe allocate allow amend annotate announce answer append apply approximate archive arm arrange ask assemble
    assert assign associate attach attempt audit authenticate authorise authorize await balance batch begin bind
    bisect block book bootstrap borrow bound break bring broadcast buffer build bundle bump cache calculate call
    cancel canonicalise canonicalize capture carry cast catch change charge check choose claim clamp classify clean
    clear clip clone close coalesce collapse collect combine commit compare compile complain complete compose
    compress compute concatenate condense confirm connect consider consolidate construct consume contain continue
    convert copy correct count cover create credit cross cut deactivate debit debounce decide declare decline decode
    decompress decrease decrypt dedupe deduplicate defer define delay delegate delete deliver demand derive describe
    deserialise deserialize detach detect determine diff digest direct disable disarm discard disconnect discover
    dispatch display distribute divide do document downsample download drain draw drive drop dump duplicate emit
    empty enable encode encrypt end enforce enqueue ensure enter enumerate escape establish estimate evaluate evict
    examine exchange exclude execute exercise exit expand expect expire explain export expose express extend extract
    fail fetch figure fill filter finalise finalize find finish fire fit fix flag flatten flip flush fold follow
    force forget fork form format forward free freeze fsync gather generate get give grant group grow guard guess
    halt hand handle hash hedge hide hold identify ignore import include increase increment index infer inflate
    inform initialise initialize inject insert inspect install instantiate interpolate interpret interrupt intern
    introduce invalidate invert invoke isolate issue iterate join judge keep kill label launch lead leave let limit
    link list listen load locate lock log look lookup lower maintain make manage map mark mask match materialise
    materialize measure merge migrate minimise minimize mirror mix model modify monitor mount move multiply name
    narrow negotiate net normalise normalize note notify number observe obtain offer omit open optimise optimize
    order pack pad page parse partition pass patch pause peek perform persist pick pin pipe place plan play plot
    poll pop populate position post prefetch prefix prepare present preserve prevent price print process produce
    profile prohibit project prompt propagate propose protect prove provide prune publish pull purge push put query
    queue quote raise rank rate reach react read rebalance rebase rebuild recalculate receive recognise recognize
    recompute reconcile reconnect reconstruct record recover rediscover redact redirect redo reduce refer refill
    refresh refuse register regress reject relate relax release reload remember remove rename render reopen reorder
    repair repeat replace replay reply report represent request require rerun rescale reserve reset reshape
    resimulate resize resolve respond rest restart restore restrict resume retain retrieve retry return reuse reveal
    reverse revert review revoke rewind rewrite roll rotate round route run sample sanitise sanitize save scale scan
    schedule score scrub seal search see seed seek segment select sell send separate sequence serialise serialize
    serve set settle shift show shrink shut shutdown shuffle sign signal simulate skip sleep slice slide snapshot
    solve sort spawn specify split spread stack stage stamp start state stay step stop store stream stringify strip
    submit subscribe subtract sum summarise summarize supply support suppress suspend swap switch sync synchronise
    synchronize synthesise synthesize tabulate tag tail take tear tell terminate test throttle throw tick tie time
    toggle total touch trace track trade train transfer transform translate traverse treat trigger trim truncate try
    tune turn type undo unify uninstall unlink unlock unpack unregister unsubscribe unwrap update upcast upgrade
    upload upsert use validate value verify view visit void wait wake walk warm warn watch weigh widen wipe withdraw
    work wrap write yield zero zip
""")  # fmt: skip
# nouns as often as verbs: the next word decides
AMBIGUOUS = _words("""
    balance batch book block bound bundle buffer cache call capture change charge check claim count cover credit
    cross cut debit delay diff digest display document draw dump end estimate exchange exit export figure fill
    filter fire fit fix flag form format free group guard guess halt hand handle hash hedge import include index
    issue label lead limit link list load lock log look map mark mask match measure merge model mount move name net
    note number offer open order pack page patch pause pick pin plan play plot point position post prefix present
    price process produce profile project prompt quote rank rate read record refill release repair replay reply
    report request rest return review roll round route run sample scale scan schedule score search seed segment
    sequence set shift sign signal sleep slice slide snapshot sort split spread stage stamp start state step stop
    store stream sum supply support switch tag tail test throw tick tie time total touch trace track trade transfer
    trigger turn type update use value view visit void wait walk watch work wrap zero
""")  # fmt: skip
NOUN_FOLLOWERS = _words(
    "of that which who whose is are was were has have had does for from in with by on at between "
    "after before where when and or at"
)


# ---- names -----------------------------------------------------------------------------------------

EVERYDAY = _words("take tell say told said look meet happen show hide lay stand hold part found wanted each at of")

# folder -> basenames that words.md replaces. A folder covers all folders below it.
OLD_MODULES = {
    "engine": _words("taking responding deciding asking settle turn program ending showing looks collector"),
    "engine/frames.py": {"frames"},
    "engine/live": _words("opening feed inbox answers rest direct collector"),
    "engine/sim": _words("floor meeting ladder face shapes shell"),
    "engine/market": _words("window store"),
    "engine/reducers": {"*"},  # the layout has one folder a subject, and no folder of reducers
    "journal": _words("growing follow batches content copies"),
    "replay": _words(
        "belief parting tape taking_rows modelled smallest pieces fanout stand_in asked_from tally captured causes"
    ),
    "analysis": _words("words journal_sql"),
    "verbatim": _words("finding exits running recording compiling"),
}
# names of classes and functions that words.md replaces
OLD_NAMES = _words("""
    Took NOTHING take_frames take_rows Responding Deciding first_said says_nothing Asking ask_seq bookable owing
    Turn Program report_pnl lull Look Glance Shown Compiled Cross Move brought_forward take_carried opened new_page
    Question objection Allowance Budget spent lets_ask distrust_seq mind_silence missed_something Frames Down Ended
    Kept Wanted Plan Glimpse Held Floor lay_window Wish
""")  # fmt: skip
