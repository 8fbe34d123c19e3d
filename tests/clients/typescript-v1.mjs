// Drives a running kernos with version 1 of the TypeScript client, which knows sessions only.
//
// Usage: typescript-v1.mjs URL KEY, or typescript-v1.mjs --bridge CONFIG KEY: then it talks to what the entry of
// `kernos` in that file starts, as Claude Desktop would, with AUTH_HEADER in place of the one that is written there.

import { readFileSync } from 'node:fs';

import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';

import { check } from './checks.mjs';

function direct(url, key) {
  return new StreamableHTTPClientTransport(new URL(url), {
    requestInit: { headers: { Authorization: `Bearer ${key}` } },
  });
}

let said = '';

function bridged(config, key) {
  const { command, args, env } = JSON.parse(readFileSync(config, 'utf8')).mcpServers.kernos;
  const environment = { ...process.env, ...env, AUTH_HEADER: `Bearer ${key}` };
  const transport = new StdioClientTransport({ command, args, env: environment, stderr: 'pipe' });
  transport.stderr.on('data', (text) => (said += text));
  return transport;
}

const isBridge = process.argv[2] === '--bridge';
const [place, key] = process.argv.slice(isBridge ? 3 : 2);

async function connect(key) {
  const client = new Client({ name: 'kernos-clients', version: '1.0.0' });
  await client.connect(isBridge ? bridged(place, key) : direct(place, key));
  return {
    tools: async () => (await client.listTools()).tools.map((tool) => tool.name),
    call: (name, args, options) => client.callTool({ name, arguments: args }, undefined, options),
    close: () => client.close(),
  };
}

// The bridge takes a wrong key for an offer of OAuth, finds none, and ends; that is all that its caller sees.
const isUnauthorized = (error) =>
  isBridge
    ? error.code === -32000 && said.includes('Dynamic Client Registration rejected (HTTP 404)')
    : error.constructor.name === 'StreamableHTTPError' && error.code === 401;

await check(connect, key, isUnauthorized);
console.log(isBridge ? 'ok: mcp-remote 0.15.1, from standard input' : 'ok: @modelcontextprotocol/sdk 1.32.2');
