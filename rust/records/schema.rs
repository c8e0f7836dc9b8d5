//! Which of the known shapes a record has, told by the names of its members (in any case of letters).

use std::str::FromStr;

use super::tape::{Kind, Value};
use crate::error::Error;

/// The shapes that are read; docs/reading.md says what the query is in each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Schema {
    /// `instruction`, `input`, `output`
    Alpaca,
    /// turns of `from` and `value`
    Sharegpt,
    /// turns of `role` and `content`
    Messages,
    /// a prompt in any shape, `chosen` and `rejected`
    Preference,
    /// `prompt` and `completion`
    PromptCompletion,
    /// `question` and `answer`
    QuestionAnswer,
    /// one text
    Text,
    /// `turns`: texts, or objects of `speaker` and `utterance`
    Turns,
    /// several instructions in one record, or several inputs of one instruction
    Instances,
}

impl Schema {
    /// Every schema, in the order of its number.
    pub const ALL: [Self; 9] = [
        Self::Alpaca,
        Self::Sharegpt,
        Self::Messages,
        Self::Preference,
        Self::PromptCompletion,
        Self::QuestionAnswer,
        Self::Text,
        Self::Turns,
        Self::Instances,
    ];

    /// The name that `--schema` takes.
    pub fn name(self) -> &'static str {
        match self {
            Self::Alpaca => "alpaca",
            Self::Sharegpt => "sharegpt",
            Self::Messages => "messages",
            Self::Preference => "preference",
            Self::PromptCompletion => "prompt-completion",
            Self::QuestionAnswer => "question-answer",
            Self::Text => "text",
            Self::Turns => "turns",
            Self::Instances => "instances",
        }
    }
}

impl FromStr for Schema {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        Self::ALL.into_iter().find(|schema| schema.name() == name).ok_or_else(|| {
            let names: Vec<_> = Self::ALL.iter().map(|schema| schema.name()).collect();
            Error::Setting { name: "schema", reason: format!("is `{name}`, must be one of {}", names.join(", ")) }
        })
    }
}

/// The members of a record that matter, each under the first of its names that holds something.
#[derive(Debug, Default, Clone, Copy)]
pub struct Members<'a> {
    pub(super) chat: Option<Value<'a>>,
    pub(super) alternating: Option<Value<'a>>,
    pub(super) turns: Option<Value<'a>>,
    pub(super) history: Option<Value<'a>>,
    pub(super) instances: Option<Value<'a>>,
    pub(super) instructions: Option<Value<'a>>,
    pub(super) instruction: Option<Value<'a>>,
    pub(super) input: Option<Value<'a>>,
    pub(super) context: Option<Value<'a>>,
    pub(super) query: Option<Value<'a>>,
    pub(super) prompt: Option<Value<'a>>,
    pub(super) question: Option<Value<'a>>,
    pub(super) system: Option<Value<'a>>,
    pub(super) text: Option<Value<'a>>,
    pub(super) only_text: Option<Value<'a>>,
    pub(super) chosen: Option<Value<'a>>,
    pub(super) rejected: Option<Value<'a>>,
    pub(super) answers: [Option<Value<'a>>; ANSWERS.len()],
    pub(super) media: [Option<Value<'a>>; 8],
    pub(super) own_id: Option<Value<'a>>,
    pub(super) refused: Option<&'static str>,
}

/// What the model said, by the name of the member; the first that is there counts, and the pair of `answer1`, `answer2`.
const ANSWERS: [&str; 14] = [
    "response",
    "responses",
    "output",
    "outputs",
    "completion",
    "completions",
    "answer",
    "answer1",
    "answer2",
    "answers",
    "solution",
    "canonical_solution",
    "target",
    "targets",
];

const OWN_IDS: [&str; 9] =
    ["id", "uuid", "question_id", "task_id", "dialogue_id", "conversation_id", "prompt_id", "_id", "idx"];

/// The longest name above, so that longer keys need no look.
const LONGEST: usize = 20;

impl<'a> Members<'a> {
    /// Sorts the members of an object; a repeated key counts as its last, as in Python, and a null is no member.
    #[allow(clippy::too_many_lines, reason = "a table of names reads best in one piece")]
    pub fn of(record: Value<'a>) -> Self {
        let mut found = Self::default();
        let mut name = [0u8; LONGEST];
        let (mut members, mut own_rank) = (0usize, usize::MAX);
        let (mut batch, mut judged, mut reply) = (false, false, false);
        for (key, value) in record.members() {
            members += 1;
            let raw = key.raw().as_bytes();
            if value.kind() == Kind::Null || raw.len() > LONGEST {
                continue;
            }
            let name = &mut name[..raw.len()];
            name.copy_from_slice(raw);
            name.make_ascii_lowercase();
            let value = Some(value);
            match &*name {
                b"messages" | b"conversations" | b"conversation" | b"dialogue" | b"dialog" | b"chosen_messages" => {
                    found.chat = prefer(found.chat, value, Kind::List);
                }
                b"data" => found.alternating = value,
                b"turns" => found.turns = value,
                b"history" => found.history = value,
                b"instances" => found.instances = value,
                b"instructions" => found.instructions = value,
                b"instruction" => found.instruction = value,
                b"input" | b"inputs" => found.input = value,
                b"context" => found.context = value,
                b"query" => found.query = value,
                b"prompt" => found.prompt = value,
                b"question" | b"problem" => found.question = value,
                b"system" | b"system_prompt" | b"system_message" => found.system = value,
                b"text" => found.text = value,
                b"content" | b"document" | b"sentence" => found.text = found.text.or(value),
                b"chosen" => found.chosen = value,
                b"rejected" | b"rejected_messages" => found.rejected = value,
                b"image" => found.media[0] = value,
                b"images" => found.media[1] = value,
                b"image_bytes" => found.media[2] = value,
                b"audio" => found.media[3] = value,
                b"audios" => found.media[4] = value,
                b"video" => found.media[5] = value,
                b"videos" => found.media[6] = value,
                b"files" => found.media[7] = value,
                b"custom_id" => batch = true,
                b"answer_id" => judged = true,
                b"choices" => reply = true,
                b"prompt_template" => found.refused = Some("a judge's prompt template, not an instruction"),
                other => {
                    let rank = |names: &[&str]| names.iter().position(|name| name.as_bytes() == other);
                    if let Some(at) = rank(&ANSWERS) {
                        found.answers[at] = value;
                    } else if let Some(at) = rank(&OWN_IDS).filter(|&at| at <= own_rank) {
                        (own_rank, found.own_id) = (at, value);
                    }
                }
            }
            if members == 1 {
                found.only_text = value.filter(|value| value.is_text());
            }
        }
        if members != 1 {
            found.only_text = None;
        }
        if batch && found.answers[0].is_some() {
            found.refused = Some("a reply to a batch request, not an instruction");
        } else if judged && reply {
            found.refused = Some("a model's reference answer, not an instruction");
        }
        found
    }

    /// The schema that these members show, by the first rule that fits.
    pub fn schema(&self) -> Option<Schema> {
        let list = |value: Option<Value<'a>>| value.filter(|value| value.kind() == Kind::List);
        if self.chosen.is_some_and(|value| value.is_text() || matches!(value.kind(), Kind::List | Kind::Object))
            || (self.rejected.is_some() && self.chat.is_some())
        {
            return Some(Schema::Preference);
        }
        if let Some(chat) = self.chat {
            let sharegpt = chat.items().next().is_some_and(|turn| turn.members().any(|(key, _)| key.raw() == "from"));
            return Some(if sharegpt { Schema::Sharegpt } else { Schema::Messages });
        }
        if self.instances.is_some() || list(self.instructions).is_some() {
            return Some(Schema::Instances);
        }
        if list(self.turns).is_some() || list(self.alternating).is_some_and(|data| data.items().any(Value::is_text)) {
            return Some(Schema::Turns);
        }
        if self.instruction.is_some() || self.instructions.is_some() {
            return Some(Schema::Alpaca);
        }
        // A `query` beside a `prompt` is the whole task; the prompt then is a preamble of the code to complete.
        if self.query.is_some() || (self.prompt.is_some() && self.question.is_none()) {
            return Some(Schema::PromptCompletion);
        }
        if self.question.is_some() {
            return Some(Schema::QuestionAnswer);
        }
        if self.input.is_some_and(Value::is_text) && self.answer().is_some() {
            return Some(Schema::PromptCompletion);
        }
        self.text.or(self.only_text).map(|_| Schema::Text)
    }

    /// The first answer there is.
    pub fn answer(&self) -> Option<Value<'a>> {
        self.answers.iter().flatten().next().copied()
    }

    /// All that counts as the model's answer: the first there is, and the second of a pair.
    pub(super) fn replies(&self) -> impl Iterator<Item = Value<'a>> {
        let second = self.answers[7].and(self.answers[8]).filter(|_| self.answers[..7].iter().all(Option::is_none));
        self.answer().into_iter().chain(second)
    }
}

/// The later of two values, unless only the earlier has the kind that is wanted.
fn prefer<'a>(old: Option<Value<'a>>, new: Option<Value<'a>>, kind: Kind) -> Option<Value<'a>> {
    match (old, new) {
        (Some(old), Some(new)) if old.kind() == kind && new.kind() != kind => Some(old),
        _ => new,
    }
}
