// Drives a running kernos with the TypeScript client. Usage: typescript.mjs URL KEY auto|legacy

import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';

import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';

const PATIENCE_MS = 10_000;
const [url, key, mode] = process.argv.slice(2);

const transport = new StreamableHTTPClientTransport(new URL(url), {
  requestInit: { headers: { Authorization: `Bearer ${key}` } },
});
const client = new Client({ name: 'kernos-clients', version: '1.0.0' }, { versionNegotiation: { mode } });
await client.connect(transport);

const run = (command, options) => client.callTool({ name: 'shell_execute', arguments: { command } }, options);

async function lists() {
  const { tools } = await client.listTools();
  assert.deepEqual(tools.map((tool) => tool.name), ['shell_execute']);
}

async function calls() {
  const { structuredContent } = await run(['echo', 'hello', '|', 'cat']);
  assert.equal(structuredContent.stdout, 'hello\n');
  assert.equal(structuredContent.status, 0);
}

async function isDenied() {
  const answer = await run(['rm', 'x']);
  assert.equal(answer.isError, true);
  assert.match(answer.content[0].text, /rm/);
}

async function knowsNoSuchTool() {
  await assert.rejects(client.callTool({ name: 'no_such_tool', arguments: {} }));
}

async function hears() {
  const heard = [];
  await run(['echo', 'going', '&&', 'sleep', '1.3'], { onprogress: ({ total, message }) => heard.push({ total, message }) });
  assert.deepEqual(heard, [{ total: undefined, message: 'going' }]);
}

async function cancels() {
  const seconds = `8${process.pid}${Date.now() % 10_000}`;
  const giveUp = new AbortController();
  const call = run(['sleep', seconds], { signal: giveUp.signal });
  const rejected = assert.rejects(call);
  await until(() => running(seconds), `sleep ${seconds} to start`);
  giveUp.abort('no longer wanted');
  await rejected;
  await until(() => !running(seconds), `sleep ${seconds} to end`);
}

function running(argument) {
  const words = (pid) => {
    try {
      return readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
    } catch {
      return [];
    }
  };
  return readdirSync('/proc').some((name) => /^\d+$/.test(name) && words(name).slice(1).includes(argument) && words(name)[0].endsWith('sleep'));
}

async function until(holds, what) {
  const deadline = Date.now() + PATIENCE_MS;
  while (!holds()) {
    assert.ok(Date.now() < deadline, `waited ${PATIENCE_MS} ms for ${what}`);
    await pause(20);
  }
}

for (const does of [lists, calls, isDenied, knowsNoSuchTool, hears, cancels]) {
  await does();
}
const spoken = client.getNegotiatedProtocolVersion?.() ?? transport.protocolVersion;
await client.close();
console.log(`ok: @modelcontextprotocol/client 2.4.0, mode ${mode}, protocol ${spoken}`);
