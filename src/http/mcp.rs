//! The protocol: what rmcp asks of a server, answered from the catalogue and the caller's grant.
//!
//! Nothing is decided here. Who calls was settled by [`super::auth`], whether by [`super::call`].

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, LazyLock};

use futures::FutureExt;
use futures::future::BoxFuture;
use rmcp::model::{
    CacheScope, CallToolRequestParams, CallToolResponse, CallToolResult, CompleteRequestMethod,
    CompleteRequestParams, CompleteResult, ContentBlock, Implementation, InitializeRequestParams,
    InitializeResult, ListPromptsRequestMethod, ListPromptsResult, ListResourceTemplatesRequestMethod,
    ListResourceTemplatesResult, ListResourcesRequestMethod, ListResourcesResult, ListToolsResult,
    MetaObject, NumberOrString, PaginatedRequestParams, ProgressNotificationParam, ProgressToken,
    ProtocolVersion, ServerCapabilities, ServerConfig, Tool, ToolAnnotations,
};
use rmcp::service::{Peer, RequestContext};
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use rmcp::{ErrorData, RoleServer, ServerHandler};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::body;
use super::call::{Called, Caller};
use super::door::Door;
use super::progress::{Listener, Progress, telling};
use super::sessions::{Held, Sessions, Turn, of_request};
use super::trace::Trace;
use super::under_way::UnderWay;
use crate::exec::Watch;
use crate::tools::{self, Entry, Reply};

/// How long a client may keep the list of tools: it changes only with the policy.
const LIST_TTL_MS: u64 = 60_000;

/// Bytes of a progress token at most: a UUID and a name have room.
const TOKEN_MAX: usize = 256;

/// Bytes that an answer takes until it is read, for each of its text: the text is in it once more as structured content,
/// and what is escaped there is escaped again.
const ANSWER_COST: usize = 3;

const INSTRUCTIONS: &str = "kernos runs commands on a Linux host under its owner's policy. Call `shell_execute` \
    with an array of words; its description lists what this key may run and where. A refusal says what is \
    allowed instead.";

/// rmcp's service with our handler and our sessions.
pub(super) type Service = StreamableHttpService<Handler, Sessions>;

/// The service for both eras: sessions for the older one, plain JSON answers for the newer.
pub(super) fn service(door: &Arc<Door>, sessions: &Arc<Sessions>) -> Service {
    // Host and Origin were judged by `guard`, for every listener and name of the policy.
    let mut config = StreamableHttpServerConfig::default()
        .disable_allowed_hosts()
        .disable_allowed_origins()
        .with_json_response(true)
        .with_max_request_body_bytes(body::MAX)
        .with_cancellation_token(door.close.clone());
    config.session_store = Some(Arc::clone(sessions) as _);
    let handler = Handler { door: Arc::clone(door), sessions: Arc::clone(sessions) };
    StreamableHttpService::new(move || Ok(handler.clone()), Arc::clone(sessions), config)
}

/// Answers what rmcp has read.
#[derive(Clone)]
pub(super) struct Handler {
    door: Arc<Door>,
    sessions: Arc<Sessions>,
}

type Context = RequestContext<RoleServer>;

impl ServerHandler for Handler {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
            .with_server_info(implementation())
            .with_instructions(INSTRUCTIONS)
    }

    /// Unlike rmcp's own answer it keeps nothing of what a client says of itself, which may be anything.
    async fn initialize(
        &self,
        request: InitializeRequestParams,
        context: Context,
    ) -> Result<InitializeResult, ErrorData> {
        self.admitted(&context)?;
        self.negotiate_initialize(&request)
    }

    async fn list_tools(
        &self,
        page: Option<PaginatedRequestParams>,
        context: Context,
    ) -> Result<ListToolsResult, ErrorData> {
        if page.is_some_and(|page| page.cursor.is_some()) {
            return Err(ErrorData::invalid_params("Unknown cursor: there is one page", None));
        }
        let listed = async {
            let grant = Arc::clone(self.admitted(&context)?.principal.grant());
            let mine = tools::catalogue().iter().filter(|entry| grant.tool(entry.name).is_some());
            Ok(mine.map(|entry| described(entry, entry.describe(&grant))).collect())
        };
        let tools = answered(listed).await?;
        let mut result = ListToolsResult::with_all_items(tools);
        result.meta = is_modern(&context).then(server_info);
        result.ttl_ms = Some(LIST_TTL_MS);
        result.cache_scope = Some(CacheScope::Private);
        Ok(result)
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: Context,
    ) -> Result<CallToolResponse, ErrorData> {
        let called = async {
            let _session = self.session(&context);
            let arguments = request.arguments.unwrap_or_default();
            let mut caller = caller(&context)?.clone();
            // The header is of this hop, and a proxy may have written it; this is of the very call.
            if let Some(trace) = context.meta.get_traceparent().and_then(Trace::parse) {
                caller.trace = Some(trace);
            }
            let audience = Audience::of(&context);
            let watch = audience.as_ref().map_or_else(Watch::default, |_| Watch::of_output());
            let cancelled = context.ct.clone();
            let call = self.door.call(&caller, &request.name, arguments, watch.clone(), cancelled);
            Ok(match audience {
                Some(audience) => telling(call, &watch, &audience).await,
                None => call.await,
            })
        };
        match answered(called).await? {
            Called::Answered(reply) => {
                if let Some(under_way) = of_request::<Arc<UnderWay>>(&context.extensions) {
                    under_way.hold(reply.text.len() * ANSWER_COST);
                }
                Ok(result(reply, is_modern(&context)).into())
            }
            Called::Unknown => Err(unknown(&request.name)),
            Called::Panicked => Err(internal()),
        }
    }

    // What is not declared is not there: rmcp's own answers are empty lists.

    async fn list_prompts(
        &self,
        _page: Option<PaginatedRequestParams>,
        _context: Context,
    ) -> Result<ListPromptsResult, ErrorData> {
        Err(ErrorData::method_not_found::<ListPromptsRequestMethod>())
    }

    async fn list_resources(
        &self,
        _page: Option<PaginatedRequestParams>,
        _context: Context,
    ) -> Result<ListResourcesResult, ErrorData> {
        Err(ErrorData::method_not_found::<ListResourcesRequestMethod>())
    }

    async fn list_resource_templates(
        &self,
        _page: Option<PaginatedRequestParams>,
        _context: Context,
    ) -> Result<ListResourceTemplatesResult, ErrorData> {
        Err(ErrorData::method_not_found::<ListResourceTemplatesRequestMethod>())
    }

    async fn complete(
        &self,
        _request: CompleteRequestParams,
        _context: Context,
    ) -> Result<CompleteResult, ErrorData> {
        Err(ErrorData::method_not_found::<CompleteRequestMethod>())
    }
}

impl Handler {
    /// The caller, whose key may have been taken away while the request came.
    fn admitted<'c>(&self, context: &'c Context) -> Result<&'c Caller, ErrorData> {
        let caller = caller(context)?;
        match self.door.lapse(caller) {
            None => Ok(caller),
            Some(_) => {
                Err(ErrorData::invalid_request("Unauthorized: the key is not valid here any more", None))
            }
        }
    }

    /// Holds the session of a call, so that it is not ended as idle while its client waits elsewhere.
    fn session(&self, context: &Context) -> Option<Held> {
        let parts = context.extensions.get::<http::request::Parts>()?;
        let id = parts.headers.get(super::endpoint::SESSION_ID)?.to_str().ok()?;
        self.sessions.hold(id)
    }
}

/// A client that asked to hear of its call: the token says which one is told of.
struct Audience {
    peer: Peer<RoleServer>,
    token: ProgressToken,
    cancelled: CancellationToken,
    turn: Option<Turn>,
}

impl Audience {
    fn of(context: &Context) -> Option<Self> {
        let token = context.meta.get_progress_token().filter(is_short)?;
        let turn = context.extensions.get::<Turn>().cloned();
        Some(Self { peer: context.peer.clone(), token, cancelled: context.ct.clone(), turn })
    }
}

impl Listener for Audience {
    fn listens(&self) -> bool {
        !self.cancelled.is_cancelled() && self.turn.as_ref().is_none_or(Turn::take)
    }

    fn tell(&self, progress: Progress) -> BoxFuture<'static, ()> {
        let Progress { since, message } = progress;
        let mut params = ProgressNotificationParam::new(self.token.clone(), since.as_secs_f64());
        params.message = message;
        let peer = self.peer.clone();
        // That the client has gone is no error: its call is ended, or answered to nobody.
        async move { drop(peer.notify_progress(params).await) }.boxed()
    }
}

/// Each message carries the token: one that is longer gets none.
fn is_short(token: &ProgressToken) -> bool {
    match &token.0 {
        NumberOrString::Number(_) => true,
        NumberOrString::String(text) => text.len() <= TOKEN_MAX,
    }
}

/// rmcp runs handlers in tasks of their own, and a request whose task panics is never answered.
async fn answered<T>(work: impl Future<Output = Result<T, ErrorData>>) -> Result<T, ErrorData> {
    AssertUnwindSafe(work).catch_unwind().await.unwrap_or_else(|_| Err(internal()))
}

fn caller(context: &Context) -> Result<&Caller, ErrorData> {
    of_request(&context.extensions).ok_or_else(internal)
}

fn internal() -> ErrorData {
    ErrorData::internal_error("Internal error", None)
}

/// The same for a tool that there is not and for one that this key may not call.
fn unknown(name: &str) -> ErrorData {
    let shown: String = name.chars().take(128).collect();
    ErrorData::invalid_params(format!("Unknown tool: {shown}"), None)
}

fn is_modern(context: &Context) -> bool {
    context.protocol_version().is_some_and(|version| version >= ProtocolVersion::V_2026_07_28)
}

fn implementation() -> Implementation {
    let mut implementation = Implementation::new("kernos", env!("CARGO_PKG_VERSION"));
    implementation.title = Some("kernos".to_owned());
    implementation
}

/// The newer era wants to be told in every result who answered.
fn server_info() -> MetaObject {
    static INFO: LazyLock<MetaObject> = LazyLock::new(|| {
        let mut meta = MetaObject::new();
        let server = json!({"name": "kernos", "title": "kernos", "version": env!("CARGO_PKG_VERSION")});
        meta.insert("io.modelcontextprotocol/serverInfo".to_owned(), server);
        meta
    });
    INFO.clone()
}

fn described(entry: &Entry, description: String) -> Tool {
    let annotations = ToolAnnotations::from_raw(
        Some(entry.title.to_owned()),
        Some(entry.annotations.read_only),
        Some(entry.annotations.destructive),
        Some(entry.annotations.idempotent),
        Some(entry.annotations.open_world),
    );
    Tool::new(entry.name, description, Arc::clone(&entry.input))
        .with_title(entry.title)
        .with_raw_output_schema(Arc::clone(&entry.output))
        .with_annotations(annotations)
}

fn result(reply: Reply, modern: bool) -> CallToolResult {
    let content = vec![ContentBlock::text(reply.text)];
    let mut result =
        if reply.is_error { CallToolResult::error(content) } else { CallToolResult::success(content) };
    result.structured_content = reply.structured;
    if modern {
        result.meta = Some(server_info());
    }
    result
}
