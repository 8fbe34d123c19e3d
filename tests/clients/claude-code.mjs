// Drives a running kernos with Claude Code, which must have been told of it as `kernos`, with the key in $KERNOS_KEY. No model
// is asked: one that is played here wants the call that a check is about, and its answer is what the tool's was.
//
// Usage: claude-code.mjs

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { createServer } from 'node:http';
import { promisify } from 'node:util';

import { oddSeconds, running, until } from './checks.mjs';

const execute = promisify(execFile);
const TOOL = 'mcp__kernos__shell_execute';
let wanted;

/// The events of a message with one block, as the Messages API streams them.
function* message(block, delta, reason) {
  const usage = { input_tokens: 1, output_tokens: 1 };
  yield { type: 'message_start', message: { id: 'm', type: 'message', role: 'assistant', content: [], usage } };
  yield { type: 'content_block_start', index: 0, content_block: block };
  yield { type: 'content_block_delta', index: 0, delta };
  yield { type: 'content_block_stop', index: 0 };
  yield { type: 'message_delta', delta: { stop_reason: reason }, usage };
  yield { type: 'message_stop' };
}

function played({ messages, tools = [] }) {
  const blocks = messages.flatMap(({ content }) => (Array.isArray(content) ? content : []));
  const result = blocks.find(({ type }) => type === 'tool_result');
  const say = (text) => message({ type: 'text', text: '' }, { type: 'text_delta', text }, 'end_turn');
  if (result) {
    return say(JSON.stringify({ isError: result.is_error ?? false, content: result.content }));
  }
  if (!tools.some(({ name }) => name === TOOL)) {
    return say(`${TOOL} is not among the tools`);
  }
  const block = { type: 'tool_use', id: 'toolu_1', name: TOOL, input: {} };
  return message(block, { type: 'input_json_delta', partial_json: JSON.stringify(wanted) }, 'tool_use');
}

const model = createServer(async (request, response) => {
  let body = '';
  for await (const piece of request) {
    body += piece;
  }
  if (!/^\/v1\/messages(\?|$)/.test(request.url)) {
    response.writeHead(request.method === 'HEAD' ? 200 : 404).end();
    return;
  }
  response.writeHead(200, { 'content-type': 'text/event-stream' });
  for (const event of played(JSON.parse(body))) {
    response.write(`event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`);
  }
  response.end();
});

async function claude(words, environment = {}) {
  const env = {
    ...process.env,
    ANTHROPIC_API_KEY: 'none',
    ANTHROPIC_BASE_URL: `http://127.0.0.1:${model.address().port}`,
    CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: '1',
    ENABLE_TOOL_SEARCH: 'false',
    ...environment,
  };
  const running = execute('claude', words, { env, timeout: 60_000 });
  running.child.stdin.end();
  return (await running).stdout;
}

/// What the model is told of a call.
async function call(args, environment) {
  wanted = args;
  const told = await claude(['-p', 'go on', '--allowedTools', TOOL], environment);
  assert.ok(told.startsWith('{'), told);
  return JSON.parse(told);
}

async function calls() {
  const { isError, content } = await call({ command: ['echo', 'hello', '|', 'cat'] });
  assert.equal(isError, false);
  const { stdout, status } = JSON.parse(content);
  assert.deepEqual([stdout, status], ['hello\n', 0]);
}

async function isDenied() {
  const { isError, content } = await call({ command: ['rm', 'x'] });
  assert.equal(isError, true);
  assert.match(JSON.stringify(content), /`rm` is not a command of this key; allowed: cat, echo, /);
}

async function isEndedInTime() {
  const { isError, content } = await call({ command: ['sleep', '60'], timeout: 1 });
  assert.equal(isError, true);
  assert.match(JSON.stringify(content), /timed-out/);
}

async function losesPatience() {
  const seconds = oddSeconds();
  const told = call({ command: ['sleep', seconds] }, { MCP_TOOL_TIMEOUT: '3000' });
  await until(() => running(seconds), `sleep ${seconds} to start`);
  await until(() => !running(seconds), `sleep ${seconds} to end`);
  assert.match(JSON.stringify(await told), /timed out after 3s/);
}

async function keepsWhatIsTooLong() {
  const long = { command: ['cat'], stdin: 'words '.repeat(30_000) };
  assert.match(JSON.stringify(await call(long)), /exceeds maximum allowed tokens\. Output has been saved to/);
}

async function knowsAWrongKey() {
  const told = await claude(['mcp', 'list'], { KERNOS_KEY: 'kernos_wrong' });
  assert.match(told, /kernos: .* Failed to connect . Server rejected the configured Authorization header \(HTTP 401\)/);
}

await new Promise((listening) => model.listen(0, '127.0.0.1', listening));
for (const does of [calls, isDenied, isEndedInTime, losesPatience, keepsWhatIsTooLong, knowsAWrongKey]) {
  await does();
}
console.log(`ok: ${(await claude(['--version'])).trim()}`);
model.close();
model.closeAllConnections();
