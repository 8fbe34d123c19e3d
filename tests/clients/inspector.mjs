// Drives a running kernos with the command line of the Inspector. Usage: inspector.mjs URL KEY legacy|auto|modern

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';

import { calls, isDenied, isEndedInTime, lists } from './checks.mjs';

const [url, key, era] = process.argv.slice(2);

function inspect(key, ...words) {
  const server = ['--server-url', url, '--transport', 'http', '--header', `Authorization: Bearer ${key}`];
  const all = ['--cli', ...server, '--protocol-era', era, ...words];
  const { status, stdout, stderr } = spawnSync('mcp-inspector', all, { encoding: 'utf8', timeout: 60_000 });
  return { status, stdout, stderr };
}

function call(name, args) {
  const tool = ['--tool-name', name, '--tool-args-json', JSON.stringify(args)];
  return inspect(key, '--method', 'tools/call', ...tool);
}

const agent = {
  async tools() {
    const { status, stdout, stderr } = inspect(key, '--method', 'tools/list', '--strict');
    // What it finds wrong with a schema, a warning too, it says on standard error.
    assert.deepEqual([status, stderr], [0, '']);
    return JSON.parse(stdout).tools.map((tool) => tool.name);
  },
  async call(name, args) {
    const { status, stdout, stderr } = call(name, args);
    const result = JSON.parse(stdout);
    assert.equal(status, result.isError ? 5 : 0, stderr);
    assert.equal('_meta' in result, era !== 'legacy');
    return result;
  },
};

for (const does of [lists, calls, isDenied, isEndedInTime]) {
  await does(agent);
}
for (const [seen, status, code] of [
  [call('no_such_tool', {}), 5, 'tool_not_found'],
  [inspect('kernos_wrong', '--method', 'tools/list'), 3, 'auth_required'],
]) {
  assert.deepEqual([seen.status, JSON.parse(seen.stderr).error.code], [status, code]);
}
console.log(`ok: @modelcontextprotocol/inspector 2.12.0, era ${era}`);
