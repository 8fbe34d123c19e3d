//! What a tool is.

use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;
use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use tokio::sync::OwnedSemaphorePermit;

use super::{Reply, Runner, arguments, schema};
use crate::exec::{Stop, Watch};
use crate::policy::{Grant, ToolGrant};

/// A tool is a struct: its doc comment is the description, its fields are the parameters.
pub trait Tool: DeserializeOwned + JsonSchema + Send + 'static {
    /// The name that it is called by.
    const NAME: &'static str;
    /// The name that people read.
    const TITLE: &'static str;
    /// What it may do.
    const EFFECT: Effect;
    /// Whether calling it twice is the same as calling it once.
    const IDEMPOTENT: bool = matches!(Self::EFFECT, Effect::Read);
    /// Whether it reaches beyond what kernos knows of.
    const OPEN_WORLD: bool;
    /// What it answers.
    type Answer: Serialize + JsonSchema;

    /// What this key may do with it, for the description that its holder reads.
    fn reach(_grant: &Grant) -> Option<String> {
        None
    }

    /// Does it.
    fn call(self, context: Context) -> impl Future<Output = Reply> + Send;
}

/// What a tool may do to the world.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// It only looks.
    Read,
    /// It adds.
    Write,
    /// It may change or take away what is there.
    Destroy,
}

/// Hints for a client that asks its user before a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "four independent hints, named by the protocol")]
pub struct Annotations {
    /// It changes nothing.
    pub read_only: bool,
    /// It may take away what is there.
    pub destructive: bool,
    /// Twice is as once.
    pub idempotent: bool,
    /// It reaches beyond what kernos knows of.
    pub open_world: bool,
}

/// What a call has besides its arguments.
pub struct Context {
    /// The proof that the caller may call this tool.
    pub grant: ToolGrant,
    /// Where command lines are run.
    pub runner: Arc<dyn Runner>,
    /// The call's turn among those of its key, to be awaited once the call is judged and held while it runs;
    /// or the answer, if it gets none.
    pub turn: BoxFuture<'static, Result<OwnedSemaphorePermit, Reply>>,
    /// Sees the call while it runs.
    pub watch: Watch,
    /// Resolves when the call is to end early.
    pub stop: BoxFuture<'static, Stop>,
}

/// A tool in the catalogue, whatever its type.
pub struct Entry {
    /// The name that it is called by.
    pub name: &'static str,
    /// The name that people read.
    pub title: &'static str,
    /// What it may do.
    pub effect: Effect,
    /// Hints derived from the above.
    pub annotations: Annotations,
    /// The schema of its arguments.
    pub input: Arc<Map<String, Value>>,
    /// The schema of its structured answer.
    pub output: Arc<Map<String, Value>>,
    /// What it does, for every key alike.
    pub description: String,
    reach: fn(&Grant) -> Option<String>,
    call: fn(Value, Context) -> Result<BoxFuture<'static, Reply>, serde_json::Error>,
}

impl Entry {
    /// The entry of a type.
    pub fn of<T: Tool>() -> Self {
        let (input, description) = schema::input::<T>();
        Self {
            name: T::NAME,
            title: T::TITLE,
            effect: T::EFFECT,
            annotations: Annotations {
                read_only: T::EFFECT == Effect::Read,
                destructive: T::EFFECT == Effect::Destroy,
                idempotent: T::IDEMPOTENT,
                open_world: T::OPEN_WORLD,
            },
            input: Arc::new(input),
            output: Arc::new(schema::output::<T::Answer>()),
            description,
            reach: T::reach,
            call: |arguments, context| {
                let tool: T = serde_json::from_value(arguments)?;
                Ok(tool.call(context).boxed())
            },
        }
    }

    /// The description, with what the holder of this grant may do.
    pub fn describe(&self, grant: &Grant) -> String {
        match (self.reach)(grant) {
            Some(reach) => format!("{}\n\n{reach}", self.description),
            None => self.description.clone(),
        }
    }

    /// Reads the arguments and does it. A bad argument is an answer that names it.
    pub async fn call(&self, arguments: Map<String, Value>, context: Context) -> Reply {
        let call = arguments::check(&self.input, arguments)
            .and_then(|sound| (self.call)(sound, context).map_err(|error| vec![error.to_string()]));
        match call {
            Ok(call) => call.await,
            Err(mistakes) => Reply::denied("arguments", mistakes.join("\n")),
        }
    }
}
