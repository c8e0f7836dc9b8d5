//! English words to one form: American spelling, singular, and the verb behind its noun of action.
//!
//! Rules and short lists of our own, no dictionary. Every rule is one that a tag can rely on alone: what would need a
//! dictionary to tell apart (-ed and -ing of any word, adjectives, agents in -er) is left alone, because a merge that is
//! missed costs little and a wrong one is silent. Words that are not plain ASCII letters come back as they went in.
//! Porter stems were tried in place of `singular`: they also merge universe / university, project / projection,
//! new / news. Figures over 120,000 inflected forms and 15,900 spelling pairs: docs/semantics.md.

/// Words in -s that are not the plural of the word without it, or mean something else than it.
const NOT_PLURAL: &[&str] = &[
    "aids",
    "alias",
    "always",
    "arms",
    "athens",
    "atlas",
    "aws",
    "besides",
    "bias",
    "blues",
    "briefs",
    "canvas",
    "chaos",
    "charles",
    "christmas",
    "clothes",
    "cors",
    "cosmos",
    "customs",
    "damages",
    "dns",
    "does",
    "eos",
    "ethos",
    "exodus",
    "gas",
    "glasses",
    "goods",
    "has",
    "his",
    "hls",
    "https",
    "humanities",
    "ios",
    "its",
    "james",
    "jenkins",
    "kansas",
    "keras",
    "kubernetes",
    "kudos",
    "lens",
    "looks",
    "mars",
    "mas",
    "mass",
    "means",
    "measles",
    "mumps",
    "naples",
    "nas",
    "netherlands",
    "news",
    "odds",
    "ops",
    "pandas",
    "pants",
    "pathos",
    "perhaps",
    "plus",
    "pons",
    "postgres",
    "proceeds",
    "pyjamas",
    "pajamas",
    "rabies",
    "sales",
    "sas",
    "savings",
    "scissors",
    "securities",
    "series",
    "shorts",
    "sms",
    "sometimes",
    "species",
    "sans",
    "spas",
    "texas",
    "thanks",
    "this",
    "tights",
    "tls",
    "towards",
    "trousers",
    "vas",
    "vegas",
    "wales",
    "was",
    "whereas",
    "windows",
    "yes",
    "kinds",
    "yahoos",
    "gnus",
    "axes",
    "bases",
    "ellipses",
    "oases",
];

/// Plurals that no rule makes.
const IRREGULAR: &[(&str, &str)] = &[
    ("analyses", "analysis"),
    ("antennae", "antenna"),
    ("appendices", "appendix"),
    ("atlases", "atlas"),
    ("biases", "bias"),
    ("bacteria", "bacterium"),
    ("aliases", "alias"),
    ("buses", "bus"),
    ("calves", "calf"),
    ("canvases", "canvas"),
    ("children", "child"),
    ("crises", "crisis"),
    ("criteria", "criterion"),
    ("diagnoses", "diagnosis"),
    ("elves", "elf"),
    ("feet", "foot"),
    ("gases", "gas"),
    ("geese", "goose"),
    ("halves", "half"),
    ("hypotheses", "hypothesis"),
    ("indices", "index"),
    ("irises", "iris"),
    ("knives", "knife"),
    ("leaves", "leaf"),
    ("lenses", "lens"),
    ("lives", "life"),
    ("loaves", "loaf"),
    ("matrices", "matrix"),
    ("men", "man"),
    ("mice", "mouse"),
    ("oxen", "ox"),
    ("parentheses", "parenthesis"),
    ("phenomena", "phenomenon"),
    ("prognoses", "prognosis"),
    ("quizzes", "quiz"),
    ("selves", "self"),
    ("shelves", "shelf"),
    ("syntheses", "synthesis"),
    ("teeth", "tooth"),
    ("theses", "thesis"),
    ("thieves", "thief"),
    ("vertices", "vertex"),
    ("wives", "wife"),
    ("wolves", "wolf"),
    ("women", "woman"),
];

/// Plurals in -ies and -oes and -ches that lose only the s.
const LOSES_ONLY_S: &[&str] = &[
    "movies",
    "cookies",
    "zombies",
    "calories",
    "rookies",
    "selfies",
    "hoodies",
    "brownies",
    "indies",
    "smoothies",
    "newbies",
    "freebies",
    "prairies",
    "genies",
    "ties",
    "pies",
    "lies",
    "birdies",
    "aussies",
    "neckties",
    "shoes",
    "toes",
    "canoes",
    "foes",
    "horseshoes",
    "tiptoes",
    "caches",
    "aches",
    "headaches",
    "niches",
    "avalanches",
    "psyches",
    "toothaches",
    "mustaches",
    "caves",
    "axes",
    "menus",
    "gurus",
    "emus",
    "skis",
    "taxis",
    "bikinis",
    "wikis",
    "emojis",
    "safaris",
    "zombies",
    "magpies",
    "walkies",
    "talkies",
    "goalies",
    "groupies",
    "hippies",
    "junkies",
    "yuppies",
    "collies",
    "pixies",
    "eateries",
    "backaches",
    "creches",
    "pistaches",
    "hertzes",
    "tofus",
    "flus",
    "thous",
    "gnus",
];

/// Count nouns in -ics; the others (physics, politics, economics) are no plurals.
const PLURAL_ICS: &[&str] = &[
    "topics",
    "comics",
    "metrics",
    "clinics",
    "critics",
    "fabrics",
    "heuristics",
    "characteristics",
    "mosaics",
    "relics",
    "skeptics",
    "mechanics",
    "picnics",
    "antibiotics",
    "generics",
    "plastics",
    "tunics",
    "tropics",
    "pics",
    "epics",
];

/// Letter groups that are plurals only with an s on a known short form (`pcs`), beside which `dns` and `css` stand.
const SHORT: &[&str] =
    &["tvs", "pcs", "vms", "ids", "uis", "dbs", "qas", "apis", "cpus", "gpus", "tpus", "guis", "clis"];

/// The singular of a plural noun; any other word as it is. Lower case in, lower case out.
pub fn singular(word: &str) -> String {
    let keep = || word.to_owned();
    let cut = |tail: usize, ending: &str| format!("{}{ending}", &word[..word.len() - tail]);
    if !word.bytes().all(|byte| byte.is_ascii_lowercase()) {
        return keep();
    }
    if let Some((_, one)) = IRREGULAR.iter().find(|(many, _)| *many == word) {
        return (*one).to_owned();
    }
    if SHORT.contains(&word) || LOSES_ONLY_S.contains(&word) {
        return cut(1, "");
    }
    let ends = |ending: &str| word.ends_with(ending);
    if word.len() < 4 || !ends("s") || NOT_PLURAL.contains(&word) {
        return keep();
    }
    if ["ss", "us", "is", "js", "ous", "css", "ous"].into_iter().any(ends) {
        return keep();
    }
    if ends("ics") {
        return if PLURAL_ICS.contains(&word) { cut(1, "") } else { keep() };
    }
    if ends("os") && (word.len() <= 4 || ["acos", "chos", "meos", "tvos", "pados", "ntos"].into_iter().any(ends)) {
        // macos, watchos, chromeos and the like are systems; the short plurals are named
        return if ["pros", "duos", "trios"].contains(&word) { cut(1, "") } else { keep() };
    }
    if ends("ies") && word.len() > 4 {
        return cut(3, "y");
    }
    for (ending, tail) in [("sses", 2), ("xes", 2), ("ches", 2), ("shes", 2), ("zzes", 2), ("oes", 2)] {
        if ends(ending) {
            return cut(tail, "");
        }
    }
    if ends("uses") && !["ouses", "auses", "cuses", "fuses"].into_iter().any(ends) && word.len() > 5 && !ends("reuses")
    {
        return cut(2, ""); // viruses, statuses; not houses, causes, excuses
    }
    cut(1, "")
}

/// British stems and their American spelling; what follows the stem stays (`favourites`, `centred`). A stem stands at
/// the start of a word or, marked by a leading `-`, anywhere in it.
const STEMS: &[(&str, &str)] = &[
    ("-colour", "color"),
    ("-favour", "favor"),
    ("-behaviour", "behavior"),
    ("-flavour", "flavor"),
    ("-honour", "honor"),
    ("-humour", "humor"),
    ("-labour", "labor"),
    ("-neighbour", "neighbor"),
    ("-rumour", "rumor"),
    ("-harbour", "harbor"),
    ("-armour", "armor"),
    ("-vapour", "vapor"),
    ("-odour", "odor"),
    ("-tumour", "tumor"),
    ("-endeavour", "endeavor"),
    ("-savour", "savor"),
    ("-saviour", "savior"),
    ("-rigour", "rigor"),
    ("-vigour", "vigor"),
    ("-valour", "valor"),
    ("-parlour", "parlor"),
    ("-splendour", "splendor"),
    ("-clamour", "clamor"),
    ("-candour", "candor"),
    ("-fervour", "fervor"),
    ("-demeanour", "demeanor"),
    ("-ardour", "ardor"),
    ("-arbour", "arbor"),
    ("-centre", "center"),
    ("-theatre", "theater"),
    ("-fibre", "fiber"),
    ("-calibre", "caliber"),
    ("-sabre", "saber"),
    ("-spectre", "specter"),
    ("-sombre", "somber"),
    ("-lustre", "luster"),
    ("-litre", "liter"),
    ("metre", "meter"),
    ("kilometre", "kilometer"),
    ("centimetre", "centimeter"),
    ("millimetre", "millimeter"),
    ("micrometre", "micrometer"),
    ("nanometre", "nanometer"),
    ("mitre", "miter"),
    ("meagre", "meager"),
    ("-manoeuvr", "maneuver"),
    ("-catalogue", "catalog"),
    ("-dialogue", "dialog"),
    ("-analogue", "analog"),
    ("-monologue", "monolog"),
    ("-defence", "defense"),
    ("-offence", "offense"),
    ("-licence", "license"),
    ("-pretence", "pretense"),
    ("practise", "practice"),
    ("practising", "practicing"),
    ("-programme", "program"),
    ("-grey", "gray"),
    ("aluminium", "aluminum"),
    ("jeweller", "jeweler"),
    ("-judgement", "judgment"),
    ("acknowledgement", "acknowledgment"),
    ("ageing", "aging"),
    ("artefact", "artifact"),
    ("moustache", "mustache"),
    ("pyjama", "pajama"),
    ("-plough", "plow"),
    ("sceptic", "skeptic"),
    ("-sulph", "sulf"),
    ("-anaesth", "anesth"),
    ("haem", "hem"),
    ("-paediatric", "pediatric"),
    ("orthopaed", "orthoped"),
    ("-oestr", "estr"),
    ("foetus", "fetus"),
    ("foetal", "fetal"),
    ("diarrhoea", "diarrhea"),
    ("gynaec", "gynec"),
    ("encyclopaed", "encycloped"),
    ("leukaem", "leukem"),
    ("anaem", "anem"),
    ("oesoph", "esoph"),
    ("enrolment", "enrollment"),
    ("instalment", "installment"),
    ("fulfilment", "fulfillment"),
    ("skilful", "skillful"),
    ("wilful", "willful"),
    ("cosy", "cozy"),
    ("-mould", "mold"),
    ("doughnut", "donut"),
    ("yoghurt", "yogurt"),
    ("tyre", "tire"),
    ("aeroplane", "airplane"),
    ("-cheque", "check"),
    ("maths", "math"),
    ("draughts", "drafts"),
    ("woollen", "woolen"),
    ("marvellous", "marvelous"),
    ("cancell", "cancel"),
    ("smoulder", "smolder"),
    ("speciality", "specialty"),
];

/// Verbs in an unstressed -l, whose British forms double it (`travelling`, `modeller`).
const DOUBLES_L: &[&str] = &[
    "barrel", "bevel", "channel", "counsel", "dial", "duel", "enamel", "equal", "fuel", "funnel", "gravel", "initial",
    "jewel", "label", "laurel", "level", "libel", "marshal", "marvel", "model", "panel", "pedal", "pencil", "quarrel",
    "rival", "shovel", "shrivel", "signal", "snivel", "spiral", "squirrel", "stencil", "swivel", "symbol", "total",
    "towel", "travel", "tunnel", "unravel", "grovel", "hovel", "parcel", "kennel", "yodel", "chisel", "revel",
    "drivel",
];

/// Stems after which -ise, -isation and so on are no spelling of -ize: `exercise`, `enterprise`, `noise`.
const KEEPS_ISE: &[&str] = &[
    "adv",
    "advert",
    "ar",
    "br",
    "bra",
    "chast",
    "chem",
    "circumc",
    "compr",
    "comprom",
    "conc",
    "cru",
    "dem",
    "desp",
    "dev",
    "disfranch",
    "disgu",
    "enfranch",
    "enterpr",
    "entrepr",
    "exc",
    "excerc",
    "exerc",
    "expert",
    "franch",
    "gu",
    "improv",
    "inc",
    "likew",
    "merchand",
    "m",
    "ma",
    "n",
    "no",
    "otherw",
    "ou",
    "pa",
    "para",
    "pra",
    "po",
    "prec",
    "prem",
    "pr",
    "prom",
    "pu",
    "ra",
    "repr",
    "rev",
    "r",
    "sunr",
    "superv",
    "surm",
    "surpr",
    "telev",
    "tort",
    "treat",
    "turquo",
    "val",
    "v",
    "w",
    "clockw",
    "poltergu",
    "apprai",
    "appra",
    "upra",
    "fundra",
    "upr",
    "counterclockw",
    "porpo",
    "mayonna",
    "liai",
    "equipo",
    "malad",
    "cerem",
    "anchor",
    "expo",
    "vo",
    "cho",
    "bru",
    "stepw",
    "pairw",
    "lengthw",
    "edgew",
    "pla",
    "mara",
    "marqu",
    "cerv",
    "cer",
    "valu",
    "d",
    "l",
    "h",
    "t",
    "b",
    "f",
    "g",
    "k",
    "p",
    "s",
    "par",
    "ir",
    "el",
    "tra",
    "ha",
];

/// The American spelling of a British one; any other word as it is.
pub fn american(word: &str) -> String {
    if word.len() < 4 || !word.bytes().all(|byte| byte.is_ascii_lowercase()) {
        return word.to_owned();
    }
    for &(stem, american) in STEMS {
        let (anywhere, stem) = stem.strip_prefix('-').map_or((false, stem), |stem| (true, stem));
        let Some(at) = word.find(stem).filter(|&at| at == 0 || anywhere) else { continue };
        let rest = &word[at + stem.len()..];
        // centre + s, centre + d, but centr + ing: the e that American spelling has is dropped there
        return format!("{}{american}{rest}", &word[..at]);
    }
    for (british, american) in [("centring", "centering"), ("theatrical", "theatrical")] {
        if word == british {
            return american.to_owned();
        }
    }
    for ending in ["ing", "ed", "er", "ers", "or", "ors", "ings", "ist", "ists", "ous"] {
        if let Some(stem) = word.strip_suffix(ending).and_then(|stem| stem.strip_suffix('l')) {
            if DOUBLES_L.iter().any(|verb| stem.ends_with(verb)) {
                return format!("{stem}{ending}");
            }
        }
    }
    const ISE: &[&str] = &["e", "ed", "er", "ers", "es", "ing", "ings", "ation", "ations", "ational", "able"];
    for ending in ISE {
        let Some(stem) = word.strip_suffix(ending) else { continue };
        if let Some(stem) = stem.strip_suffix("is").filter(|stem| stem.len() > 2 && !KEEPS_ISE.contains(stem)) {
            return format!("{stem}iz{ending}");
        }
        if let Some(stem) = stem.strip_suffix("lys").filter(|stem| stem.len() > 2 && *ending != "es") {
            return format!("{stem}lyz{ending}");
        }
    }
    word.to_owned()
}

/// Verbs with their nouns of action. The first column is the verb; `ing` nouns need no entry beside it.
const VERBS: &[(&str, &[&str])] = &[
    ("accelerate", &["acceleration"]),
    ("activate", &["activation"]),
    ("allocate", &["allocation"]),
    ("analyze", &["analysis"]),
    ("animate", &["animation"]),
    ("annotate", &["annotation"]),
    ("assess", &["assessment"]),
    ("authenticate", &["authentication"]),
    ("brainstorm", &[]),
    ("calculate", &["calculation"]),
    ("collaborate", &["collaboration"]),
    ("collect", &["collection"]),
    ("communicate", &["communication"]),
    ("compile", &["compilation"]),
    ("compress", &["compression"]),
    ("configure", &["configuration"]),
    ("connect", &["connection"]),
    ("consume", &["consumption"]),
    ("convert", &["conversion"]),
    ("create", &["creation"]),
    ("debug", &[]),
    ("decorate", &["decoration"]),
    ("deliver", &["delivery"]),
    ("deploy", &["deployment"]),
    ("describe", &["description"]),
    ("detect", &["detection"]),
    ("develop", &["development"]),
    ("diagnose", &["diagnosis"]),
    ("discover", &["discovery"]),
    ("educate", &["education"]),
    ("eliminate", &["elimination"]),
    ("encrypt", &["encryption"]),
    ("enhance", &["enhancement"]),
    ("estimate", &["estimation"]),
    ("evaluate", &["evaluation"]),
    ("execute", &["execution"]),
    ("expand", &["expansion"]),
    ("explain", &["explanation"]),
    ("explore", &["exploration"]),
    ("extract", &["extraction"]),
    ("generate", &["generation"]),
    ("illustrate", &["illustration"]),
    ("implement", &["implementation"]),
    ("improve", &["improvement"]),
    ("inspect", &["inspection"]),
    ("install", &["installation"]),
    ("integrate", &["integration"]),
    ("interpret", &["interpretation"]),
    ("investigate", &["investigation"]),
    ("learn", &[]),
    ("maintain", &["maintenance"]),
    ("manage", &["management"]),
    ("manipulate", &["manipulation"]),
    ("migrate", &["migration"]),
    ("modify", &["modification"]),
    ("motivate", &["motivation"]),
    ("navigate", &["navigation"]),
    ("negotiate", &["negotiation"]),
    ("parse", &[]),
    ("predict", &["prediction"]),
    ("prepare", &["preparation"]),
    ("preserve", &["preservation"]),
    ("prevent", &["prevention"]),
    ("promote", &["promotion"]),
    ("protect", &["protection"]),
    ("publish", &["publication"]),
    ("recognize", &["recognition"]),
    ("recommend", &["recommendation"]),
    ("reduce", &["reduction"]),
    ("remove", &["removal"]),
    ("replace", &["replacement"]),
    ("retrieve", &["retrieval"]),
    ("simulate", &["simulation"]),
    ("solve", &[]),
    ("suggest", &["suggestion"]),
    ("summarize", &["summarization"]),
    ("synthesize", &["synthesis"]),
    ("teach", &[]),
    ("transcribe", &["transcription"]),
    ("transform", &["transformation"]),
    ("translate", &["translation"]),
    ("troubleshoot", &[]),
    ("validate", &["validation"]),
    ("verify", &["verification"]),
    ("write", &[]),
];

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

/// `optimization` as (`optimize`, [`Action::Noun`], whether the verb has a noun beside its -ing).
///
/// Verbs are those of a list, and every one in -ize or -ify by its ending; any other word names no action.
pub fn action(word: &str) -> Option<(String, Action, bool)> {
    for &(verb, nouns) in VERBS.iter().filter(|(verb, _)| verb.get(..2) == word.get(..2)) {
        let kind = match word {
            _ if word == verb => Action::Verb,
            _ if nouns.contains(&word) => Action::Noun,
            _ if is_ing(word, verb) => Action::Ing,
            _ => continue,
        };
        return Some((verb.to_owned(), kind, !nouns.is_empty()));
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
    fn plurals() {
        for (many, one) in [
            ("histories", "history"),
            ("classes", "class"),
            ("caches", "cache"),
            ("houses", "house"),
            ("viruses", "virus"),
            ("databases", "database"),
            ("heroes", "hero"),
            ("children", "child"),
            ("apis", "api"),
            ("gpus", "gpu"),
            ("windows", "windows"),
            ("physics", "physics"),
            ("topics", "topic"),
            ("css", "css"),
            ("news", "news"),
            ("status", "status"),
            ("photos", "photo"),
            ("macos", "macos"),
            ("https", "https"),
            ("数学s", "数学s"),
        ] {
            assert_eq!(singular(many), one, "{many}");
            assert_eq!(singular(one), one, "{one} is one already");
        }
    }

    #[test]
    fn spellings() {
        for (british, us) in [
            ("colour", "color"),
            ("colourful", "colorful"),
            ("organisation", "organization"),
            ("analyse", "analyze"),
            ("centre", "center"),
            ("travelling", "traveling"),
            ("catalogue", "catalog"),
            ("exercise", "exercise"),
            ("enterprise", "enterprise"),
            ("analyses", "analyses"),
            ("hour", "hour"),
            ("noise", "noise"),
            ("controlled", "controlled"),
            ("defence", "defense"),
            ("serialise", "serialize"),
            ("promise", "promise"),
        ] {
            assert_eq!(american(british), us, "{british}");
            assert_eq!(american(us), us, "{us} is American already");
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
