//! English words to the forms that their spellings share: British and American, singular and plural, and the verb
//! behind a noun of action.
//!
//! Rules and short lists of our own, no dictionary. A form is a key that nobody reads (`movie` and `movies` are `movy`), so
//! a rule may be blunt as long as no *other* word has that form; the lists hold what would collide (`news`, `windows`).
//! What needs a dictionary to tell apart (-ed and -ing of any word, adjectives, agents in -er) is left alone: a merge that
//! is missed costs little, a wrong one is silent. Porter stems were tried here and also merge universe / university,
//! project / projection, new / news. Words that are not plain ASCII letters come back as they went in. Figures over
//! 120,000 inflected forms and 15,900 spelling pairs: docs/semantics.md.

fn listed(list: &str, word: &str) -> bool {
    list.split(' ').any(|listed| listed == word)
}

fn pairs(list: &str) -> impl Iterator<Item = (&str, &str)> {
    list.split(' ').filter_map(|pair| pair.split_once(':'))
}

/// Words in -s that would meet another word without it.
const NOT_PLURAL: &str = "\
    aids alias always arms atlas bias blues briefs canvas chaos cors cosmos customs damages does ethos glasses \
    goods https humanities iaas jenkins keras kudos lens looks mars means news ntfs odds paas pandas pants \
    pathos proceeds saas sales sans savings securities shorts thanks tights windows woods";

/// Plurals in -us and -is, where the singular mostly ends so; and of short forms, beside which `dns` and `css` stand.
const PLURAL_US: &str = "\
    apis bikinis clis cpus dbs emojis emus gpus guis gurus ids menus pcs safaris skis taxis tpus tsunamis tvs \
    uis vms wikis";

/// Count nouns in -ics; the others (physics, politics, economics) are no plurals.
const PLURAL_ICS: &str = "\
    antibiotics characteristics clinics comics critics epics fabrics generics heuristics mechanics metrics \
    mosaics pics plastics relics skeptics topics";

/// Plurals that no rule makes.
const IRREGULAR: &str = "\
    analyses:analysis antennae:antenna appendices:appendix bacteria:bacterium buses:bus calves:calf \
    children:child crises:crisis criteria:criterion diagnoses:diagnosis elves:elf feet:foot gases:gas \
    geese:goose halves:half hypotheses:hypothesis indices:index knives:knife leaves:leaf lives:life loaves:loaf \
    matrices:matrix men:man mice:mouse parentheses:parenthesis phenomena:phenomenon quizzes:quiz shelves:shelf \
    syntheses:synthesis teeth:tooth theses:thesis thieves:thief vertices:vertex wives:wife wolves:wolf \
    women:woman";

/// Endings of which singular and plural share the last column, with the shortest word they are cut from.
const PLURAL_ENDINGS: &[(&str, &str, usize)] = &[
    ("ies", "y", 5),
    ("ie", "y", 5), // story, movie
    ("ches", "ch", 5),
    ("che", "ch", 5),
    ("shes", "sh", 5),
    ("xes", "x", 4),
    ("xe", "x", 3),
    ("zzes", "zz", 5), // branch, cache
    ("oes", "o", 5),
    ("oe", "o", 4), // hero, shoe
    ("ses", "s", 6),
    ("se", "s", 5), // class, virus, house, database
];

/// The form that a noun shares with its plural; a word that is neither comes back as it is.
fn number(word: &str) -> String {
    let ends = |ending: &str| word.ends_with(ending);
    if let Some((_, one)) = pairs(IRREGULAR).find(|&(many, _)| many == word) {
        return number(one);
    }
    let (one, plural) = match word.strip_suffix('s') {
        Some(one) if listed(PLURAL_US, word) || listed(PLURAL_ICS, word) => (one, true),
        Some(_) if listed(NOT_PLURAL, word) => (word, false),
        Some(_) if ["ss", "us", "is", "js", "ics"].into_iter().any(ends) => (word, false),
        // macos, watchos, chromeos: systems; but photos, videos
        Some(_) if ends("os") && (word.len() < 5 || ["acos", "chos", "meos", "tvos"].into_iter().any(ends)) => {
            (word, false)
        }
        Some(one) => (one, word.len() > 3),
        None => (word, false),
    };
    for &(ending, shared, least) in PLURAL_ENDINGS {
        let fits = word.len() >= least && (plural || !ending.ends_with('s'));
        if let Some(stem) = word.strip_suffix(ending).filter(|_| fits) {
            return format!("{stem}{shared}");
        }
    }
    if plural { one.to_owned() } else { word.to_owned() }
}

/// British beginnings that no rule of `spelling` catches, and the American ones. What follows stays (`ploughing`).
const STEMS: &str = "\
    acknowledgement:acknowledgment aeroplane:airplane ageing:aging aluminium:aluminum anaem:anem anaesth:anesth \
    artefact:artifact cheque:check cosy:cozy defence:defense diarrhoea:diarrhea disulph:disulf doughnut:donut \
    draughts:drafts encyclopaed:encycloped enrolment:enrollment foet:fet fulfilment:fulfillment grey:gray \
    gynaec:gynec haem:hem instalment:installment jewellery:jewelry judgement:judgment leukaem:leukem \
    licence:license manoeuvr:maneuver maths:math mediaeval:medieval mould:mold moustache:mustache odour:odor \
    oesoph:esoph oestr:estr offence:offense orthopaed:orthoped paed:ped palaeo:paleo plough:plow practis:practic \
    pretence:pretense programme:program pyjama:pajama sceptic:skeptic skilful:skillful smoulder:smolder \
    speciality:specialty sulph:sulf tyre:tire wilful:willful woollen:woolen yoghurt:yogurt";

/// What may follow -our where American spelling has -or.
const AFTER_OUR: &[&str] = &[
    "", "s", "ed", "ing", "er", "ers", "ful", "less", "able", "ably", "ite", "ites", "ist", "hood", "hoods", "y", "al",
    "ally", "ly", "ation", "ize", "ized", "izing", "ization",
];

/// What may follow -is- and -ys- where American spelling has -iz- and -yz-.
const AFTER_IS: &[&str] =
    &["e", "ed", "er", "ers", "es", "ing", "ings", "ation", "ations", "ational", "able", "ability"];

/// Endings whose spellings differ in them alone, and the shared one.
const SPELLED_ENDINGS: &[(&str, &str)] = &[
    ("tre", "ter"),
    ("tres", "ters"),
    ("tred", "tered"),
    ("bre", "ber"),
    ("bres", "bers"),
    ("logue", "log"),
    ("logues", "logs"),
    ("loguing", "loging"),
];

/// The form that British and American spellings of a word share; any other word as it is.
fn spelling(word: &str) -> String {
    if word.len() < 4 || ["prologue", "prologues", "timbre", "timbres", "lettre", "lettres"].contains(&word) {
        return word.to_owned(); // Prolog, timber, letter
    }
    if let Some((rest, american)) = pairs(STEMS).find_map(|(stem, us)| Some((word.strip_prefix(stem)?, us))) {
        return format!("{american}{rest}");
    }
    let mut word = word.to_owned();
    for after in AFTER_IS {
        let cut = word.len().saturating_sub(after.len() + 2);
        // Of the words in -ise that have no -ize (exercise, noise) none meets another word here; `prise` and `size` do.
        if cut > 2
            && word.ends_with(after)
            && (word[cut..].starts_with("is") || *after != "es" && word[cut..].starts_with("ys"))
        {
            word.replace_range(cut + 1..cut + 2, "z");
            break;
        }
    }
    if let Some(at) = word.find("our").filter(|&at| at > 2 && AFTER_OUR.contains(&&word[at + 3..])) {
        word.replace_range(at..at + 3, "or");
    }
    for ending in ["ed", "ing", "er", "ers", "or", "ors", "ings", "ous", "ation", "ations"] {
        let stem = word.strip_suffix(ending).and_then(|stem| stem.strip_suffix('l')).filter(|stem| stem.ends_with('l'));
        // modelled, traveller; not in words of one syllable: filling is not filing
        if let Some(stem) = stem.filter(|stem| syllables(stem) > 1) {
            return format!("{stem}{ending}");
        }
    }
    for (british, american) in SPELLED_ENDINGS {
        if let Some(stem) = word.strip_suffix(british) {
            return format!("{stem}{american}");
        }
    }
    word
}

/// Runs of vowels.
fn syllables(word: &str) -> usize {
    let vowel = |c: u8| b"aeiouy".contains(&c);
    let bytes = word.as_bytes();
    (0..bytes.len()).filter(|&at| vowel(bytes[at]) && (at == 0 || !vowel(bytes[at - 1]))).count()
}

/// The form that a word shares with its plural and its other spelling. Lower case in; a key, not a word, out.
pub fn form(word: &str) -> String {
    if word.bytes().all(|byte| byte.is_ascii_lowercase()) { number(&spelling(word)) } else { word.to_owned() }
}

/// Verbs with their noun of action; one without has only its -ing.
const VERBS: &str = "\
    accelerate:acceleration activate:activation allocate:allocation analyze:analysis animate:animation \
    annotate:annotation assess:assessment authenticate:authentication brainstorm: calculate:calculation \
    collaborate:collaboration collect:collection communicate:communication compile:compilation \
    compress:compression configure:configuration connect:connection consume:consumption convert:conversion \
    create:creation debug: decorate:decoration deliver:delivery deploy:deployment describe:description \
    detect:detection develop:development diagnose:diagnosis discover:discovery educate:education \
    eliminate:elimination encrypt:encryption enhance:enhancement estimate:estimation evaluate:evaluation \
    execute:execution expand:expansion explain:explanation explore:exploration extract:extraction \
    generate:generation illustrate:illustration implement:implementation improve:improvement inspect:inspection \
    install:installation integrate:integration interpret:interpretation investigate:investigation learn: \
    maintain:maintenance manage:management manipulate:manipulation migrate:migration modify:modification \
    motivate:motivation navigate:navigation negotiate:negotiation parse: predict:prediction prepare:preparation \
    preserve:preservation prevent:prevention promote:promotion protect:protection publish:publication \
    recognize:recognition recommend:recommendation reduce:reduction remove:removal replace:replacement \
    retrieve:retrieval simulate:simulation solve: suggest:suggestion summarize:summarization \
    synthesize:synthesis teach: transcribe:transcription transform:transformation translate:translation \
    troubleshoot: validate:validation verify:verification write:";

/// What a word that names an action is: the verb itself, its -ing, or another noun of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// `optimize`
    Verb,
    /// `optimizing`
    Ing,
    /// `optimization`
    Noun,
}

/// Whether `word` is the -ing of `verb`; of the verbs listed only `debug` doubles its consonant.
fn is_ing(word: &str, verb: &str) -> bool {
    let stem = word.strip_suffix("ing");
    stem.is_some_and(|stem| stem == verb.strip_suffix('e').unwrap_or(verb) || (verb == "debug" && stem == "debugg"))
}

/// `optimizations` as (`optimize`, [`Action::Noun`], whether the verb has a noun beside its -ing).
///
/// Verbs are those of a list, and every one in -ize or -ify by its ending; any other word names no action.
pub fn action(word: &str) -> Option<(String, Action, bool)> {
    if !word.bytes().all(|byte| byte.is_ascii_lowercase()) {
        return None;
    }
    let word = spelling(word);
    action_of(&word).or_else(|| action_of(&number(&word)))
}

fn action_of(word: &str) -> Option<(String, Action, bool)> {
    for (verb, noun) in pairs(VERBS) {
        let kind = match word {
            _ if word == verb => Action::Verb,
            _ if word == noun => Action::Noun,
            _ if is_ing(word, verb) => Action::Ing,
            _ => continue,
        };
        return Some((verb.to_owned(), kind, !noun.is_empty()));
    }
    if word.len() < 7 || ["organize", "organizing", "organization", "civilization", "specification"].contains(&word) {
        return None;
    }
    for (ending, verb, kind) in [
        ("ization", "ize", Action::Noun),
        ("ification", "ify", Action::Noun),
        ("izing", "ize", Action::Ing),
        ("ifying", "ify", Action::Ing),
        ("ize", "ize", Action::Verb),
        ("ify", "ify", Action::Verb),
    ] {
        if let Some(stem) = word.strip_suffix(ending) {
            return Some((format!("{stem}{verb}"), kind, true));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plurals_share_a_form() {
        for (one, many) in [
            ("history", "histories"),
            ("class", "classes"),
            ("cache", "caches"),
            ("house", "houses"),
            ("virus", "viruses"),
            ("database", "databases"),
            ("hero", "heroes"),
            ("shoe", "shoes"),
            ("child", "children"),
            ("api", "apis"),
            ("topic", "topics"),
            ("photo", "photos"),
            ("movie", "movies"),
            ("case", "cases"),
            ("lens", "lenses"),
            ("analysis", "analyses"),
            ("branch", "branches"),
            ("box", "boxes"),
            ("bus", "buses"),
            ("size", "sizes"),
        ] {
            assert_eq!(form(one), form(many), "{many}");
        }
    }

    #[test]
    fn other_words_have_other_forms() {
        for (a, b) in [
            ("window", "windows"),
            ("new", "news"),
            ("physic", "physics"),
            ("http", "https"),
            ("cs", "css"),
            ("io", "ios"),
            ("panda", "pandas"),
            ("canva", "canvas"),
            ("dn", "dns"),
            ("statu", "status"),
            ("filing", "filling"),
            ("size", "sise"),
            ("universe", "university"),
            ("general", "generate"),
            ("timber", "timbre"),
            ("prolog", "prologue"),
            ("rose", "ros"),
            ("glass", "glasses"),
            ("prize", "prise"),
            ("数学", "数学s"),
        ] {
            assert_ne!(form(a), form(b), "{a} {b}");
        }
    }

    #[test]
    fn spellings_share_a_form() {
        for (british, american) in [
            ("colour", "color"),
            ("colourful", "colorful"),
            ("organisation", "organization"),
            ("analyse", "analyze"),
            ("centre", "center"),
            ("centred", "centered"),
            ("travelling", "traveling"),
            ("catalogue", "catalog"),
            ("defence", "defense"),
            ("serialise", "serialize"),
            ("counsellor", "counselor"),
            ("favourites", "favorites"),
            ("neighbourhoods", "neighborhood"),
            ("kilometres", "kilometer"),
            ("colourise", "colorize"),
            ("programmes", "program"),
        ] {
            assert_eq!(form(british), form(american), "{british}");
        }
    }

    #[test]
    fn actions() {
        let found = |word| action(word).map(|(verb, kind, _)| (verb, kind));
        assert_eq!(found("optimization"), Some(("optimize".into(), Action::Noun)));
        assert_eq!(found("optimizing"), Some(("optimize".into(), Action::Ing)));
        assert_eq!(found("writing"), Some(("write".into(), Action::Ing)));
        assert_eq!(found("creation"), Some(("create".into(), Action::Noun)));
        for word in ["projection", "station", "project", "university", "size", "organization", "string"] {
            assert_eq!(found(word), None, "{word}");
        }
    }
}
