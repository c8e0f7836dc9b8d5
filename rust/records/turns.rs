//! From a record in any schema to its turns: what the users asked, and the canonical bytes behind the sample's id.

use std::borrow::Cow;

use super::identity::{Canon, Role, push_value};
use super::schema::{Members, Schema};
use super::tape::{Kind, Value};
use super::transcript::Transcript;

/// Why a record was rejected; one phrase.
type Outcome = Result<(), String>;

/// Reads record after record; the text of the last one stays, until the next.
#[derive(Debug, Default)]
pub struct Reader {
    /// The texts of the messages, end to end.
    text: String,
    /// Where the message that is being read begins in it.
    start: usize,
    /// Where the queries are in it.
    queries: Vec<(usize, usize)>,
    canon: Canon,
    extras: Vec<u8>,
    transcript: Option<Transcript>,
}

/// What a record gave, beside its queries.
#[derive(Debug, Clone, Copy)]
pub struct Sample<'a> {
    /// The 128-bit content hash
    pub id: u128,
    /// The schema it was read as
    pub schema: Schema,
    /// User turns with text: so many queries
    pub turns: i32,
    /// The record's own id, a string or a number
    pub own_id: Option<Value<'a>>,
}

const LONE: &str = "a text holds a lone surrogate";

impl Reader {
    /// Reads one record, as `forced` or as what its members show.
    pub fn read<'a>(&mut self, record: Value<'a>, forced: Option<Schema>) -> Result<Sample<'a>, String> {
        self.clear();
        let (schema, own_id) = self.record(record, forced)?;
        match self.turns() {
            0 => Err("no user text".into()),
            turns => Ok(Sample { id: self.canon.hash(), schema, turns, own_id }),
        }
    }

    /// The queries of the record read last.
    pub fn queries(&self) -> impl Iterator<Item = &str> {
        self.queries.iter().map(|&(start, end)| self.text.get(start..end).unwrap_or(""))
    }

    /// How many they are.
    pub(super) fn turns(&self) -> i32 {
        self.queries.len() as i32
    }

    /// Adds a text as a query, whatever it holds.
    pub(super) fn push_query(&mut self, text: &str) {
        self.queries.push((self.text.len(), self.text.len() + text.len()));
        self.text.push_str(text);
    }

    /// Forgets the last record; one that was rejected may have left anything.
    pub(super) fn clear(&mut self) {
        self.text.clear();
        self.start = 0;
        self.queries.clear();
        self.canon.clear();
        self.extras.clear();
    }

    /// The record as one line of JSON, `{"messages": [...]}`, with `tools` and media where it has any.
    pub fn messages(&mut self, record: Value<'_>, forced: Option<Schema>) -> Result<String, String> {
        self.transcript = Some(Transcript::default());
        let read = self.read(record, forced);
        let transcript = self.transcript.take().unwrap_or_default();
        read.map(|_| transcript.finish(record))
    }

    /// A line of plain text as a sample of one query.
    pub fn read_line(&mut self, line: &str) -> Sample<'static> {
        self.clear();
        self.text.push_str(line);
        self.close(Role::User, "");
        Sample { id: self.canon.hash(), schema: Schema::Text, turns: 1, own_id: None }
    }

    fn record<'a>(&mut self, record: Value<'a>, forced: Option<Schema>) -> Result<(Schema, Option<Value<'a>>), String> {
        let members = match record.kind() {
            Kind::Object => Members::of(record),
            Kind::List => Members { chat: Some(record), ..Members::default() },
            Kind::Text | Kind::Escaped => Members { text: Some(record), ..Members::default() },
            _ => return Err(format!("expected an object, found {}", record.noun())),
        };
        if let (Some(reason), None) = (members.refused, forced) {
            return Err(reason.into());
        }
        let Some(schema) = forced.or_else(|| members.schema()) else { return Err(no_schema(record)) };
        if schema != Schema::Instances {
            self.optional(members.system, Role::System, "system")?;
            self.history(members.history)?;
        }
        match schema {
            Schema::Sharegpt | Schema::Messages => self.chat(members.chat, "messages")?,
            Schema::Preference => self.preference(&members)?,
            Schema::Turns => self.turn_list(&members)?,
            Schema::Instances => self.instances(&members)?,
            Schema::Alpaca | Schema::PromptCompletion | Schema::QuestionAnswer | Schema::Text => {
                self.ask(&members, schema)?;
                for reply in members.replies() {
                    self.reply(reply)?;
                }
            }
        }
        for media in members.media.iter().flatten().filter(|media| !is_empty(**media)) {
            if !self.canon.media(*media) {
                return Err(LONE.into());
            }
        }
        Ok((schema, members.own_id))
    }

    /// The user's text of the schemas that have it in one place.
    fn ask(&mut self, members: &Members<'_>, schema: Schema) -> Outcome {
        let instruction = members.instruction.or(members.instructions);
        let prompt = members.query.or(members.prompt).or(members.input);
        let text = members.text.or(members.only_text);
        let beside = members.input.or(members.context);
        let (ask, beside, name) = match schema {
            Schema::Alpaca => (instruction, beside, "instruction"),
            Schema::PromptCompletion => (prompt, None, "prompt"),
            Schema::QuestionAnswer => (members.question, members.context, "question"),
            Schema::Text => (text, None, "text"),
            _ if instruction.is_some() => (instruction, beside, "instruction"),
            _ if prompt.is_some() => (prompt, None, "prompt"),
            _ if members.question.is_some() => (members.question, members.context, "question"),
            _ => (text, None, "prompt"),
        };
        let Some(ask) = ask else { return Err(format!("has no `{name}`")) };
        if ask.kind() == Kind::List && matches!(name, "prompt" | "question") {
            return self.chat(Some(ask), name);
        }
        self.push_text(ask, name)?;
        if let Some(beside) = beside {
            self.push_beside(beside, "input")?;
        }
        self.close(Role::User, "");
        Ok(())
    }

    /// A list of turns: objects with a role and a content, or texts of user and model in turn.
    fn chat(&mut self, chat: Option<Value<'_>>, name: &str) -> Outcome {
        let Some(chat) = chat else { return Err(format!("has no `{name}`")) };
        if chat.kind() != Kind::List {
            return Err(format!("`{name}` is {}, expected a list of turns", chat.noun()));
        }
        for (at, turn) in chat.items().enumerate() {
            if turn.is_text() {
                self.push_text(turn, name)?;
                self.close(if at % 2 == 0 { Role::User } else { Role::Assistant }, "");
            } else {
                self.turn(turn).map_err(|reason| format!("turn {} of `{name}`: {reason}", at + 1))?;
            }
        }
        Ok(())
    }

    /// One turn of a chat.
    fn turn(&mut self, turn: Value<'_>) -> Outcome {
        if turn.kind() != Kind::Object {
            return Err(format!("is {}, expected an object with a role and a text", turn.noun()));
        }
        let (mut role, mut content, mut speaker) = (None, None, false);
        self.extras.clear();
        for (key, value) in turn.members().filter(|(_, value)| value.kind() != Kind::Null) {
            match key.raw() {
                "role" | "from" => role = Some(value),
                "speaker" => (role, speaker) = (Some(value), true),
                "content" | "value" | "utterance" | "text" | "parts" => content = Some(value),
                "tool_calls" | "function_call" | "images" | "audio" | "videos" | "reasoning_content"
                | "attachments"
                    if !is_empty(value) =>
                {
                    self.push_extra(key.raw(), value)?;
                }
                _ => {}
            }
        }
        let Some(role) = role.filter(|role| role.is_text()) else { return Err("has no role".into()) };
        let mut name = Cow::Borrowed(role.text().ok_or(LONE)?);
        if name.bytes().any(|byte| byte.is_ascii_uppercase()) {
            name.to_mut().make_ascii_lowercase();
        }
        // Where people and machine are told apart by `speaker`, the system is the machine that answers.
        let role = if speaker && name == "system" { Role::Assistant } else { Role::named(&name) };
        if let Some(content) = content {
            self.content(content)?;
        }
        self.close(role, &name);
        Ok(())
    }

    /// The content of a turn: a text, or a list of parts, of which the texts are joined by line breaks.
    fn content(&mut self, content: Value<'_>) -> Outcome {
        match content.kind() {
            Kind::Text | Kind::Escaped => self.push_text(content, "content"),
            Kind::Object => self.part(content),
            Kind::List => content.items().try_for_each(|part| match part.kind() {
                Kind::Null => Ok(()),
                Kind::Object => self.part(part),
                Kind::Text | Kind::Escaped => self.push_beside(part, "content"),
                _ => Err(format!("a part of its content is {}, expected text", part.noun())),
            }),
            _ => Err(format!("its content is {}, expected text", content.noun())),
        }
    }

    fn part(&mut self, part: Value<'_>) -> Outcome {
        let (mut kind, mut text) = (None, None);
        for (key, value) in part.members().filter(|(_, value)| value.kind() != Kind::Null) {
            match key.raw() {
                "type" => kind = Some(value.raw()),
                "text" => text = Some(value),
                "value" | "content" => text = text.or(Some(value)),
                _ => {}
            }
        }
        match (kind, text) {
            (None | Some("text" | "input_text" | "output_text"), Some(text)) => self.push_beside(text, "text"),
            _ => self.push_extra("part", part),
        }
    }

    /// What was asked, and the answer that was preferred; the rejected one is metadata.
    fn preference(&mut self, members: &Members<'_>) -> Outcome {
        let Some(chosen) = members.chosen else { return self.chat(members.chat, "chosen_messages") };
        let asked =
            [members.instruction, members.instructions, members.query, members.prompt, members.question, members.text];
        let asked = asked.iter().any(Option::is_some) || members.input.is_some();
        if members.chat.is_none() && chosen.is_text() && !asked {
            return self.marked_dialogue(chosen);
        }
        let whole = chosen.kind() == Kind::List && chosen.items().any(is_user_turn);
        if members.chat.is_some() {
            self.chat(members.chat, "messages")?;
        } else if !whole {
            self.ask(members, Schema::Preference)?;
        }
        match chosen.kind() {
            Kind::List => self.chat(Some(chosen), "chosen"),
            Kind::Object => self.turn(chosen).map_err(|reason| format!("`chosen`: {reason}")),
            _ => self.reply(chosen),
        }
    }

    /// A whole dialogue in one text, its turns marked as in Anthropic's data: `\n\nHuman: ... \n\nAssistant: ...`.
    fn marked_dialogue(&mut self, dialogue: Value<'_>) -> Outcome {
        const MARKS: [(&str, Role); 2] = [("\n\nHuman:", Role::User), ("\n\nAssistant:", Role::Assistant)];
        let text = dialogue.text().ok_or(LONE)?;
        let next = |from: usize| {
            let found =
                MARKS.iter().filter_map(|&(mark, role)| Some((from + text.get(from..)?.find(mark)?, mark, role)));
            found.min_by_key(|&(at, ..)| at)
        };
        let Some(mut here) = next(0) else { return Err("has `chosen`, but no prompt".into()) };
        loop {
            let (at, mark, role) = here;
            let start = at + mark.len();
            let after = next(start);
            let turn = text.get(start..after.map_or(text.len(), |(at, ..)| at)).unwrap_or("");
            self.text.push_str(turn.trim());
            self.close(role, "");
            let Some(found) = after else { return Ok(()) };
            here = found;
        }
    }

    /// `turns` as texts (each a query) or objects, or `data` as texts of user and model in turn.
    fn turn_list(&mut self, members: &Members<'_>) -> Outcome {
        let Some(turns) = members.turns else { return self.chat(members.alternating, "turns") };
        if turns.kind() != Kind::List || !turns.items().next().is_some_and(Value::is_text) {
            return self.chat(Some(turns), "turns");
        }
        for turn in turns.items() {
            self.push_text(turn, "turns")?;
            self.close(Role::User, "");
        }
        Ok(())
    }

    /// Each instance asks for itself: the instruction with its input, or one instruction of a list.
    fn instances(&mut self, members: &Members<'_>) -> Outcome {
        let filled = members.instances.filter(|list| list.items().next().is_some());
        let Some(list) = filled.or(members.instructions).or(members.instances) else {
            return Err("has no `instances`".into());
        };
        if list.kind() != Kind::List {
            return Err(format!("`instances` is {}, expected a list", list.noun()));
        }
        for (at, instance) in list.items().enumerate() {
            let parts = match instance.kind() {
                Kind::Object => Members::of(instance),
                Kind::Text | Kind::Escaped => Members { instruction: Some(instance), ..Members::default() },
                _ => return Err(format!("instance {} is {}, expected an object or text", at + 1, instance.noun())),
            };
            if let Some(instruction) = parts.instruction.or(members.instruction) {
                self.push_text(instruction, "instruction")?;
            }
            if let Some(input) = parts.input {
                self.push_beside(input, "input")?;
            }
            self.close(Role::User, "");
            for reply in parts.replies() {
                self.reply(reply)?;
            }
        }
        Ok(())
    }

    /// Earlier turns, as pairs of question and answer.
    fn history(&mut self, history: Option<Value<'_>>) -> Outcome {
        let Some(history) = history.filter(|history| history.kind() == Kind::List) else { return Ok(()) };
        history.items().filter(|pair| pair.kind() == Kind::List).try_for_each(|pair| self.chat(Some(pair), "history"))
    }

    /// What the model said: a text, several, turns, or any other value as it is.
    fn reply(&mut self, reply: Value<'_>) -> Outcome {
        match reply.kind() {
            Kind::Null => Ok(()),
            // Several answers to one question are alternatives: a transcript holds the first.
            Kind::List if self.transcript.is_some() && reply.items().all(Value::is_text) => {
                reply.items().next().map_or(Ok(()), |reply| self.reply(reply))
            }
            Kind::List => reply.items().try_for_each(|reply| self.reply(reply)),
            Kind::Object if reply.members().any(|(key, _)| matches!(key.raw(), "role" | "from")) => self.turn(reply),
            Kind::Object => {
                self.extras.clear();
                self.push_extra("part", reply)?;
                self.close(Role::Assistant, "");
                Ok(())
            }
            Kind::Text | Kind::Escaped => self.optional(Some(reply), Role::Assistant, "response"),
            Kind::Bool | Kind::Number => {
                self.text.push_str(reply.raw());
                self.close(Role::Assistant, "");
                Ok(())
            }
        }
    }

    /// A text that may be missing, as a message of its own.
    fn optional(&mut self, text: Option<Value<'_>>, role: Role, name: &str) -> Outcome {
        if let Some(text) = text.filter(|text| text.is_text()) {
            self.push_text(text, name)?;
            self.close(role, "");
        }
        Ok(())
    }

    fn push_text(&mut self, text: Value<'_>, name: &str) -> Outcome {
        if !text.is_text() {
            return Err(format!("`{name}` is {}, expected text", text.noun()));
        }
        self.text.push_str(text.text().ok_or(LONE)?);
        Ok(())
    }

    /// Appends a text on a line of its own, unless it is blank.
    fn push_beside(&mut self, text: Value<'_>, name: &str) -> Outcome {
        let before = self.text.len();
        let added = before > self.start;
        if added {
            self.text.push('\n');
        }
        let start = self.text.len();
        self.push_text(text, name)?;
        if added && self.text.get(start..).is_none_or(|text| text.trim().is_empty()) {
            self.text.truncate(before);
        }
        Ok(())
    }

    /// A tool call, or a part of a turn that is no text.
    fn push_extra(&mut self, name: &str, value: Value<'_>) -> Outcome {
        if let Some(transcript) = &mut self.transcript {
            transcript.extra(name, value);
        }
        self.extras.push(b'x');
        if push_value(value, &mut self.extras) { Ok(()) } else { Err(LONE.into()) }
    }

    /// Ends the message whose text and extras were pushed; a user's text that is not blank is a query.
    fn close(&mut self, role: Role, name: &str) {
        let text = self.text.get(self.start..).unwrap_or("");
        self.canon.message(role, name, text, &self.extras);
        if let Some(transcript) = &mut self.transcript {
            transcript.message(role, name, text);
        }
        if role == Role::User && !text.trim().is_empty() {
            self.queries.push((self.start, self.text.len()));
        }
        self.start = self.text.len();
        self.extras.clear();
    }
}

fn is_empty(value: Value<'_>) -> bool {
    match value.kind() {
        Kind::Null => true,
        Kind::Text => value.raw().trim().is_empty(),
        Kind::List | Kind::Object => value.items().next().is_none(),
        _ => false,
    }
}

fn is_user_turn(turn: Value<'_>) -> bool {
    turn.members().any(|(key, role)| {
        matches!(key.raw(), "role" | "from") && Role::named(&role.raw().to_ascii_lowercase()) == Role::User
    })
}

fn no_schema(record: Value<'_>) -> String {
    let mut keys: Vec<_> = record.members().take(7).map(|(key, _)| format!("`{}`", key.raw())).collect();
    if keys.len() == 7 {
        keys[6] = "...".into();
    }
    if keys.is_empty() { "an empty object".into() } else { format!("no schema fits the members {}", keys.join(", ")) }
}
