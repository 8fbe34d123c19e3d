// Drives a running kernos with version 2 of the TypeScript client. Usage: typescript-v2.mjs URL KEY auto|legacy

import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';

import { check } from './checks.mjs';

const [url, key, mode] = process.argv.slice(2);
let spoken;

async function connect(key) {
  const transport = new StreamableHTTPClientTransport(new URL(url), {
    requestInit: { headers: { Authorization: `Bearer ${key}` } },
  });
  const client = new Client({ name: 'kernos-clients', version: '1.0.0' }, { versionNegotiation: { mode } });
  await client.connect(transport);
  spoken = client.getNegotiatedProtocolVersion?.() ?? transport.protocolVersion;
  return {
    tools: async () => (await client.listTools()).tools.map((tool) => tool.name),
    call: (name, args, options) => client.callTool({ name, arguments: args }, options),
    close: () => client.close(),
  };
}

await check(connect, key, (error) => error.constructor.name === 'SdkHttpError' && error.status === 401);
console.log(`ok: @modelcontextprotocol/client 2.4.0, mode ${mode}, protocol ${spoken}`);
