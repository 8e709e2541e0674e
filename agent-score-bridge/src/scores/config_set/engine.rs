//! Renders templates, with an end to it.
//!
//! Templates are pure: they see `values` and `facts`, and can reach neither files nor clock nor
//! chance. What a hostile one may cost is bounded three times: before it is parsed, by how much code
//! it has, none of which makes data, as the engine compares and writes data without counting
//! ([`code_bounds`]); while it is rendered, by fuel; and throughout by a thread with a stack of its
//! own, whose depth no caller decides and whose panic does not leave it.

use std::thread;

use agent_model::{DeviceFacts, Problem, pointer_to};
use minijinja::{
    AutoEscape, Environment, Error, ErrorKind, Output, State, UndefinedBehavior, Value, context,
    escape_formatter, functions,
    syntax::SyntaxConfig,
    value::{Kwargs, Serde, ValueKind},
};
use serde_json::Map;

use super::{code_bounds, undefined};

/// The thread's stack, in bytes, taken only as far as it is used: about three times what the deepest
/// recursion that the bounds for code allow takes in an unoptimised build.
const STACK: usize = 16 << 20;

/// What a unit of fuel costs in work. It buys 64 bytes of output, so that all work of a
/// document buys about as much as its files may hold.
const WORK_PER_FUEL: u64 = 4;

/// Most blocks, loops and recursive calls of a loop within one another.
const MAX_DEPTH: usize = 100;

/// A template that fails is charged one part in so many of the remaining work, as the engine does not
/// say how much it took. Failing templates together take so many times the limit at most.
const SHARE_OF_A_FAILURE: u64 = 8;

/// Longest message of the engine that is shown, in characters: it may quote values.
const MAX_MESSAGE: usize = 400;

/// Why there are no contents.
#[derive(Debug)]
pub(super) enum Stopped {
    /// What is wrong with the templates.
    Invalid(Vec<Problem>),
    /// They take more work than there is.
    OutOfWork,
}

/// The content of each file, and how much work it took.
pub(super) fn render(
    templates: &[&str],
    values: &Map<String, serde_json::Value>,
    facts: &DeviceFacts,
    work: u64,
) -> (Result<Vec<String>, Stopped>, u64) {
    let render = || {
        let context = context! { values => Value::from(Serde(values)), facts => Value::from(Serde(facts)) };
        Rendering { context, remaining: work, problems: Vec::new() }.render(templates)
    };
    let rendered = thread::scope(|scope| {
        let thread = thread::Builder::new().name("templates".to_owned()).stack_size(STACK);
        match thread.spawn_scoped(scope, render) {
            Ok(thread) => thread.join().map_err(|_| {
                "the template engine breaks off on one of these templates: make them simpler".to_owned()
            }),
            Err(error) => Err(format!("there is no thread to render them on: {error}")),
        }
    });
    match rendered {
        Ok((contents, remaining)) => {
            let out_of_work = matches!(contents, Err(Stopped::OutOfWork));
            (contents, if out_of_work { u64::MAX } else { work - remaining })
        }
        // How much it took is unknown.
        Err(message) => {
            (Err(Stopped::Invalid(vec![Problem { pointer: "/files".to_owned(), message }])), work)
        }
    }
}

struct Rendering {
    context: Value,
    remaining: u64,
    problems: Vec<Problem>,
}

/// Why one template has no content.
enum Failure {
    Problem(String),
    OutOfWork,
}

impl Rendering {
    /// The content of each file, and the work that remains.
    fn render(mut self, templates: &[&str]) -> (Result<Vec<String>, Stopped>, u64) {
        let mut contents = Vec::with_capacity(templates.len());
        for (i, template) in templates.iter().enumerate() {
            match self.render_one(template) {
                Ok(content) => contents.push(content),
                Err(Failure::Problem(message)) => {
                    let pointer = pointer_to(&pointer_to("/files", i), "template");
                    self.problems.push(Problem { pointer, message });
                }
                Err(Failure::OutOfWork) if self.problems.is_empty() => return (Err(Stopped::OutOfWork), 0),
                Err(Failure::OutOfWork) => break,
            }
        }
        let outcome =
            if self.problems.is_empty() { Ok(contents) } else { Err(Stopped::Invalid(self.problems)) };
        (outcome, self.remaining)
    }

    fn render_one(&mut self, template: &str) -> Result<String, Failure> {
        let compiling =
            code_bounds::compile_work(template).map_err(|error| Failure::Problem(error.to_string()))?;
        self.remaining = self.remaining.checked_sub(compiling).ok_or(Failure::OutOfWork)?;
        let fuel = self.remaining / WORK_PER_FUEL;
        let environment = environment(fuel);
        let template = environment
            .template_from_str(template)
            .map_err(|error| Failure::Problem(self.message(&error)))?;
        let rendered = match template.render_captured(self.context.clone()) {
            Ok(rendered) => rendered,
            Err(error) if is_out_of_fuel(&error) => return Err(Failure::OutOfWork),
            Err(error) => {
                self.remaining -= self.remaining / SHARE_OF_A_FAILURE;
                return Err(Failure::Problem(self.message(&error)));
            }
        };
        // The engine was given fuel, so that it counts it.
        let consumed = rendered.state().fuel_levels().map_or(fuel, |(consumed, _)| consumed);
        self.remaining -= consumed.min(fuel) * WORK_PER_FUEL;
        Ok(rendered.into_output())
    }

    fn message(&self, error: &Error) -> String {
        let mut message = match error.detail() {
            Some(detail) if error.kind() == ErrorKind::UndefinedError => detail.to_owned(),
            Some(detail) => format!("{}: {detail}", error.kind()),
            None => error.kind().to_string(),
        };
        if error.kind() == ErrorKind::UndefinedError
            && let Some(hint) = undefined::hint(&message, &self.context)
        {
            message.push_str(&format!("; {hint}"));
        }
        let place = error.line().map(|line| format!("line {line}: ")).unwrap_or_default();
        place.chars().chain(message.chars()).take(MAX_MESSAGE).collect()
    }
}

fn environment<'t>(fuel: u64) -> Environment<'t> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_auto_escape_callback(|_| AutoEscape::None);
    if let Ok(syntax) = SyntaxConfig::builder().keep_trailing_newline(true).build() {
        environment.set_syntax(syntax);
    }
    environment.set_fuel(Some(fuel));
    environment.set_recursion_limit(MAX_DEPTH);
    // Errors then know which expression was undefined.
    environment.set_debug(true);
    environment.set_formatter(write);
    NOT_FOR_TEMPLATES.iter().for_each(|name| environment.remove_global(name));
    MAKE_DATA.iter().for_each(|name| environment.remove_filter(name));
    environment.add_function("range", range);
    environment.add_filter("map", map);
    environment.add_filter("tojson", to_json);
    environment
}

/// Functions that make data, or write down the engine's state.
const NOT_FOR_TEMPLATES: [&str; 3] = ["debug", "dict", "namespace"];
/// Filters by which data can hold a variable more than once, so that it doubles with every use; and
/// one that indents before it counts.
const MAKE_DATA: [&str; 7] = ["batch", "chain", "groupby", "pprint", "slice", "sum", "zip"];

/// The numbers from `lower`, or from 0, up to but without `upper`.
fn range(lower: i16, upper: Option<i16>, step: Option<i16>) -> Result<Value, Error> {
    functions::range(lower.into(), upper.map(Into::into), step.map(Into::into))
}

/// What each of the items has under that name; the engine's own could put other data there instead.
fn map(state: &State<'_, '_>, items: &Value, arguments: Kwargs) -> Result<Value, Error> {
    let attribute: &str = arguments.get("attribute")?;
    arguments.assert_all_used()?;
    let attributes = items.try_iter()?.map(|item| {
        state.consume_fuel(1)?;
        let value = item.get_attr(attribute)?;
        // Which attribute is not said: its name may have come from a value, and values may be secret.
        let missing = || Error::new(ErrorKind::UndefinedError, "an item has no such attribute");
        if value.is_undefined() { Err(missing()) } else { Ok(value) }
    });
    attributes.collect::<Result<Vec<Value>, Error>>().map(Value::from)
}

fn to_json(value: &Value) -> Result<String, Error> {
    serde_json::to_string(value).map_err(|error| Error::new(ErrorKind::BadSerialization, error.to_string()))
}

/// Writes what is no text as JSON does, which is how it stands in the document: `true`, `null`,
/// `["a"]`. The engine's own spelling is Python's.
fn write(output: &mut Output<'_>, state: &mut State<'_, '_>, value: &Value) -> Result<(), Error> {
    match value.kind() {
        ValueKind::None | ValueKind::Bool | ValueKind::Seq | ValueKind::Map | ValueKind::Iterable => {
            Ok(output.write_str(&to_json(value)?)?)
        }
        _ => escape_formatter(output, state, value),
    }
}

fn is_out_of_fuel(error: &Error) -> bool {
    let mut causes = std::iter::successors(Some(error as &dyn std::error::Error), |error| error.source());
    causes
        .any(|error| error.downcast_ref::<Error>().is_some_and(|error| error.kind() == ErrorKind::OutOfFuel))
}
