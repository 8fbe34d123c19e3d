// What every client must see of kernos, whichever library it is made of.
//
// An agent has `tools()`, the names of the tools; `call(name, arguments, { signal, timeout, onprogress })`, the protocol's result
// or a rejection; and `close()`.

import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';

const PATIENCE_MS = 10_000;

/// Calls the tool of kernos.
export const run = (agent, command, options, more = {}) =>
  agent.call('shell_execute', { command, ...more }, options);

export async function lists(agent) {
  assert.deepEqual(await agent.tools(), ['shell_execute']);
}

export async function calls(agent) {
  const { structuredContent } = await run(agent, ['echo', 'hello', '|', 'cat']);
  assert.equal(structuredContent.stdout, 'hello\n');
  assert.equal(structuredContent.status, 0);
}

export async function isDenied(agent) {
  const { isError, content } = await run(agent, ['rm', 'x']);
  assert.equal(isError, true);
  assert.match(content[0].text, /^command\[0\]: `rm` is not a command of this key; allowed: cat, echo, /);
}

export async function isEndedInTime(agent) {
  const { isError, structuredContent } = await run(agent, ['sleep', '60'], {}, { timeout: 1 });
  assert.equal(isError, true);
  assert.equal(structuredContent.ended, 'timed-out');
  assert.equal(structuredContent.status, 124);
}

export async function knowsNoSuchTool(agent) {
  await assert.rejects(agent.call('no_such_tool', {}), /Unknown tool: no_such_tool/);
}

export async function hears(agent) {
  const heard = [];
  const onprogress = ({ total, message }) => heard.push({ total, message });
  await run(agent, ['echo', 'going', '&&', 'sleep', '1.3'], { onprogress });
  assert.deepEqual(heard, [{ total: undefined, message: 'going' }]);
}

export async function cancels(agent) {
  const giveUp = new AbortController();
  await leavesNothing(agent, { signal: giveUp.signal }, () => giveUp.abort('no longer wanted'));
}

export async function losesPatience(agent) {
  await leavesNothing(agent, { timeout: 1000 }, () => {});
}

/// A call that its client gives up is ended by kernos.
export async function leavesNothing(agent, options, giveUp) {
  const seconds = oddSeconds();
  const rejected = assert.rejects(run(agent, ['sleep', seconds], options));
  await until(() => running(seconds), `sleep ${seconds} to start`);
  giveUp();
  await rejected;
  await until(() => !running(seconds), `sleep ${seconds} to end`);
}

/// All of it; `connect` makes an agent of a key, or rejects with what `isUnauthorized` knows.
export async function check(connect, key, isUnauthorized) {
  await assert.rejects(connect('kernos_wrong'), isUnauthorized);
  const agent = await connect(key);
  for (const does of [lists, calls, isDenied, isEndedInTime, knowsNoSuchTool, hears, cancels, losesPatience]) {
    await does(agent);
  }
  await agent.close();
}

/// A number that no other process on this host is likely to have as an argument.
export const oddSeconds = () => `8${process.pid}${Date.now() % 10_000}`;

export function running(argument) {
  const words = (pid) => {
    try {
      return readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
    } catch {
      return [];
    }
  };
  const sleeps = (pid) => {
    const [program = '', ...rest] = words(pid);
    return program.endsWith('sleep') && rest.includes(argument);
  };
  return readdirSync('/proc').some((name) => /^\d+$/.test(name) && sleeps(name));
}

export async function until(holds, what) {
  const deadline = Date.now() + PATIENCE_MS;
  while (!holds()) {
    assert.ok(Date.now() < deadline, `waited ${PATIENCE_MS} ms for ${what}`);
    await pause(20);
  }
}
