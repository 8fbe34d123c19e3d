// Drives a running kernos with Codex, whose `config.toml` has it as `kernos`, with the key in $KERNOS_KEY. No model is asked:
// its application server calls tools for whoever speaks to it. Usage: codex.mjs

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';

import { calls, isDenied, isEndedInTime, knowsNoSuchTool, leavesNothing, lists } from './checks.mjs';

/// Starts the server and speaks JSON-RPC to it, one message a line.
async function open({ words = [], environment = {} } = {}) {
  const env = { ...process.env, ...environment };
  const server = spawn('codex', [...words, 'app-server'], { env, stdio: ['pipe', 'pipe', 'ignore'] });
  const waiting = new Map();
  createInterface({ input: server.stdout }).on('line', (line) => {
    const { id, result, error } = JSON.parse(line);
    const [answered, failed] = waiting.get(id) ?? [];
    error ? failed?.(new Error(error.message)) : answered?.(result);
  });
  const send = (message) => server.stdin.write(`${JSON.stringify(message)}\n`);
  const request = (method, params) =>
    new Promise((...both) => {
      const id = waiting.size;
      waiting.set(id, both);
      send({ id, method, params });
    });
  await request('initialize', { clientInfo: { name: 'kernos-clients', version: '1.0.0' } });
  send({ method: 'initialized' });
  // It would take its time to say farewell to services that it does not reach.
  return { request, close: () => server.kill('SIGKILL') };
}

/// What it knows of kernos.
async function status({ request }) {
  const { data } = await request('mcpServerStatus/list', {});
  return data.find(({ name }) => name === 'kernos');
}

async function start(how) {
  const codex = await open(how);
  const { thread } = await codex.request('thread/start', {});
  return {
    tools: async () => Object.keys((await status(codex)).tools),
    call: (tool, args) =>
      codex.request('mcpServer/tool/call', { threadId: thread.id, server: 'kernos', tool, arguments: args }),
    close: codex.close,
  };
}

const agent = await start();
for (const does of [lists, calls, isDenied, isEndedInTime, knowsNoSuchTool]) {
  await does(agent);
}
agent.close();

const impatient = await start({ words: ['--config', 'mcp_servers.kernos.tool_timeout_sec=2'] });
await leavesNothing(impatient, {}, () => {});
impatient.close();

const stranger = await open({ environment: { KERNOS_KEY: 'kernos_wrong' } });
assert.match((await status(stranger)).toolsError, /Auth required/);
stranger.close();
console.log('ok: Codex 0.169.0');
